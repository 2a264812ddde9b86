//! The catalog of Iceberg tables, from the settings and the outside file.
//!
//! Owns what goes together: a REST catalog has one way of knowing this server at most, and needs
//! no other catalog; without one, tables are where Glue is, be it a service or a directory.

use std::sync::Arc;

use millstream_auth::Secret;
use millstream_auth::sigv4::SigningCredentials;
use millstream_core::{Clock, Rand};
use millstream_destinations::glue::GlueSettings;
use millstream_destinations::iceberg::{Ground, RestAuth, RestSettings, Tables, TokenSettings};
use millstream_destinations::objects::Buckets;
use millstream_destinations::outbound::Outbound;
use serde::Deserialize;

use super::firehose::{endpoint, unusable};
use crate::exit::{Failure, Outcome};
use crate::settings::{Service, Settings};

/// What an OAuth 2 token is asked for where nothing else is said (documented by Iceberg).
const SCOPE: &str = "catalog";

/// The outside file's `[iceberg]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IcebergTable {
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    oauth2_url: Option<String>,
    scope: Option<String>,
    sigv4_service: Option<String>,
}

impl IcebergTable {
    /// How the catalog is to know this server.
    fn auth(
        &self,
        region: &str,
        credentials: Option<SigningCredentials>,
    ) -> Result<RestAuth, String> {
        let ways = [&self.token, &self.client_secret, &self.sigv4_service];
        if ways.into_iter().flatten().count() > 1 {
            return Err("[iceberg] has one of token, client_secret and sigv4_service".to_owned());
        }
        if self.client_secret.is_none()
            && (self.client_id.is_some() || self.oauth2_url.is_some() || self.scope.is_some())
        {
            return Err("[iceberg] needs a client_secret".to_owned());
        }
        if let Some(token) = &self.token {
            return Ok(RestAuth::Bearer(Secret::from(token.as_str())));
        }
        if let Some(secret) = &self.client_secret {
            return Ok(RestAuth::OAuth2(TokenSettings {
                url: self.oauth2_url.clone(),
                client_id: self.client_id.clone(),
                client_secret: Secret::from(secret.as_str()),
                scope: self.scope.clone().unwrap_or_else(|| SCOPE.to_owned()),
            }));
        }
        let Some(service) = &self.sigv4_service else { return Ok(RestAuth::None) };
        let credentials = credentials.ok_or_else(|| {
            "sigv4_service signs with [credentials], and there are none".to_owned()
        })?;
        let (region, service) = (region.to_owned(), service.clone());
        Ok(RestAuth::SigV4 { credentials, region, service })
    }
}

/// What tables share with the rest of Firehose.
pub(super) struct Shared {
    pub(super) buckets: Buckets,
    pub(super) operator: Outbound,
    pub(super) credentials: Option<SigningCredentials>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rand: Arc<dyn Rand>,
}

/// Where tables are.
pub(super) fn tables(settings: &Settings, table: &IcebergTable, shared: Shared) -> Outcome<Tables> {
    let Shared { buckets, operator, credentials, clock, rand } = shared;
    let ground = Ground { buckets, clock, rand };
    let region = settings.region.to_string();
    if let Some(url) = &settings.firehose.iceberg_endpoint {
        let auth = table.auth(&region, credentials).map_err(Failure::usage)?;
        let warehouse = settings.firehose.iceberg_warehouse.clone();
        let rest = RestSettings { endpoint: url.clone(), warehouse, auth };
        return Tables::rest(&rest, operator, ground)
            .map_err(|error| unusable("iceberg_endpoint", &error));
    }
    match &settings.firehose.glue {
        Service::Embedded => Ok(Tables::folders(ground)),
        service => {
            let glue = GlueSettings { endpoint: endpoint(service), region, credentials };
            Tables::glue(&glue, operator, ground).map_err(|error| unusable("glue_endpoint", &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(text: &str) -> Result<RestAuth, String> {
        toml::from_str::<IcebergTable>(text).unwrap().auth("eu-west-1", None)
    }

    #[test]
    fn a_catalog_knows_this_server_in_one_way_at_most() {
        assert!(matches!(auth(""), Ok(RestAuth::None)));
        assert!(matches!(auth("token = \"t\""), Ok(RestAuth::Bearer(_))));
        let Ok(RestAuth::OAuth2(tokens)) = auth("client_secret = \"s\"") else { panic!("OAuth 2") };
        assert_eq!(tokens.scope, "catalog");
        for wrong in [
            "token = \"t\"\nclient_secret = \"s\"",
            "client_id = \"i\"",
            "sigv4_service = \"glue\"",
        ] {
            assert!(auth(wrong).is_err(), "{wrong}");
        }
    }
}
