//! What is done to records: the processors and their parameters.
//!
//! Owns which parameters a processor has, and what values they take. The order of the list means
//! nothing; that of the work is fixed (documented).

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::Arn;
use millstream_formats::query::Query;

use super::invalid::Invalid;
use super::node::Node;
use crate::plan::{Buffering, Function, Processing, Split, Transform};
use crate::settings::{FunctionSetting, World};

/// Bytes that a Lambda processor buffers by default (documented: 1 MB).
pub(super) const LAMBDA_BUFFER_BYTES: u64 = 1024 * 1024;
/// The same for Splunk (documented: 256 KB).
pub(super) const LAMBDA_BUFFER_BYTES_SPLUNK: u64 = 256 * 1024;
const LAMBDA_INTERVAL_SECONDS: u64 = 60;
const LAMBDA_RETRIES: u64 = 3;
/// The most times a function is tried again (documented: console).
const LAMBDA_RETRIES_MAX: u64 = 300;
const LAMBDA_INTERVAL_SECONDS_MAX: u64 = 900;
/// Mebibytes that a Lambda processor may buffer (documented: 0.2 to 3 MB).
const LAMBDA_MEBIBYTES: std::ops::RangeInclusive<f64> = 0.2..=3.0;

/// What the `ProcessingConfiguration` of `node` says. `lambda_buffer_bytes` is what a Lambda
/// processor buffers where nothing is said.
pub(super) fn processing(
    node: Node<'_>,
    lambda_buffer_bytes: u64,
    world: &World,
) -> Result<Processing, Invalid> {
    let mut plan = Processing::default();
    let configuration = node.child("ProcessingConfiguration");
    let Some(configuration) = configuration.filter(|inner| inner.truth("Enabled") == Some(true))
    else {
        return Ok(plan);
    };
    let mut seen = Vec::new();
    for processor in configuration.children("Processors") {
        let kind = processor.text("Type").unwrap_or_default();
        if seen.contains(&kind) {
            return Err(Invalid::ProcessorTwice(kind.to_owned()));
        }
        seen.push(kind);
        match kind {
            "RecordDeAggregation" => {
                let given = parameters(processor, kind, &["SubRecordType", "Delimiter"])?;
                plan.split = Some(split(&given)?);
            }
            "Decompression" => {
                let given = parameters(processor, kind, &["CompressionFormat"])?;
                one_of(&given, ("Decompression", "CompressionFormat"), "GZIP", &["GZIP"])?;
                plan.decompress = true;
            }
            "CloudWatchLogProcessing" => {
                let given = parameters(processor, kind, &["DataMessageExtraction"])?;
                let place = ("CloudWatchLogProcessing", "DataMessageExtraction");
                let value = one_of(&given, place, "true or false", &["true", "false"])?;
                plan.extract_log_messages = value == "true";
            }
            "Lambda" => plan.transform = Some(lambda(processor, lambda_buffer_bytes, world)?),
            "MetadataExtraction" => plan.partition_query = Some(extraction(processor)?),
            "AppendDelimiterToRecord" => {
                let given = parameters(processor, kind, &["Delimiter"])?;
                check_delimiter(&given)?;
                plan.append_delimiter = true;
            }
            _ => {}
        }
    }
    if seen.is_empty() {
        return Err(Invalid::NoProcessor);
    }
    if plan.extract_log_messages && !plan.decompress {
        return Err(Invalid::ExtractionWithoutDecompression);
    }
    Ok(plan)
}

type Parameters<'a> = BTreeMap<&'a str, &'a str>;

/// The parameters of a processor, by name: each one that it has, and at most once.
fn parameters<'a>(
    processor: Node<'a>,
    kind: &str,
    known: &[&str],
) -> Result<Parameters<'a>, Invalid> {
    let mut given = BTreeMap::new();
    for parameter in processor.children("Parameters") {
        let name = parameter.text("ParameterName").unwrap_or_default();
        let place = || (kind.to_owned(), name.to_owned());
        if !known.contains(&name) {
            let (processor, parameter) = place();
            return Err(Invalid::ParameterUnknown { processor, parameter });
        }
        if given.insert(name, parameter.text("ParameterValue").unwrap_or_default()).is_some() {
            let (processor, parameter) = place();
            return Err(Invalid::ParameterTwice { processor, parameter });
        }
    }
    Ok(given)
}

fn required<'a>(
    given: &Parameters<'a>,
    (processor, parameter): (&'static str, &'static str),
) -> Result<&'a str, Invalid> {
    let value = given.get(parameter).copied();
    value.ok_or(Invalid::ParameterMissing { processor, parameter })
}

fn one_of<'a>(
    given: &Parameters<'a>,
    place: (&'static str, &'static str),
    must: &'static str,
    values: &[&str],
) -> Result<&'a str, Invalid> {
    let value = required(given, place)?;
    // Case does not matter to the service (observed with booleans written by templates).
    let known = values.iter().any(|known| known.eq_ignore_ascii_case(value));
    if known { Ok(value) } else { Err(not(place, must)) }
}

fn not((processor, parameter): (&'static str, &'static str), must: &'static str) -> Invalid {
    Invalid::ParameterValue { processor, parameter, must }
}

fn split(given: &Parameters<'_>) -> Result<Split, Invalid> {
    let place = ("RecordDeAggregation", "SubRecordType");
    let kind = one_of(given, place, "JSON or DELIMITED", &["JSON", "DELIMITED"])?;
    if kind.eq_ignore_ascii_case("JSON") {
        return match given.get("Delimiter") {
            None => Ok(Split::Json),
            Some(_) => {
                Err(not(("RecordDeAggregation", "Delimiter"), "absent where records are JSON"))
            }
        };
    }
    let place = ("RecordDeAggregation", "Delimiter");
    let text = required(given, place)?;
    let delimiter = base64_simd::STANDARD.decode_to_vec(text).ok();
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    delimiter.map(Split::Delimited).ok_or_else(|| not(place, "base64 of at least one byte"))
}

/// A line feed is the one delimiter; templates write it escaped.
fn check_delimiter(given: &Parameters<'_>) -> Result<(), Invalid> {
    match given.get("Delimiter") {
        None | Some(&("\\n" | "\n")) => Ok(()),
        Some(_) => Err(not(("AppendDelimiterToRecord", "Delimiter"), "\\n")),
    }
}

fn extraction(processor: Node<'_>) -> Result<String, Invalid> {
    let known = ["MetadataExtractionQuery", "JsonParsingEngine"];
    let given = parameters(processor, "MetadataExtraction", &known)?;
    let engine = ("MetadataExtraction", "JsonParsingEngine");
    one_of(&given, engine, "JQ-1.6", &["JQ-1.6"])?;
    let query = required(&given, ("MetadataExtraction", "MetadataExtractionQuery"))?;
    Query::parse(query).map_err(|error| Invalid::Query(error.to_string()))?;
    Ok(query.to_owned())
}

fn lambda(processor: Node<'_>, buffer_bytes: u64, world: &World) -> Result<Transform, Invalid> {
    let known =
        ["LambdaArn", "NumberOfRetries", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds"];
    let given = parameters(processor, "Lambda", &known)?;
    let arn = required(&given, ("Lambda", "LambdaArn"))?;
    let integer = |name: &'static str, max: u64, must: &'static str, default: u64| {
        let Some(text) = given.get(name) else { return Ok(default) };
        let value = text.parse::<u64>().ok().filter(|value| *value <= max);
        value.ok_or_else(|| not(("Lambda", name), must))
    };
    let retries =
        integer("NumberOfRetries", LAMBDA_RETRIES_MAX, "an integer from 0 to 300", LAMBDA_RETRIES)?;
    let seconds = integer(
        "BufferIntervalInSeconds",
        LAMBDA_INTERVAL_SECONDS_MAX,
        "an integer from 0 to 900",
        LAMBDA_INTERVAL_SECONDS,
    )?;
    let bytes = match given.get("BufferSizeInMBs") {
        None => buffer_bytes,
        Some(text) => mebibytes(text)?,
    };
    Ok(Transform {
        function: function(arn, world)?,
        retries: u32::try_from(retries).unwrap_or(u32::MAX),
        buffering: Buffering { bytes, interval: Duration::from_secs(seconds) },
    })
}

fn mebibytes(text: &str) -> Result<u64, Invalid> {
    let value = text.parse::<f64>().ok().filter(|value| LAMBDA_MEBIBYTES.contains(value));
    let value =
        value.ok_or_else(|| not(("Lambda", "BufferSizeInMBs"), "a number from 0.2 to 3"))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // At most three mebibytes.
    Ok((value * 1024.0 * 1024.0) as u64)
}

fn function(arn: &str, world: &World) -> Result<Function, Invalid> {
    let owned = arn.to_owned();
    match world.functions.get(arn) {
        Some(FunctionSetting::Jq(filter)) => {
            Ok(Function::Jq { arn: owned, filter: filter.clone() })
        }
        Some(FunctionSetting::Wasm(module)) => {
            Ok(Function::Wasm { arn: owned, module: module.clone() })
        }
        Some(FunctionSetting::Url(_)) => Ok(Function::Lambda { arn: owned }),
        None => {
            let parsed = Arn::parse(arn).ok();
            let is_function = parsed.is_some_and(|arn| {
                arn.service == "lambda" && arn.resource.starts_with("function:")
            });
            let place = ("Lambda", "LambdaArn");
            is_function
                .then_some(Function::Lambda { arn: owned })
                .ok_or_else(|| not(place, "the ARN of a Lambda function"))
        }
    }
}
