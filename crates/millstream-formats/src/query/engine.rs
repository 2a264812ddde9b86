//! The interpreter, set up: jaq, over our values, natives and meter.

use jaq_core::data::HasLut;
use jaq_core::{Ctx, Cv, DataT, Lut, Vars};
use millstream_core::Timestamp;

use super::meter;
use super::number::Number;
use super::patterns::Regexes;
use super::value::Val;

/// A compiled program.
pub(super) type Filter = jaq_core::Filter<Kind>;
/// What a native is called with: bound arguments, and the value it is applied to.
pub(super) type Context<'a> = Cv<'a, Kind>;

/// What programs work on.
pub(super) struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = &'a Run<'a>;
}

/// One run of a program.
pub(super) struct Run<'a> {
    lut: &'a Lut<Kind>,
    pub(super) regexes: &'a Regexes,
    /// What `now` gives, in seconds.
    pub(super) now: Number,
}

/// The interpreter looks each term up that it evaluates: where we count it.
impl<'a> HasLut<'a, Kind> for &'a Run<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        meter::term();
        self.lut
    }
}

/// Applies `filter` to `value`; `output` is given what comes out, and says whether it wants more.
#[allow(clippy::cast_precision_loss)] // Milliseconds are far below 2^52.
pub(super) fn apply(
    filter: &Filter,
    regexes: &Regexes,
    now: Timestamp,
    value: Val,
    mut output: impl FnMut(Result<Val, String>) -> bool,
) {
    let now = match (now.ms() % 1_000, i64::try_from(now.seconds())) {
        (0, Ok(seconds)) => Number::Integer(seconds),
        _ => Number::Float(now.ms() as f64 / 1_000.0),
    };
    let run = Run { lut: &filter.lut, regexes, now };
    let context = Ctx::<Kind>::new(&run, Vars::new([]));
    for result in filter.id.run((context, value)) {
        let result = result.map_err(|exception| match exception.get_err() {
            Ok(error) => match error.into_val() {
                text @ Val::Str(_) => text.to_string(),
                other => format!("(not a string): {other}"),
            },
            // Nothing that we offer breaks out of a program.
            Err(_) => "the query ended unexpectedly".to_owned(),
        });
        if !output(result) {
            return;
        }
    }
}
