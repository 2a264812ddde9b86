//! Timestamps by Joda-Time's DateTimeFormat patterns, for the Hive reader.
//!
//! Owns the letters that a record's time can be read from. Parsing follows Joda: a number takes as
//! many digits as its field may have, or exactly those of the pattern where another number follows
//! at once; names are English, in any case; what a pattern does not say is 1970-01-01 00:00 UTC.

use super::number::number_text;
use super::time::{days, epoch_millis, month_length};
use crate::batch::Stamp;
use crate::error::SchemaError;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// One way to read a timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `millis`: milliseconds since 1970.
    Millis,
    /// A pattern of letters.
    Letters(Vec<Item>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Text(String),
    /// A field of digits, at most `most`.
    Digits {
        field: Field,
        most: usize,
    },
    /// Two digits of a year, within 50 years of 2000.
    ShortYear,
    /// Digits behind the point of a second.
    Fraction {
        most: usize,
    },
    MonthName,
    Weekday,
    AmPm,
    /// `+0100`, `+01:00` or `Z`.
    Offset,
    /// `UTC` or `GMT`: the names that mean the same everywhere.
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    HourFrom1,
    /// 0 to 11.
    HalfHour,
    /// 1 to 12.
    HalfHourFrom1,
    Minute,
    Second,
}

/// What was read so far.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    nanos: u32,
    offset: i64,
}

impl Pattern {
    /// Reads a pattern; letters that say nothing a timestamp can be made of are refused.
    pub(super) fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.eq_ignore_ascii_case("millis") {
            return Ok(Self::Millis);
        }
        let wrong = |what: String| SchemaError::TimestampFormat { pattern: text.to_owned(), what };
        let runs = runs(text).map_err(|what| wrong(what.to_owned()))?;
        let mut items = Vec::with_capacity(runs.len());
        for (index, run) in runs.iter().enumerate() {
            let before_number = runs.get(index + 1).is_some_and(Run::is_number);
            items.push(run.item(before_number).map_err(&wrong)?);
        }
        if items.is_empty() {
            return Err(wrong("is empty".to_owned()));
        }
        Ok(Self::Letters(items))
    }

    /// Reads all of `text`.
    pub(super) fn read(&self, text: &str) -> Option<Stamp> {
        let items = match self {
            Self::Millis => return epoch_millis(&number_text(text)?),
            Self::Letters(items) => items,
        };
        let mut parts = Parts {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            half_hour: None,
            afternoon: false,
            minute: 0,
            second: 0,
            nanos: 0,
            offset: 0,
        };
        let mut rest = text;
        for item in items {
            item.read(&mut rest, &mut parts)?;
        }
        if rest.is_empty() { parts.stamp() } else { None }
    }
}

/// Letters of one kind, or text between them.
enum Run {
    Letters(char, usize),
    Text(String),
}

/// Cuts a pattern where its letters change; quotes make letters text, two make one.
fn runs(pattern: &str) -> Result<Vec<Run>, &'static str> {
    let mut runs: Vec<Run> = Vec::new();
    let text = |runs: &mut Vec<Run>, c: char| match runs.last_mut() {
        Some(Run::Text(text)) => text.push(c),
        _ => runs.push(Run::Text(c.to_string())),
    };
    let mut letters = pattern.chars().peekable();
    let mut quoted = false;
    while let Some(c) = letters.next() {
        if c == '\'' {
            if letters.next_if_eq(&'\'').is_some() {
                text(&mut runs, '\'');
            } else {
                quoted = !quoted;
            }
        } else if quoted || !c.is_ascii_alphabetic() {
            text(&mut runs, c);
        } else if let Some(Run::Letters(_, count)) =
            runs.last_mut().filter(|run| matches!(run, Run::Letters(letter, _) if *letter == c))
        {
            *count += 1;
        } else {
            runs.push(Run::Letters(c, 1));
        }
    }
    if quoted { Err("has a quote that is not closed") } else { Ok(runs) }
}

impl Run {
    fn is_number(&self) -> bool {
        match self {
            Self::Letters('M', count) => *count < 3,
            Self::Letters(letter, _) => "yYdDhHkKmsS".contains(*letter),
            Self::Text(_) => false,
        }
    }

    fn item(&self, before_number: bool) -> Result<Item, String> {
        let (letter, count) = match self {
            Self::Text(text) => return Ok(Item::Text(text.clone())),
            Self::Letters(letter, count) => (*letter, *count),
        };
        let digits = |field, most| {
            Ok(Item::Digits { field, most: if before_number { count.min(most) } else { most } })
        };
        match letter {
            'y' | 'Y' if count == 2 => Ok(Item::ShortYear),
            'y' | 'Y' => digits(Field::Year, 9),
            'M' if count >= 3 => Ok(Item::MonthName),
            'M' => digits(Field::Month, 2),
            'd' => digits(Field::Day, 2),
            'D' => digits(Field::DayOfYear, 3),
            'H' => digits(Field::Hour, 2),
            'k' => digits(Field::HourFrom1, 2),
            'K' => digits(Field::HalfHour, 2),
            'h' => digits(Field::HalfHourFrom1, 2),
            'm' => digits(Field::Minute, 2),
            's' => digits(Field::Second, 2),
            'S' => Ok(Item::Fraction { most: count.min(9) }),
            'E' => Ok(Item::Weekday),
            'a' => Ok(Item::AmPm),
            'Z' => Ok(Item::Offset),
            'z' => Ok(Item::ZoneName),
            other => Err(format!("letter {other} is not supported")),
        }
    }
}

impl Item {
    fn read(&self, rest: &mut &str, parts: &mut Parts) -> Option<()> {
        match self {
            Self::Text(text) => *rest = rest.strip_prefix(text.as_str())?,
            Self::Digits { field, most } => parts.set(*field, number(rest, *most)?)?,
            Self::ShortYear => {
                let (digits, value) = digits(rest, 2)?;
                parts.year = if digits.len() < 2 {
                    value
                } else {
                    // Joda's pivot is the year in which it runs; ours does not move.
                    if value < 50 { 2000 + value } else { 1900 + value }
                };
            }
            Self::Fraction { most } => {
                let (digits, value) = digits(rest, *most)?;
                let missing = u32::try_from(9 - digits.len()).ok()?;
                parts.nanos = u32::try_from(value).ok()? * 10_u32.pow(missing);
            }
            Self::MonthName => parts.month = 1 + name(rest, &MONTHS)?,
            Self::Weekday => drop(name(rest, &WEEKDAYS)?),
            Self::AmPm => parts.afternoon = name(rest, &["am", "pm"])? == 1,
            Self::Offset => parts.offset = offset(rest)?,
            Self::ZoneName => {
                let (zone, after) = rest.split_at_checked(3)?;
                if !["UTC", "GMT"].contains(&zone.to_ascii_uppercase().as_str()) {
                    return None;
                }
                *rest = after;
            }
        }
        Some(())
    }
}

impl Parts {
    /// Sets a field, if it may have that value.
    fn set(&mut self, field: Field, value: i64) -> Option<()> {
        let within = |low: i64, high: i64| (low..=high).contains(&value).then_some(value);
        match field {
            Field::Year => self.year = value,
            Field::Month => self.month = within(1, 12)?,
            Field::Day => self.day = within(1, 31)?,
            Field::DayOfYear => self.day_of_year = Some(within(1, 366)?),
            Field::Hour => self.hour = within(0, 23)?,
            Field::HourFrom1 => self.hour = within(1, 24)? % 24,
            Field::HalfHour => self.half_hour = Some(within(0, 11)?),
            Field::HalfHourFrom1 => self.half_hour = Some(within(1, 12)? % 12),
            Field::Minute => self.minute = within(0, 59)?,
            Field::Second => self.second = within(0, 59)?,
        }
        Some(())
    }

    fn stamp(&self) -> Option<Stamp> {
        let day = if let Some(of_year) = self.day_of_year {
            let last = if month_length(self.year, 2) == 29 { 366 } else { 365 };
            if of_year > last {
                return None;
            }
            days(self.year, 1, 1) + of_year - 1
        } else {
            if self.day > month_length(self.year, self.month) {
                return None;
            }
            days(self.year, self.month, self.day)
        };
        let hour = match self.half_hour {
            Some(half) => half + if self.afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let of_day = hour * 3_600 + self.minute * 60 + self.second - self.offset;
        // Nine digits of a year are within what microseconds in 64 bits hold only up to here.
        (self.year.abs() <= 200_000)
            .then(|| Stamp { seconds: day * 86_400 + of_day, nanos: self.nanos })
    }
}

/// A number with an optional sign.
fn number(rest: &mut &str, most: usize) -> Option<i64> {
    let negative = rest.starts_with('-');
    if negative {
        *rest = &rest[1..];
    }
    let (_, value) = digits(rest, most)?;
    Some(if negative { -value } else { value })
}

/// One to `most` digits, at most nine of them.
fn digits<'a>(rest: &mut &'a str, most: usize) -> Option<(&'a str, i64)> {
    let count = rest.bytes().take(most.min(9)).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(count);
    let value = digits.parse().ok()?;
    *rest = after;
    Some((digits, value))
}

/// The index of the name that comes next, whole or its first three letters.
fn name(rest: &mut &str, names: &[&str]) -> Option<i64> {
    for (index, name) in (0_i64..).zip(names) {
        for form in [*name, &name[..name.len().min(3)]] {
            let Some((found, after)) = rest.split_at_checked(form.len()) else { continue };
            if found.eq_ignore_ascii_case(form) {
                *rest = after;
                return Some(index);
            }
        }
    }
    None
}

/// Seconds east of UTC.
fn offset(rest: &mut &str) -> Option<i64> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Some(0);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let (_, hours) = digits(rest, 2)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes =
        if rest.starts_with(|c: char| c.is_ascii_digit()) { digits(rest, 2)?.1 } else { 0 };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_what_joda_reads() {
        let rows = [
            ("millis", "1518033528123", Some((1_518_033_528, 123_000_000))),
            ("millis", "1518033528123.5", Some((1_518_033_528, 123_500_000))),
            ("yyyy-MM-dd'T'HH:mm:ss", "2017-02-07T15:13:01", Some((1_486_480_381, 0))),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSZ",
                "2017-02-07T16:13:01.140+0100",
                Some((1_486_480_381, 140_000_000)),
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSZZ",
                "2017-02-07T09:43:01.140-05:30",
                Some((1_486_480_381, 140_000_000)),
            ),
            ("yyyy-MM-dd'T'HH:mm:ssZ", "2017-02-07T15:13:01Z", Some((1_486_480_381, 0))),
            ("yyyyMMddHHmmss", "20170207151301", Some((1_486_480_381, 0))),
            ("yyyyMMddHHmmssSSS", "20170207151301123", Some((1_486_480_381, 123_000_000))),
            (
                "EEE, d MMM yyyy h:mm:ss a z",
                "Tue, 7 Feb 2017 3:13:01 PM GMT",
                Some((1_486_480_381, 0)),
            ),
            ("EEEE d MMMM yyyy", "tuesday 7 February 2017", Some((1_486_425_600, 0))),
            ("MM/dd/yy K:mm a", "02/07/17 0:30 pm", Some((1_486_470_600, 0))),
            ("MM/dd/yy", "02/07/71", Some((34_732_800, 0))),
            ("yyyy-DDD kk", "2017-038 24", Some((1_486_425_600, 0))),
            ("HH:mm 'o''clock'", "01:00 o'clock", Some((3_600, 0))),
            ("yyyy-MM-dd", "2017-02-30", None),
            ("yyyy-MM-dd", "2017-02-07 ", None),
            ("yyyy-MM-dd", "2017-13-01", None),
            ("yyyy-MM-dd HH:mm:ss.SSS", "2017-02-07 15:13:01.1234", None),
            ("millis", "today", None),
            ("z", "CET", None),
        ];
        for (pattern, text, expected) in rows {
            let read = Pattern::parse(pattern).unwrap().read(text);
            assert_eq!(
                read.map(|stamp| (stamp.seconds, stamp.nanos)),
                expected,
                "{pattern}: {text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_once() {
        for (pattern, what) in [
            ("G yyyy", "letter G"),
            ("'open", "a quote"),
            ("", "is empty"),
            ("xxxx-ww", "letter x"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
