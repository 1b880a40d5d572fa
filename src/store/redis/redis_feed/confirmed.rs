//! Until when everybody was told of all changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock as _, SystemClock, Timestamp};

/// By so much the two clocks may differ.
const SLACK: Duration = Duration::from_secs(1);

/// A moment, and the [generation](super::Connections::generation) of the connections in which it was confirmed.
pub(super) struct Confirmed {
    start: Instant,
    /// Nanoseconds since `start`; zero where nothing is confirmed.
    until: AtomicU64,
    generation: AtomicU64,
    /// The same moment by the clock on the wall, which goes on while the machine is suspended.
    by_the_wall: AtomicU64,
}

impl Confirmed {
    pub(super) fn nothing() -> Self {
        let [until, generation, by_the_wall] = [(); 3].map(|()| AtomicU64::new(0));
        Self { start: Instant::now(), until, generation, by_the_wall }
    }

    /// Takes note that all changes from before `until` were told, by the servers that there are in `generation`.
    pub(super) fn confirm(&self, until: Instant, generation: u64) {
        let nanos = u64::try_from(until.saturating_duration_since(self.start).as_nanos()).unwrap_or(0);
        let by_the_wall = SystemClock.now().saturating_sub(until.elapsed());
        // Who reads in between takes an earlier moment for one of this generation. What was kept before this
        // generation was given up as its first connections were made.
        self.generation.store(generation, Ordering::Release);
        self.by_the_wall.store(by_the_wall.as_millis(), Ordering::Release);
        self.until.store(nanos, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// What was confirmed last, if that was in this generation, and the machine has not slept since.
    pub(super) fn until(&self, generation: u64) -> Option<Instant> {
        self.until_at(SystemClock.now(), generation)
    }

    fn until_at(&self, now: Timestamp, generation: u64) -> Option<Instant> {
        let nanos = self.until.load(Ordering::Acquire);
        if nanos == 0 || self.generation.load(Ordering::Acquire) != generation {
            return None;
        }
        let until = self.start + Duration::from_nanos(nanos);
        let by_the_wall = Timestamp::from_millis(self.by_the_wall.load(Ordering::Acquire));
        (now.saturating_since(by_the_wall) <= until.elapsed() + SLACK).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_counts_in_its_generation_alone() {
        let (confirmed, now) = (Confirmed::nothing(), Instant::now() + Duration::from_secs(1));
        assert_eq!(confirmed.until(0), None);
        confirmed.confirm(now, 3);
        assert_eq!(confirmed.until(3), Some(now));
        assert_eq!(confirmed.until(4), None);
        confirmed.confirm(now, 4);
        assert_eq!(confirmed.until(4), Some(now));
        confirmed.clear();
        assert_eq!(confirmed.until(4), None);
    }

    /// `Instant` may stand still then, so that a copy of an hour ago would look like one of a moment ago.
    #[test]
    fn nothing_is_confirmed_after_the_machine_has_slept() {
        let (confirmed, began) = (Confirmed::nothing(), Instant::now() + Duration::from_millis(1));
        confirmed.confirm(began, 1);
        let now = SystemClock.now();
        assert!(confirmed.until_at(now, 1).is_some());
        assert_eq!(confirmed.until_at(now.saturating_add(Duration::from_secs(3600)), 1), None);
        confirmed.confirm(began, 1);
        assert!(confirmed.until(1).is_some());
    }
}
