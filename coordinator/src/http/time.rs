//! Times as RFC 3339 writes them.

use mpc_wire::UnixMillis;

/// The time in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`.
pub(crate) fn rfc3339(at: UnixMillis) -> String {
    let (seconds, millis) = (at.0 / 1000, at.0 % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads a time such as `2026-01-31T12:00:00.5Z` or `2026-01-31T13:00:00+01:00`, from 1970 on.
/// Parts of a millisecond do not count, and a leap second is the second after it.
pub(crate) fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 || fraction.is_empty() {
        return None;
    }
    let mut millis = 0;
    for at in 0..3 {
        millis = millis * 10 + fraction.chars().nth(at).map_or(Some(0), |c| c.to_digit(10))?;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let day = day_of(year, month, day)?;
    let seconds = day * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => seconds,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            // East of Greenwich it is later.
            if sign == "+" { seconds.checked_sub(offset)? } else { seconds + offset }
        }
    };
    Some(UnixMillis(seconds * 1000 + u64::from(millis)))
}

/// Numbers of exactly so many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The day from 1970-01-01, if there is such a date.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin on 1 March, as below. No date is more than two days from where its month's
    // pattern puts it, so `date` shows which one it is.
    let (march_year, from_march) =
        if month >= 3 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month + 9) };
    let (era, of_era) = (march_year / 400, march_year % 400);
    let of_year = (153 * from_march + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a day counted from 1970-01-01. Years are taken to begin on 1 March, so
/// that the leap day is their last and months have a regular pattern of lengths.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    let days = days + EPOCH;
    let (era, of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year { month_from_march - 9 } else { month_from_march + 3 };
    (era * 400 + year + u64::from(is_next_year), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let text = |millis| rfc3339(UnixMillis(millis));
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(text(1_000_000_000_123), "2001-09-09T01:46:40.123Z");
        assert_eq!(text(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_written_is_read() {
        for day in 0..60_000 {
            let at = UnixMillis(day * 86_400_000 + 86_399_999 - day);
            assert_eq!(parse_rfc3339(&rfc3339(at)), Some(at));
        }
    }

    #[test]
    fn other_ways_to_write_a_time_are_read_too() {
        let at = parse_rfc3339("2026-01-31T12:00:00Z");
        assert_eq!(at, Some(UnixMillis(1_769_860_800_000)));
        for same in [
            "2026-01-31t12:00:00z",
            "2026-01-31T12:00:00.0004Z",
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T00:00:00-12:00",
            "2026-02-01T00:00:00+12:00",
            "2026-01-31T11:59:60Z",
        ] {
            assert_eq!(parse_rfc3339(same), at, "{same}");
        }
        assert_eq!(parse_rfc3339("2026-01-31T12:00:00.05Z"), at.map(|at| UnixMillis(at.0 + 50)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "2026-01-31T12:00Z",
            "2026-1-31T12:00:00Z",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.5xZ",
            "2026-01-31T12:00:00Zx",
            "2026-01-31T12:00:00+1",
            "2026-01-31T12:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "0000-01-01T00:00:00Z",
            "0000-00-00T00:00:00Z",
            "2026-01-31T12:00:00\u{e9}",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
