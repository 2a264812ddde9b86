//! The types that every service's shapes are made of.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use millstream_core::Timestamp;

use super::{Decode, Decoder};
use crate::error::DecodeError;

impl Decode for String {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(decoder.text()?.into_owned())
    }

    fn describe(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Decode for Bytes {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.blob()
    }

    fn describe(&self, out: &mut String) {
        let length = self.len();
        let _ = write!(out, "java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
    }
}

/// Scalars that the decoder has a method for, and that print themselves.
macro_rules! scalar {
    ($($type:ty => $method:ident),*) => {$(
        impl Decode for $type {
            fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                decoder.$method()
            }

            fn describe(&self, out: &mut String) {
                let _ = write!(out, "{self}");
            }
        }
    )*};
}

scalar!(bool => boolean, i32 => integer, i64 => long, f64 => double, Timestamp => timestamp);

impl<T: Decode> Decode for Option<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let value = T::decode(decoder)?;
        // A value that this build does not know is as good as none where none is needed.
        let is_known = decoder.unknown.take().is_none();
        Ok(is_known.then_some(value))
    }

    fn describe(&self, out: &mut String) {
        match self {
            Some(value) => value.describe(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(decoder).map(Self::new)
    }

    fn describe(&self, out: &mut String) {
        self.as_ref().describe(out);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut cursor = decoder.begin_list()?;
        let mut items = Self::new();
        while decoder.next_item(&mut cursor)? {
            let item = T::decode(decoder)?;
            let is_known = decoder.unknown.take().is_none();
            if is_known {
                items.push(item);
            }
        }
        decoder.end_list(&cursor, &items);
        Ok(items)
    }

    fn describe(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            item.describe(out);
        }
        out.push(']');
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut cursor = decoder.begin_map()?;
        let mut entries = Self::new();
        while let Some(key) = decoder.next_entry(&mut cursor)? {
            let value = T::decode(decoder)?;
            let is_known = decoder.unknown.take().is_none();
            if entries.contains_key(&key) {
                return Err(DecodeError::Duplicate(key));
            }
            if is_known {
                entries.insert(key, value);
            }
        }
        decoder.end_map(&cursor, entries.iter());
        Ok(entries)
    }

    fn describe(&self, out: &mut String) {
        out.push('{');
        for (index, (key, value)) in self.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            out.extend([key, "="]);
            value.describe(out);
        }
        out.push('}');
    }
}
