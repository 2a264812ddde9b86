//! What is known of every service before its types are: names, targets, operations.

use crate::generated::SERVICES;

/// How a service's requests are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `X-Amz-Target` and a JSON 1.1 body.
    Json11,
    /// `X-Amz-Target` and a JSON 1.0 body.
    Json10,
    /// A path, and a JSON body.
    RestJson,
    /// A form with `Action=`, and an XML answer.
    Query,
    /// `/service/NAME/operation/NAME` and a CBOR body; the same operations in JSON 1.0 too.
    RpcV2Cbor,
}

/// A service of the models.
#[derive(Debug)]
pub struct ServiceModel {
    /// The model's name: `kinesis`.
    pub id: &'static str,
    /// The service's own name for itself.
    pub full_name: &'static str,
    /// A date.
    pub api_version: &'static str,
    /// What `X-Amz-Target` starts with, before the dot; empty where targets are not used.
    pub target_prefix: &'static str,
    /// The service of a signature's scope.
    pub signing_name: &'static str,
    /// What IAM actions start with, before the colon.
    pub action_prefix: &'static str,
    /// How requests are formed.
    pub protocol: Protocol,
    /// Whether requests may come as `application/x-amz-cbor-1.1` too; a request to such a service
    /// that names no content type is CBOR (observed).
    pub takes_cbor: bool,
    /// In the order of the model, each at its own index.
    pub operations: &'static [Operation],
}

/// An operation of a service.
#[derive(Debug)]
pub struct Operation {
    /// `PutRecords`.
    pub name: &'static str,
    /// The service it belongs to.
    pub service: &'static ServiceModel,
    /// `kinesis:PutRecords`.
    pub action: &'static str,
    /// Its place in its service's table.
    pub index: u16,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with `{labels}` in REST.
    pub uri: &'static str,
}

impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.service.id == other.service.id
    }
}

impl Eq for Operation {}

impl ServiceModel {
    /// The operation called `name`.
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// The service whose targets start with `prefix`, built or not.
    pub fn of_target_prefix(prefix: &str) -> Option<&'static Self> {
        let mut services = SERVICES.iter().copied();
        services.find(|service| !prefix.is_empty() && service.target_prefix == prefix)
    }
}

impl Operation {
    /// The operation that an `X-Amz-Target` header names: `Kinesis_20131202.PutRecords`.
    pub fn of_target(target: &str) -> Option<&'static Self> {
        let (prefix, name) = target.split_once('.')?;
        ServiceModel::of_target_prefix(prefix)?.operation(name)
    }

    /// What `X-Amz-Target` says to name this operation.
    pub fn target(&self) -> String {
        format!("{}.{}", self.service.target_prefix, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_finds_its_operation_whether_the_service_is_built_or_not() {
        for target in ["Kinesis_20131202.PutRecords", "Firehose_20150804.PutRecordBatch"] {
            let operation = Operation::of_target(target).expect("in the models");
            assert_eq!(operation.target(), target);
            assert_eq!(operation.service.operations[usize::from(operation.index)], *operation);
        }
        for target in ["", ".", "Kinesis_20131202", "Kinesis_20131202.putRecords", ".AssumeRole"] {
            assert_eq!(Operation::of_target(target), None, "{target}");
        }
    }

    #[test]
    fn the_models_are_whole() {
        let count = |id: &str| {
            let service = SERVICES.iter().find(|service| service.id == id).expect("generated");
            service.operations.len()
        };
        assert_eq!(SERVICES.len(), 13);
        assert_eq!(count("kinesis"), 39);
        assert_eq!(count("dynamodb"), 57);
        let takes_cbor = |service: &&&ServiceModel| service.takes_cbor;
        let cbor: Vec<_> = SERVICES.iter().filter(takes_cbor).map(|service| service.id).collect();
        assert_eq!(cbor, ["kinesis"]);
    }

    #[test]
    fn every_pattern_can_be_compiled() {
        let invalid: Vec<_> = crate::generated::PATTERNS
            .iter()
            .copied()
            .flatten()
            .filter(|pattern| !pattern.is_valid())
            .map(|pattern| pattern.text())
            .collect();
        assert!(invalid.is_empty(), "{invalid:#?}");
    }
}
