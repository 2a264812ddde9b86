//! Writes the table of a service's operations, which is built for every service.

use super::model::Model;
use super::names::literal;

/// The text of `operations.rs`.
pub(super) fn write(model: &Model) -> String {
    let mut rows = String::new();
    for (index, operation) in model.operations.iter().enumerate() {
        rows.push_str(&format!(
            "Operation {{ name: {}, service: &SERVICE, action: {}, index: {index}, method: {}, uri: {} }},",
            literal(&operation.name),
            literal(&format!("{}:{}", model.action_prefix, operation.name)),
            literal(&operation.method),
            literal(&operation.uri),
        ));
    }
    let protocol = match (model.meta("protocol"), model.meta("jsonVersion")) {
        ("json", "1.0") => "Json10",
        ("json", _) => "Json11",
        ("rest-json", _) => "RestJson",
        ("query", _) => "Query",
        ("smithy-rpc-v2-cbor", _) => "RpcV2Cbor",
        (other, _) => panic!("{}: protocol {other}", model.id),
    };
    let takes_cbor = model.lists_protocol("cbor");
    let signing = match model.meta("signingName") {
        "" => model.meta("endpointPrefix"),
        name => name,
    };
    format!(
        "//! The table of operations.\n\n\
         use crate::model::{{Operation, Protocol, ServiceModel}};\n\n\
         /// {}, version {}.\n\
         pub static SERVICE: ServiceModel = ServiceModel {{\n\
             id: {}, full_name: {}, api_version: {}, target_prefix: {}, signing_name: {},\n\
             action_prefix: {}, protocol: Protocol::{protocol}, takes_cbor: {takes_cbor}, operations: OPERATIONS,\n\
         }};\n\n\
         static OPERATIONS: &[Operation] = &[{rows}];\n",
        model.full_name(),
        model.meta("apiVersion"),
        literal(model.id),
        literal(model.full_name()),
        literal(model.meta("apiVersion")),
        literal(model.meta("targetPrefix")),
        literal(signing),
        literal(model.action_prefix),
    )
}
