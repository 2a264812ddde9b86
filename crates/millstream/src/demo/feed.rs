//! A generated ticker feed, for a demonstration without input of one's own.
//!
//! Prices walk at random from a fixed seed, so each run's feed is the same. Every line says that
//! it is generated: nobody shall take it for a market's.

use bytes::Bytes;
use millstream_core::{Rand, SeededRand};

/// Invented companies, each a partition key.
const SYMBOLS: [&str; 16] = [
    "ACME", "BRIO", "CORK", "DUNE", "ECHO", "FERN", "GLOB", "HALO", "IRIS", "JADE", "KELP", "LARK",
    "MINT", "NOVA", "OPAL", "PINE",
];
const PRICE_FIRST_CENTS: u64 = 10_000;
const STEP_CENTS_MAX: u64 = 25;

/// One tick: its partition key and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The symbol.
    pub(crate) key: String,
    /// A JSON object.
    pub(crate) line: Bytes,
}

/// Ticks without end.
#[derive(Debug)]
pub(crate) struct Feed {
    rand: SeededRand,
    cents: [u64; SYMBOLS.len()],
    count: u64,
}

impl Feed {
    /// The feed that `seed` names.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rand: SeededRand::new(seed), cents: [PRICE_FIRST_CENTS; SYMBOLS.len()], count: 0 }
    }
}

impl Iterator for Feed {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        let chance = self.rand.next_u64();
        let which = usize::try_from(chance % SYMBOLS.len() as u64).expect("below 16");
        let step = (chance >> 8) % (2 * STEP_CENTS_MAX + 1);
        let price = &mut self.cents[which];
        *price = (*price + step).saturating_sub(STEP_CENTS_MAX).max(1);
        self.count += 1;
        let key = SYMBOLS[which].to_owned();
        let line = format!(
            r#"{{"feed":"generated","symbol":"{key}","price":{}.{:02},"quantity":{},"tick":{}}}"#,
            *price / 100,
            *price % 100,
            (chance >> 32) % 500 + 1,
            self.count
        );
        Some(Tick { key, line: line.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_is_json_says_that_it_is_generated_and_is_the_same_each_time() {
        let ticks: Vec<Tick> = Feed::new(1).take(1_000).collect();
        for tick in &ticks {
            let value: serde_json::Value = serde_json::from_slice(&tick.line).unwrap();
            assert_eq!(value["feed"], "generated");
            assert_eq!(value["symbol"], tick.key);
            assert!(value["price"].as_f64().unwrap() > 0.0);
        }
        assert!(ticks.iter().any(|tick| tick.key != ticks[0].key));
        assert_eq!(ticks, Feed::new(1).take(1_000).collect::<Vec<_>>());
    }
}
