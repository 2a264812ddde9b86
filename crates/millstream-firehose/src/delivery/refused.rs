//! The error output: a JSON document for each record that was not delivered.
//!
//! Owns the documents' members and their order. Observed for processing (captured from the
//! service in 2026: `rawData` first, `lambdaARN` so spelled, a document a line); documented for
//! the others, whose pages show a document each.

use std::fmt::Write as _;

use base64_simd::STANDARD as BASE64;
use millstream_core::Timestamp;
use millstream_destinations::Failure;

use super::frame::Entry;
use crate::plan::SchemaSource;

/// How a record was lost to its destination, beside why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempts {
    /// How often it was tried.
    pub(super) made: u32,
    /// When the last one ended.
    pub(super) ended: Timestamp,
}

/// What a document says beside the common members.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// Processing: with the function that did not do it, where there was one.
    Processing { lambda_arn: Option<&'a str> },
    /// Conversion, with the table that gave the schema.
    Conversion(&'a SchemaSource),
    /// A destination that has names of its own for the record.
    Destination,
    /// An HTTP endpoint: with the record's number.
    HttpEndpoint,
    /// Splunk: with the event's id.
    Splunk,
}

/// Writes the members of one document.
struct Document<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl Document<'_> {
    fn name(&mut self, name: &str) {
        self.out.push(if self.is_first { '{' } else { ',' });
        self.is_first = false;
        write!(self.out, "\"{name}\":").expect(INFALLIBLE);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.push_str(&serde_json::to_string(value).expect("a text becomes JSON"));
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        } else {
            self.name(name);
            self.out.push_str("null");
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        write!(self.out, "{value}").expect(INFALLIBLE);
    }

    fn raw(&mut self, entry: &Entry) {
        self.name("rawData");
        self.out.push('"');
        BASE64.encode_append(&entry.data, self.out);
        self.out.push('"');
    }

    fn attempts(&mut self, entry: &Entry, attempts: Attempts) {
        self.number("attemptsMade", u64::from(attempts.made));
        self.number("arrivalTimestamp", entry.arrived.ms());
    }
}

const INFALLIBLE: &str = "writing to a string does not fail";

/// What the source calls the record: its sequence number, or its position for direct puts.
fn sequence(entry: &Entry) -> String {
    match &entry.sequence {
        Some(sequence) => String::from_utf8_lossy(sequence).into_owned(),
        None => entry.id.position.to_string(),
    }
}

/// Appends the document of one record, and a line feed.
pub(super) fn write(
    entry: &Entry,
    failure: &Failure,
    attempts: Attempts,
    form: Form<'_>,
    out: &mut String,
) {
    let mut document = Document { out, is_first: true };
    let ended = attempts.ended.ms();
    if let Form::Processing { lambda_arn } = form {
        document.raw(entry);
        document.text("errorCode", &failure.code);
        document.text("errorMessage", &failure.message);
        document.attempts(entry, attempts);
        document.number("attemptEndingTimestamp", ended);
        if let Some(arn) = lambda_arn {
            document.text("lambdaARN", arn);
        }
        document.out.push_str("}\n");
        return;
    }
    let is_conversion = matches!(form, Form::Conversion(_));
    document.attempts(entry, attempts);
    document.text(if is_conversion { "lastErrorCode" } else { "errorCode" }, &failure.code);
    let name = if is_conversion { "lastErrorMessage" } else { "errorMessage" };
    document.text(name, &failure.message);
    document.number("attemptEndingTimestamp", ended);
    document.raw(entry);
    match form {
        Form::Conversion(table) => {
            document.text("sequenceNumber", &sequence(entry));
            document.number("subSequenceNumber", u64::from(entry.id.index));
            table_members(&mut document, table);
        }
        Form::HttpEndpoint => {
            document.number("subsequenceNumber", u64::from(entry.id.index));
            document.text("dataId", &format!("{}.{}", sequence(entry), entry.id.index));
        }
        Form::Splunk => {
            document.text("EventId", &format!("{}.{}", sequence(entry), entry.id.index));
        }
        Form::Destination | Form::Processing { .. } => {}
    }
    for (name, value) in &failure.details {
        document.text(name, value);
    }
    document.out.push_str("}\n");
}

fn table_members(document: &mut Document<'_>, table: &SchemaSource) {
    document.name("dataCatalogTable");
    let mut inner = Document { out: &mut *document.out, is_first: true };
    inner.maybe("catalogId", table.catalog.as_deref());
    inner.text("databaseName", &table.database);
    inner.text("tableName", &table.table);
    inner.maybe("region", table.region.as_deref());
    inner.text("versionId", &table.version);
    inner.maybe("catalogArn", None);
    inner.out.push('}');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_destinations::DocumentId;

    use super::*;

    fn entry() -> Entry {
        Entry {
            id: DocumentId { part: 0, position: 41, index: 2 },
            arrived: Timestamp::from_ms(1_789_014_240_448),
            sequence: None,
            data: Bytes::from_static(b"FAIL this one\n"),
        }
    }

    fn written(failure: &Failure, form: Form<'_>, entry: &Entry) -> String {
        let attempts = Attempts { made: 1, ended: Timestamp::from_ms(1_789_014_301_529) };
        let mut out = String::new();
        write(entry, failure, attempts, form, &mut out);
        let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(parsed.is_object() && out.ends_with("}\n"));
        out
    }

    /// The very bytes that the service was seen to write (but the names of the account).
    #[test]
    fn a_processing_failure_is_written_as_the_service_writes_it() {
        let failure = Failure::permanent(
            "Lambda.ProcessingFailedStatus",
            "ProcessingFailed status set for record",
        );
        let lambda_arn = Some("arn:aws:lambda:us-west-2:123456789012:function:f");
        assert_eq!(
            written(&failure, Form::Processing { lambda_arn }, &entry()),
            "{\"rawData\":\"RkFJTCB0aGlzIG9uZQo=\",\
             \"errorCode\":\"Lambda.ProcessingFailedStatus\",\
             \"errorMessage\":\"ProcessingFailed status set for record\",\
             \"attemptsMade\":1,\"arrivalTimestamp\":1789014240448,\
             \"attemptEndingTimestamp\":1789014301529,\
             \"lambdaARN\":\"arn:aws:lambda:us-west-2:123456789012:function:f\"}\n"
        );
    }

    #[test]
    fn a_conversion_failure_names_the_record_and_the_table() {
        let failure = Failure::permanent("DataFormatConversion.ParseError", "no \"JSON\"");
        let table = SchemaSource {
            catalog: None,
            database: "sales".to_owned(),
            table: "orders".to_owned(),
            region: Some("eu-west-1".to_owned()),
            version: "LATEST".to_owned(),
        };
        let sequence = Some(Bytes::from_static(b"4957"));
        let entry = Entry { sequence, ..entry() };
        assert_eq!(
            written(&failure, Form::Conversion(&table), &entry),
            "{\"attemptsMade\":1,\"arrivalTimestamp\":1789014240448,\
             \"lastErrorCode\":\"DataFormatConversion.ParseError\",\
             \"lastErrorMessage\":\"no \\\"JSON\\\"\",\
             \"attemptEndingTimestamp\":1789014301529,\"rawData\":\"RkFJTCB0aGlzIG9uZQo=\",\
             \"sequenceNumber\":\"4957\",\"subSequenceNumber\":2,\
             \"dataCatalogTable\":{\"catalogId\":null,\"databaseName\":\"sales\",\
             \"tableName\":\"orders\",\"region\":\"eu-west-1\",\"versionId\":\"LATEST\",\
             \"catalogArn\":null}}\n"
        );
    }

    #[test]
    fn destinations_add_their_own_names() {
        let failure = Failure::permanent("HttpEndpoint.DestinationException", "no");
        let text = written(&failure, Form::HttpEndpoint, &entry());
        assert!(text.ends_with("\"subsequenceNumber\":2,\"dataId\":\"41.2\"}\n"), "{text}");
        let text = written(&failure, Form::Splunk, &entry());
        assert!(text.ends_with("\"EventId\":\"41.2\"}\n"), "{text}");
        let details = vec![
            ("esDocumentId", "id".to_owned()),
            ("esIndexName", "index".to_owned()),
            ("esTypeName", String::new()),
        ];
        let failure = Failure { details, ..failure };
        let text = written(&failure, Form::Destination, &entry());
        let end = "\"esDocumentId\":\"id\",\"esIndexName\":\"index\",\"esTypeName\":\"\"}\n";
        assert!(text.ends_with(end), "{text}");
    }
}
