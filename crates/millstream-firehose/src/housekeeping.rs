//! What has to happen without being asked: data keys go once nothing is sealed under them, logs
//! that a crash left condemned are deleted, and transitions that nobody carries through are.
//!
//! Owns the one loop. Records are not expired: a directly put record is kept until it is
//! delivered, and its log is trimmed by whoever delivers it.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::firehose::Firehose;
use crate::state::{DeliveryStream, Status};

/// Runs until told to stop, or until the service is dropped.
pub(crate) async fn run(firehose: Weak<Firehose>, mut stopping: watch::Receiver<bool>) {
    let Some(interval) = firehose.upgrade().map(|firehose| firehose.settings.housekeeping) else {
        return;
    };
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(firehose) = firehose.upgrade() else { return };
        firehose.keep_house().await;
    }
}

impl Firehose {
    async fn keep_house(&self) {
        // A caller may go away between a decision and the start of what carries it through.
        self.take_up_transitions();
        if let Err(refusal) = self.delete_condemned_logs().await {
            tracing::warn!(%refusal, "logs are deleted later");
        }
        let streams: Vec<Arc<DeliveryStream>> =
            self.catalog.read(|registry| registry.streams().cloned().collect());
        for stream in streams.iter().filter(|stream| stream.status == Status::Active) {
            if let Err(refusal) = self.forget_data_keys(stream).await {
                tracing::warn!(%refusal, stream = %stream.name, "data keys are forgotten later");
            }
        }
    }
}
