//! How often something happened lately.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::telemetry::histogram::as_float;

/// How many bits of a slot are its count; the rest say which of the world's slots it counts for.
const COUNT_BITS: u32 = 28;
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;

/// By the second.
pub(crate) type LastMinute = Recent<60, 1>;
/// By the hour.
pub(crate) type LastDay = Recent<24, 3600>;

/// Counts in slots of some seconds, as many as there are. A slot holds its number and its count in one word, so that
/// nobody ever adds to a count of the round before.
#[derive(Debug)]
pub(crate) struct Recent<const SLOTS: usize, const SECONDS: u64>([AtomicU64; SLOTS]);

impl<const SLOTS: usize, const SECONDS: u64> Recent<SLOTS, SECONDS> {
    pub(crate) fn add_one(&self, now: Timestamp) {
        let number = Self::number(now);
        let _always_some = self.slot(number).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slot| {
            let count = if slot >> COUNT_BITS == number { (slot & MAX_COUNT) + 1 } else { 1 };
            Some(number << COUNT_BITS | count.min(MAX_COUNT))
        });
    }

    /// The counts of the slots that end with the present one.
    pub(crate) fn counts(&self, now: Timestamp) -> [u64; SLOTS] {
        let last = Self::number(now);
        std::array::from_fn(|place| {
            let Some(number) = last.checked_sub((SLOTS - 1 - place) as u64) else { return 0 };
            let slot = self.slot(number).load(Ordering::Relaxed);
            if slot >> COUNT_BITS == number { slot & MAX_COUNT } else { 0 }
        })
    }

    /// When these slots began, in seconds since the Unix epoch.
    pub(crate) fn slots(now: Timestamp) -> impl Iterator<Item = u64> {
        let last = now.as_millis() / 1000 / SECONDS;
        (0..SLOTS as u64).rev().map(move |ago| last.saturating_sub(ago) * SECONDS)
    }

    /// By the second, over all slots.
    pub(crate) fn per_second(&self, now: Timestamp) -> f64 {
        as_float(self.counts(now).iter().sum()) / as_float(SLOTS as u64 * SECONDS)
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        &self.0[usize::try_from(number % SLOTS as u64).expect("it is less than their number")]
    }

    fn number(time: Timestamp) -> u64 {
        (time.as_millis() / 1000 / SECONDS) & (u64::MAX >> COUNT_BITS)
    }
}

impl<const SLOTS: usize, const SECONDS: u64> Default for Recent<SLOTS, SECONDS> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + second * 1000)
    }

    fn per_minute(rate: &LastMinute, second: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small count")]
        let rounded = (rate.per_second(at(second)) * 60.0).round() as u64;
        rounded
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let rate = LastMinute::default();
        assert_eq!(per_minute(&rate, 0), 0);
        for second in [0, 0, 1, 30] {
            rate.add_one(at(second));
        }
        assert_eq!(per_minute(&rate, 30), 4);
        assert_eq!(per_minute(&rate, 59), 4);
        assert_eq!(per_minute(&rate, 60), 2);
        assert_eq!(per_minute(&rate, 61), 1);
        // The slot of second 0, used again.
        rate.add_one(at(60));
        assert_eq!(per_minute(&rate, 61), 2);
        assert_eq!(per_minute(&rate, 1000), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_nothing_that_is_yet_to_come() {
        let rate = LastMinute::default();
        rate.add_one(at(100));
        assert_eq!(per_minute(&rate, 50), 0);
        rate.add_one(at(50));
        assert_eq!(per_minute(&rate, 50), 1);
    }

    #[test]
    fn a_clock_may_stand_anywhere() {
        for millis in [0, u64::MAX] {
            let now = Timestamp::from_millis(millis);
            let (minute, day) = (LastMinute::default(), LastDay::default());
            minute.add_one(now);
            day.add_one(now);
            assert!(minute.per_second(now) > 0.0, "{now:?}");
            assert_eq!((day.counts(now)[23], LastDay::slots(now).count()), (1, 24), "{now:?}");
        }
    }

    #[test]
    fn a_day_has_its_hours_in_their_order() {
        let day = LastDay::default();
        // A whole hour.
        let began = 1_800_000_000_000 / 1000;
        assert_eq!(began % 3600, 0);
        for hour in [0, 0, 1, 23] {
            day.add_one(at(hour * 3600 + 1));
        }
        let counts = day.counts(at(23 * 3600 + 3599));
        assert_eq!((counts[0], counts[1], counts[2], counts[23]), (2, 1, 0, 1));
        assert!(LastDay::slots(at(23 * 3600)).eq((0..24).map(|hour| began + hour * 3600)));
        // An hour later the first one is gone, and its slot is used again.
        day.add_one(at(24 * 3600));
        let counts = day.counts(at(24 * 3600));
        assert_eq!((counts[0], counts[22], counts[23]), (1, 1, 1));
    }
}
