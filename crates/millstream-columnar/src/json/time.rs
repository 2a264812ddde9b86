//! Dates and timestamps from the forms that Firehose's two readers take.
//!
//! Documented: <https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html>.
//! Observed on the service (floci-io/floci, issue 3235): a number below 1e12 is seconds, others are
//! milliseconds, also when they come as text; the form with a blank takes single digits, the form
//! with a `T` does not, and no form takes an offset.

use super::number::number_text;
use super::scan::Number;
use crate::batch::Stamp;

/// Numbers from here on count milliseconds.
const MILLIS_FROM: i128 = 1_000_000_000_000;
const NANOS: i128 = 1_000_000_000;
/// Seconds that microseconds in 64 bits reach: what every reader of files can hold.
const SECONDS_MAX: i64 = i64::MAX / 1_000_000;

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
///
/// Howard Hinnant's `days_from_civil`; the month is 1 to 12.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Days of a month.
pub(super) fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `yyyy-[M]M-[d]d`, and nothing behind it: days since 1970.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let mut rest = text;
    let day = take_date(&mut rest, 1)?;
    if rest.is_empty() { i32::try_from(day).ok() } else { None }
}

/// `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.f]`, as java.sql.Timestamp.valueOf reads it.
pub(super) fn spaced(text: &[u8]) -> Option<Stamp> {
    let mut rest = text;
    let day = take_date(&mut rest, 1)?;
    take(&mut rest, b' ')?;
    let (seconds, nanos) = take_time(&mut rest, 1)?;
    rest.is_empty().then_some(Stamp { seconds: day * 86_400 + seconds, nanos })
}

/// What OpenX reads from a string.
pub(super) fn openx(text: &str) -> Option<Stamp> {
    let bytes = text.as_bytes();
    match bytes.get(10) {
        Some(b'T') => iso(bytes),
        _ => spaced(bytes).or_else(|| number_text(text.trim()).and_then(|number| epoch(&number))),
    }
}

/// `yyyy-MM-ddTHH:mm:ss[.f][Z]`, every field at its full width.
fn iso(text: &[u8]) -> Option<Stamp> {
    let mut rest = text;
    let day = take_date(&mut rest, 2)?;
    take(&mut rest, b'T')?;
    let (seconds, nanos) = take_time(&mut rest, 2)?;
    let whole = rest.is_empty() || rest == b"Z";
    whole.then_some(Stamp { seconds: day * 86_400 + seconds, nanos })
}

/// Seconds or milliseconds since 1970, by their size.
pub(super) fn epoch(number: &Number<'_>) -> Option<Stamp> {
    let nanos = scaled(number, 9)?;
    if nanos.abs() < MILLIS_FROM * NANOS { stamp(nanos) } else { stamp(nanos / 1_000) }
}

/// Milliseconds since 1970.
pub(super) fn epoch_millis(number: &Number<'_>) -> Option<Stamp> {
    stamp(scaled(number, 6)?)
}

/// A number times ten to `scale`, what is behind that cut off; `None` where it is far too large.
fn scaled(number: &Number<'_>, scale: i32) -> Option<i128> {
    let shift = number.exponent.saturating_add(scale);
    let mantissa = i128::from(number.mantissa);
    let value = if shift >= 0 {
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        // Zero is zero whatever its exponent.
        if mantissa == 0 { 0 } else { mantissa.checked_mul(power?)? }
    } else {
        mantissa / 10_i128.checked_pow(shift.unsigned_abs()).unwrap_or(i128::MAX)
    };
    Some(if number.negative { -value } else { value })
}

fn stamp(nanos: i128) -> Option<Stamp> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    let nanos = u32::try_from(nanos.rem_euclid(NANOS)).ok()?;
    (seconds.abs() < SECONDS_MAX).then_some(Stamp { seconds, nanos })
}

/// A date whose month and day have at least `width` digits.
fn take_date(rest: &mut &[u8], width: usize) -> Option<i64> {
    let year = take_number(rest, 4, 4)?;
    take(rest, b'-')?;
    let month = take_number(rest, width, 2)?;
    take(rest, b'-')?;
    let day = take_number(rest, width, 2)?;
    let valid = (1..=12).contains(&month) && (1..=month_length(year, month)).contains(&day);
    valid.then(|| days(year, month, day))
}

/// A time of day, in seconds and nanoseconds.
fn take_time(rest: &mut &[u8], width: usize) -> Option<(i64, u32)> {
    let hour = take_number(rest, width, 2)?;
    take(rest, b':')?;
    let minute = take_number(rest, width, 2)?;
    take(rest, b':')?;
    let second = take_number(rest, width, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut nanos = 0;
    if rest.first() == Some(&b'.') {
        *rest = &rest[1..];
        let before = rest.len();
        let digits = take_number(rest, 1, 9)?;
        let count = u32::try_from(before - rest.len()).expect("at most 9");
        nanos = u32::try_from(digits).expect("at most 9 digits") * 10_u32.pow(9 - count);
    }
    Some((hour * 3_600 + minute * 60 + second, nanos))
}

/// A number of `least` to `most` digits; no digit follows it.
#[inline]
fn take_number(rest: &mut &[u8], least: usize, most: usize) -> Option<i64> {
    let mut value = 0;
    let mut count = 0;
    while let Some(digit) = rest.get(count).filter(|byte| byte.is_ascii_digit()) {
        value = value * 10 + i64::from(digit - b'0');
        count += 1;
        if count > most {
            return None;
        }
    }
    *rest = &rest[count..];
    (count >= least).then_some(value)
}

#[inline]
fn take(rest: &mut &[u8], byte: u8) -> Option<()> {
    let after = rest.strip_prefix(&[byte])?;
    *rest = after;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "compared with what is read")]
    fn at(seconds: i64, nanos: u32) -> Option<Stamp> {
        Some(Stamp { seconds, nanos })
    }

    #[test]
    fn days_count_from_1970_through_leap_years() {
        let rows = [
            (1970, 1, 1, 0),
            (1969, 12, 31, -1),
            (2000, 2, 29, 11_016),
            (2000, 3, 1, 11_017),
            (1900, 3, 1, -25_508),
            (1, 1, 1, -719_162),
            (9999, 12, 31, 2_932_896),
            (0, 3, 1, -719_468),
        ];
        for (year, month, day, expected) in rows {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn dates_are_lenient_about_digits_and_strict_about_the_calendar() {
        assert_eq!(date(b"2026-09-07"), date(b"2026-9-7"));
        for no in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "26-1-1",
            "2026-1-1 ",
            "2026-1-123",
            "2026/1/1",
            "",
        ] {
            assert_eq!(date(no.as_bytes()), None, "{no}");
        }
        assert_eq!(date(b"2024-02-29"), Some(19_782));
    }

    #[test]
    fn openx_reads_what_is_documented_and_was_observed() {
        let rows = [
            ("2017-02-07T15:13:01.39256Z", at(1_486_480_381, 392_560_000)),
            ("2017-02-07T15:13:01", at(1_486_480_381, 0)),
            ("2017-02-07 15:13:01.14", at(1_486_480_381, 140_000_000)),
            ("2017-2-7 1:2:3.123456789", at(1_486_429_323, 123_456_789)),
            ("1518033528", at(1_518_033_528, 0)),
            ("1518033528123", at(1_518_033_528, 123_000_000)),
            ("1518033528.123", at(1_518_033_528, 123_000_000)),
            ("1.518033528123E9", at(1_518_033_528, 123_000_000)),
            ("999999999999", at(999_999_999_999, 0)),
            ("1000000000000", at(1_000_000_000, 0)),
            ("-1000", at(-1_000, 0)),
            ("-0.5", at(-1, 500_000_000)),
            ("0e1000000000", at(0, 0)),
            ("1e-1000000000", at(0, 0)),
            ("1e1000000000", None),
            ("18446744073709551616", None),
            ("2026-9-7T12:00:02Z", None),
            ("2026-05-21T14:00:00+00:00", None),
            ("2026-02-30 00:00:00", None),
            ("2026-02-03 24:00:00", None),
            ("2026-02-03 12:00", None),
            ("2026-02-03 12:00:00.1234567890", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(openx(text), expected, "{text}");
        }
    }
}
