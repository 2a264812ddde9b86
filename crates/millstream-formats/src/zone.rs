//! Time zones by name, with the rules built in.
//!
//! The rules come with the program (jiff's bundled tz database), not from the machine: the same
//! version names the same objects everywhere. Source: `CustomTimeZone` of the Firehose API, whose
//! values are the names of the IANA time zone database.

use std::fmt;
use std::sync::LazyLock;

use jiff::Zoned;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use millstream_core::Timestamp;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A place's rules of the clock.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// The name of no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown time zone: {0}")]
pub struct UnknownZone(pub String);

impl Zone {
    /// Universal time, the default of every prefix.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone called `name`, as the IANA database spells it: `Asia/Tokyo`, `UTC`, `Etc/GMT+3`.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        if name == "UTC" {
            return Ok(Self::UTC);
        }
        let zone = DATABASE.get(name).map_err(|_| unknown())?;
        // The database ignores case; the service's list of names does not.
        if zone.iana_name() == Some(name) { Ok(Self(zone)) } else { Err(unknown()) }
    }

    /// The name that [`Self::parse`] takes.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The date and the time there at `at`; the last one that has a name where `at` is later.
    pub(crate) fn at(&self, at: Timestamp) -> Zoned {
        let ms = i64::try_from(at.ms()).unwrap_or(i64::MAX);
        let instant = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        instant.to_zoned(self.0.clone())
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_its_exact_name() {
        for name in ["UTC", "Asia/Tokyo", "America/New_York", "Etc/GMT+3", "Europe/Berlin"] {
            assert_eq!(Zone::parse(name).unwrap().name(), name);
        }
        for name in ["", "asia/tokyo", "Asia/Nowhere", "+09:00", "../etc/passwd"] {
            assert_eq!(Zone::parse(name), Err(UnknownZone(name.to_owned())));
        }
    }

    #[test]
    fn the_clock_follows_the_rules_of_the_place() {
        let zone = Zone::parse("America/New_York").unwrap();
        let hour = |seconds| zone.at(Timestamp::from_seconds(seconds)).hour();
        assert_eq!(hour(1_535_366_400), 6, "summer: four hours behind");
        assert_eq!(hour(1_543_315_200), 5, "winter: five hours behind");
    }

    #[test]
    fn a_time_without_a_name_stops_at_the_last() {
        assert_eq!(Zone::UTC.at(Timestamp::from_ms(u64::MAX)).year(), 9999);
    }
}
