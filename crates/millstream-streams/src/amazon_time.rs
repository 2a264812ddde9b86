//! Times as the service writes them in sentences: `Thu Jan 22 01:22:02 UTC 2015`.

use std::fmt;

use millstream_core::Timestamp;

/// A moment, printed to the second in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmazonTime(pub(crate) Timestamp);

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl fmt::Display for AmazonTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.seconds();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let weekday = DAYS[usize::try_from(days % 7).expect("below seven")];
        let month = MONTHS[month];
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        write!(f, "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
    }
}

/// Year, month from 0 and day of month of the day `days` after the epoch.
fn civil(days: u64) -> (u64, usize, u64) {
    // Eras of 400 years that begin on the first of March, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = usize::try_from((from_march + 2) % 12).expect("below twelve");
    let year = era * 400 + year + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_the_service_writes_them() {
        let print = |seconds| AmazonTime(Timestamp::from_seconds(seconds)).to_string();
        assert_eq!(print(1_421_889_722), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(print(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(print(951_782_400), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(print(1_735_689_599), "Tue Dec 31 23:59:59 UTC 2024");
    }
}
