//! The service: what its parts share, its opening and its end.
//!
//! Owns [`Firehose`]. How a call reaches a delivery stream is in `resolve`; what the delivery
//! carries out is in `orders`.

use std::sync::{Arc, Weak};

use millstream_auth::Keyring;
use millstream_catalog::{Catalog, OpenError, ProposeError};
use millstream_core::Clock;
use millstream_core::limits::LimitsMode;
use millstream_core::source::StreamSource;
use millstream_log::{AppendError, Log, LogId};
use tokio::sync::watch;

use crate::configuration::Secrets;
use crate::encryption::StreamKeys;
use crate::housekeeping;
use crate::incoming::Counts;
use crate::orders::Plans;
use crate::rate::Rates;
use crate::refusal::{Named, Refusal};
use crate::settings::Settings;
use crate::state::{Command, DeliveryStream, Registry, Status};
use crate::throttle::Throttle;
use crate::transition::Drivers;

/// The log that the catalog is in.
pub const CATALOG_LOG: LogId = LogId(2);
/// How long an operation waits for a transition that is under way.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What the service stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where the catalog and directly put records lie.
    pub log: Arc<dyn Log>,
    /// Seals secrets, and the keys of records.
    pub keyring: Arc<Keyring>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The Data Streams that delivery streams may read.
    pub streams: Arc<dyn StreamSource>,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").finish_non_exhaustive()
    }
}

/// Firehose.
pub struct Firehose {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) streams: Arc<dyn StreamSource>,
    pub(crate) settings: Settings,
    pub(crate) catalog: Arc<Catalog<Registry>>,
    pub(crate) secrets: Secrets,
    pub(crate) data_keys: StreamKeys,
    pub(crate) throttle: Throttle,
    pub(crate) rates: Rates,
    pub(crate) incoming: Counts,
    pub(crate) drivers: Drivers,
    pub(crate) plans: Plans,
    pub(crate) me: Weak<Self>,
    stopping: watch::Sender<bool>,
}

impl std::fmt::Debug for Firehose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Firehose").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl Firehose {
    /// Opens the service, takes up what a crash left unfinished, and starts its housekeeping on
    /// the present runtime. Both end with [`Firehose::stop`], or when the last handle is dropped.
    pub async fn open(ground: Ground, settings: Settings) -> Result<Arc<Self>, OpenError> {
        let Ground { log, keyring, clock, streams } = ground;
        let catalog = Catalog::open(log.clone(), CATALOG_LOG, settings.snapshots).await?;
        let firehose = Arc::new_cyclic(|me| Self {
            secrets: Secrets::new(keyring.sealer("firehose destination")),
            throttle: Throttle::new(&settings.region),
            rates: Rates::default(),
            incoming: Counts::default(),
            log,
            keyring,
            clock,
            streams,
            settings,
            catalog,
            data_keys: StreamKeys::default(),
            drivers: Drivers::default(),
            plans: Plans::default(),
            me: me.clone(),
            stopping: watch::Sender::new(false),
        });
        firehose.take_up_transitions();
        let weak = Arc::downgrade(&firehose);
        tokio::spawn(housekeeping::run(weak, firehose.stopping.subscribe()));
        Ok(firehose)
    }

    /// Ends what runs by itself. Calls go on being answered.
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
            ProposeError::Unavailable(AppendError::Overloaded | AppendError::NoSpace) => {
                Refusal::SlowDown
            }
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

    /// The delivery stream once it takes records. In `aws` mode one that is CREATING takes none,
    /// as in the real service; else the call waits out the short while.
    pub(crate) async fn servable(
        &self,
        stream: Arc<DeliveryStream>,
    ) -> Result<Arc<DeliveryStream>, Refusal> {
        match stream.status {
            Status::Active => Ok(stream),
            Status::Creating if !self.enforces_quotas() => self.wait_out_creating(&stream).await,
            Status::Creating | Status::CreatingFailed(_) | Status::Deleting => Err(stream.gone()),
        }
    }

    async fn wait_out_creating(
        &self,
        stream: &DeliveryStream,
    ) -> Result<Arc<DeliveryStream>, Refusal> {
        let mut changes = self.catalog.changes();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            changes.mark_unchanged();
            let found = self.catalog.read(|registry| registry.by_uid(stream.uid).cloned());
            let now = found.ok_or_else(|| stream.gone())?;
            match now.status {
                Status::Active => return Ok(now),
                Status::CreatingFailed(_) | Status::Deleting => return Err(stream.gone()),
                Status::Creating => {}
            }
            tokio::select! {
                biased;
                changed = changes.changed() => changed.map_err(|_| Refusal::Internal)?,
                () = tokio::time::sleep_until(deadline) => {
                    tracing::error!(stream = %stream.name, "creating does not come to its end");
                    return Err(Refusal::Internal);
                }
            }
        }
    }
}

impl DeliveryStream {
    /// Whose, and what it is called.
    pub(crate) fn named(&self) -> Named {
        Named { account: self.account.clone(), stream: self.name.clone() }
    }

    /// The refusal that says it is not there.
    pub(crate) fn gone(&self) -> Refusal {
        Refusal::NotFound(self.named())
    }

    /// Refused unless ACTIVE.
    pub(crate) fn require_active(&self) -> Result<(), Refusal> {
        if self.status == Status::Active {
            return Ok(());
        }
        Err(Refusal::NotActive { stream: self.named(), status: self.status.as_str() })
    }

    /// What its secrets are bound to.
    pub(crate) fn owner(&self) -> String {
        owner(&self.account, &self.name)
    }
}

/// What the secrets of a delivery stream of that name are bound to.
pub(crate) fn owner(
    account: &millstream_core::AccountId,
    name: &millstream_core::StreamName,
) -> String {
    format!("{account}/{name}")
}
