//! How much of a record a store reads into memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that a record may have, shared by a store and the managers that use it.
#[derive(Clone, Debug)]
pub(crate) struct RecordLimit(Arc<AtomicUsize>);

impl RecordLimit {
    /// It holds also for a manager with a small `max_payload`: what was stored before that was lowered stays
    /// readable.
    const LEAST: usize = 2 << 20;
    /// A number that Redis takes for the end of a range.
    #[cfg(feature = "json")]
    const MOST: usize = isize::MAX as usize - 1;

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises the limit to twice `max_payload`: that leaves room for the head of a record, and for instances
    /// of a service that allow somewhat more.
    #[cfg(feature = "json")]
    pub(crate) fn make_room_for(&self, max_payload: usize) {
        let bytes = max_payload.saturating_mul(2).min(Self::MOST);
        self.0.fetch_max(bytes, Ordering::Relaxed);
    }
}

impl Default for RecordLimit {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(Self::LEAST)))
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;
    use crate::record::LONGEST_HEAD;

    #[test]
    fn whatever_a_manager_may_write_fits() {
        let limit = RecordLimit::default();
        for max_payload in [0, 1, 1000, 1 << 20, 1 << 21, (1 << 21) + 1, 8 << 20] {
            limit.make_room_for(max_payload);
            assert!(limit.bytes() >= max_payload + LONGEST_HEAD, "{max_payload}");
        }
    }

    #[test]
    fn the_largest_max_payload_counts() {
        let limit = RecordLimit::default();
        for (max_payload, bytes) in [
            (4096, 2 << 20),
            (1 << 20, 2 << 20),
            (3 << 20, 6 << 20),
            (4096, 6 << 20),
            (usize::MAX, RecordLimit::MOST),
        ] {
            limit.clone().make_room_for(max_payload);
            assert_eq!(limit.bytes(), bytes, "{max_payload}");
        }
    }
}
