//! Lists and maps: their own bounds, and what their items violated.
//!
//! The service tells of a text or number in a list in the list's own sentence, with the whole
//! list as the value; of a structure in a list by its path. So items only raise a flag here.

use super::{Decode, DecodeError, Decoder, Kind, ListCursor, MapCursor};
use super::{LIST_UNEXPECTED, MAP_UNEXPECTED, mismatch, read, size};
use crate::ITEMS_MAX;
use crate::rule::Rule;
use crate::violation::{self, Step};

impl Decoder<'_> {
    pub(super) fn keep_max(&self, rule: Option<&'static Rule>) -> usize {
        match rule.and_then(|rule| rule.max) {
            // One more than allowed, so that the sentence can show what was too many.
            Some(max) => usize::try_from(max).unwrap_or(ITEMS_MAX).saturating_add(1),
            None if self.is_strict => ITEMS_MAX,
            None => usize::MAX,
        }
    }

    pub(super) fn begin_list(&mut self) -> Result<ListCursor, DecodeError> {
        match self.kind()? {
            Kind::List => {}
            Kind::Map => return Err(MAP_UNEXPECTED),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::Bytes => {
                return Err(mismatch("Expected list or null"));
            }
        }
        self.descend()?;
        let rule = self.rule();
        let open = read!(self, json => json.open(), cbor => cbor.open()?);
        let element = rule.and_then(|rule| rule.element);
        self.path.push(Step::Item { rule: element, index: 0, violated: false, strays: Vec::new() });
        Ok(ListCursor { open, count: 0, keep_max: self.keep_max(rule), rule })
    }

    pub(super) fn next_item(&mut self, cursor: &mut ListCursor) -> Result<bool, DecodeError> {
        loop {
            let more = read!(self,
                json => json.next_item(&mut cursor.open, b']')?,
                cbor => cbor.next_item(&mut cursor.open)?);
            if !more {
                return Ok(false);
            }
            if let Some(Step::Item { index, .. }) = self.path.last_mut() {
                *index = u32::try_from(cursor.count).unwrap_or(u32::MAX);
            }
            cursor.count += 1;
            too_many(cursor.count, cursor.rule, cursor.keep_max)?;
            if cursor.count > cursor.keep_max {
                // Refused already: what these items are changes nothing but the cost.
                self.skip()?;
                continue;
            }
            if !self.take_null()? {
                return Ok(true);
            }
            if self.is_strict {
                self.violations.note(&self.path, None, "Member must not be null");
            }
        }
    }

    pub(super) fn end_list<T: Decode>(&mut self, cursor: &ListCursor, items: &[T]) {
        self.depth_left += 1;
        let step = self.path.pop();
        let (Some(rule), Some(Step::Item { violated: item_violated, strays, .. })) =
            (cursor.rule, step)
        else {
            return;
        };
        if !item_violated && rule.allows_size(size(cursor.count)) {
            return;
        }
        let mut text = String::from("[");
        for (index, item) in items.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            match strays.iter().find(|(stray, _)| usize::try_from(*stray) == Ok(index)) {
                Some((_, raw)) => text.push_str(raw),
                None => item.describe(&mut text),
            }
        }
        text.push(']');
        self.note_length(rule, size(cursor.count), &text);
        if let (true, Some(element)) = (item_violated, rule.element) {
            let asked = violation::bracket(element);
            self.note(&text, &format!("Member must satisfy constraint: {asked}"));
        }
    }

    pub(super) fn begin_map(&mut self) -> Result<MapCursor, DecodeError> {
        match self.kind()? {
            Kind::Map => {}
            Kind::List => return Err(LIST_UNEXPECTED),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::Bytes => {
                return Err(mismatch("Expected map or null"));
            }
        }
        self.descend()?;
        let rule = self.rule();
        let open = read!(self, json => json.open(), cbor => cbor.open()?);
        let element = rule.and_then(|rule| rule.element);
        let step = Step::Entry { rule: element, key: String::new(), index: 0, violated: false };
        self.path.push(step);
        Ok(MapCursor { open, count: 0, keep_max: self.keep_max(rule), rule, key_violated: false })
    }

    pub(super) fn next_entry(
        &mut self,
        cursor: &mut MapCursor,
    ) -> Result<Option<String>, DecodeError> {
        while let Some(key) = self.next_key(&mut cursor.open)? {
            let text = key.into_owned();
            if let Some(Step::Entry { key, index, .. }) = self.path.last_mut() {
                key.clone_from(&text);
                *index = u32::try_from(cursor.count).unwrap_or(u32::MAX);
            }
            cursor.count += 1;
            too_many(cursor.count, cursor.rule, cursor.keep_max)?;
            if cursor.count > cursor.keep_max {
                self.skip()?;
                continue;
            }
            if let Some(rule) = cursor.rule.and_then(|rule| rule.key) {
                let fits = rule.allows_text(&text) && rule.allows_size(rule.text_length(&text));
                cursor.key_violated |= !fits;
            }
            if !self.take_null()? {
                return Ok(Some(text));
            }
            if self.is_strict {
                self.violations.note(&self.path, None, "Member must not be null");
            }
        }
        Ok(None)
    }

    pub(super) fn end_map<'t, T: Decode + 't>(
        &mut self,
        cursor: &MapCursor,
        entries: impl Iterator<Item = (&'t String, &'t T)>,
    ) {
        self.depth_left += 1;
        let step = self.path.pop();
        let Some(rule) = cursor.rule else { return };
        let value_violated = matches!(step, Some(Step::Entry { violated: true, .. }));
        let fits = rule.allows_size(size(cursor.count));
        if fits && !value_violated && !cursor.key_violated {
            return;
        }
        let mut text = String::from("{");
        for (index, (key, value)) in entries.enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            text.extend([key, "="]);
            value.describe(&mut text);
        }
        text.push('}');
        self.note_length(rule, size(cursor.count), &text);
        if let (true, Some(key)) = (cursor.key_violated, rule.key) {
            let asked = violation::bracket(key);
            self.note(&text, &format!("Map keys must satisfy constraint: {asked}"));
        }
        if let (true, Some(element)) = (value_violated, rule.element) {
            let asked = violation::bracket(element);
            self.note(&text, &format!("Map value must satisfy constraint: {asked}"));
        }
    }
}

fn too_many(count: usize, rule: Option<&'static Rule>, keep_max: usize) -> Result<(), DecodeError> {
    let has_max = rule.is_some_and(|rule| rule.max.is_some());
    if !has_max && count > keep_max { Err(DecodeError::TooMany) } else { Ok(()) }
}
