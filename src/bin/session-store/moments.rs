//! Times, for people and for programs.

use std::time::Duration;

use session_store::{Clock as _, SystemClock, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// In UTC, as RFC 3339 has it, to the second; for what is beyond its years, what Express may say, the
/// milliseconds since 1970.
pub(crate) fn utc(moment: Timestamp) -> String {
    let seconds = i64::try_from(moment.as_millis() / 1000).unwrap_or(i64::MAX);
    let formatted = OffsetDateTime::from_unix_timestamp(seconds).map(|time| time.format(&Rfc3339));
    match formatted {
        Ok(Ok(text)) => text,
        _ => moment.as_millis().to_string(),
    }
}

/// `5m ago`.
pub(crate) fn ago(moment: Timestamp, now: Timestamp) -> String {
    format!("{} ago", brief(now.saturating_since(moment)))
}

/// `in 5m`, or that it is over.
pub(crate) fn ahead(moment: Timestamp, now: Timestamp) -> String {
    if moment <= now { "over".to_owned() } else { format!("in {}", brief(moment.saturating_since(now))) }
}

/// Both, for one session alone.
pub(crate) fn both(relative: &str, moment: Timestamp) -> String {
    format!("{relative} ({})", utc(moment))
}

const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")];

/// In the greatest unit that it has twice, so that it is off by a third at most.
fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit).unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

/// In its two greatest units.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    let rest = UNITS.get(first + 1).map(|(smaller, name)| (seconds % unit / smaller, name));
    match rest {
        Some((count, smaller)) if count > 0 => format!("{}{name} {count}{smaller}", seconds / unit),
        _ => format!("{}{name}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_or_one() {
        for (seconds, exact, rough) in [
            (0, "0s", "0s"),
            (59, "59s", "59s"),
            (60, "1m", "60s"),
            (119, "1m 59s", "119s"),
            (3599, "59m 59s", "59m"),
            (3605, "1h", "60m"),
            (86400 + 3600, "1d 1h", "25h"),
            (86400 * 3 + 3600 * 4 + 59, "3d 4h", "3d"),
            (86400 * 400, "400d", "400d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), exact);
            assert_eq!(brief(Duration::from_secs(seconds)), rough);
        }
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(utc(Timestamp::from_millis(1_764_159_478_999)), "2025-11-26T12:17:58Z");
        assert_eq!(utc(Timestamp::from_millis(u64::MAX)), u64::MAX.to_string());
        assert_eq!(ahead(Timestamp::from_millis(5), Timestamp::from_millis(5)), "over");
    }
}
