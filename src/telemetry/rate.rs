//! How often something happened in the last minute.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::telemetry::histogram::as_float;

const SECONDS: u64 = 60;
const SLOTS: usize = 60;
/// How many bits of a slot are its count; the rest say which second it counts for.
const COUNT_BITS: u32 = 24;
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;

/// Counts by the second, for a minute. A slot holds its second and its count in one number, so that
/// nobody ever adds to a count of a minute ago.
#[derive(Debug)]
pub(crate) struct LastMinute([AtomicU64; SLOTS]);

impl LastMinute {
    pub(crate) fn add_one(&self, now: Timestamp) {
        let second = second(now);
        let _always_some = self.slot(second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slot| {
            let count = if slot >> COUNT_BITS == second { (slot & MAX_COUNT) + 1 } else { 1 };
            Some(second << COUNT_BITS | count.min(MAX_COUNT))
        });
    }

    /// By the second, over the sixty seconds that end with the present one.
    pub(crate) fn per_second(&self, now: Timestamp) -> f64 {
        let now = second(now);
        let recent = self.0.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|slot| {
            let second = slot >> COUNT_BITS;
            second <= now && now - second < SECONDS
        });
        as_float(recent.map(|slot| slot & MAX_COUNT).sum()) / as_float(SECONDS)
    }

    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.0[usize::try_from(second % SECONDS).expect("it is less than sixty")]
    }
}

impl Default for LastMinute {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

fn second(time: Timestamp) -> u64 {
    (time.as_millis() / 1000) & (u64::MAX >> COUNT_BITS)
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
        let rate = LastMinute::default();
        for millis in [0, u64::MAX] {
            let now = Timestamp::from_millis(millis);
            rate.add_one(now);
            assert!(rate.per_second(now) > 0.0, "{now:?}");
        }
    }
}
