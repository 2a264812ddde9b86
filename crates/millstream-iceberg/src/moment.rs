//! Days, times and moments: texts of ISO 8601 as the numbers that columns hold.

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that is so many days after 1970-01-01: year, month (from 1), day (from 1).
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A text being read from its front.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.0.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        self.0 = &self.0[count..];
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    fn skip(&mut self, any: &[u8]) -> bool {
        let found = self.0.first().is_some_and(|first| any.contains(first));
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let month = self.skip(b"-").then(|| self.digits(2))??;
        let day = self.skip(b"-").then(|| self.digits(2))??;
        let days = days(year, month, day);
        (date_of(days) == (year, month, day)).then_some(days)
    }

    /// `HH:MM[:SS[.fraction]]`; what is finer than microseconds is cut off.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2).filter(|hour| *hour < 24)?;
        let minute = self.skip(b":").then(|| self.digits(2))??;
        let second = if self.skip(b":") { self.digits(2)? } else { 0 };
        if minute > 59 || second > 59 {
            return None;
        }
        let mut micros = 0;
        if self.skip(b".,") {
            let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&count) {
                return None;
            }
            for place in 0..count {
                let digit = self.digits(1)?;
                if place < 6 {
                    micros += digit * 10_i64.pow(u32::try_from(5 - place).ok()?);
                }
            }
        }
        Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }

    /// The distance from UTC, in microseconds; none is none.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.skip(b"Zz") {
            return Some(0);
        }
        let sign = if self.skip(b"+") {
            1
        } else if self.skip(b"-") {
            -1
        } else {
            return None;
        };
        let hours = self.digits(2)?;
        self.skip(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        (hours <= 18 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000_000)
    }
}

/// Days since 1970 of a text such as `2024-11-28`.
pub(crate) fn date(text: &str) -> Option<i64> {
    let mut text = Text(text.as_bytes());
    let days = text.date()?;
    text.0.is_empty().then_some(days)
}

/// Microseconds since midnight of a text such as `11:30:00.5`.
pub(crate) fn time(text: &str) -> Option<i64> {
    let mut text = Text(text.as_bytes());
    let micros = text.time()?;
    text.0.is_empty().then_some(micros)
}

/// Microseconds since 1970, UTC, of a text such as `2024-11-28T11:30:00Z`; without an offset it is
/// in UTC.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let mut text = Text(text.as_bytes());
    let days = text.date()?;
    if text.0.is_empty() {
        return Some(days * DAY_MICROS);
    }
    if !text.skip(b"Tt ") {
        return None;
    }
    let time = text.time()?;
    let offset = text.offset()?;
    text.0.is_empty().then_some(days * DAY_MICROS + time - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_iso_8601_and_nothing_else() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2017-11-16"), Some(17_486));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2024-02-29"), Some(19_782));
        for wrong in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "", "2024-01-01 "] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert_eq!(time("22:31:08"), Some(81_068_000_000));
        assert_eq!(time("00:00:00.0000019"), Some(1));
        assert_eq!(time("24:00:00"), None);
        let base = 17_486 * DAY_MICROS + 81_068_000_000;
        for text in [
            "2017-11-16T22:31:08Z",
            "2017-11-16 22:31:08",
            "2017-11-16T14:31:08-08:00",
            "2017-11-17T00:31:08+0200",
            "2017-11-16T22:31:08.000000+00",
        ] {
            assert_eq!(timestamp(text), Some(base), "{text}");
        }
        assert_eq!(timestamp("2017-11-16"), Some(17_486 * DAY_MICROS));
        for wrong in ["2017-11-16X22:31:08", "2017-11-16T22", "2017-11-16T22:31:08+99:00", "now"] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_is_a_date_and_back() {
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, of_month) = date_of(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
