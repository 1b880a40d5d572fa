//! Until when everybody was told of all changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moment, and the [generation](super::Connections::generation) of the connections in which it was confirmed.
pub(super) struct Confirmed {
    start: Instant,
    /// Nanoseconds since `start`; zero where nothing is confirmed.
    until: AtomicU64,
    generation: AtomicU64,
}

impl Confirmed {
    pub(super) fn nothing() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0), generation: AtomicU64::new(0) }
    }

    /// Takes note that all changes from before `until` were told, by the servers that there are in `generation`.
    pub(super) fn confirm(&self, until: Instant, generation: u64) {
        let nanos = u64::try_from(until.saturating_duration_since(self.start).as_nanos()).unwrap_or(0);
        // Who reads between the two takes an earlier moment for one of this generation. What was kept before this
        // generation was given up as its first connections were made.
        self.generation.store(generation, Ordering::Release);
        self.until.store(nanos, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// What was confirmed last, if that was in this generation.
    pub(super) fn until(&self, generation: u64) -> Option<Instant> {
        let nanos = self.until.load(Ordering::Acquire);
        (nanos > 0 && self.generation.load(Ordering::Acquire) == generation)
            .then(|| self.start + Duration::from_nanos(nanos))
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
}
