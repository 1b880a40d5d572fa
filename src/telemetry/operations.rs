//! What a store is asked for, and how long that takes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::histogram::{Histogram, Tally};
use super::stats::LATENCY_BUCKETS;
use crate::shards::Shards;
use crate::store::status::StoreStatus;

macro_rules! operations {
    (
        in stats { $($(#[$doc:meta])* $variant:ident $name:ident,)* }
        beside { $($other:ident $other_name:ident,)* }
    ) => {
        /// What a store is asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Operation {
            $($variant,)*
            $($other,)*
        }

        impl Operation {
            #[cfg(feature = "metrics")]
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)* $(Self::$other,)*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                    $(Self::$other => stringify!($other_name),)*
                }
            }
        }

        /// Durations of a store's operations by kind, failed ones included. Buckets from a microsecond
        /// to a second. [`Histogram`] has an example.
        ///
        /// Only one in 64 loads from a `MemoryStore` is timed, so `count` is not their number: see
        /// [`Counts`](crate::Counts) for that.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct StoreLatencies {
            $($(#[$doc])* pub $name: Histogram,)*
        }

        const IN_STATS: usize = [$(Operation::$variant),*].len();

        impl Latencies {
            pub(super) fn read(&self) -> StoreLatencies {
                let read = |operation: Operation| {
                    let of_it = self.tallies.all().map(|shard| &shard.0[operation as usize]);
                    Tally::read_all(&LATENCY_BUCKETS, of_it)
                };
                StoreLatencies { $($name: read(Operation::$variant),)* }
            }
        }

        /// The names of all operations, for documentation.
        #[cfg(feature = "metrics")]
        macro_rules! operation_names {
            () => {
                concat!($("`", stringify!($name), "` ",)* $("`", stringify!($other_name), "` "),*)
            };
        }
        #[cfg(feature = "metrics")]
        pub(super) use operation_names;
    };
}

// All are spans, and timed in the metrics.
operations! {
    in stats {
        /// Reading a session.
        Load load,
        /// Storing a new session.
        Create create,
        /// Storing a session's data again.
        Update update,
        /// Moving a session's end.
        Touch touch,
        /// Giving a session a new id.
        Rotate rotate,
        /// Deleting a session.
        Delete delete,
        /// A whole [`revoke`](crate::SessionManager::revoke).
        Revoke revoke,
        /// A whole [`revoke_all`](crate::SessionManager::revoke_all) or
        /// [`revoke_others`](crate::SessionManager::revoke_others).
        RevokeAll revoke_all,
        /// A whole [`revoke_everyone`](crate::SessionManager::revoke_everyone).
        RevokeEveryone revoke_everyone,
    }
    beside {
        IndexInsert index_insert,
        IndexList index_list,
        IndexRevoke index_revoke,
        IndexRevoked index_revoked,
        IndexRemove index_remove,
        ScanPage scan_page,
        ScanUsage scan_usage,
        ScanOwners scan_owners,
        FeedFind feed_find,
        HistoryRecord history_record,
        HistoryList history_list,
        HistoryForget history_forget,
        HistoryPage history_page,
    }
}

/// One load in so many is timed where the store is in this process: such a load takes so little that two
/// looks at the clock would be felt.
const TIMED_IN_MEMORY: u32 = 64;

/// One for each operation of [`StoreLatencies`].
#[derive(Debug)]
struct Tallies([Tally; IN_STATS]);

impl Default for Tallies {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Tally::new(&LATENCY_BUCKETS)))
    }
}

/// How long operations took.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// One load in so many is timed.
    loads_timed: u32,
    tallies: Shards<Tallies>,
}

impl Latencies {
    pub(super) fn new(store: &StoreStatus) -> Self {
        Self {
            loads_timed: if store.kind == "memory" { TIMED_IN_MEMORY } else { 1 },
            tallies: Shards::default(),
        }
    }

    /// When the operation began, if it is to be timed.
    pub(crate) fn start(&self, operation: Operation) -> Option<Instant> {
        thread_local! {
            static LOADS: Cell<u32> = const { Cell::new(0) };
        }
        if operation == Operation::Load && self.loads_timed > 1 {
            let load = LOADS.replace(LOADS.get().wrapping_add(1));
            if !load.is_multiple_of(self.loads_timed) {
                return None;
            }
        }
        Some(Instant::now())
    }

    pub(super) fn add(&self, operation: Operation, took: Duration) {
        if let Some(tally) = self.tallies.mine().0.get(operation as usize) {
            tally.add(took);
        }
    }
}
