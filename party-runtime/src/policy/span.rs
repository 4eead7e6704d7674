//! Lengths and points of time as an operator writes them.

use mpc_wire::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use toml::value::{Date, Datetime, Offset, Time};

/// Longest length of time that a policy can name: what it counts over must be kept as long.
pub const MAX_SPAN: Duration = Duration::from_secs(31 * 86_400);

/// A length of time: a whole number and `s`, `m`, `h` or `d`, as in `90s` or `1h`; at least a
/// second, at most [`MAX_SPAN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time: give a number and s, m, h or d, as in 90s or 1h, at most 31d")]
pub struct NotASpan;

impl Span {
    /// One hour.
    pub const HOUR: Self = Self(Duration::from_secs(3600));

    /// The length.
    pub const fn duration(self) -> Duration {
        self.0
    }

    pub(crate) fn millis(self) -> u64 {
        // At most MAX_SPAN, which fits many times over.
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let unit = text.chars().next_back().ok_or(NotASpan)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(NotASpan),
        };
        let number = text.strip_suffix(unit).ok_or(NotASpan)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotASpan);
        }
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        let length = Duration::from_secs(number.checked_mul(seconds).ok_or(NotASpan)?);
        if length.is_zero() || length > MAX_SPAN { Err(NotASpan) } else { Ok(Self(length)) }
    }
}

impl TryFrom<String> for Span {
    type Error = NotASpan;

    fn try_from(text: String) -> Result<Self, NotASpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match [(86_400, 'd'), (3600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(unit, _)| seconds.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(f, "{}{name}", seconds / unit),
            None => write!(f, "{seconds}s"),
        }
    }
}

/// A point of time: in TOML a date-time with its offset, as in `2027-01-31T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Datetime", into = "u64")]
pub struct Moment(UnixMillis);

/// A date-time that is no point of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a point of time: give date, time and offset without quotes, as in 2027-01-31T12:00:00Z"
)]
pub struct NotAMoment;

impl Moment {
    /// Milliseconds since the Unix epoch.
    pub const fn at(self) -> UnixMillis {
        self.0
    }
}

impl TryFrom<Datetime> for Moment {
    type Error = NotAMoment;

    fn try_from(value: Datetime) -> Result<Self, NotAMoment> {
        let Datetime { date: Some(date), time: Some(time), offset: Some(offset) } = value else {
            return Err(NotAMoment);
        };
        let Time { hour, minute, second, nanosecond: _ } = time;
        let of_day =
            i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.unwrap_or_default());
        let east = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes) * 60,
        };
        let seconds = days_from_epoch(date) * 86_400 + of_day - east;
        let seconds = u64::try_from(seconds).map_err(|_| NotAMoment)?;
        Ok(Self(UnixMillis(seconds * 1000)))
    }
}

impl From<Moment> for u64 {
    fn from(moment: Moment) -> Self {
        moment.0.0
    }
}

/// Days from 1970-01-01 to a date. Years are taken to begin on 1 March, so that the leap day is
/// their last; month lengths then repeat every five months.
fn days_from_epoch(date: Date) -> i64 {
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let (year, from_march) = if month >= 3 {
        (i64::from(date.year), month - 3)
    } else {
        (i64::from(date.year) - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * from_march + 2) / 5 + day - 1 - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, seconds, written) in [
            ("1s", 1, "1s"),
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("5m", 300, "5m"),
            ("1h", 3600, "1h"),
            ("24h", 86_400, "1d"),
            ("31d", 31 * 86_400, "31d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.duration().as_secs(), seconds, "{text}");
            assert_eq!(span.to_string(), written);
            assert_eq!(written.parse(), Ok(span));
        }
        for bad in ["", "s", "1", "0s", "-1s", "+1s", "1.5h", "32d", "1w", " 1s", "1 s", "1é"] {
            assert_eq!(bad.parse::<Span>(), Err(NotASpan), "{bad}");
        }
        assert_eq!(format!("{}d", u64::MAX).parse::<Span>(), Err(NotASpan));
    }

    #[test]
    fn moments_are_points_of_time() {
        let at = |text: &str| Moment::try_from(text.parse::<Datetime>().unwrap());
        let seconds = |text| at(text).unwrap().at().0 / 1000;
        assert_eq!(seconds("1970-01-01T00:00:00Z"), 0);
        assert_eq!(seconds("2000-02-29T00:00:00Z"), 951_782_400);
        assert_eq!(seconds("2000-03-01T00:00:00Z"), 951_868_800);
        assert_eq!(seconds("2026-01-31T13:30:00+01:30"), 1_769_860_800);
        assert_eq!(seconds("2026-01-31T00:00:00-12:00"), 1_769_860_800);
        assert_eq!(seconds("2100-03-01T00:00:00Z"), 4_107_542_400);
        for bad in ["2026-01-31", "12:00:00", "2026-01-31T12:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(at(bad), Err(NotAMoment), "{bad}");
        }
    }
}
