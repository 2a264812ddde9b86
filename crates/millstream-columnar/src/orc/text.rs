//! Text and bytes of a column: as they come, or each once and numbered.
//!
//! Which of the two is decided for each stripe where its first entry of the row index ends, or at
//! its own end if that comes first; until then values are numbered and the numbers kept.

use super::body::{DATA, DICTIONARY_DATA, Encoding, LENGTH};
use super::integers::Integers;
use super::stream::Stream;
use crate::compress::Codec;
use crate::dictionary::Dictionary;
use crate::options::OrcOptions;

/// The streams of one column of text.
#[derive(Debug)]
pub(super) struct Text {
    codec: Codec,
    options: OrcOptions,
    /// Filled up with blanks to so many characters.
    padded: Option<u32>,
    threshold: f64,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Direct { data: Stream, lengths: Integers },
    Undecided { dictionary: Dictionary, indices: Vec<u32> },
    Dictionary { dictionary: Dictionary, indices: Integers },
}

impl Text {
    pub(super) fn new(codec: Codec, options: &OrcOptions, padded: Option<u32>) -> Self {
        let threshold = options.dictionary_key_threshold;
        Self::begun(codec, options, padded, threshold)
    }

    /// Bytes, which have no dictionary.
    pub(super) fn direct(codec: Codec, options: &OrcOptions) -> Self {
        Self::begun(codec, options, None, 0.0)
    }

    fn begun(codec: Codec, options: &OrcOptions, padded: Option<u32>, threshold: f64) -> Self {
        let mode = Mode::begin(codec, options, threshold);
        Self { codec, options: options.clone(), padded, threshold, mode }
    }

    pub(super) fn extend<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        let mut filled = Vec::new();
        for mut value in values {
            if let Some(characters) = self.padded {
                filled.clear();
                filled.extend_from_slice(value);
                let found = value.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
                filled.resize(value.len() + (characters as usize).saturating_sub(found), b' ');
                value = &filled;
            }
            match &mut self.mode {
                Mode::Direct { data, lengths } => {
                    data.write(value);
                    lengths.push(length(value));
                }
                Mode::Undecided { dictionary, indices } => indices.push(dictionary.index(value)),
                Mode::Dictionary { dictionary, indices } => {
                    indices.push(dictionary.index(value).into());
                }
            }
        }
    }

    /// Decides between the two ways.
    pub(super) fn settle(&mut self) {
        let Mode::Undecided { dictionary, indices } = &mut self.mode else { return };
        #[expect(clippy::cast_precision_loss, reason = "a share, not a count")]
        let share = dictionary.len() as f64 / indices.len() as f64;
        // Without values the share is not a number, and a dictionary would hold nothing.
        self.mode = if share <= self.threshold {
            let mut encoded = Integers::new(self.codec, self.options.version, false);
            for index in indices {
                encoded.push((*index).into());
            }
            let dictionary = std::mem::replace(dictionary, Dictionary::new());
            Mode::Dictionary { dictionary, indices: encoded }
        } else {
            let mut data = Stream::new(self.codec);
            let mut lengths = Integers::new(self.codec, self.options.version, false);
            for index in indices {
                let value = dictionary.get(*index as usize);
                data.write(value);
                lengths.push(length(value));
            }
            Mode::Direct { data, lengths }
        };
    }

    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        match &self.mode {
            Mode::Direct { data, lengths } => {
                data.position(positions);
                lengths.position(positions);
            }
            Mode::Dictionary { indices, .. } => indices.position(positions),
            Mode::Undecided { .. } => unreachable!("settled before a place is asked for"),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.mode {
            Mode::Direct { data, lengths } => data.bytes() + lengths.bytes(),
            Mode::Undecided { dictionary, indices } => dictionary.data().len() + indices.len() * 2,
            Mode::Dictionary { dictionary, indices } => dictionary.data().len() + indices.bytes(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.mode {
            Mode::Direct { data, lengths } => data.memory_bytes() + lengths.memory_bytes(),
            Mode::Undecided { dictionary, indices } => {
                dictionary.memory_bytes() + indices.capacity() * 4
            }
            Mode::Dictionary { dictionary, indices } => {
                dictionary.memory_bytes() + indices.memory_bytes()
            }
        }
    }

    /// The stripe's streams; `runs` is the code of the integers' encoding.
    pub(super) fn take(&mut self, runs: u64) -> (Vec<(u64, Vec<u8>)>, Encoding) {
        self.settle();
        let next = Mode::begin(self.codec, &self.options, self.threshold);
        match std::mem::replace(&mut self.mode, next) {
            Mode::Direct { mut data, mut lengths } => {
                let streams = vec![(DATA, data.take()), (LENGTH, lengths.take())];
                (streams, Encoding { kind: runs, dictionary_size: None })
            }
            Mode::Dictionary { dictionary, mut indices } => {
                let mut data = Stream::new(self.codec);
                let mut lengths = Integers::new(self.codec, self.options.version, false);
                for value in dictionary.iter() {
                    data.write(value);
                    lengths.push(length(value));
                }
                let streams = vec![
                    (DATA, indices.take()),
                    (DICTIONARY_DATA, data.take()),
                    (LENGTH, lengths.take()),
                ];
                // The codes of dictionaries follow those of plain values.
                let dictionary_size = Some(dictionary.len());
                (streams, Encoding { kind: runs + 1, dictionary_size })
            }
            Mode::Undecided { .. } => unreachable!("settled above"),
        }
    }
}

impl Mode {
    fn begin(codec: Codec, options: &OrcOptions, threshold: f64) -> Self {
        if threshold > 0.0 {
            Self::Undecided { dictionary: Dictionary::new(), indices: Vec::new() }
        } else {
            let lengths = Integers::new(codec, options.version, false);
            Self::Direct { data: Stream::new(codec), lengths }
        }
    }
}

fn length(value: &[u8]) -> i64 {
    i64::try_from(value.len()).expect("a batch is cut far below 4 GiB")
}
