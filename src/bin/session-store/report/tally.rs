//! What a report counts.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use session_store::{HistoryEntry, HistoryEvent, Label, Timestamp};
use time::{Date, OffsetDateTime};

/// How sessions end, in the order of the columns.
pub(super) const ENDS: [HistoryEvent; 5] = [
    HistoryEvent::SignedOut,
    HistoryEvent::Replaced,
    HistoryEvent::Revoked,
    HistoryEvent::Evicted,
    HistoryEvent::Expired,
];

pub(super) struct Tally {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// Owners of whom something is told.
    pub(super) owners: u64,
    pub(super) new_devices: u64,
    pub(super) returning_devices: u64,
    pub(super) unnamed_devices: u64,
    /// In seconds: four bytes for each session that ended.
    pub(super) lengths: Vec<u32>,
    days: BTreeMap<i32, Day>,
}

/// A day in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    date: i32,
    pub(super) sign_ins: u64,
    pub(super) ends: [u64; ENDS.len()],
}

impl Day {
    pub(super) fn name(&self) -> String {
        Date::from_julian_day(self.date).map_or_else(|_| "-".to_owned(), |date| date.to_string())
    }
}

impl Tally {
    pub(super) fn new(until: Timestamp, age: Duration) -> Self {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let since = Timestamp::from_millis(until.as_millis().saturating_sub(age));
        let days = match (julian(since), julian(until)) {
            (Some(first), Some(last)) => {
                (first..=last).map(|date| (date, Day { date, ..Day::default() })).collect()
            }
            _ => BTreeMap::new(),
        };
        Self {
            since,
            until,
            owners: 0,
            new_devices: 0,
            returning_devices: 0,
            unnamed_devices: 0,
            lengths: Vec::new(),
            days,
        }
    }

    /// Takes in the history of an owner.
    pub(super) fn add(&mut self, history: &[HistoryEntry]) {
        let mut in_order: Vec<_> = history.iter().collect();
        in_order.sort_by_key(|entry| entry.at);
        let mut known = HashSet::new();
        let mut is_seen = false;
        for entry in in_order {
            let label = entry.label.as_ref().map(Label::as_str);
            let is_new = entry.what == HistoryEvent::SignedIn && label.is_some_and(|it| known.insert(it));
            if entry.at <= self.since || entry.at > self.until {
                continue;
            }
            is_seen = true;
            let day = julian(entry.at).and_then(|date| self.days.get_mut(&date));
            if entry.what == HistoryEvent::SignedIn {
                let devices = match (label, is_new) {
                    (None, _) => &mut self.unnamed_devices,
                    (Some(_), true) => &mut self.new_devices,
                    (Some(_), false) => &mut self.returning_devices,
                };
                *devices += 1;
                if let Some(day) = day {
                    day.sign_ins += 1;
                }
            } else if let Some(end) = ENDS.iter().position(|end| *end == entry.what) {
                let length = entry.at.saturating_since(entry.began).as_secs();
                self.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
                if let Some(day) = day {
                    day.ends[end] += 1;
                }
            }
        }
        self.owners += u64::from(is_seen);
    }

    pub(super) fn days(&self) -> impl Iterator<Item = &Day> {
        self.days.values()
    }

    pub(super) fn sign_ins(&self) -> u64 {
        self.days().map(|day| day.sign_ins).sum()
    }

    pub(super) fn ends(&self) -> [u64; ENDS.len()] {
        let sum = |end: usize| self.days().map(|day| day.ends[end]).sum();
        std::array::from_fn(sum)
    }

    /// The length that so many in a hundred do not exceed; `None` without any.
    pub(super) fn quantile(&mut self, percent: usize) -> Option<Duration> {
        let nth = (self.lengths.len() * percent).div_ceil(100).checked_sub(1)?;
        let (_, length, _) = self.lengths.select_nth_unstable(nth);
        Some(Duration::from_secs(u64::from(*length)))
    }
}

/// The day of a moment, in UTC.
fn julian(moment: Timestamp) -> Option<i32> {
    let seconds = i64::try_from(moment.as_millis() / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(OffsetDateTime::to_julian_day)
}

#[cfg(test)]
mod tests {
    use session_store::SessionId;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// 2026-01-01T12:00:00Z.
    const NOON: u64 = 1_767_268_800_000;

    fn entry(at: u64, what: HistoryEvent, began: u64, label: Option<&str>) -> HistoryEntry {
        let moment = Timestamp::from_millis;
        let mut entry = HistoryEntry::new(moment(at), what, SessionId::generate().key(), moment(began));
        entry.label = label.and_then(Label::truncated);
        entry
    }

    #[test]
    fn a_report_is_of_what_is_between_its_ends() {
        use HistoryEvent::{Confirmed, Expired, SignedIn, SignedOut};
        let mut tally = Tally::new(Timestamp::from_millis(NOON), Duration::from_secs(2 * 86_400));
        let before = NOON - 3 * DAY;
        tally.add(&[
            entry(NOON, SignedOut, NOON - HOUR, Some("laptop")),
            entry(NOON - HOUR, SignedIn, NOON - HOUR, Some("laptop")),
            entry(NOON - DAY, SignedIn, NOON - DAY, Some("phone")),
            entry(NOON - DAY - HOUR, Expired, before, Some("phone")),
            entry(NOON - 2 * DAY, SignedOut, before, None),
            entry(before, SignedIn, before, Some("phone")),
        ]);
        tally.add(&[entry(NOON - HOUR, SignedIn, NOON - HOUR, None)]);
        tally.add(&[entry(before, SignedIn, before, None)]);
        tally.add(&[entry(NOON - 1, Confirmed, before, None)]);
        assert_eq!(tally.owners, 3, "of one, nothing is told in that time");
        assert_eq!((tally.new_devices, tally.returning_devices, tally.unnamed_devices), (1, 1, 1));
        assert_eq!((tally.sign_ins(), tally.ends()), (3, [1, 0, 0, 0, 1]));
        let days: Vec<_> = tally.days().map(|day| (day.name(), day.sign_ins, day.ends[0])).collect();
        let day = |name: &str, sign_ins, ends| (name.to_owned(), sign_ins, ends);
        assert_eq!(days, [day("2025-12-30", 0, 0), day("2025-12-31", 1, 0), day("2026-01-01", 2, 1)]);
        assert_eq!(tally.quantile(50), Some(Duration::from_secs(3600)));
        assert_eq!(tally.quantile(90), Some(Duration::from_secs(2 * 86_400 - 3600)));
    }

    #[test]
    fn nothing_has_no_length() {
        let mut tally = Tally::new(Timestamp::from_millis(NOON), Duration::from_secs(60));
        assert_eq!((tally.quantile(50), tally.sign_ins(), tally.days().count()), (None, 0, 1));
    }
}
