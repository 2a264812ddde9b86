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
