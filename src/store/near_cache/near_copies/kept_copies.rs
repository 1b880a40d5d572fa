//! Where copies are kept, within a number of bytes, for all stores on the same connections.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use moka::Equivalent;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::id::SessionKey;
use crate::record::{MemoryBudget, Record};
use crate::store::memory;

/// For each that many bytes of copies there is a version: some three for each session.
const BYTES_PER_VERSION: usize = 512;

/// As many as there are lineages.
const MOST_VERSIONS: usize = 1 << 24;

pub(crate) struct KeptCopies {
    kept: Cache<Name, Arc<Kept>, RandomState>,
    versions: Box<[AtomicU64]>,
    /// For sessions as their readers decode them.
    room: Arc<MemoryBudget>,
    /// How many stores share the bytes.
    stores: AtomicU64,
}

/// The number of a store, and the key of a session there.
#[derive(PartialEq, Eq, Hash)]
struct Name(u64, SessionKey);

/// The same, to find it by.
struct NameRef<'k>(u64, &'k SessionKey);

pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) version: Version,
    pub(super) life: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) of_all: u64,
    pub(super) of_lineage: u64,
}

impl KeptCopies {
    pub(crate) fn new(bytes: usize) -> Self {
        let weight =
            |_: &Name, kept: &Arc<Kept>| u32::try_from(memory::weight(&kept.record)).unwrap_or(u32::MAX);
        let kept = Cache::builder()
            .max_capacity(bytes as u64)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(weight)
            .expire_after(Life)
            .build_with_hasher(RandomState::default());
        let versions = (bytes / BYTES_PER_VERSION).min(MOST_VERSIONS).next_power_of_two();
        Self {
            kept,
            versions: (0..versions).map(|_| AtomicU64::new(0)).collect(),
            room: Arc::new(MemoryBudget::new(bytes / 2)),
            stores: AtomicU64::new(0),
        }
    }

    /// The number of another store.
    pub(super) fn next_number(&self) -> u64 {
        self.stores.fetch_add(1, Ordering::Relaxed)
    }

    /// The record with its data in memory of its own, to be decoded once for all who read the copy.
    pub(super) fn in_own_memory(&self, record: Record) -> Record {
        Record { data: record.data.to_kept(&self.room), ..record }
    }

    pub(super) fn insert(&self, store: u64, key: &SessionKey, kept: Kept) {
        self.kept.insert(Name(store, key.clone()), Arc::new(kept));
    }

    pub(super) fn get(&self, store: u64, key: &SessionKey) -> Option<Arc<Kept>> {
        self.kept.get(&NameRef(store, key))
    }

    /// Answers whether it was there.
    pub(super) fn remove(&self, store: u64, key: &SessionKey) -> bool {
        let name = NameRef(store, key);
        let is_there = self.kept.contains_key(&name);
        if is_there {
            self.kept.invalidate(&name);
        }
        is_there
    }

    /// What others keep stays. Where there are others, what is of no use any more goes as it would if nobody read it.
    pub(super) fn remove_all_of(&self, store: u64) {
        if store == 0 && self.stores.load(Ordering::Relaxed) == 1 {
            self.kept.invalidate_all();
        }
    }

    /// Of the session's lineage; others may share it.
    pub(super) fn version_of_lineage(&self, store: u64, key: &SessionKey) -> &AtomicU64 {
        #[expect(clippy::cast_possible_truncation, reason = "stores are not that many")]
        let number = store as u32;
        let hash = key.lineage().bytes().fold(0, |hash: u32, byte| hash.rotate_left(6) ^ u32::from(byte));
        // Multiplied, since the last bits of text are alike.
        let spread = hash.wrapping_add(number).wrapping_mul(0x9E37_79B1) >> 8;
        &self.versions[spread as usize % self.versions.len()]
    }

    pub(super) fn count(&self) -> u64 {
        self.kept.entry_count()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.weighted_size()
    }

    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.kept.run_pending_tasks();
    }
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As it is derived for a `Name`.
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == name.0 && *self.1 == name.1
    }
}

struct Life;

impl moka::Expiry<Name, Arc<Kept>> for Life {
    fn expire_after_create(&self, _: &Name, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.life)
    }

    fn expire_after_update(
        &self,
        _: &Name,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.life)
    }
}

impl fmt::Debug for KeptCopies {
    // moka's own `Debug` prints every entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptCopies").field("stores", &self.stores).finish_non_exhaustive()
    }
}
