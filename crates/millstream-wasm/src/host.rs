//! What a module is offered: the functions it may import, and what they work on.
//!
//! Owns the state beside an instance: what the record at hand has become so far, what is known of
//! it, and the limits of memory. Whatever a module passes is checked here; a lie breaks it off.

use std::collections::BTreeMap;

use wasmtime::{Caller, Error, Linker, Memory, ResourceLimiter, Result};

use crate::contract::{HOST, NO_ATTRIBUTE, import};
use crate::fault::Fault;

/// Bytes of partition keys and table metadata of one record at most: an object's key may have
/// 1,024, so these are no longer keys.
const METADATA_BYTES_MAX: usize = 64 << 10;
/// Characters of a message that are repeated; as of a Lambda function's answer.
const MESSAGE_CHARS_MAX: usize = 512;
/// Bytes of a message that are looked at.
const MESSAGE_BYTES_MAX: usize = MESSAGE_CHARS_MAX * 4;
/// Elements of a table at most: far more functions than a module has.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Tables at most. Compilers make one.
const TABLES_MAX: usize = 8;

/// Names with values, kept in one text so that a record costs no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    values: String,
    entries: Vec<(&'static str, usize)>,
}

impl Attributes {
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.entries.clear();
    }

    pub(crate) fn push(&mut self, name: &'static str, value: &str) {
        self.values.push_str(value);
        self.entries.push((name, self.values.len()));
    }

    fn get(&self, name: &[u8]) -> Option<&str> {
        let at = self.entries.iter().position(|(known, _)| known.as_bytes() == name)?;
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].1);
        Some(&self.values[start..self.entries[at].1])
    }
}

/// What stands beside an instance.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Where the module's memory is; none until it is set up.
    pub(crate) memory: Option<Memory>,
    pub(crate) memory_bytes_max: usize,
    /// Whether it was refused memory while it worked on the record at hand.
    pub(crate) is_short: bool,
    /// Of the batch.
    pub(crate) common: Attributes,
    /// Of the record at hand.
    pub(crate) own: Attributes,
    pub(crate) arrived_ms: u64,
    /// What the record at hand has become so far.
    pub(crate) output: Vec<u8>,
    /// What it may still become.
    pub(crate) output_bytes_left: usize,
    pub(crate) output_bytes_max: usize,
    pub(crate) partition_keys: BTreeMap<String, String>,
    pub(crate) otf_metadata: BTreeMap<String, String>,
    pub(crate) metadata_bytes: usize,
    pub(crate) message: String,
    /// Why it was broken off, where that was done here.
    pub(crate) fault: Option<Fault>,
}

impl State {
    /// Ends the module's work on the record at hand.
    fn fail<T>(&mut self, fault: Fault) -> Result<T> {
        let error = Error::msg(fault.to_string());
        self.fault = Some(fault);
        Err(error)
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let fits = desired <= self.memory_bytes_max;
        self.is_short |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        1
    }
}

/// A place in a module's memory, as it said.
#[derive(Clone, Copy, Debug)]
struct Place(i32, i32);

impl Place {
    /// Its bytes; none where it is not all in the memory.
    fn of(self, memory: &[u8]) -> Option<&[u8]> {
        let Self(start, length) = self;
        // The numbers of the contract have no sign.
        let start = usize::try_from(start.cast_unsigned()).ok()?;
        let length = usize::try_from(length.cast_unsigned()).ok()?;
        memory.get(start..start.checked_add(length)?)
    }

    fn outside(self) -> Fault {
        let Self(start, length) = self;
        let (start, length) = (start.cast_unsigned(), length.cast_unsigned());
        Fault::InvalidReturn(format!("{length} bytes at {start} are not in its memory"))
    }
}

/// The module's memory, and what is beside it.
fn parts<'a>(caller: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State)> {
    let Some(memory) = caller.data().memory else {
        let early = "it calls the host before it is set up".to_owned();
        return caller.data_mut().fail(Fault::InvalidReturn(early));
    };
    Ok(memory.data_and_store_mut(caller))
}

fn text(memory: &[u8], place: Place) -> Result<String, Fault> {
    let bytes = place.of(memory).ok_or_else(|| place.outside())?;
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|_| Fault::InvalidReturn("a name or a value is not UTF-8".to_owned()))
}

fn output(mut caller: Caller<'_, State>, start: i32, length: i32) -> Result<()> {
    let (memory, state) = parts(&mut caller)?;
    let place = Place(start, length);
    let Some(bytes) = place.of(memory) else { return state.fail(place.outside()) };
    if bytes.len() > state.output_bytes_left - state.output.len() {
        return state.fail(Fault::OutputTooLarge { bytes: state.output_bytes_max });
    }
    state.output.extend_from_slice(bytes);
    Ok(())
}

fn message(mut caller: Caller<'_, State>, start: i32, length: i32) -> Result<()> {
    let (memory, state) = parts(&mut caller)?;
    let place = Place(start, length);
    let Some(bytes) = place.of(memory) else { return state.fail(place.outside()) };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MESSAGE_BYTES_MAX)]);
    state.message = text.chars().take(MESSAGE_CHARS_MAX).collect();
    Ok(())
}

/// One name and its value, both as places.
fn pair(
    caller: &mut Caller<'_, State>,
    [name, value]: [Place; 2],
    into: fn(&mut State) -> &mut BTreeMap<String, String>,
) -> Result<()> {
    let (memory, state) = parts(caller)?;
    let read = text(memory, name).and_then(|name| Ok((name, text(memory, value)?)));
    let (name, value) = match read {
        Ok(pair) => pair,
        Err(fault) => return state.fail(fault),
    };
    state.metadata_bytes += name.len() + value.len();
    if state.metadata_bytes > METADATA_BYTES_MAX {
        let much = format!("the keys of one record may have {METADATA_BYTES_MAX} bytes");
        return state.fail(Fault::InvalidReturn(much));
    }
    into(state).insert(name, value);
    Ok(())
}

/// Copies an attribute where there is room for all of it; says how long it is.
fn attribute(
    mut caller: Caller<'_, State>,
    name_start: i32,
    name_length: i32,
    start: i32,
    capacity: i32,
) -> Result<i32> {
    let (memory, state) = parts(&mut caller)?;
    let (name, room) = (Place(name_start, name_length), Place(start, capacity));
    let Some(asked) = name.of(memory) else { return state.fail(name.outside()) };
    let found = state.own.get(asked).or_else(|| state.common.get(asked));
    let Some(value) = found else { return Ok(NO_ATTRIBUTE) };
    let length = value.len();
    let Some(space) = room.of(memory) else { return state.fail(room.outside()) };
    if space.len() >= length {
        // Found to be in the memory just now.
        let start = start.cast_unsigned() as usize;
        memory[start..start + length].copy_from_slice(value.as_bytes());
    }
    Ok(i32::try_from(length).unwrap_or(i32::MAX))
}

fn arrival_ms(caller: &Caller<'_, State>) -> i64 {
    i64::try_from(caller.data().arrived_ms).unwrap_or(i64::MAX)
}

/// Offers everything.
pub(crate) fn offer(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(HOST, import::OUTPUT.0, output)?;
    linker.func_wrap(HOST, import::MESSAGE.0, message)?;
    linker.func_wrap(
        HOST,
        import::PARTITION_KEY.0,
        |mut caller: Caller<'_, State>, a: i32, b: i32, c: i32, d: i32| {
            pair(&mut caller, [Place(a, b), Place(c, d)], |state| &mut state.partition_keys)
        },
    )?;
    linker.func_wrap(
        HOST,
        import::OTF_METADATA.0,
        |mut caller: Caller<'_, State>, a: i32, b: i32, c: i32, d: i32| {
            pair(&mut caller, [Place(a, b), Place(c, d)], |state| &mut state.otf_metadata)
        },
    )?;
    linker.func_wrap(HOST, import::ATTRIBUTE.0, attribute)?;
    linker
        .func_wrap(HOST, import::ARRIVAL_MS.0, |caller: Caller<'_, State>| arrival_ms(&caller))?;
    Ok(())
}
