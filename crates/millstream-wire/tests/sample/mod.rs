//! A structure with a member of each kind, written as the generator writes them.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_wire::{Decode, DecodeError, Decoder, Encode, Encoder, Member, Rule, Structure};

/// One member of each kind, and itself in a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) text: Option<String>,
    pub(crate) blob: Option<Bytes>,
    pub(crate) integer: Option<i32>,
    pub(crate) long: Option<i64>,
    pub(crate) double: Option<f64>,
    pub(crate) boolean: Option<bool>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) list: Option<Vec<Sample>>,
    pub(crate) map: Option<BTreeMap<String, String>>,
    pub(crate) few: Option<Vec<Sample>>,
}

static ANY: Rule = Rule::any();
static FEW: Rule = Rule { max: Some(5), ..Rule::any() };

const fn member(name: &'static str, order: u16, rule: &'static Rule) -> Member {
    Member { name, required: false, order, rule }
}

static SAMPLE: Structure = Structure {
    name: "com.example.Sample",
    members: &[
        member("Text", 0, &ANY),
        member("Blob", 1, &ANY),
        member("Integer", 2, &ANY),
        member("Long", 3, &ANY),
        member("Double", 4, &ANY),
        member("Boolean", 5, &ANY),
        member("Time", 6, &ANY),
        member("List", 7, &ANY),
        member("Map", 8, &ANY),
        member("Few", 9, &FEW),
    ],
};

impl Decode for Sample {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut value = Self::default();
        let mut cursor = decoder.begin_structure(&SAMPLE)?;
        while let Some(member) = decoder.next_member(&mut cursor)? {
            match member {
                0 => value.text = Decode::decode(decoder)?,
                1 => value.blob = Decode::decode(decoder)?,
                2 => value.integer = Decode::decode(decoder)?,
                3 => value.long = Decode::decode(decoder)?,
                4 => value.double = Decode::decode(decoder)?,
                5 => value.boolean = Decode::decode(decoder)?,
                6 => value.time = Decode::decode(decoder)?,
                7 => value.list = Decode::decode(decoder)?,
                8 => value.map = Decode::decode(decoder)?,
                _ => value.few = Decode::decode(decoder)?,
            }
        }
        Ok(value)
    }

    fn describe(&self, out: &mut String) {
        SAMPLE.describe(out);
    }
}

impl Encode for Sample {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.begin_structure();
        encoder.member("Text", &self.text);
        encoder.member("Blob", &self.blob);
        encoder.member("Integer", &self.integer);
        encoder.member("Long", &self.long);
        encoder.member("Double", &self.double);
        encoder.member("Boolean", &self.boolean);
        encoder.member("Time", &self.time);
        encoder.member("List", &self.list);
        encoder.member("Map", &self.map);
        encoder.member("Few", &self.few);
        encoder.end_structure();
    }
}
