//! Where sessions are kept: those with an owner apart from the others, so that visitors without one can't
//! push them out.
//!
//! There are two caches of one capacity. Each holds, besides its sessions, a ballast as heavy as what the
//! other one may take of the capacity, so both together stay within it and each forgets what it used the
//! longest time ago.
//!
//! A key is in one of the two. It moves at most once, when its session gets an owner: it is put among the
//! owned ones before it is taken from the others, under the lock of its entry there. So whoever finds it in
//! neither looks among the owned ones again.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Entry, StoredTtl};
use crate::id::{SessionId, SessionKey};
use crate::record::{Envelope, Moved, Revision};
use crate::ttl::{MAX_TTL, Ttl};

/// What part of the capacity visitors without an owner have for themselves: everybody who signs in is one.
const LEAST_FOR_VISITORS: u64 = 16;

/// Keys are hashes already, and none is stored that this service did not sign: a quick hash will do.
type Sessions = Cache<SessionKey, Arc<Entry>, RandomState>;

pub(super) struct Shelves {
    owned: Shelf,
    others: Shelf,
    /// In units of weight, as all sizes here.
    capacity: u64,
    /// What both weighed when they were balanced last.
    balanced: [AtomicU64; 2],
    balancing: Mutex<()>,
}

struct Shelf {
    cache: Sessions,
    ballast: SessionKey,
    unit: usize,
}

impl Shelves {
    pub(super) fn new(capacity: usize) -> Self {
        // A weight has 32 bits.
        let unit = (capacity >> 31) + 1;
        let capacity = (capacity / unit) as u64;
        Self {
            owned: Shelf::new(capacity, unit),
            others: Shelf::new(capacity, unit),
            capacity,
            balanced: [AtomicU64::new(0), AtomicU64::new(0)],
            balancing: Mutex::new(()),
        }
    }

    pub(super) fn get(&self, key: &SessionKey) -> Option<Arc<Entry>> {
        let [owned, others] = [&self.owned.cache, &self.others.cache];
        owned.get(key).or_else(|| others.get(key)).or_else(|| owned.get(key))
    }

    pub(super) fn contains(&self, key: &SessionKey) -> bool {
        let [owned, others] = [&self.owned.cache, &self.others.cache];
        owned.contains_key(key) || others.contains_key(key) || owned.contains_key(key)
    }

    /// One atomic step: what it finds under `key`, what it makes of it, and what it answers.
    pub(super) fn step<A>(
        &self,
        key: &SessionKey,
        decide: impl FnOnce(Option<&Envelope>) -> (Op<Arc<Entry>>, A),
    ) -> A {
        let mut next = ControlFlow::Continue(decide);
        let answer = loop {
            next = match next {
                ControlFlow::Break(answer) => break answer,
                ControlFlow::Continue(decide) if self.owned.cache.contains_key(key) => {
                    self.step_among_owned(key, decide)
                }
                ControlFlow::Continue(decide) => self.step_among_others(key, decide),
            };
        };
        self.balance();
        answer
    }

    /// A step for a key that is among the owned ones; else it is still to be made.
    fn step_among_owned<A, F>(&self, key: &SessionKey, decide: F) -> ControlFlow<A, F>
    where
        F: FnOnce(Option<&Envelope>) -> (Op<Arc<Entry>>, A),
    {
        let mut state = Some(ControlFlow::Continue(decide));
        self.owned.cache.entry_by_ref(key).and_compute_with(|found| {
            let Some(entry) = found else { return Op::Nop };
            let Some(ControlFlow::Continue(decide)) = state.take() else { return Op::Nop };
            let (op, answer) = decide(Some(&entry.value().held));
            state = Some(ControlFlow::Break(answer));
            op
        });
        state.expect("a step is made or still to be made")
    }

    /// A step for a key that is not among the owned ones; else it is still to be made.
    fn step_among_others<A, F>(&self, key: &SessionKey, decide: F) -> ControlFlow<A, F>
    where
        F: FnOnce(Option<&Envelope>) -> (Op<Arc<Entry>>, A),
    {
        let mut state = Some(ControlFlow::Continue(decide));
        self.others.cache.entry_by_ref(key).and_compute_with(|found| {
            if found.is_none() && self.owned.cache.contains_key(key) {
                return Op::Nop;
            }
            let Some(ControlFlow::Continue(decide)) = state.take() else { return Op::Nop };
            let (op, answer) = decide(found.as_ref().map(|entry| &entry.value().held));
            state = Some(ControlFlow::Break(answer));
            match op {
                Op::Put(entry) if entry.is_owned => {
                    self.owned.cache.insert(key.clone(), entry);
                    if found.is_some() { Op::Remove } else { Op::Nop }
                }
                op => op,
            }
        });
        state.expect("a step is made or still to be made")
    }

    /// All that is held. What moves meanwhile may come twice.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<SessionKey>, Arc<Entry>)> {
        self.others.iter().chain(self.owned.iter())
    }

    /// About how many entries there are.
    pub(super) fn count(&self) -> u64 {
        self.owned.count() + self.others.count()
    }

    /// Frees what has expired and what is too much.
    pub(super) fn settle(&self) {
        self.owned.cache.run_pending_tasks();
        self.others.cache.run_pending_tasks();
        self.balance();
    }

    /// Divides the capacity anew if anything came or went. Each cache counts its entries every 64 writes,
    /// so that is how often there is something to do.
    fn balance(&self) {
        let weights = || [&self.owned, &self.others].map(|shelf| shelf.cache.weighted_size());
        let known = || [&self.balanced[0], &self.balanced[1]].map(|weight| weight.load(Ordering::Relaxed));
        if weights() == known() {
            return;
        }
        let Ok(_alone) = self.balancing.try_lock() else { return };
        let for_visitors = self.capacity / LEAST_FOR_VISITORS;
        self.others.weigh_down(self.owned.used().min(self.capacity - for_visitors));
        self.owned.weigh_down(self.others.used().min(for_visitors));
        for (known, weight) in self.balanced.iter().zip(weights()) {
            known.store(weight, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.owned.used() + self.others.used()
    }
}

impl Shelf {
    fn new(capacity: u64, unit: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity)
            // moka's default, TinyLFU, turns new sessions away in favour of much-used ones.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(move |_, entry: &Arc<Entry>| {
                u32::try_from(entry.weight.div_ceil(unit)).unwrap_or(u32::MAX)
            })
            .expire_after(StoredTtl)
            .build_with_hasher(RandomState::default());
        Self { cache, ballast: SessionId::generate().key(), unit }
    }

    /// What the sessions weigh.
    fn used(&self) -> u64 {
        self.cache.weighted_size().saturating_sub(self.ballast())
    }

    fn count(&self) -> u64 {
        let ballast = u64::from(self.cache.contains_key(&self.ballast));
        self.cache.entry_count().saturating_sub(ballast)
    }

    fn ballast(&self) -> u64 {
        self.cache.get(&self.ballast).map_or(0, |entry| (entry.weight / self.unit) as u64)
    }

    /// Puts a ballast of this weight in place of the present one, as what was used last.
    fn weigh_down(&self, weight: u64) {
        if weight == 0 && self.ballast() == 0 {
            return;
        }
        self.cache.insert(self.ballast.clone(), self.make_ballast(weight));
        self.cache.run_pending_tasks();
    }

    fn make_ballast(&self, weight: u64) -> Arc<Entry> {
        let nowhere = Revision::fresh();
        let held = Envelope::Moved(Moved {
            successor: self.ballast.clone(),
            revision: nowhere,
            previous_revision: nowhere,
        });
        let weight = usize::try_from(weight).unwrap_or(usize::MAX).saturating_mul(self.unit);
        Arc::new(Entry { weight, ..Entry::of(held, Ttl::new(MAX_TTL), false) })
    }

    fn iter(&self) -> impl Iterator<Item = (Arc<SessionKey>, Arc<Entry>)> {
        self.cache.iter().filter(|(key, _)| **key != self.ballast)
    }
}
