//! Which operation a request means, and in which form it is answered.
//!
//! Reads the head alone; only the query protocol's forms must wait for their body. What is no
//! operation is refused as the service refuses it, in the order in which it looks (observed:
//! kinesalite's tests, recorded against the service): method, body or none, content type, target.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode};
use millstream_api::{Operation, Protocol, SERVICES, ServiceModel};
use millstream_wire::Codec;

use crate::refusal::{Form, Refusal};

const NO_SERVICE: &str = "Unable to determine service/operation name to be authorized";
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// What a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This operation.
    Operation { operation: &'static Operation, form: Form },
    /// The operation that `Action=` in the body names.
    FormBody,
}

/// Reads the head.
pub(crate) fn route(parts: &Parts, body_is_empty: bool) -> Result<Route, Refusal> {
    if let Some(route) = rpc_v2_route(parts) {
        return route;
    }
    if let Some(target) = parts.headers.get("x-amz-target") {
        let target = target.to_str().unwrap_or_default();
        return target_route(parts, Some(target), body_is_empty);
    }
    if let Some(operation) = rest_operation(parts) {
        return Ok(Route::Operation { operation, form: Form::RestJson });
    }
    if media_type(parts).is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM_TYPE)) {
        return Ok(Route::FormBody);
    }
    if let Some(query) = parts.uri.query()
        && query.split('&').any(|pair| pair.starts_with("Action="))
    {
        return form_route(query);
    }
    target_route(parts, None, body_is_empty)
}

/// The form in which a request expects its answer, before anything of it is judged.
pub(crate) fn likely_form(parts: &Parts) -> Option<Form> {
    parts.headers.get("x-amz-target")?;
    media_type(parts).map_or(Some(Codec::Cbor11), Codec::of_content_type).map(Form::Codec)
}

/// The operation that a form names: `Action=GetCallerIdentity&Version=2011-06-15`.
pub(crate) fn form_route(form: &str) -> Result<Route, Refusal> {
    let value = |name: &str| {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    };
    let (action, version) = (value("Action"), value("Version"));
    let speaks_forms = |service: &&&ServiceModel| {
        matches!(service.protocol, Protocol::Query | Protocol::RpcV2Cbor)
            && (version.is_empty() || service.api_version == version)
    };
    let found = SERVICES.iter().filter(speaks_forms).find_map(|service| service.operation(action));
    let operation = found.ok_or_else(|| {
        let named: String = action.chars().take(128).collect();
        let message = format!("Could not find operation {named} for version {version}");
        Refusal::new(Form::Query, "InvalidAction", message, StatusCode::BAD_REQUEST)
    })?;
    Ok(Route::Operation { operation, form: Form::Query })
}

fn media_type(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(header.split(';').next().unwrap_or_default().trim())
}

/// `/service/NAME/operation/NAME`, or a header that says so.
fn rpc_v2_route(parts: &Parts) -> Option<Result<Route, Refusal>> {
    let protocol = parts.headers.get("smithy-protocol");
    let says_so = protocol.is_some_and(|protocol| protocol.as_bytes() == b"rpc-v2-cbor");
    let named = parts.uri.path().strip_prefix("/service/").and_then(|rest| {
        let (service, rest) = rest.split_once('/')?;
        Some((service, rest.strip_prefix("operation/")?))
    });
    if named.is_none() && !says_so {
        return None;
    }
    let found = named.and_then(|(service, operation)| {
        ServiceModel::of_target_prefix(service)?.operation(operation)
    });
    Some(match found {
        Some(operation) => Ok(Route::Operation { operation, form: Form::RpcV2Cbor }),
        None => Err(unknown_operation(Form::RpcV2Cbor)),
    })
}

fn unknown_operation(form: Form) -> Refusal {
    Refusal::silent(form, "UnknownOperationException", StatusCode::BAD_REQUEST)
}

fn rest_operation(parts: &Parts) -> Option<&'static Operation> {
    let rest = SERVICES.iter().filter(|service| service.protocol == Protocol::RestJson);
    let mut operations = rest.flat_map(|service| service.operations);
    let path = parts.uri.path();
    operations.find(|operation| operation.method == parts.method && path_fits(operation.uri, path))
}

/// Whether `path` is of the form `/a/{label}/b`. Labels take one segment.
fn path_fits(template: &str, path: &str) -> bool {
    let template = template.split('?').next().unwrap_or_default();
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) => {
                let is_label = wanted.starts_with('{') && !given.is_empty();
                if !is_label && wanted != given {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// The protocols that name their operation in `X-Amz-Target`, and all that is left.
fn target_route(
    parts: &Parts,
    target: Option<&str>,
    body_is_empty: bool,
) -> Result<Route, Refusal> {
    if parts.method != Method::POST {
        let status = StatusCode::FORBIDDEN;
        return Err(Refusal::new(Form::Bare, "AccessDeniedException", NO_SERVICE, status));
    }
    let operation = target.and_then(Operation::of_target);
    let service = target
        .and_then(|target| target.split_once('.'))
        .and_then(|(prefix, _)| ServiceModel::of_target_prefix(prefix));
    let media_type = media_type(parts);
    // Kinesis, or a target that nobody knows: the rules recorded against Kinesis. Other services
    // are not so particular.
    let is_strict = service.is_none_or(|service| service.takes_cbor);
    let codec = media_type.and_then(|media_type| strict_codec(media_type, is_strict));
    if body_is_empty {
        let codec = match codec {
            Some(codec) if media_type != Some("application/json") => codec,
            _ => Codec::Cbor11,
        };
        let known = operation.is_some();
        let code = if known { "SerializationException" } else { "UnknownOperationException" };
        return Err(Refusal::silent(Form::Codec(codec), code, StatusCode::BAD_REQUEST));
    }
    let codec = match (media_type, codec) {
        (_, Some(codec)) => codec,
        // No content type at all is CBOR, for a service that takes it.
        (None, None) if service.is_some_and(|service| service.takes_cbor) => Codec::Cbor11,
        (None, None) if service.is_some() => Codec::Json11,
        (Some("application/json"), None) => {
            let (code, status) = ("UnknownOperationException", StatusCode::NOT_FOUND);
            return Err(Refusal::silent(Form::Deprecated, code, status));
        }
        (_, None) => {
            let names_two = target.is_some_and(|target| {
                target.split_once('.').is_some_and(|(service, operation)| {
                    !service.is_empty() && !operation.is_empty()
                })
            });
            return Err(if names_two {
                let (code, status) = ("UnknownOperationException", StatusCode::NOT_FOUND);
                Refusal::silent(Form::Bare, code, status)
            } else {
                let (code, status) = ("AccessDeniedException", StatusCode::FORBIDDEN);
                Refusal::new(Form::Bare, code, NO_SERVICE, status)
            });
        }
    };
    let form = Form::Codec(codec);
    let operation = operation.ok_or_else(|| unknown_operation(form))?;
    Ok(Route::Operation { operation, form })
}

/// The codec that a content type names, where the service takes it.
fn strict_codec(media_type: &str, is_strict: bool) -> Option<Codec> {
    let codec = Codec::of_content_type(media_type)?;
    let taken = match codec {
        Codec::Json11 => !is_strict || !media_type.eq_ignore_ascii_case("application/json"),
        Codec::Json10 => !is_strict,
        Codec::Cbor11 => is_strict,
    };
    taken.then_some(codec)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn of(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Route, Refusal> {
        route(&parts(method, target, headers), false)
    }

    fn named(route: Result<Route, Refusal>) -> (String, Form) {
        match route {
            Ok(Route::Operation { operation, form }) => (operation.action.to_owned(), form),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_protocol_names_its_operation_in_its_own_way() {
        let target = ("x-amz-target", "Kinesis_20131202.PutRecord");
        let json = ("content-type", "application/x-amz-json-1.1; charset=utf-8");
        let cbor = ("content-type", "application/x-amz-cbor-1.1");
        let put = "kinesis:PutRecord".to_owned();
        assert_eq!(
            named(of("POST", "/", &[target, json])),
            (put.clone(), Form::Codec(Codec::Json11))
        );
        assert_eq!(
            named(of("POST", "/any", &[target, cbor])),
            (put.clone(), Form::Codec(Codec::Cbor11))
        );
        assert_eq!(named(of("POST", "/", &[target])), (put, Form::Codec(Codec::Cbor11)));
        let rpc = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        let put_metric_data = named(of("POST", rpc, &[]));
        assert_eq!(put_metric_data, ("cloudwatch:PutMetricData".to_owned(), Form::RpcV2Cbor));
        let create = named(of("POST", "/createStream", &[]));
        assert_eq!(create, ("kinesisvideo:CreateStream".to_owned(), Form::RestJson));
        let identity = named(of("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", &[]));
        assert_eq!(identity, ("sts:GetCallerIdentity".to_owned(), Form::Query));
        let form = [("content-type", FORM_TYPE)];
        assert_eq!(of("POST", "/", &form), Ok(Route::FormBody));
        assert!(form_route("Action=Nothing").is_err());
    }

    #[test]
    fn every_operation_of_every_model_has_a_route() {
        for service in SERVICES {
            for operation in service.operations {
                let found = match service.protocol {
                    Protocol::Json11 | Protocol::Json10 => {
                        let target = operation.target();
                        let json = ("content-type", "application/x-amz-json-1.1");
                        named(of("POST", "/", &[("x-amz-target", &target), json])).0
                    }
                    Protocol::RpcV2Cbor => {
                        let prefix = service.target_prefix;
                        let path = format!("/service/{prefix}/operation/{}", operation.name);
                        named(of("POST", &path, &[])).0
                    }
                    Protocol::RestJson => {
                        let path = operation.uri.replace(['{', '}'], "");
                        named(of(operation.method, &path, &[])).0
                    }
                    Protocol::Query => named(form_route(&format!("Action={}", operation.name))).0,
                };
                assert_eq!(found, operation.action, "{}", service.id);
            }
        }
    }

    #[test]
    fn paths_fit_their_template_segment_by_segment() {
        assert!(path_fits("/tags/{resourceArn}", "/tags/arn"));
        assert!(!path_fits("/tags/{resourceArn}", "/tags/"));
        assert!(!path_fits("/tags/{resourceArn}", "/tags/a/b"));
        assert!(!path_fits("/createStream", "/createStream/"));
    }

    /// Rows of kinesalite's recorded tests: content type, target, has a body; status, code.
    #[test]
    fn what_is_no_operation_is_refused_as_the_service_was_recorded_to() {
        let json = "application/x-amz-json-1.1";
        let list = "Kinesis_20131202.ListStreams";
        for (content_type, target, has_body, status, code, form) in [
            ("", "", false, 400, "UnknownOperationException", Form::Codec(Codec::Cbor11)),
            ("", "", true, 403, "AccessDeniedException", Form::Bare),
            ("", list, false, 400, "SerializationException", Form::Codec(Codec::Cbor11)),
            (json, "", false, 400, "UnknownOperationException", Form::Codec(Codec::Json11)),
            (json, list, false, 400, "SerializationException", Form::Codec(Codec::Json11)),
            (json, "", true, 400, "UnknownOperationException", Form::Codec(Codec::Json11)),
            (json, "Whatever", true, 400, "UnknownOperationException", Form::Codec(Codec::Json11)),
            (
                json,
                "Whatever.A",
                true,
                400,
                "UnknownOperationException",
                Form::Codec(Codec::Json11),
            ),
            (
                json,
                "Kinesis_20131202.",
                true,
                400,
                "UnknownOperationException",
                Form::Codec(Codec::Json11),
            ),
            (
                json,
                "Kinesis_20131202.ListStream",
                true,
                400,
                "UnknownOperationException",
                Form::Codec(Codec::Json11),
            ),
            (
                "application/x-amz-json-1.0",
                "",
                false,
                400,
                "UnknownOperationException",
                Form::Codec(Codec::Cbor11),
            ),
            (
                "application/x-amz-json-1.0",
                list,
                true,
                404,
                "UnknownOperationException",
                Form::Bare,
            ),
            (
                "application/x-amz-json-1.1asdf",
                list,
                true,
                404,
                "UnknownOperationException",
                Form::Bare,
            ),
            ("text/plain", "Kinesis_20131202.", true, 403, "AccessDeniedException", Form::Bare),
            (
                "application/json",
                "",
                false,
                400,
                "UnknownOperationException",
                Form::Codec(Codec::Cbor11),
            ),
            (
                "application/json",
                list,
                false,
                400,
                "SerializationException",
                Form::Codec(Codec::Cbor11),
            ),
            ("application/json", list, true, 404, "UnknownOperationException", Form::Deprecated),
        ] {
            let mut headers = Vec::new();
            if !content_type.is_empty() {
                headers.push(("content-type", content_type));
            }
            if !target.is_empty() {
                headers.push(("x-amz-target", target));
            }
            let refusal = route(&parts("POST", "/", &headers), !has_body).unwrap_err();
            let got = (refusal.status.as_u16(), refusal.code.as_ref(), refusal.form);
            assert_eq!(got, (status, code, form), "{content_type:?} {target:?} {has_body}");
        }
        for method in ["GET", "PUT", "DELETE"] {
            let refusal = of(method, "/", &[]).unwrap_err();
            assert_eq!((refusal.status.as_u16(), refusal.form), (403, Form::Bare));
            assert_eq!(refusal.message.as_deref(), Some(NO_SERVICE));
        }
    }
}
