//! Patterns of dates and times: Java's `DateTimeFormatter`, written for prefixes.
//!
//! All letters that the service takes (observed: it refuses the same letters as Java 17) but the
//! texts of zones (`z`, `v`), which need a locale's names for them. Texts are English, weeks are
//! those of the United States, as elsewhere in Firehose: they start on Sunday, and a year's first
//! week holds 1 January. What Java gives for every form is in `java_time.tsv`.
//! Source: the documentation of `java.time.format.DateTimeFormatter`.

use jiff::Zoned;

/// The widest a number can be asked to be, as in Java.
const WIDTH_MAX: usize = 19;
/// The most digits a second can be divided into, as in Java.
const FRACTION_DIGITS_MAX: usize = 9;
/// 1 January 1970 as a modified Julian day.
const EPOCH_MODIFIED_JULIAN_DAY: i64 = 40_587;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];
/// Letters of a short name of a month or a weekday.
const SHORT_CHARACTERS: usize = 3;

/// A pattern, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    /// Zeros in front up to `width`.
    Number {
        field: Number,
        width: usize,
    },
    /// The last two digits of a year.
    TwoDigits(Number),
    Name {
        of: Name,
        form: Form,
    },
    /// So many digits of the fraction of the second.
    Fraction(usize),
    /// Hours and minutes of the offset from UTC.
    Offset(Offset),
    /// `GMT+9`, or `GMT+09:00` where it is long.
    GmtOffset {
        long: bool,
    },
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Year,
    WeekYear,
    Month,
    DayOfMonth,
    DayOfYear,
    Quarter,
    WeekOfYear,
    WeekOfMonth,
    /// 1 is Sunday.
    DayOfWeek,
    /// The day within weeks that start on the month's first (Java 17; later versions count weeks).
    AlignedDay,
    ModifiedJulianDay,
    Hour,
    /// 1 to 24.
    ClockHour,
    /// 0 to 11.
    HalfDayHour,
    /// 1 to 12.
    HalfDayClockHour,
    Minute,
    Second,
    Nanosecond,
    MillisecondOfDay,
    NanosecondOfDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Era,
    Month,
    Weekday,
    Quarter,
    HalfDay,
    DayPeriod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Short,
    Full,
    Narrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    colon: bool,
    /// Whether minutes are left out where they are zero.
    minutes_optional: bool,
    /// Whether seconds are written where they are not zero.
    seconds: bool,
    /// Whether UTC is `Z`.
    z: bool,
}

impl Pattern {
    /// Reads a pattern; `None` where it is none, or has a letter that we do not write.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut items = Vec::new();
        let mut literal = String::new();
        let mut sections = 0_usize;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let tail = &rest[first.len_utf8()..];
            match first {
                '\'' => rest = quoted(tail, &mut literal)?,
                'a'..='z' | 'A'..='Z' => {
                    let count = rest.chars().take_while(|next| *next == first).count();
                    if !literal.is_empty() {
                        items.push(Item::Literal(std::mem::take(&mut literal)));
                    }
                    items.push(item(first, count)?);
                    rest = &rest[count..];
                }
                // Sections that may be missing never are: a moment has every field.
                '[' => (sections, rest) = (sections + 1, tail),
                ']' => (sections, rest) = (sections.checked_sub(1)?, tail),
                '#' | '{' | '}' => return None,
                _ => {
                    literal.push(first);
                    rest = tail;
                }
            }
        }
        if !literal.is_empty() {
            items.push(Item::Literal(literal));
        }
        Some(Self(items))
    }

    /// Writes `at` as the pattern says.
    pub(super) fn write(&self, at: &Zoned, output: &mut String) {
        for item in &self.0 {
            match item {
                Item::Literal(text) => output.push_str(text),
                Item::Number { field, width } => push_number(output, field.of(at), *width),
                Item::TwoDigits(field) => push_number(output, field.of(at).rem_euclid(100), 2),
                Item::Name { of, form } => of.write(*form, at, output),
                Item::Fraction(digits) => {
                    let nanoseconds = format!("{:09}", at.subsec_nanosecond());
                    output.push_str(&nanoseconds[..*digits]);
                }
                Item::Offset(offset) => offset.write(at.offset().seconds(), output),
                Item::GmtOffset { long } => write_gmt_offset(*long, at.offset().seconds(), output),
                Item::ZoneName => {
                    output.push_str(at.time_zone().iana_name().unwrap_or("UTC"));
                }
            }
        }
    }
}

/// Reads what follows an opening quote, and returns what follows the closing one.
fn quoted<'a>(mut rest: &'a str, literal: &mut String) -> Option<&'a str> {
    if let Some(tail) = rest.strip_prefix('\'') {
        literal.push('\'');
        return Some(tail);
    }
    loop {
        let (text, tail) = rest.split_once('\'')?;
        literal.push_str(text);
        match tail.strip_prefix('\'') {
            Some(tail) => {
                literal.push('\'');
                rest = tail;
            }
            None => return Some(tail),
        }
    }
}

/// What `count` times `letter` stands for.
fn item(letter: char, count: usize) -> Option<Item> {
    let number = |field, width_max: usize| {
        (count <= width_max).then_some(Item::Number { field, width: count })
    };
    let name = |of| {
        let form = match count {
            1..=3 => Form::Short,
            4 => Form::Full,
            5 => Form::Narrow,
            _ => return None,
        };
        Some(Item::Name { of, form })
    };
    match letter {
        'G' => name(Name::Era),
        'u' | 'y' if count == 2 => Some(Item::TwoDigits(Number::Year)),
        'u' | 'y' => number(Number::Year, WIDTH_MAX),
        'Y' if count == 2 => Some(Item::TwoDigits(Number::WeekYear)),
        'Y' => number(Number::WeekYear, WIDTH_MAX),
        'D' => number(Number::DayOfYear, 3),
        'M' | 'L' if count > 2 => name(Name::Month),
        'M' | 'L' => number(Number::Month, 2),
        'd' => number(Number::DayOfMonth, 2),
        'g' => number(Number::ModifiedJulianDay, WIDTH_MAX),
        'Q' | 'q' if count > 2 => name(Name::Quarter),
        'Q' | 'q' => number(Number::Quarter, 2),
        'w' => number(Number::WeekOfYear, 2),
        'W' => number(Number::WeekOfMonth, 1),
        'E' => name(Name::Weekday),
        'e' | 'c' if count > 2 => name(Name::Weekday),
        'e' => number(Number::DayOfWeek, 2),
        'c' => number(Number::DayOfWeek, 1),
        'F' => number(Number::AlignedDay, 1),
        'a' if count == 1 => name(Name::HalfDay),
        'B' if matches!(count, 1 | 4 | 5) => name(Name::DayPeriod),
        'h' => number(Number::HalfDayClockHour, 2),
        'K' => number(Number::HalfDayHour, 2),
        'k' => number(Number::ClockHour, 2),
        'H' => number(Number::Hour, 2),
        'm' => number(Number::Minute, 2),
        's' => number(Number::Second, 2),
        'S' => (count <= FRACTION_DIGITS_MAX).then_some(Item::Fraction(count)),
        'A' => number(Number::MillisecondOfDay, WIDTH_MAX),
        'n' => number(Number::Nanosecond, WIDTH_MAX),
        'N' => number(Number::NanosecondOfDay, WIDTH_MAX),
        'V' if count == 2 => Some(Item::ZoneName),
        'O' if matches!(count, 1 | 4) => Some(Item::GmtOffset { long: count == 4 }),
        'Z' if count == 4 => Some(Item::GmtOffset { long: true }),
        'X' | 'x' | 'Z' => Offset::of(letter, count).map(Item::Offset),
        _ => None,
    }
}

impl Number {
    fn of(self, at: &Zoned) -> i64 {
        let hour = i64::from(at.hour());
        let nanosecond_of_day = || {
            let seconds = (hour * 60 + i64::from(at.minute())) * 60 + i64::from(at.second());
            seconds * 1_000_000_000 + i64::from(at.subsec_nanosecond())
        };
        match self {
            Self::Year => i64::from(at.year()),
            Self::WeekYear => week_of_year(at).0,
            Self::Month => i64::from(at.month()),
            Self::DayOfMonth => i64::from(at.day()),
            Self::DayOfYear => i64::from(at.day_of_year()),
            Self::Quarter => (i64::from(at.month()) - 1) / 3 + 1,
            Self::WeekOfYear => week_of_year(at).1,
            Self::WeekOfMonth => week(i64::from(at.day()), weekday(at)),
            Self::DayOfWeek => weekday(at) + 1,
            Self::AlignedDay => (i64::from(at.day()) - 1) % 7 + 1,
            Self::ModifiedJulianDay => {
                let seconds = at.timestamp().as_second() + i64::from(at.offset().seconds());
                seconds.div_euclid(86_400) + EPOCH_MODIFIED_JULIAN_DAY
            }
            Self::Hour => hour,
            Self::ClockHour => (hour + 23) % 24 + 1,
            Self::HalfDayHour => hour % 12,
            Self::HalfDayClockHour => (hour + 11) % 12 + 1,
            Self::Minute => i64::from(at.minute()),
            Self::Second => i64::from(at.second()),
            Self::Nanosecond => i64::from(at.subsec_nanosecond()),
            Self::MillisecondOfDay => nanosecond_of_day() / 1_000_000,
            Self::NanosecondOfDay => nanosecond_of_day(),
        }
    }
}

/// 0 is Sunday.
fn weekday(at: &Zoned) -> i64 {
    i64::from(at.weekday().to_sunday_zero_offset())
}

/// The week of the `day`th day of a month or year, where that day's weekday is `weekday` (0 is
/// Sunday): the first week holds the first day.
fn week(day: i64, weekday: i64) -> i64 {
    let weekday_of_first = (weekday - (day - 1)).rem_euclid(7);
    (day - 1 + weekday_of_first) / 7 + 1
}

/// The year that the week belongs to, and its number there.
fn week_of_year(at: &Zoned) -> (i64, i64) {
    let (day, days) = (i64::from(at.day_of_year()), i64::from(at.days_in_year()));
    let saturday = day + 6 - weekday(at);
    if saturday > days {
        // The week holds the next 1 January.
        return (i64::from(at.year()) + 1, 1);
    }
    (i64::from(at.year()), week(day, weekday(at)))
}

impl Name {
    fn write(self, form: Form, at: &Zoned, output: &mut String) {
        let full = match self {
            Self::Era => ["AD", "Anno Domini", "A"][form as usize],
            Self::Month => cut(MONTHS[usize::from(at.month().unsigned_abs()) - 1], form),
            Self::Weekday => cut(
                WEEKDAYS[usize::from(at.weekday().to_sunday_zero_offset().unsigned_abs())],
                form,
            ),
            Self::Quarter => {
                let full = QUARTERS[(usize::from(at.month().unsigned_abs()) - 1) / 3];
                match form {
                    Form::Full => full,
                    Form::Narrow => &full[..1],
                    Form::Short => {
                        output.push('Q');
                        &full[..1]
                    }
                }
            }
            Self::HalfDay => ["AM", "PM"][usize::from(at.hour() >= 12)],
            Self::DayPeriod => day_period(at, form),
        };
        output.push_str(full);
    }
}

fn cut(name: &'static str, form: Form) -> &'static str {
    match form {
        Form::Short => &name[..SHORT_CHARACTERS],
        Form::Full => name,
        Form::Narrow => &name[..1],
    }
}

/// English day periods, from Unicode's CLDR.
fn day_period(at: &Zoned, form: Form) -> &'static str {
    match (at.hour(), at.minute()) {
        (0, 0) if form == Form::Narrow => "mi",
        (0, 0) => "midnight",
        (12, 0) if form == Form::Narrow => "n",
        (12, 0) => "noon",
        (6..12, _) => "in the morning",
        (12..18, _) => "in the afternoon",
        (18..21, _) => "in the evening",
        _ => "at night",
    }
}

impl Offset {
    fn of(letter: char, count: usize) -> Option<Self> {
        let z = letter == 'X' || (letter == 'Z' && count == 5);
        let (colon, minutes_optional, seconds) = match (letter, count) {
            ('Z', 1..=3) => (false, false, false),
            ('Z', 5) => (true, false, true),
            ('X' | 'x', 1..=5) => (count == 3 || count == 5, count == 1, count >= 4),
            _ => return None,
        };
        Some(Self { colon, minutes_optional, seconds, z })
    }

    fn write(self, offset_seconds: i32, output: &mut String) {
        if offset_seconds == 0 && self.z {
            output.push('Z');
            return;
        }
        let size = i64::from(offset_seconds.unsigned_abs());
        let (hours, minutes, seconds) = (size / 3_600, size / 60 % 60, size % 60);
        output.push(if offset_seconds < 0 { '-' } else { '+' });
        push_number(output, hours, 2);
        if self.minutes_optional && minutes == 0 {
            return;
        }
        if self.colon {
            output.push(':');
        }
        push_number(output, minutes, 2);
        if self.seconds && seconds != 0 {
            if self.colon {
                output.push(':');
            }
            push_number(output, seconds, 2);
        }
    }
}

fn write_gmt_offset(long: bool, offset_seconds: i32, output: &mut String) {
    output.push_str("GMT");
    if offset_seconds == 0 {
        return;
    }
    let size = i64::from(offset_seconds.unsigned_abs());
    let (hours, minutes) = (size / 3_600, size / 60 % 60);
    output.push(if offset_seconds < 0 { '-' } else { '+' });
    push_number(output, hours, if long { 2 } else { 1 });
    if long || minutes != 0 {
        output.push(':');
        push_number(output, minutes, 2);
    }
}

fn push_number(output: &mut String, number: i64, width: usize) {
    use std::fmt::Write as _;
    write!(output, "{number:0width$}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use millstream_core::Timestamp;

    use super::*;
    use crate::zone::Zone;

    fn write(pattern: &str, zone: &str, at_ms: u64) -> Option<String> {
        let at = Zone::parse(zone).unwrap().at(Timestamp::from_ms(at_ms));
        let mut output = String::new();
        Pattern::parse(pattern)?.write(&at, &mut output);
        Some(output)
    }

    /// Rows of pattern, zone, milliseconds and result, made by Java 17 with `Locale.US`; an
    /// exclamation mark is a pattern that it refuses.
    #[test]
    fn every_form_is_written_as_java_writes_it() {
        let mut rows = 0;
        for row in include_str!("java_time.tsv").lines() {
            let [pattern, zone, at_ms, java] =
                row.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
            let ours = write(pattern, zone, at_ms.parse().unwrap());
            assert_eq!(ours.as_deref().unwrap_or("!"), java, "{pattern} {zone} {at_ms}");
            rows += 1;
        }
        assert!(rows > 500, "{rows} rows");
    }

    #[test]
    fn texts_of_zones_are_refused_not_guessed() {
        for pattern in ["z", "zzzz", "v", "vvvv", "pppd"] {
            assert_eq!(write(pattern, "UTC", 0), None, "{pattern}");
        }
    }
}
