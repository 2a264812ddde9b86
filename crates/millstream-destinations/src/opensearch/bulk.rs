//! The body of a bulk request: a line of action before each document.

use std::ops::Range;

use bytes::Bytes;

use super::index::{self, Rotation};
use crate::Document;

/// What stands in the action lines.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) index: String,
    pub(super) type_name: Option<String>,
    pub(super) rotation: Rotation,
    pub(super) id_prefix: Option<String>,
    pub(super) is_serverless: bool,
}

/// One bulk request's body, and which documents it holds.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) body: Bytes,
}

impl Part {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Layout {
    /// Documents from `start` on, as many as fit `bytes_max`, and at least one.
    pub(super) fn encode(&self, documents: &[Document], start: usize, bytes_max: usize) -> Part {
        let mut body = Vec::new();
        let mut end = start;
        for document in &documents[start..] {
            let before = body.len();
            self.push(document, &mut body);
            if body.len() > bytes_max && end > start {
                body.truncate(before);
                break;
            }
            end += 1;
        }
        Part { start, end, body: Bytes::from(body) }
    }

    fn push(&self, document: &Document, body: &mut Vec<u8>) {
        // A collection of time series takes `create` only; elsewhere `index`, so that a repeat
        // with the same id is no conflict.
        let action = if self.is_serverless { "create" } else { "index" };
        body.extend_from_slice(format!(r#"{{"{action}":{{"_index":"#).as_bytes());
        push_json(body, &self.index_of(document));
        if let Some(type_name) = &self.type_name {
            body.extend_from_slice(br#","_type":"#);
            push_json(body, type_name);
        }
        if let Some(id) = self.id_of(document) {
            body.extend_from_slice(br#","_id":"#);
            push_json(body, &id);
        }
        body.extend_from_slice(b"}}\n");
        push_line(body, &document.data);
    }

    fn index_of(&self, document: &Document) -> String {
        index::name(&self.index, self.rotation, document.arrived)
    }

    fn id_of(&self, document: &Document) -> Option<String> {
        self.id_prefix.as_ref().map(|prefix| format!("{prefix}.{}", document.id))
    }

    /// What the error output calls a document (documented).
    pub(super) fn details(&self, document: &Document) -> Vec<(&'static str, String)> {
        let id = self.id_of(document).unwrap_or_default();
        let index = self.index_of(document);
        if self.is_serverless {
            return vec![("osDocumentId", id), ("osIndexName", index)];
        }
        let type_name = self.type_name.clone().unwrap_or_default();
        vec![("esDocumentId", id), ("esIndexName", index), ("esTypeName", type_name)]
    }
}

fn push_json(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("memory takes what is written");
}

/// A document takes one line. Line ends within it stand between JSON's tokens, where blanks are
/// as good (inside of a string JSON forbids them), so that one document cannot make two.
fn push_line(body: &mut Vec<u8>, data: &[u8]) {
    let start = body.len();
    body.extend_from_slice(data.trim_ascii());
    for byte in &mut body[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use millstream_core::Timestamp;

    use super::*;
    use crate::DocumentId;

    fn document(position: u64, data: &str) -> Document {
        Document {
            id: DocumentId { part: 0, position, index: 0 },
            arrived: Timestamp::from_seconds(1_456_405_200),
            operation: crate::Operation::Insert,
            data: Bytes::copy_from_slice(data.as_bytes()),
        }
    }

    fn layout() -> Layout {
        Layout {
            index: "logs".to_owned(),
            type_name: None,
            rotation: Rotation::Day,
            id_prefix: Some("u1".to_owned()),
            is_serverless: false,
        }
    }

    fn text(part: &Part) -> &str {
        std::str::from_utf8(&part.body).unwrap()
    }

    #[test]
    fn each_document_has_its_line_of_action() {
        let documents = [document(7, r#"{"a":1}"#), document(8, "{\"a\":\n 2}\n")];
        let part = layout().encode(&documents, 0, usize::MAX);
        assert_eq!(
            text(&part),
            "{\"index\":{\"_index\":\"logs-2016-02-25\",\"_id\":\"u1.0.7.0\"}}\n{\"a\":1}\n\
             {\"index\":{\"_index\":\"logs-2016-02-25\",\"_id\":\"u1.0.8.0\"}}\n{\"a\":  2}\n"
        );
        assert_eq!(part.range(), 0..2);
    }

    #[test]
    fn serverless_creates_without_ids_and_elasticsearch_6_has_types() {
        let layout_of = |type_name: Option<&str>, is_serverless| Layout {
            type_name: type_name.map(str::to_owned),
            rotation: Rotation::None,
            id_prefix: None,
            is_serverless,
            ..layout()
        };
        let documents = [document(1, "{}")];
        let part = layout_of(None, true).encode(&documents, 0, usize::MAX);
        assert_eq!(text(&part), "{\"create\":{\"_index\":\"logs\"}}\n{}\n");
        let part = layout_of(Some("t\"x"), false).encode(&documents, 0, usize::MAX);
        assert_eq!(text(&part), "{\"index\":{\"_index\":\"logs\",\"_type\":\"t\\\"x\"}}\n{}\n");
    }

    #[test]
    fn a_document_cannot_smuggle_an_action_in() {
        let evil = "{}\n{\"delete\":{\"_index\":\"logs\",\"_id\":\"1\"}}";
        let part = layout().encode(&[document(1, evil)], 0, usize::MAX);
        assert_eq!(text(&part).lines().count(), 2);
    }

    #[test]
    fn a_part_ends_before_it_is_too_large_and_holds_one_document_at_least() {
        let documents: Vec<_> = (0..5).map(|position| document(position, "{}")).collect();
        let one = layout().encode(&documents[..1], 0, usize::MAX).body.len();
        assert_eq!(layout().encode(&documents, 0, 2 * one).range(), 0..2);
        assert_eq!(layout().encode(&documents, 2, 2 * one - 1).range(), 2..3);
        assert_eq!(layout().encode(&documents, 4, 1).range(), 4..5);
    }
}
