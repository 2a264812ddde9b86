//! The service: what its parts share, and how a call reaches a stream.
//!
//! Owns [`Streams`], its opening and its end, and the one way in which an operation gets hold of
//! a stream: [`Streams::resolve`], which looks it up and authorizes the call in one step.

use std::sync::{Arc, Weak};

use millstream_auth::Keyring;
use millstream_catalog::{Catalog, OpenError, ProposeError};
use millstream_core::limits::LimitsMode;
use millstream_core::{Clock, ShardId, Timestamp};
use millstream_log::{Log, LogId};
use tokio::sync::watch;

use crate::encryption::StreamKeys;
use crate::housekeeping;
use crate::load::Load;
use crate::rate::Rates;
use crate::refusal::{Named, Refusal};
use crate::resolve::Policies;
use crate::settings::Settings;
use crate::state::{
    Command, Consumer, ConsumerStatus, Registry, Shard, Stream, StreamStatus, TagTarget,
};
use crate::subscription::Subscriptions;
use crate::throttle::Throttle;
use crate::token::{TokenError, Tokens};
use crate::transition::Drivers;

/// The log that the catalog is in.
pub const CATALOG_LOG: LogId = LogId(1);
/// How long an operation waits for a transition that is under way.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Data Streams.
pub struct Streams {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) catalog: Arc<Catalog<Registry>>,
    pub(crate) tokens: Tokens,
    pub(crate) data_keys: StreamKeys,
    pub(crate) throttle: Throttle,
    pub(crate) rates: Rates,
    pub(crate) load: Load,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) drivers: Drivers,
    pub(crate) policies: Policies,
    pub(crate) me: Weak<Self>,
    stopping: watch::Sender<bool>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl Streams {
    /// Opens the service on `log`, takes up what a crash left unfinished, and starts its
    /// housekeeping on the present runtime. Housekeeping ends with [`Streams::stop`], or when
    /// the last handle is dropped.
    pub async fn open(
        log: Arc<dyn Log>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Arc<Self>, OpenError> {
        let catalog = Catalog::open(log.clone(), CATALOG_LOG, settings.snapshots).await?;
        let streams = Arc::new_cyclic(|me| Self {
            tokens: Tokens::new(&keyring),
            log,
            keyring,
            clock,
            settings,
            catalog,
            data_keys: StreamKeys::default(),
            throttle: Throttle::default(),
            rates: Rates::default(),
            load: Load::default(),
            subscriptions: Arc::default(),
            drivers: Drivers::default(),
            policies: Policies::default(),
            me: me.clone(),
            stopping: watch::Sender::new(false),
        });
        streams.take_up_transitions();
        tokio::spawn(housekeeping::run(Arc::downgrade(&streams), streams.stopping.subscribe()));
        Ok(streams)
    }

    /// Ends subscriptions and housekeeping. Calls go on being answered.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when the service is to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Whether the quotas of the real service hold.
    pub(crate) fn enforces_quotas(&self) -> bool {
        self.settings.limits == LimitsMode::Aws
    }

    /// Makes a command durable, or says why not.
    pub(crate) async fn propose<T>(
        &self,
        decide: impl FnOnce(&Registry) -> Result<(Option<Command>, T), Refusal>,
    ) -> Result<T, Refusal> {
        self.catalog.propose(decide).await.map_err(|error| match error {
            ProposeError::Refused(refusal) => refusal,
            ProposeError::Unavailable(millstream_log::AppendError::Overloaded) => {
                Refusal::Overloaded { shard: None }
            }
            ProposeError::Unavailable(millstream_log::AppendError::NoSpace) => Refusal::NoSpace,
            ProposeError::Unavailable(error) => {
                tracing::error!(%error, "a command was not written");
                Refusal::Internal
            }
            ProposeError::Stopped(reason) => {
                tracing::error!(reason, "the catalog has stopped");
                Refusal::Internal
            }
        })
    }

    /// The clock, but never before what was already written of the stream: a shard closed, or a
    /// data key made, while the clock is behind would else look expired once it is right again,
    /// and take records with it.
    pub(crate) fn steady_now(&self, stream: &Stream) -> Timestamp {
        let logs = stream.shards.iter().map(Shard::log).chain([CATALOG_LOG]);
        let arrivals = logs.filter_map(|log| Some(self.log.bounds(log).ok()?.last_arrived));
        arrivals.fold(self.clock.now(), Timestamp::max)
    }

    /// The stream as it is now; refused where its life is over.
    pub(crate) fn refresh(&self, stream: &Stream) -> Result<Arc<Stream>, Refusal> {
        let found = self.catalog.read(|registry| registry.by_uid(stream.uid).cloned());
        found.ok_or_else(|| self.gone(stream))
    }

    /// The refusal that says a stream is not there.
    #[allow(clippy::unused_self)] // Reads as the service speaking.
    pub(crate) fn gone(&self, stream: &Stream) -> Refusal {
        Refusal::StreamNotFound(stream.named())
    }

    /// Waits until `met` holds of the stream and returns it; refused when it goes away, or when
    /// nothing comes of it for long.
    pub(crate) async fn wait_until(
        &self,
        stream: &Stream,
        met: impl Fn(&Stream) -> bool,
    ) -> Result<Arc<Stream>, Refusal> {
        self.watch_until(stream, met).await?.ok_or_else(|| {
            tracing::error!(stream = %stream.name, "a transition does not come to its end");
            Refusal::Internal
        })
    }

    /// As [`Streams::wait_until`], but `None` when nothing comes of it for long.
    async fn watch_until(
        &self,
        stream: &Stream,
        met: impl Fn(&Stream) -> bool,
    ) -> Result<Option<Arc<Stream>>, Refusal> {
        let mut changes = self.catalog.changes();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            changes.mark_unchanged();
            let now = self.refresh(stream)?;
            if met(&now) {
                return Ok(Some(now));
            }
            tokio::select! {
                biased;
                changed = changes.changed() => changed.map_err(|_| Refusal::Internal)?,
                () = tokio::time::sleep_until(deadline) => return Ok(None),
            }
        }
    }

    /// The stream once it can be written and read. In `aws` mode a stream that is CREATING is
    /// not found, as in the real service; else the call waits out the short while.
    pub(crate) async fn servable(&self, stream: Arc<Stream>) -> Result<Arc<Stream>, Refusal> {
        match stream.status {
            StreamStatus::Active | StreamStatus::Updating => Ok(stream),
            StreamStatus::Creating if !self.enforces_quotas() => {
                self.wait_until(&stream, |stream| stream.status != StreamStatus::Creating).await
            }
            StreamStatus::Creating | StreamStatus::Deleting => Err(self.gone(&stream)),
        }
    }

    /// Waits while the stream is in one of `states`, so that whoever changes or takes down what
    /// was just made need not: without quotas that is over in moments. In `aws` mode nobody
    /// waits, and the operation is refused, as in the real service.
    pub(crate) async fn wait_out(
        &self,
        stream: &Stream,
        states: &[StreamStatus],
    ) -> Result<(), Refusal> {
        let is_out = |stream: &Stream| !states.contains(&stream.status);
        if !self.enforces_quotas() && !is_out(stream) {
            self.watch_until(stream, is_out).await?;
        }
        Ok(())
    }

    /// A paging token's refusal.
    pub(crate) fn token_refusal(&self, error: TokenError) -> Refusal {
        match error {
            TokenError::Invalid => Refusal::InvalidNextToken,
            TokenError::Expired { issued } => {
                Refusal::ExpiredNextToken { created: issued, now: self.clock.now() }
            }
        }
    }
}

impl Stream {
    /// Whose, and what it is called.
    pub(crate) fn named(&self) -> Named {
        Named { account: self.account.clone(), stream: self.name.clone() }
    }

    /// The shard of that id, for operations on shards.
    pub(crate) fn shard_named(&self, id: ShardId) -> Result<&Shard, Refusal> {
        let unknown = || Refusal::ShardUnknown { shard: id.to_string(), stream: self.named() };
        self.shard(id).ok_or_else(unknown)
    }

    /// Refused unless ACTIVE.
    pub(crate) fn require_active(&self) -> Result<(), Refusal> {
        if self.status == StreamStatus::Active {
            return Ok(());
        }
        Err(Refusal::StreamNotActive { stream: self.named(), status: self.status })
    }
}

impl Stream {
    /// Refused unless the consumer is ACTIVE.
    pub(crate) fn require_active_consumer(&self, consumer: &Consumer) -> Result<(), Refusal> {
        if consumer.status == ConsumerStatus::Active {
            return Ok(());
        }
        Err(Refusal::ConsumerNotActive {
            consumer: consumer.name.to_string(),
            created_seconds: consumer.created.seconds(),
            stream: self.named(),
        })
    }

    /// Refused where what hangs on the stream, or on one of its consumers, cannot be changed:
    /// while it is CREATING (documented: API_CreateStream, of tags) or DELETING.
    pub(crate) fn require_changeable(&self, target: &TagTarget) -> Result<(), Refusal> {
        match (target, self.status) {
            (TagTarget::Stream, StreamStatus::Active | StreamStatus::Updating) => Ok(()),
            (TagTarget::Stream, StreamStatus::Creating | StreamStatus::Deleting) => {
                Err(Refusal::StreamNotActive { stream: self.named(), status: self.status })
            }
            (TagTarget::Consumer(name), _) => {
                let (consumer, stream) = (name.to_string(), self.named());
                let missing = Refusal::ConsumerNotFound { consumer, stream };
                self.require_active_consumer(self.consumers.get(name).ok_or(missing)?)
            }
        }
    }
}

/// The number that a shard id names, whatever stands before its first hyphen (observed).
pub(crate) fn parse_shard_id(text: &str) -> Option<ShardId> {
    let mut parts = text.split('-');
    let first = parts.next()?;
    let digits = parts.next().filter(|digits| !digits.is_empty()).unwrap_or(first);
    digits.parse().ok()
}
