//! Copies that are right, or are not used.
//!
//! Each session has a version here, which every change moves on. A copy has the one from before its session was asked
//! for, and is used only while the session's is the same: what was read before a change and arrives after it is
//! never taken for what is there now, whichever thread is first.
//!
//! Versions are kept by lineage, which a session keeps whatever its id: a write that follows a renewal, or the deletion
//! of a chain of them, changes sessions whose keys nobody here knows. Lineages share versions where there are too few;
//! a copy is given up in vain then.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::NearCacheStatus;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{MemoryBudget, Record};
use crate::shards::Shards;
use crate::store::Loaded;
use crate::store::feed::{Copies, CopySource};
use crate::store::memory;
use crate::store::status::StoreStatus;

/// For each that many bytes of copies there is a version: some three for each session.
const BYTES_PER_VERSION: usize = 512;

/// As many as there are lineages.
const MOST_VERSIONS: usize = 1 << 24;

pub(crate) struct NearCopies {
    kept: Cache<SessionKey, Arc<Kept>, RandomState>,
    versions: Box<[AtomicU64]>,
    /// The version of all sessions together.
    version: AtomicU64,
    bound: Duration,
    /// For sessions as their readers decode them.
    room: Arc<MemoryBudget>,
    counts: Shards<Counts>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
    invalidated: AtomicU64,
}

struct Kept {
    record: Record,
    version: Version,
    life: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    of_all: u64,
    of_lineage: u64,
}

impl NearCopies {
    pub(super) fn new(bytes: usize, bound: Duration) -> Self {
        let weight = |_: &SessionKey, kept: &Arc<Kept>| {
            u32::try_from(memory::weight(&kept.record)).unwrap_or(u32::MAX)
        };
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
            version: AtomicU64::new(0),
            bound,
            room: Arc::new(MemoryBudget::new(bytes / 2)),
            counts: Shards::default(),
        }
    }

    /// The session of `key`: from a copy that is confirmed, or else from the source.
    pub(crate) async fn load(&self, source: &dyn CopySource, key: &SessionKey) -> Result<Loaded, Error> {
        let counts = self.counts.mine();
        if !self.are_confirmed(source) {
            counts.bypassed.fetch_add(1, Ordering::Relaxed);
        } else if let Some(record) = self.copy(key) {
            counts.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Loaded::Found(record));
        } else {
            counts.misses.fetch_add(1, Ordering::Relaxed);
        }
        self.load_fresh(source, key).await
    }

    /// The session of `key` from the source, to be copied.
    pub(crate) async fn load_fresh(
        &self,
        source: &dyn CopySource,
        key: &SessionKey,
    ) -> Result<Loaded, Error> {
        let (version, asked) = (self.version(key), Instant::now());
        Ok(match source.load_to_copy(key).await? {
            // What was not told of by now, and is from before then, may never be told.
            (Loaded::Found(record), Some(life)) if self.are_confirmed(source) => {
                let record = Record { data: record.data.to_kept(&self.room), ..record };
                let life = life.saturating_sub(asked.elapsed());
                self.kept.insert(key.clone(), Arc::new(Kept { record: record.clone(), version, life }));
                Loaded::Found(record)
            }
            (loaded, _) => loaded,
        })
    }

    /// A write of the session of `key`, or of one that it became: what is copied meanwhile is not used after it.
    pub(crate) async fn during<A>(&self, key: &SessionKey, write: impl Future<Output = A>) -> A {
        self.changed(key);
        let _until_its_end = Writing { copies: self, key };
        write.await
    }

    #[cfg(feature = "json")]
    pub(crate) fn bound(&self) -> Duration {
        self.bound
    }

    /// The status of the store that these are copies of, with theirs.
    pub(crate) fn add_to(&self, status: StoreStatus, source: &dyn CopySource) -> StoreStatus {
        StoreStatus { near_cache: Some(self.status(source)), ..status }
    }

    fn status(&self, source: &dyn CopySource) -> NearCacheStatus {
        let sum = |count: fn(&Counts) -> &AtomicU64| {
            self.counts.all().map(|counts| count(counts).load(Ordering::Relaxed)).sum()
        };
        NearCacheStatus {
            trusted: self.are_confirmed(source),
            copies: self.kept.entry_count(),
            bytes: self.kept.weighted_size(),
            hits: sum(|counts| &counts.hits),
            misses: sum(|counts| &counts.misses),
            bypassed: sum(|counts| &counts.bypassed),
            invalidated: sum(|counts| &counts.invalidated),
            emptied: self.version.load(Ordering::Relaxed),
        }
    }

    fn are_confirmed(&self, source: &dyn CopySource) -> bool {
        source.told_until().is_some_and(|told| told.elapsed() <= self.bound)
    }

    fn copy(&self, key: &SessionKey) -> Option<Record> {
        let kept = self.kept.get(key)?;
        (kept.version == self.version(key)).then(|| kept.record.clone())
    }

    fn version(&self, key: &SessionKey) -> Version {
        Version {
            of_all: self.version.load(Ordering::Acquire),
            of_lineage: self.of_lineage(key).load(Ordering::Acquire),
        }
    }

    fn of_lineage(&self, key: &SessionKey) -> &AtomicU64 {
        let hash = key.lineage().bytes().fold(0, |hash: u32, byte| hash.rotate_left(6) ^ u32::from(byte));
        // Multiplied, since the last bits of text are alike.
        let spread = hash.wrapping_mul(0x9E37_79B1) >> 8;
        &self.versions[spread as usize % self.versions.len()]
    }
}

impl Copies for NearCopies {
    fn changed(&self, key: &SessionKey) {
        self.of_lineage(key).fetch_add(1, Ordering::Release);
        if self.kept.contains_key(key) {
            self.kept.invalidate(key);
            self.counts.mine().invalidated.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all_changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.kept.invalidate_all();
    }
}

/// A write that is under way. Its end, be it that of a request that was dropped, counts as a change too: whatever was read
/// before may be from before the write.
struct Writing<'a> {
    copies: &'a NearCopies,
    key: &'a SessionKey,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.copies.changed(self.key);
    }
}

struct Life;

impl moka::Expiry<SessionKey, Arc<Kept>> for Life {
    fn expire_after_create(&self, _: &SessionKey, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.life)
    }

    fn expire_after_update(
        &self,
        _: &SessionKey,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.life)
    }
}

impl fmt::Debug for NearCopies {
    // moka's own `Debug` prints every entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCopies").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
