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

pub(crate) fn ago(moment: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.saturating_since(moment)))
}

/// `in 5 min`, or that it is over.
pub(crate) fn ahead(moment: Timestamp, now: Timestamp) -> String {
    if moment <= now { "over".to_owned() } else { format!("in {}", span(moment.saturating_since(now))) }
}

/// Both, for one session alone.
pub(crate) fn both(relative: &str, moment: Timestamp) -> String {
    format!("{relative} ({})", utc(moment))
}

/// In its two greatest units.
pub(crate) fn span(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    let rest = UNITS.get(first + 1).map(|(smaller, name)| (seconds % unit / smaller, name));
    match rest {
        Some((count, smaller)) if count > 0 => format!("{} {name} {count} {smaller}", seconds / unit),
        _ => format!("{} {name}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min 59 s"),
            (3605, "1 h"),
            (86400 * 3 + 3600 * 4 + 59, "3 d 4 h"),
            (86400 * 400, "400 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(utc(Timestamp::from_millis(1_764_159_478_999)), "2025-11-26T12:17:58Z");
        assert_eq!(utc(Timestamp::from_millis(u64::MAX)), u64::MAX.to_string());
        assert_eq!(ahead(Timestamp::from_millis(5), Timestamp::from_millis(5)), "over");
    }
}
