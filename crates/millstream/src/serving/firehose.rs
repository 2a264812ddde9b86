//! Firehose put together: the service, its delivery, and where both reach out to.
//!
//! Owns the way from settings to connections. Two clients go out: one guarded, for whatever a
//! caller's configuration names; one for what the operator's own settings name, which is trusted
//! to be meant.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::{Clock, Rand};
use millstream_destinations::ConfigError;
use millstream_destinations::glue::{Catalog, GlueSettings};
use millstream_destinations::objects::{Buckets, S3Settings};
use millstream_destinations::outbound::{Allow, Outbound, OutboundSettings, TrustError};
use millstream_firehose::{
    Connections, Deliveries, DeliverySettings, Firehose, Ground, LambdaSettings, World,
};

use super::Admission;
use super::data_dir::DataDir;
use super::outside::Outside;
use crate::exit::{Failure, Outcome};
use crate::settings::{Destinations, Service, Settings};

/// What Firehose is opened with.
pub(super) struct Opening<'a> {
    pub(super) settings: &'a Settings,
    pub(super) admission: Admission,
    pub(super) data_dir: &'a DataDir,
    pub(super) rand: Arc<dyn Rand>,
}

/// The service and its delivery.
pub(super) async fn open(
    opening: Opening<'_>,
    ground: Ground,
) -> Outcome<(Arc<Firehose>, Arc<Deliveries>)> {
    let settings = opening.settings;
    let outside = Outside::read(settings.firehose.outside_file.as_deref())?;
    let clock = ground.clock.clone();
    let connections = connections(&opening, &outside, clock)?;
    let mut firehose_settings = millstream_firehose::Settings::new(settings.region.clone());
    firehose_settings.limits = settings.limits;
    let delay = Duration::from_millis(settings.state_delay_ms);
    firehose_settings.creating = delay;
    firehose_settings.encrypting = delay;
    firehose_settings.deleting = delay;
    firehose_settings.world = World {
        functions: connections.functions.clone(),
        search_domains: outside.search_domains.clone(),
        kafka_clusters: outside.kafka_clusters().map_err(Failure::usage)?,
        secrets: outside.secrets(),
        allows_plain_http: connections.outbound.allow().clear_text,
        redshift_is_postgresql: settings.firehose.redshift_is_postgresql,
    };
    let firehose = Firehose::open(ground, firehose_settings).await;
    let firehose = firehose
        .map_err(|error| Failure::failed(format!("cannot open Firehose's catalog: {error}")))?;
    let spill = opening.data_dir.spill();
    let delivery = DeliverySettings::new(spill.clone());
    let deliveries = Deliveries::start(&firehose, &delivery, connections).map_err(|error| {
        Failure::failed(format!("cannot use {}: {error}", spill.display()))
            .advise("it is emptied at each start; check who owns it and whether the disk is full")
    })?;
    Ok((firehose, Arc::new(deliveries)))
}

fn connections(
    opening: &Opening<'_>,
    outside: &Outside,
    clock: Arc<dyn Clock>,
) -> Outcome<Connections> {
    let settings = opening.settings;
    let allow = allow(settings.firehose.destinations, opening.admission);
    let outbound = client(allow)?;
    let operator = client(everywhere())?;
    let region = settings.region.to_string();
    let credentials = outside.credentials();
    let buckets = match &settings.firehose.s3 {
        Service::Embedded => Buckets::directory(opening.data_dir.buckets()),
        service => {
            let endpoint = endpoint(service);
            let path_style = endpoint.is_some();
            let (region, credentials) = (region.clone(), credentials.clone());
            let s3 = S3Settings { endpoint, region, credentials, path_style };
            Buckets::s3(&s3, operator.clone(), clock.clone())
                .map_err(|error| unusable("s3_endpoint", &error))?
        }
    };
    let catalog = match &settings.firehose.glue {
        Service::Embedded => Catalog::directory(opening.data_dir.schemas()),
        service => {
            let (region, credentials) = (region.clone(), credentials.clone());
            let glue = GlueSettings { endpoint: endpoint(service), region, credentials };
            Catalog::remote(&glue, operator.clone(), clock.clone())
                .map_err(|error| unusable("glue_endpoint", &error))?
        }
    };
    #[cfg(feature = "iceberg")]
    let tables = super::iceberg::tables(
        settings,
        &outside.iceberg,
        super::iceberg::Shared {
            buckets: buckets.clone(),
            operator: operator.clone(),
            credentials: credentials.clone(),
            clock: clock.clone(),
            rand: opening.rand.clone(),
        },
    )?;
    Ok(Connections {
        #[cfg(feature = "iceberg")]
        tables,
        buckets,
        catalog: Some(catalog),
        outbound,
        operator,
        lambda: LambdaSettings {
            endpoint: settings.firehose.lambda_endpoint.clone(),
            region: region.clone(),
            credentials: credentials.clone(),
        },
        functions: outside.function_settings().map_err(Failure::usage)?,
        #[cfg(feature = "wasm")]
        modules: outside.modules()?,
        search: credentials.map(|credentials| (credentials, region)),
        redshift_is_postgresql: settings.firehose.redshift_is_postgresql,
        clock,
        rand: opening.rand.clone(),
    })
}

/// The endpoint that a setting names; `None`: AWS's own.
pub(super) fn endpoint(service: &Service) -> Option<String> {
    match service {
        Service::At(url) => Some(url.clone()),
        Service::Aws | Service::Embedded => None,
    }
}

fn allow(destinations: Destinations, admission: Admission) -> Allow {
    match (destinations, admission) {
        (Destinations::Any, _) | (Destinations::Auto, Admission::Dev) => everywhere(),
        (Destinations::Private, _) => Allow { loopback: false, ..everywhere() },
        (Destinations::Public | Destinations::Auto, _) => Allow::default(),
    }
}

/// All that the guard lets pass at all.
fn everywhere() -> Allow {
    Allow { clear_text: true, loopback: true, private: true, ..Allow::default() }
}

fn client(allow: Allow) -> Outcome<Outbound> {
    let outbound = Outbound::new(OutboundSettings { allow, ..OutboundSettings::default() });
    outbound.map_err(|error: TrustError| Failure::failed(error))
}

pub(super) fn unusable(key: &str, error: &ConfigError) -> Failure {
    Failure::usage(format!("{key}: {error}"))
        .advise("`millstream config check` reads all settings without starting a server")
}
