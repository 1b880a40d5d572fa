//! What happened to the sessions in memory, by owner.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use foldhash::fast::RandomState;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryPage, OwnerHistory};
use crate::store::owner_index::Entry;
use crate::store::scan::{Cursor, Page};

/// What part of a store's bytes histories may take besides.
const SHARE: usize = 8;
/// What a history takes besides its entries: hash table, LRU queue and timer wheel.
const OVERHEAD: usize = 400;
/// What an entry takes in memory besides its label.
const ENTRY: usize = size_of::<HistoryEntry>();
/// So many of the latest entries are looked at for one that was sent twice.
const RECENT: usize = 16;
/// What cursors begin with: kind and version.
const MARK: &str = "mh1:";

/// The histories of a store. Those to which nothing was added for the longest time go when there are too many.
pub(super) struct Histories(Cache<OwnerHash, Arc<Held>, RandomState>);

/// One owner's history. What changes is behind a lock of its own, and is put again for its new weight.
#[derive(Default)]
struct Held(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The latest first.
    entries: VecDeque<HistoryEntry>,
    /// When it was forgotten, and until when that keeps entries out.
    forgotten: Option<(Timestamp, Instant)>,
    life: Duration,
    weight: u32,
}

impl Histories {
    pub(super) fn new(capacity: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity((capacity / SHARE) as u64)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, held: &Arc<Held>| held.kept().weight)
            .expire_after(StoredLife)
            .build_with_hasher(RandomState::default());
        Self(cache)
    }

    /// Frees what has expired and what is too much.
    pub(super) fn settle(&self) {
        self.0.run_pending_tasks();
    }

    /// One step for one owner. If it says so, what it has made is put again; and it goes if nothing is left.
    fn step<A>(&self, owner: OwnerHash, step: impl FnOnce(&mut Kept) -> (bool, A)) -> A {
        let mut answer = None;
        self.0.entry(owner).and_compute_with(|found| {
            let held = found.map_or_else(Arc::default, |entry| Arc::clone(entry.value()));
            let mut kept = held.kept();
            let (changed, it) = step(&mut kept);
            answer = Some(it);
            if !changed {
                return Op::Nop;
            }
            kept.weigh();
            drop(kept);
            Op::Put(held)
        });
        answer.expect("the step is made once")
    }
}

impl Held {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn weigh(&mut self) {
        let entries: usize = self.entries.iter().map(|entry| ENTRY + entry.label_length()).sum();
        self.weight = u32::try_from(OVERHEAD + entries).unwrap_or(u32::MAX);
    }

    fn record(&mut self, entry: &HistoryEntry, bounds: HistoryBounds) -> bool {
        let now = Instant::now();
        self.forgotten = self.forgotten.filter(|(_, until)| *until > now);
        let is_kept_out = self.forgotten.is_some_and(|(at, _)| entry.began <= at);
        if is_kept_out || self.entries.iter().take(RECENT).any(|known| known == entry) {
            return false;
        }
        self.entries.push_front(entry.clone());
        self.entries.truncate(usize::try_from(bounds.entries).unwrap_or(usize::MAX));
        let oldest = bounds.oldest(entry.at);
        while self.entries.back().is_some_and(|last| last.at <= oldest) {
            self.entries.pop_back();
        }
        self.life = bounds.age;
        true
    }

    fn forget(&mut self, now: Timestamp) -> u64 {
        let count = self.entries.len() as u64;
        self.entries = VecDeque::new();
        self.forgotten = Some((now, Instant::now() + Entry::ON_ITS_WAY));
        self.life = Entry::ON_ITS_WAY;
        count
    }
}

struct StoredLife;

impl moka::Expiry<OwnerHash, Arc<Held>> for StoredLife {
    fn expire_after_create(&self, _: &OwnerHash, held: &Arc<Held>, _: Instant) -> Option<Duration> {
        Some(held.kept().life)
    }

    fn expire_after_update(
        &self,
        _: &OwnerHash,
        held: &Arc<Held>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(held.kept().life)
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        self.histories.step(owner, |kept| (kept.record(entry, bounds), ()));
        Ok(())
    }

    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        let stored = self.histories.0.get(&owner);
        let stored = stored.map(|held| held.kept().entries.iter().cloned().collect());
        Ok(bounds.newest(stored.unwrap_or_default(), now))
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        Ok(self.histories.step(owner, |kept| (true, kept.forget(now))))
    }

    /// By the order of the owners' hashes.
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        let after = cursor.map(|cursor| super::owner_after(cursor, MARK)).transpose()?;
        let mut owners: Vec<_> = self.histories.0.iter().map(|(owner, held)| (*owner, held)).collect();
        owners.sort_unstable_by_key(|(owner, _)| *owner);
        let begin = owners.partition_point(|(owner, _)| after.is_some_and(|after| *owner <= after));
        let end = owners.len().min(begin + size.clamp(1, Page::MAX_SIZE));
        let page = &owners[begin..end];
        let next = page.last().filter(|_| end < owners.len());
        let history = |(owner, held): &(OwnerHash, Arc<Held>)| {
            let entries: Vec<_> = held.kept().entries.iter().cloned().collect();
            (!entries.is_empty()).then(|| OwnerHistory::new(*owner, entries))
        };
        #[expect(clippy::cast_precision_loss, reason = "it is about so much")]
        let progress = if owners.is_empty() { 1.0 } else { end as f64 / owners.len() as f64 };
        Ok(HistoryPage {
            next: next.map(|(owner, _)| Cursor::new(format!("{MARK}{owner}"))),
            histories: page.iter().filter_map(history).collect(),
            progress,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::id::SessionId;
    use crate::record::Owner;
    use crate::store::history::HistoryEvent;

    /// Whoever makes many owners fills no memory.
    #[tokio::test]
    async fn histories_are_bounded_in_bytes() {
        let capacity = 800_000;
        let (store, now) = (MemoryStore::with_capacity(capacity), SystemClock.now());
        let owner = |nth: u32| OwnerHash::of(&Owner::new(nth.to_string()).unwrap());
        let mut entry = HistoryEntry::new(now, HistoryEvent::SignedIn, SessionId::generate().key(), now);
        entry.label = crate::record::Label::truncated(&"l".repeat(256));
        let bounds = HistoryBounds::default();
        for nth in 0..1000 {
            store.record(owner(nth), &entry, bounds).await.unwrap();
        }
        store.histories.settle();
        let bytes = usize::try_from(store.histories.0.weighted_size()).unwrap();
        assert!((capacity / SHARE / 2..=capacity / SHARE).contains(&bytes), "{bytes}");
        assert_eq!(History::list(&store, owner(0), bounds, now).await.unwrap(), []);
        assert_eq!(History::list(&store, owner(999), bounds, now).await.unwrap(), [entry.clone()]);

        // One that grows counts for more.
        let lone = MemoryStore::with_capacity(capacity);
        for nth in 0..50 {
            entry.at = Timestamp::from_millis(now.as_millis() + nth);
            lone.record(owner(0), &entry, bounds).await.unwrap();
        }
        lone.histories.settle();
        assert_eq!(lone.histories.0.weighted_size(), (OVERHEAD + 50 * (ENTRY + 256)) as u64);
    }
}
