//! Natives on dates and times. All are UTC: a query knows no place.

use jaq_core::native::{bome, unary, v};
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::meter;
use super::natives::Native;
use super::number::Number;
use super::value::{Error, Val, ValR, fault};

pub(super) fn natives() -> Vec<Native> {
    vec![
        ("gmtime", v(0), |cv| bome(gmtime(&cv.1))),
        ("mktime", v(0), |cv| bome(mktime(&cv.1))),
        ("strftime", v(1), |cv| unary(cv, |value, format| strftime(&value, &format))),
        ("strptime", v(1), |cv| unary(cv, |value, format| strptime(&value, &format))),
    ]
}

/// Seconds since the epoch as year, month from 0, day, hour, minute, seconds, weekday, day of the
/// year from 0.
fn gmtime(value: &Val) -> ValR {
    let Val::Num(number) = value else {
        return Err(fault("gmtime() requires a number"));
    };
    let seconds = number.float();
    let at = instant(seconds)?;
    let second = Number::Integer(at.second().into());
    let fraction = seconds - seconds.floor();
    let second = if fraction == 0.0 { second } else { Number::Float(second.float() + fraction) };
    Ok(broken_down(&at, second))
}

#[allow(clippy::cast_possible_truncation)] // Saturating, and then out of jiff's range.
fn instant(seconds: f64) -> Result<Zoned, Error> {
    let unknown = || fault("error converting number of seconds since epoch to datetime");
    if seconds.is_nan() {
        return Err(unknown());
    }
    let at = Timestamp::from_second(seconds.floor() as i64).map_err(|_| unknown())?;
    Ok(at.to_zoned(TimeZone::UTC))
}

fn broken_down(at: &Zoned, second: Number) -> Val {
    let int = |number: i64| Val::Num(Number::Integer(number));
    [
        int(at.year().into()),
        int(i64::from(at.month()) - 1),
        int(at.day().into()),
        int(at.hour().into()),
        int(at.minute().into()),
        Val::Num(second),
        int(at.weekday().to_sunday_zero_offset().into()),
        int(i64::from(at.day_of_year()) - 1),
    ]
    .into_iter()
    .collect()
}

fn mktime(value: &Val) -> ValR {
    const WHAT: &str = "mktime requires array of 6 numbers";
    let Val::Arr(array) = value else { return Err(fault(WHAT)) };
    let at = from_broken_down(array.items()).ok_or_else(|| fault(WHAT))??;
    Ok(Val::Num(Number::Integer(at.timestamp().as_second())))
}

/// `None` where there are not enough numbers.
fn from_broken_down(items: &[Val]) -> Option<Result<Zoned, Error>> {
    let mut fields = [0_i64; 6];
    for (field, item) in fields.iter_mut().zip(items.get(..6)?) {
        let Val::Num(number) = item else { return None };
        *field = number.integer();
    }
    let [year, month, day, hour, minute, second] = fields;
    let small = |number: i64| i8::try_from(number).ok();
    let at = || {
        let year = i16::try_from(year).ok()?;
        let month = small(month.checked_add(1)?)?;
        let date = DateTime::new(
            year,
            month,
            small(day)?,
            small(hour)?,
            small(minute)?,
            small(second)?,
            0,
        );
        date.ok()?.to_zoned(TimeZone::UTC).ok()
    };
    Some(at().ok_or_else(|| fault("invalid gmtime representation")))
}

fn strftime(value: &Val, format: &Val) -> ValR {
    const WHAT: &str = "strftime/1 requires parsed datetime inputs";
    let at = match value {
        Val::Num(number) => instant(number.float())?,
        Val::Arr(array) => from_broken_down(array.items()).ok_or_else(|| fault(WHAT))??,
        _ => return Err(fault(WHAT)),
    };
    let format = format.text("strftime/1 requires a string format")?;
    meter::spend_text(format.len() * 8);
    strtime::format(format.as_str(), &at)
        .map(|text| Val::str(&text))
        .map_err(|error| fault(&format!("strftime/1: {error}")))
}

fn strptime(value: &Val, format: &Val) -> ValR {
    let Val::Str(text) = value else {
        return Err(fault(&format!(
            "strptime/1 requires string inputs and arguments, not {}",
            value.shown()
        )));
    };
    let format = format.text("strptime/1 requires string inputs and arguments")?;
    meter::spend_text(text.len() + format.len() * 8);
    let mismatch = || {
        let (text, format) = (text.as_str(), format.as_str());
        fault(&format!("date \"{text}\" does not match format \"{format}\""))
    };
    let mut parsed =
        BrokenDownTime::parse(format.as_str(), text.as_str()).map_err(|_| mismatch())?;
    if parsed.offset().is_none() && parsed.iana_time_zone().is_none() {
        parsed.set_offset(Some(jiff::tz::Offset::UTC));
    }
    let at = parsed.to_timestamp().map_err(|_| mismatch())?.to_zoned(TimeZone::UTC);
    Ok(broken_down(&at, Number::Integer(at.second().into())))
}
