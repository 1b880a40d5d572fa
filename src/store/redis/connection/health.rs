//! What happens to the connections, and how they are.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::store::status::{StoreStatus, Topology};

/// Whether there is a connection, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) connected: bool,
    pub(super) since: Timestamp,
}

impl Status {
    pub(super) fn now(connected: bool) -> Self {
        Self { connected, since: SystemClock.now() }
    }

    /// That of several of which one is enough.
    pub(super) fn of_any(all: impl IntoIterator<Item = Self>) -> Self {
        let better = |a: Self, b: Self| match (a.connected, b.connected) {
            (true, false) => a,
            (false, true) => b,
            (true, true) => Self { connected: true, since: a.since.min(b.since) },
            (false, false) => Self { connected: false, since: a.since.max(b.since) },
        };
        all.into_iter().reduce(better).unwrap_or(Self::now(false))
    }

    /// That of several of which all are needed.
    pub(super) fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let worse = |a: Self, b: Self| match (a.connected, b.connected) {
            (true, false) => b,
            (false, true) => a,
            (true, true) => Self { connected: true, since: a.since.max(b.since) },
            (false, false) => Self { connected: false, since: a.since.min(b.since) },
        };
        all.into_iter().reduce(worse).unwrap_or(Self::now(false))
    }
}

/// What happened on the connections of one store.
#[derive(Default)]
pub(super) struct Journal {
    reconnects: AtomicU64,
    unreplicated: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Told of each loss.
    listener: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Journal {
    pub(super) fn with_listener(listener: impl Fn() + Send + Sync + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..Self::default() }
    }

    pub(super) fn lost(&self) {
        if let Some(listener) = &self.listener {
            listener();
        }
    }

    pub(super) fn failed(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    pub(super) fn unreplicated(&self) {
        self.unreplicated.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn status(&self, topology: Topology, status: Status) -> StoreStatus {
        StoreStatus {
            kind: "redis",
            topology: Some(topology),
            connected: status.connected,
            since: Some(status.since),
            last_error: self.last_error(),
            reconnects: self.reconnects(),
            unreplicated: self.unreplicated.load(Ordering::Relaxed),
            ..StoreStatus::default()
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("reconnects", &self.reconnects).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(since: u64) -> Status {
        Status { connected: true, since: Timestamp::from_millis(since) }
    }

    fn down(since: u64) -> Status {
        Status { connected: false, since: Timestamp::from_millis(since) }
    }

    #[test]
    fn of_several_one_is_enough_or_all_are_needed() {
        for (several, any, all) in [
            ([up(1), up(2)], up(1), up(2)),
            ([up(1), down(2)], up(1), down(2)),
            ([down(1), up(2)], up(2), down(1)),
            ([down(1), down(2)], down(2), down(1)),
        ] {
            assert_eq!(Status::of_any(several), any, "{several:?}");
            assert_eq!(Status::of_all(several), all, "{several:?}");
        }
        assert!(!Status::of_any([]).connected && !Status::of_all([]).connected);
    }
}
