//! The second a signature was made, in the basic form of ISO 8601 that it is signed in.

use std::fmt;

use millstream_core::Timestamp;
use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The length of `20150830T123600Z`.
const LENGTH: usize = 16;

/// A second, as text `YYYYMMDDTHHMMSSZ` and as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    text: [u8; LENGTH],
    seconds: u64,
}

impl Moment {
    /// The second in which `timestamp` lies.
    pub fn of(timestamp: Timestamp) -> Self {
        // The last second of the year 9999, beyond which the form has no room.
        let seconds = timestamp.seconds().min(253_402_300_799);
        let signed = i64::try_from(seconds).expect("bounded above");
        let date = OffsetDateTime::from_unix_timestamp(signed).expect("within years 1970 to 9999");
        Self { text: text_of(date), seconds }
    }

    /// Reads `YYYYMMDDTHHMMSSZ`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_u16, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0'))
            })
        };
        let small = |from: usize, to: usize| number(from, to).and_then(|n| u8::try_from(n).ok());
        let month = Month::try_from(small(4, 6)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6, 8)?).ok()?;
        let time = Time::from_hms(small(9, 11)?, small(11, 13)?, small(13, 15)?).ok()?;
        let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
        Some(Self { text: bytes, seconds: u64::try_from(seconds).ok()? })
    }

    /// Reads the form of the `Date` header, `Sun, 30 Aug 2015 12:36:00 GMT`.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let date = OffsetDateTime::parse(text, &Rfc2822).ok()?.to_offset(time::UtcOffset::UTC);
        let seconds = u64::try_from(date.unix_timestamp()).ok()?;
        Some(Self::of(Timestamp::from_seconds(seconds)))
    }

    /// `YYYYMMDDTHHMMSSZ`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("digits, T and Z")
    }

    /// `YYYYMMDD`, as in a credential scope.
    pub fn date(&self) -> &str {
        &self.as_str()[..8]
    }

    /// Seconds since the epoch.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }
}

fn text_of(date: OffsetDateTime) -> [u8; LENGTH] {
    let mut text = *b"00000000T000000Z";
    let year = u32::try_from(date.year()).expect("within years 1970 to 9999");
    let parts = [
        (0, 4, year),
        (4, 6, u32::from(u8::from(date.month()))),
        (6, 8, u32::from(date.day())),
        (9, 11, u32::from(date.hour())),
        (11, 13, u32::from(date.minute())),
        (13, 15, u32::from(date.second())),
    ];
    for (from, to, mut number) in parts {
        for digit in text[from..to].iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
    }
    text
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_what_it_parses() {
        let moment = Moment::parse("20150830T123600Z").unwrap();
        assert_eq!(moment.seconds(), 1_440_938_160);
        assert_eq!(Moment::of(Timestamp::from_seconds(1_440_938_160)), moment);
        assert_eq!(moment.date(), "20150830");
        assert_eq!(Moment::parse_http_date("Sun, 30 Aug 2015 12:36:00 GMT"), Some(moment));
        assert_eq!(Moment::of(Timestamp::from_ms(u64::MAX)).as_str(), "99991231T235959Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "201",
            "20150830T123600",
            "20150830 123600Z",
            "20151330T123600Z",
            "20150230T123600Z",
            "20150830T243600Z",
            "19691231T235959Z",
            "2015083aT123600Z",
            "2015-08-30T12:36:00Z",
            "\u{661}0150830T12360Z",
        ] {
            assert_eq!(Moment::parse(text), None, "{text:?}");
        }
    }
}
