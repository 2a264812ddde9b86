//! Destinations between the API's types and documents.
//!
//! Owns which member of an input carries which kind of destination. A configuration becomes a
//! document by being encoded, and a description is decoded of one: so nothing is lost between
//! them, and no member is named twice.

use bytes::Bytes;
use millstream_api::firehose as api;
use millstream_wire::{
    Codec, Decode, Encode, InputError, decode_input, decode_output, encode_body,
};
use serde_json::{Map, Value};

use crate::configuration::{DestinationKind, Document, Invalid, Place, describe};
use crate::refusal::Refusal;

/// A value in wire form.
fn wire<T: Encode>(value: &T) -> Map<String, Value> {
    let body = encode_body(Codec::Json11, value);
    serde_json::from_slice(&body).expect("a structure is encoded as a JSON object")
}

/// What an update changes: the kind of destination, and the update in wire form.
pub(super) type Update = (DestinationKind, Map<String, Value>);

/// One of `given`, and not Snowflake.
fn only(
    given: impl IntoIterator<Item = (DestinationKind, Option<Map<String, Value>>)>,
    names_snowflake: bool,
) -> Result<Update, Invalid> {
    let mut given = given.into_iter().filter_map(|(kind, body)| Some((kind, body?)));
    match (given.next(), given.next(), names_snowflake) {
        (Some(only), None, false) => Ok(only),
        (None, None, true) => Err(Invalid::Unsupported("A Snowflake destination")),
        (None | Some(_), _, _) => Err(Invalid::NotOneDestination),
    }
}

/// The destination that a delivery stream is created with.
pub(super) fn created(input: &api::CreateDeliveryStreamInput) -> Result<Document, Invalid> {
    use DestinationKind as Kind;
    let given = [
        (Kind::ExtendedS3, input.s3_destination_configuration.as_ref().map(wire)),
        (Kind::ExtendedS3, input.extended_s3_destination_configuration.as_ref().map(wire)),
        (Kind::Redshift, input.redshift_destination_configuration.as_ref().map(wire)),
        (Kind::Elasticsearch, input.elasticsearch_destination_configuration.as_ref().map(wire)),
        (
            Kind::OpenSearch,
            input.amazonopensearchservice_destination_configuration.as_ref().map(wire),
        ),
        (
            Kind::OpenSearchServerless,
            input.amazon_opensearch_serverless_destination_configuration.as_ref().map(wire),
        ),
        (Kind::Splunk, input.splunk_destination_configuration.as_ref().map(wire)),
        (Kind::HttpEndpoint, input.http_endpoint_destination_configuration.as_ref().map(wire)),
        (Kind::Iceberg, input.iceberg_destination_configuration.as_ref().map(wire)),
    ];
    let names_snowflake = input.snowflake_destination_configuration.is_some();
    let (kind, body) = only(given, names_snowflake)?;
    Ok(Document { kind, body })
}

/// What an update says.
pub(super) fn update(input: &api::UpdateDestinationInput) -> Result<Update, Invalid> {
    use DestinationKind as Kind;
    let given = [
        (Kind::ExtendedS3, input.s3_destination_update.as_ref().map(wire)),
        (Kind::ExtendedS3, input.extended_s3_destination_update.as_ref().map(wire)),
        (Kind::Redshift, input.redshift_destination_update.as_ref().map(wire)),
        (Kind::Elasticsearch, input.elasticsearch_destination_update.as_ref().map(wire)),
        (Kind::OpenSearch, input.amazonopensearchservice_destination_update.as_ref().map(wire)),
        (
            Kind::OpenSearchServerless,
            input.amazon_opensearch_serverless_destination_update.as_ref().map(wire),
        ),
        (Kind::Splunk, input.splunk_destination_update.as_ref().map(wire)),
        (Kind::HttpEndpoint, input.http_endpoint_destination_update.as_ref().map(wire)),
        (Kind::Iceberg, input.iceberg_destination_update.as_ref().map(wire)),
    ];
    only(given, input.snowflake_destination_update.is_some())
}

/// Refused unless `document` is a whole configuration by the model's rules: an update leaves out
/// what it may, a configuration does not.
pub(super) fn check_shape(document: &Document) -> Result<(), Refusal> {
    let body = serde_json::to_vec(&document.body).expect("a document's keys are strings");
    let body = Bytes::from(body);
    match document.kind {
        DestinationKind::ExtendedS3 => shape::<api::ExtendedS3DestinationConfiguration>(&body),
        DestinationKind::Redshift => shape::<api::RedshiftDestinationConfiguration>(&body),
        DestinationKind::Elasticsearch => {
            shape::<api::ElasticsearchDestinationConfiguration>(&body)
        }
        DestinationKind::OpenSearch => {
            shape::<api::AmazonopensearchserviceDestinationConfiguration>(&body)
        }
        DestinationKind::OpenSearchServerless => {
            shape::<api::AmazonOpenSearchServerlessDestinationConfiguration>(&body)
        }
        DestinationKind::Splunk => shape::<api::SplunkDestinationConfiguration>(&body),
        DestinationKind::HttpEndpoint => shape::<api::HttpEndpointDestinationConfiguration>(&body),
        DestinationKind::Iceberg => shape::<api::IcebergDestinationConfiguration>(&body),
    }
}

fn shape<T: Decode>(body: &Bytes) -> Result<(), Refusal> {
    match decode_input::<T>(Codec::Json11, body) {
        Ok(_) => Ok(()),
        Err(InputError::Validation(sentence) | InputError::Serialization(sentence)) => {
            Err(Refusal::Shape(sentence))
        }
    }
}

/// The description of a destination.
pub(super) fn described(
    document: &Document,
    place: Place<'_>,
    id: &str,
) -> Result<api::DestinationDescription, Refusal> {
    let mut members = describe(document, place);
    members.insert("DestinationId".to_owned(), id.into());
    let body = serde_json::to_vec(&members).expect("a description's keys are strings");
    decode_output(Codec::Json11, &Bytes::from(body)).map_err(|error| {
        tracing::error!(%error, "a destination's configuration does not read as the model's");
        Refusal::Internal
    })
}
