//! What a server asks of its own services as it starts, in the name of whoever started it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use millstream_api::Call;
use millstream_api::kinesis::{
    CreateStreamError, CreateStreamInput, Kinesis, ListStreamsInput, SERVICE,
};
use millstream_auth::DevMode;
use millstream_core::Clock;
use millstream_streams::Streams;
use millstream_wire::Codec;

use crate::exit::{Failure, Outcome};
use crate::settings::{InitStream, Settings};

/// Whoever started the server, who may do everything.
pub(super) struct Operator<'a> {
    pub(super) streams: &'a Arc<Streams>,
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a dyn Clock,
}

impl Operator<'_> {
    fn call(&self, operation: &str) -> Call {
        let settings = self.settings;
        let mode = DevMode::new(settings.account.clone(), settings.region.clone());
        Call {
            caller: mode.caller(Some("operator"), true),
            operation: SERVICE.operation(operation).expect("the model has it"),
            request_id: "start".into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: true,
            received: self.clock.now(),
            codec: Codec::Json11,
        }
    }

    /// How many streams there are.
    pub(super) async fn count_streams(&self) -> Outcome<usize> {
        let mut count = 0;
        let mut input = ListStreamsInput::default();
        loop {
            let page = self.streams.list_streams(&self.call("ListStreams"), input).await;
            let page = page
                .map_err(|error| Failure::failed(format!("cannot list what is there: {error}")))?;
            count += page.stream_names.len();
            let Some(last) = page.stream_names.last().filter(|_| page.has_more_streams) else {
                return Ok(count);
            };
            input = ListStreamsInput {
                exclusive_start_stream_name: Some(last.clone()),
                ..Default::default()
            };
        }
    }

    /// Creates the streams that are to be there, where they are not.
    pub(super) async fn create_missing_streams(&self) -> Outcome {
        for InitStream { name, shards } in &self.settings.init_streams {
            let input = CreateStreamInput {
                stream_name: name.to_string(),
                shard_count: Some(i32::try_from(*shards).unwrap_or(i32::MAX)),
                ..Default::default()
            };
            match self.streams.create_stream(&self.call("CreateStream"), input).await {
                Ok(()) => tracing::info!(stream = %name, shards, "created"),
                Err(CreateStreamError::ResourceInUse(_)) => {}
                Err(error) => {
                    return Err(Failure::failed(format!("cannot create {name}: {error}")));
                }
            }
        }
        Ok(())
    }
}
