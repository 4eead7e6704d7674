//! At which hours the party signs.

use mpc_wire::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

const MINUTES_OF_DAY: u16 = 24 * 60;

/// Hours of some days of the week. Those that end before they begin go on into the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The days on which they begin.
    pub days: BTreeSet<Day>,
    /// When they begin.
    #[serde(default)]
    pub from: TimeOfDay,
    /// When they are over.
    #[serde(default = "TimeOfDay::end_of_day")]
    pub to: TimeOfDay,
    /// The distance of the local time from UTC. It is fixed: there is no daylight saving in it.
    #[serde(default)]
    pub utc_offset: UtcOffset,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// From the epoch's first day on, which was a Thursday.
    const SINCE_EPOCH: [Self; 7] =
        [Self::Thu, Self::Fri, Self::Sat, Self::Sun, Self::Mon, Self::Tue, Self::Wed];

    fn of(days_since_epoch: i64) -> Self {
        let at = usize::try_from(days_since_epoch.rem_euclid(7)).unwrap_or_default();
        Self::SINCE_EPOCH.get(at).copied().unwrap_or(Self::Thu)
    }
}

/// A time of day, `00:00` to `24:00`, in minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// A text that is no time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of day: give hours and minutes from 00:00 to 24:00")]
pub struct NotATime;

impl TimeOfDay {
    const fn end_of_day() -> Self {
        Self(MINUTES_OF_DAY)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        let minutes = hours_and_minutes(&text).ok_or(NotATime)?;
        if minutes <= MINUTES_OF_DAY { Ok(Self(minutes)) } else { Err(NotATime) }
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A distance from UTC, `+hh:mm` or `-hh:mm` of at most 14 hours, in minutes to the east.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcOffset(i16);

/// A text that is no distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an offset from UTC: give sign, hours and minutes, as in +01:00")]
pub struct NotAnOffset;

impl UtcOffset {
    /// The widest that any place on earth has.
    const WIDEST: i16 = 14 * 60;
}

impl TryFrom<String> for UtcOffset {
    type Error = NotAnOffset;

    fn try_from(text: String) -> Result<Self, NotAnOffset> {
        let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(digits), _) => (1, digits),
            (None, Some(digits)) => (-1, digits),
            (None, None) => return Err(NotAnOffset),
        };
        let minutes = hours_and_minutes(digits).ok_or(NotAnOffset)?;
        let minutes = i16::try_from(minutes).map_err(|_| NotAnOffset)?;
        if minutes <= Self::WIDEST { Ok(Self(sign * minutes)) } else { Err(NotAnOffset) }
    }
}

impl From<UtcOffset> for String {
    fn from(offset: UtcOffset) -> Self {
        let sign = if offset.0 < 0 { '-' } else { '+' };
        let minutes = offset.0.unsigned_abs();
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// `hh:mm` in minutes.
fn hours_and_minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| -> Option<u16> {
        let is_fine = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_fine { digits.parse().ok() } else { None }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60).then_some(hours * 60 + minutes)
}

impl Hours {
    /// Whether a point of time lies in these hours. Their end does not.
    pub(crate) fn include(&self, at: UnixMillis) -> bool {
        let minutes = i64::try_from(at.0 / 60_000).unwrap_or(i64::MAX / 2);
        let local = minutes + i64::from(self.utc_offset.0);
        let day = local.div_euclid(MINUTES_OF_DAY.into());
        let of_day = local.rem_euclid(MINUTES_OF_DAY.into());
        let (from, to) = (i64::from(self.from.0), i64::from(self.to.0));
        let begin_on = |day: i64| self.days.contains(&Day::of(day));
        if from < to {
            begin_on(day) && (from..to).contains(&of_day)
        } else {
            (begin_on(day) && of_day >= from) || (begin_on(day - 1) && of_day < to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-01-05T00:00:00Z.
    const MONDAY: u64 = 1_767_571_200;

    fn hours(days: &[Day], from: &str, to: &str, offset: &str) -> Hours {
        Hours {
            days: days.iter().copied().collect(),
            from: from.to_owned().try_into().unwrap(),
            to: to.to_owned().try_into().unwrap(),
            utc_offset: offset.to_owned().try_into().unwrap(),
        }
    }

    /// So many hours after the beginning of that Monday.
    fn at(hours: i64) -> UnixMillis {
        UnixMillis(MONDAY.saturating_add_signed(hours * 3600) * 1000)
    }

    #[test]
    fn begin_and_end() {
        let office = hours(&[Day::Mon, Day::Tue], "08:00", "18:00", "+00:00");
        for (hour, is_in) in
            [(7, false), (8, true), (17, true), (18, false), (24 + 8, true), (48 + 9, false)]
        {
            assert_eq!(office.include(at(hour)), is_in, "{hour}");
        }
        let last_ms = UnixMillis(at(18).0 - 1);
        assert!(office.include(last_ms));
    }

    #[test]
    fn local_time_decides_the_day() {
        // 08:00 to 18:00 in Kolkata is 02:30 to 12:30 UTC.
        let east = hours(&[Day::Mon], "08:00", "18:00", "+05:30");
        assert!(!east.include(at(2)) && east.include(at(3)) && !east.include(at(13)));
        // Monday 00:00 to 24:00 there begins on Sunday here.
        let all_day = hours(&[Day::Mon], "00:00", "24:00", "+05:30");
        assert!(all_day.include(at(-5)) && !all_day.include(at(-6)) && !all_day.include(at(19)));
        let west = hours(&[Day::Sun], "20:00", "24:00", "-05:00");
        assert!(west.include(at(1)) && west.include(at(4)) && !west.include(at(5)));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = hours(&[Day::Mon], "22:00", "06:00", "+00:00");
        for (hour, is_in) in [(5, false), (21, false), (22, true), (24 + 5, true), (24 + 6, false)]
        {
            assert_eq!(night.include(at(hour)), is_in, "{hour}");
        }
        // As long as a day: from Monday noon to Tuesday noon.
        let day = hours(&[Day::Mon], "12:00", "12:00", "+00:00");
        assert!(!day.include(at(11)) && day.include(at(12)) && day.include(at(24 + 11)));
        assert!(!day.include(at(24 + 12)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "8:00", "08:60", "24:01", "25:00", "08-00", "08:0a", "+8:00"] {
            assert!(TimeOfDay::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for bad in ["", "01:00", "+1:00", "+14:01", "-99:00", "UTC", "++01:00"] {
            assert!(UtcOffset::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        let offset = UtcOffset::try_from("-03:30".to_owned()).unwrap();
        assert_eq!(String::from(offset), "-03:30");
    }
}
