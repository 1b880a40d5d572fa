//! Copies that are right, or are not used.
//!
//! Each session has a version here, which every change moves on. A copy has the one from before its session was asked
//! for, and is used only while the session's is the same: what was read before a change and arrives after it is
//! never taken for what is there now, whichever thread is first.
//!
//! Versions are kept by lineage, which a session keeps whatever its id: a write that follows a renewal, or the deletion
//! of a chain of them, changes sessions whose keys nobody here knows. Lineages share versions where there are too few;
//! a copy is given up in vain then.
//!
//! Stores on the same connections share the bytes and the versions by lineage. What is one's is found under its number
//! alone: the keys of two may be the same.

mod kept_copies;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) use self::kept_copies::KeptCopies;
use self::kept_copies::{Kept, Version};
use super::NearCacheStatus;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::shards::Shards;
use crate::store::Loaded;
use crate::store::feed::{Copies, CopySource};
use crate::store::status::StoreStatus;

/// The copies of one store's sessions.
pub(crate) struct NearCopies {
    kept: Arc<KeptCopies>,
    /// Of the store, among those that share the bytes.
    number: u64,
    /// The version of all its sessions together.
    version: AtomicU64,
    bound: Duration,
    counts: Shards<Counts>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
    invalidated: AtomicU64,
}

impl NearCopies {
    /// Copies of what `source` has, which tells when they change.
    pub(crate) fn of(source: &dyn CopySource, kept: &Arc<KeptCopies>, bound: Duration) -> Arc<Self> {
        let copies = Arc::new(Self::new(kept, bound));
        source.subscribe(Arc::<Self>::downgrade(&copies), bound);
        copies
    }

    fn new(kept: &Arc<KeptCopies>, bound: Duration) -> Self {
        Self {
            number: kept.next_number(),
            kept: Arc::clone(kept),
            version: AtomicU64::new(0),
            bound,
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
                let record = self.kept.in_own_memory(record);
                let life = life.saturating_sub(asked.elapsed());
                self.kept.insert(self.number, key, Kept { record: record.clone(), version, life });
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

    /// How old a copy may be.
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
            copies: self.kept.count(),
            bytes: self.kept.bytes(),
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
        let kept = self.kept.get(self.number, key)?;
        (kept.version == self.version(key)).then(|| kept.record.clone())
    }

    fn version(&self, key: &SessionKey) -> Version {
        Version {
            of_all: self.version.load(Ordering::Acquire),
            of_lineage: self.of_lineage(key).load(Ordering::Acquire),
        }
    }

    fn of_lineage(&self, key: &SessionKey) -> &AtomicU64 {
        self.kept.version_of_lineage(self.number, key)
    }
}

impl Copies for NearCopies {
    fn changed(&self, key: &SessionKey) {
        self.of_lineage(key).fetch_add(1, Ordering::Release);
        if self.kept.remove(self.number, key) {
            self.counts.mine().invalidated.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all_changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.kept.remove_all_of(self.number);
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

impl fmt::Debug for NearCopies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCopies").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
