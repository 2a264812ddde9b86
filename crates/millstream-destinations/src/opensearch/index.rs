//! The name of the index that a document belongs into, by its arrival.

use millstream_core::Timestamp;
use time::{Date, OffsetDateTime, Weekday};

/// How often a new index begins, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Never.
    None,
    /// `-2016-02-25-13`
    Hour,
    /// `-2016-02-25`
    Day,
    /// `-2016-w09`: weeks begin on Sunday, and a year's first week is the first that holds a
    /// Saturday of that year (documented in words; the guide's table of examples has `w08` for
    /// the same day, which is ISO's number and contradicts them).
    Week,
    /// `-2016-02`
    Month,
}

/// `index`, and behind it what `rotation` says of `arrived`.
pub(super) fn name(index: &str, rotation: Rotation, arrived: Timestamp) -> String {
    let seconds = i64::try_from(arrived.seconds()).unwrap_or(i64::MAX);
    // Beyond the year 9999 there is nothing to name: the epoch stands in.
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    match rotation {
        Rotation::None => index.to_owned(),
        Rotation::Hour => format!("{index}-{year:04}-{month:02}-{day:02}-{:02}", at.hour()),
        Rotation::Day => format!("{index}-{year:04}-{month:02}-{day:02}"),
        Rotation::Week => {
            let (year, week) = week(at.date());
            format!("{index}-{year:04}-w{week:02}")
        }
        Rotation::Month => format!("{index}-{year:04}-{month:02}"),
    }
}

/// The year and number of the week of `date`: those of the Saturday that ends the week.
fn week(date: Date) -> (i32, u16) {
    let days_to_saturday = (Weekday::Saturday.number_days_from_sunday() + 7
        - date.weekday().number_days_from_sunday())
        % 7;
    let saturday =
        date.checked_add(time::Duration::days(i64::from(days_to_saturday))).unwrap_or(Date::MAX);
    (saturday.year(), (saturday.ordinal() - 1) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use time::Month;

    use super::*;

    fn week_of(year: i32, month: u8, day: u8) -> (i32, u16) {
        week(Date::from_calendar_date(year, Month::try_from(month).unwrap(), day).unwrap())
    }

    #[test]
    fn names_follow_the_arrival_in_utc() {
        // 2016-02-25T13:00:00Z
        let at = Timestamp::from_seconds(1_456_405_200);
        let rows = [
            (Rotation::None, "myindex"),
            (Rotation::Hour, "myindex-2016-02-25-13"),
            (Rotation::Day, "myindex-2016-02-25"),
            (Rotation::Week, "myindex-2016-w09"),
            (Rotation::Month, "myindex-2016-02"),
        ];
        for (rotation, expected) in rows {
            assert_eq!(name("myindex", rotation, at), expected);
        }
    }

    #[test]
    fn weeks_begin_on_sunday_and_the_first_holds_the_first_saturday() {
        // 2016-01-02 is a Saturday, so 2015-12-27, the Sunday before, is in 2016's first week.
        assert_eq!(week_of(2015, 12, 26), (2015, 52));
        assert_eq!(week_of(2015, 12, 27), (2016, 1));
        assert_eq!(week_of(2016, 1, 2), (2016, 1));
        assert_eq!(week_of(2016, 1, 3), (2016, 2));
        // 2022-01-01 is a Saturday.
        assert_eq!(week_of(2021, 12, 31), (2022, 1));
        assert_eq!(week_of(2022, 1, 2), (2022, 2));
        // 2023-01-01 is a Sunday; 2022-12-31 a Saturday, the year's 53rd.
        assert_eq!(week_of(2022, 12, 31), (2022, 53));
        assert_eq!(week_of(2023, 1, 1), (2023, 1));
        assert_eq!(week_of(2020, 8, 12), (2020, 33));
    }
}
