//! Writes the trait that a service's author implements, and the dispatch onto it.

use super::model::{Model, Operation};
use super::names::snake;

/// The text of `service.rs`.
pub(super) fn write(model: &Model) -> String {
    let name = model.trait_name();
    let mut methods = String::new();
    let mut arms = String::new();
    for (index, operation) in model.operations.iter().enumerate() {
        methods.push_str(&method(model, operation));
        arms.push_str(&arm(model, operation, index));
    }
    // REST and query bind inputs to paths, headers and forms: their dispatch comes with them.
    let is_bodied = matches!(model.meta("protocol"), "json" | "smithy-rpc-v2-cbor");
    let dispatch = if is_bodied { dispatch(&name, &arms) } else { String::new() };
    let imports = if is_bodied {
        "use std::sync::Arc;\n\n\
         use bytes::Bytes;\nuse futures_util::future::BoxFuture;\n\n\
         use super::operations::SERVICE;\n\
         use crate::model::ServiceModel;\n\
         use crate::service::{Reply, Service};\n"
    } else {
        ""
    };
    format!(
        "//! The operations, as a trait.\n\n{imports}use super::errors::*;\nuse super::types::*;\n\
         use crate::call::Call;\n\n\
         /// {}: one method an operation.\n\
         ///\n\
         /// Inputs have been validated against the model; outputs are not.\n\
         pub trait {name}: Send + Sync + 'static {{ {methods} }}\n\n{dispatch}",
        model.full_name()
    )
}

fn method(model: &Model, operation: &Operation) -> String {
    let input = operation.input.as_ref().map_or(String::new(), |input| format!(", input: {input}"));
    let output = operation.output.as_deref().unwrap_or("()");
    format!(
        "/// [`{0}`]({1}).\n\
         fn {2}(&self, call: &Call{input}) \
         -> impl Future<Output = Result<{output}, {0}Error>> + Send;\n\n",
        operation.name,
        model.documentation(&operation.name),
        snake(&operation.name),
    )
}

fn arm(model: &Model, operation: &Operation, index: usize) -> String {
    let method = snake(&operation.name);
    let (read, argument) = match &operation.input {
        Some(_) => (
            "let input = match call.decode(&body) { Ok(input) => input, Err(reply) => return reply };\n\
             drop(body);",
            ", input",
        ),
        None => ("drop(body);", ""),
    };
    let streams = operation.output.as_ref().and_then(|output| model.event_stream_of(output));
    let answer = match (&operation.output, streams) {
        (_, Some(member)) => format!(
            "Reply::events(call.codec, answer.map(|output| output.{}))",
            snake(&member.name)
        ),
        (None, _) => "Reply::empty(call.codec, answer)".to_owned(),
        (Some(_), None) => "Reply::body(call.codec, answer)".to_owned(),
    };
    format!(
        "{index} => Box::pin(async move {{\n\
             {read}\n\
             let answer = service.{method}(&call{argument}).await;\n\
             {answer}\n\
         }}),\n"
    )
}

fn dispatch(name: &str, arms: &str) -> String {
    format!(
        "/// [`{name}`] behind [`Service`]: decodes, calls, encodes.\n\
         #[derive(Debug)]\n\
         pub struct {name}Service<T>(pub Arc<T>);\n\n\
         impl<T: {name}> Service for {name}Service<T> {{\n\
             fn model(&self) -> &'static ServiceModel {{ &SERVICE }}\n\n\
             fn call(&self, call: Call, body: Bytes) -> BoxFuture<'static, Reply> {{\n\
                 if call.operation.service.id != SERVICE.id {{\n\
                     return Box::pin(std::future::ready(Reply::unknown_operation()));\n\
                 }}\n\
                 let service = Arc::clone(&self.0);\n\
                 match call.operation.index {{ {arms} _ => Box::pin(std::future::ready(Reply::unknown_operation())) }}\n\
             }}\n\
         }}\n",
    )
}
