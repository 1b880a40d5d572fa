//! Whose sessions are in memory.
//!
//! No step takes time that grows with how many sessions an owner has, but for a logarithm: all are revoked by
//! counting up a generation, and the rest is done page by page.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::MemoryStore;
use super::memory_scan::OWNERS;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::OwnerHash;
use crate::store::owner_index::{
    Entry, Evict, IndexInsert, IndexInserted, MARGIN, Owned, OwnerIndex, OwnerLimit, Revocation, Stage,
    Verdict,
};
use crate::store::scan::{Cursor, OwnersPage};

/// So many entries whose time has passed a step forgets.
const TRIMMED: usize = 200;
/// The group of revoked sessions that were not found: they are kept out for a while.
const MISSING: u64 = 0;
/// The group of sessions that were revoked one by one.
const ALONE: u64 = 1;
/// The first generation. All groups below the present generation are revoked.
const FIRST_GENERATION: u64 = 2;

/// What is known of each owner.
pub(super) struct Owners {
    all: Mutex<BTreeMap<OwnerHash, Known>>,
    /// Ends are told from here on.
    epoch: Instant,
}

impl Default for Owners {
    fn default() -> Self {
        Self { all: Mutex::default(), epoch: Instant::now() }
    }
}

struct Known {
    places: HashMap<SessionKey, Place>,
    /// The same by group, end and number.
    order: BTreeMap<Position, SessionKey>,
    numbers: u64,
    generation: u64,
    /// How many entries are of the present generation.
    live: usize,
    /// When all were revoked, and until when that is known.
    revoked_at: Option<(Timestamp, Duration)>,
}

/// Group, end and number of an entry.
type Position = (u64, Duration, u64);

/// An entry, but for its key.
#[derive(Clone, Copy)]
struct Place {
    position: Position,
    created_at: Timestamp,
    written: bool,
}

#[async_trait]
impl OwnerIndex for MemoryStore {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        Ok(self.owners.with(owner, |known, now| known.insert(entering, now)))
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let after = after.map(position).transpose()?;
        Ok(self.owners.with(owner, |known, now| known.list(after, now)))
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        self.owners.with(owner, |known, now| known.revoke(which, now));
        Ok(())
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        Ok(self.owners.with(owner, |known, _| known.revoked(Owned::PAGE)))
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        self.owners.with(owner, |known, now| known.remove(gone, missing, now));
        Ok(())
    }
}

impl MemoryStore {
    /// Whether a session is in the index; `Some(false)` if it is revoked.
    pub(crate) fn is_entered(&self, owner: OwnerHash, entry: &Entry) -> Option<bool> {
        self.owners.with(owner, |known, now| {
            if known.is_revoked(entry) {
                return Some(false);
            }
            known.live_place(&entry.key, now).map(|_| true)
        })
    }
}

impl Owners {
    /// One step for one owner, who is forgotten if nothing is left.
    fn with<A>(&self, owner: OwnerHash, step: impl FnOnce(&mut Known, Duration) -> A) -> A {
        let now = self.epoch.elapsed();
        match self.lock().entry(owner) {
            Slot::Vacant(vacant) => {
                let mut known = Known::new();
                let answer = step(&mut known, now);
                if !known.is_empty() {
                    vacant.insert(known);
                }
                answer
            }
            Slot::Occupied(mut occupied) => {
                let known = occupied.get_mut();
                known.forget_what_has_ended(now);
                let answer = step(known, now);
                if known.is_empty() {
                    occupied.remove();
                }
                answer
            }
        }
    }

    /// The owners after this one, by the order of their hashes.
    pub(super) fn page(&self, after: Option<OwnerHash>, size: usize) -> OwnersPage {
        let all = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = all.range((from, Bound::Unbounded)).map(|(owner, _)| *owner);
        let owners: Vec<_> = rest.by_ref().take(size).collect();
        let next = owners.last().filter(|_| rest.next().is_some());
        OwnersPage {
            next: next.map(|owner| Cursor::new(format!("{OWNERS}{owner}"))),
            progress: next.map_or(1.0, |owner| owner.share()),
            owners,
        }
    }

    /// Forgets what has ended, and sessions that were written and that the store does not hold (any
    /// more): full, it forgets sessions before their time. A page at a time, so that nobody waits for long.
    pub(super) fn sweep(&self, is_held: impl Fn(&SessionKey) -> bool) {
        let mut from: Option<(OwnerHash, Option<Position>)> = None;
        loop {
            let mut owners = self.lock();
            let lowest = from.as_ref().map_or(Bound::Unbounded, |(owner, after)| match after {
                Some(_) => Bound::Included(owner),
                None => Bound::Excluded(owner),
            });
            let now = self.epoch.elapsed();
            let mut room = Owned::PAGE;
            let mut empty = Vec::new();
            let mut reached = None;
            for (owner, known) in owners.range_mut::<OwnerHash, _>((lowest, Bound::Unbounded)) {
                let after = from.take().and_then(|(at, after)| after.filter(|_| at == *owner));
                known.forget_what_has_ended(now);
                let after = known.forget_lost(after, &mut room, &is_held);
                if known.is_empty() {
                    empty.push(*owner);
                }
                room = room.saturating_sub(1);
                if after.is_some() || room == 0 {
                    reached = Some((*owner, after));
                    break;
                }
            }
            for owner in empty {
                owners.remove(&owner);
            }
            if reached.is_none() {
                return;
            }
            from = reached;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OwnerHash, Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new() -> Self {
        Self {
            places: HashMap::new(),
            order: BTreeMap::new(),
            numbers: 0,
            generation: FIRST_GENERATION,
            live: 0,
            revoked_at: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty() && self.revoked_at.is_none()
    }

    fn forget_what_has_ended(&mut self, now: Duration) {
        // Of revoked generations, the one that is next to be deleted.
        let next = self.order.range((FIRST_GENERATION, Duration::ZERO, 0)..).next();
        let next = next.map_or(self.generation, |((group, ..), _)| *group);
        for group in [MISSING, ALONE, next, self.generation] {
            let ended = self.order.range((group, Duration::ZERO, 0)..=(group, now, u64::MAX));
            let ended: Vec<_> = ended.take(TRIMMED).map(|(_, key)| key.clone()).collect();
            for key in ended {
                self.take(&key);
            }
        }
        self.revoked_at = self.revoked_at.filter(|(_, until)| *until > now);
    }

    /// Forgets sessions that are not held: of a page from here on. Answers where it stopped.
    fn forget_lost(
        &mut self,
        after: Option<Position>,
        room: &mut usize,
        is_held: impl Fn(&SessionKey) -> bool,
    ) -> Option<Position> {
        let from = after.map_or(Bound::Included((self.generation, Duration::ZERO, 0)), Bound::Excluded);
        let page = self.order.range((from, Bound::Unbounded)).take(*room);
        let (mut last, mut lost, mut looked_at) = (None, Vec::new(), 0);
        for (position, key) in page {
            (last, looked_at) = (Some(*position), looked_at + 1);
            if self.places[key].written && !is_held(key) {
                lost.push(key.clone());
            }
        }
        for key in lost {
            self.take(&key);
        }
        let is_over = looked_at < *room;
        *room -= looked_at;
        last.filter(|_| !is_over)
    }

    fn place(&self, key: &SessionKey) -> Option<Place> {
        self.places.get(key).copied()
    }

    fn live_place(&self, key: &SessionKey, now: Duration) -> Option<Place> {
        self.place(key).filter(|place| place.position.0 == self.generation && place.position.1 > now)
    }

    fn is_revoked(&self, entry: &Entry) -> bool {
        self.place(&entry.key).is_some_and(|place| place.position.0 < self.generation)
    }

    fn take(&mut self, key: &SessionKey) -> Option<Place> {
        let place = self.places.remove(key)?;
        self.order.remove(&place.position);
        self.live -= usize::from(place.position.0 == self.generation);
        Some(place)
    }

    fn put(&mut self, key: &SessionKey, group: u64, ends: Duration, created_at: Timestamp, written: bool) {
        self.take(key);
        self.numbers += 1;
        let position = (group, ends, self.numbers);
        self.order.insert(position, key.clone());
        self.live += usize::from(group == self.generation);
        self.places.insert(key.clone(), Place { position, created_at, written });
    }

    fn entry(&self, key: &SessionKey) -> Entry {
        Entry { key: key.clone(), created_at: self.places[key].created_at }
    }

    fn revoked(&self, most: usize) -> Vec<Entry> {
        let revoked = self.order.range((ALONE, Duration::ZERO, 0)..(self.generation, Duration::ZERO, 0));
        revoked.take(most).map(|(_, key)| self.entry(key)).collect()
    }

    /// The entries of the present generation that have not ended, by their end.
    fn live(&self, now: Duration) -> impl Iterator<Item = (&Position, &SessionKey)> {
        self.order.range((Bound::Excluded((self.generation, now, u64::MAX)), Bound::Unbounded))
    }

    fn list(&self, after: Option<(Duration, u64)>, now: Duration) -> Owned {
        let (ends, number) = after.unwrap_or_default().max((now, u64::MAX));
        let from = Bound::Excluded((self.generation, ends, number));
        let page: Vec<_> = self.order.range((from, Bound::Unbounded)).take(Owned::PAGE).collect();
        let last = page.last().filter(|_| page.len() == Owned::PAGE);
        Owned {
            next: last.map(|((_, ends, number), _)| Cursor::new(format!("{}-{number}", ends.as_nanos()))),
            pending: page
                .iter()
                .filter(|(_, key)| !self.places[*key].written)
                .map(|(_, key)| self.entry(key))
                .collect(),
            entries: page.into_iter().map(|(_, key)| self.entry(key)).collect(),
            revoked: self.revoked(IndexInserted::MOST_REVOKED),
            revoked_at: self.revoked_at.map(|(time, _)| time),
        }
    }

    fn insert(&mut self, entering: IndexInsert<'_>, now: Duration) -> IndexInserted {
        let IndexInsert { entry, life, stage, replaces, limit } = entering;
        let place = self.live_place(&entry.key, now);
        let comes_late = |(time, _): (Timestamp, Duration)| entry.created_at <= time.saturating_add(MARGIN);
        let is_revoked = self.is_revoked(entry)
            || replaces.is_some_and(|replaced| self.is_revoked(replaced))
            || (stage == Stage::Moving && place.is_none() && self.revoked_at.is_some_and(comes_late));
        let limit = limit.filter(|limit| match limit.evict {
            Evict::Refuse => stage == Stage::Before && place.is_none(),
            Evict::Oldest => stage == Stage::After && place.is_some(),
        });
        let verdict = if is_revoked {
            Verdict::Revoked
        } else if limit.is_some_and(|limit| limit.evict == Evict::Refuse && self.is_full(entry, limit, now)) {
            Verdict::Full
        } else {
            if let (Stage::After, Some(replaced)) = (stage, replaces) {
                self.take(&replaced.key);
            }
            let ends = place.map_or(Duration::ZERO, |place| place.position.1).max(now + life);
            let written =
                stage != Stage::Before || replaces.is_some() || place.is_some_and(|place| place.written);
            let created_at = place.map_or(entry.created_at, |place| place.created_at);
            self.put(&entry.key, self.generation, ends, created_at, written);
            if let Some(limit) = limit.filter(|limit| limit.evict == Evict::Oldest) {
                self.evict_beyond(entry, limit, now);
            }
            Verdict::Inserted
        };
        let is_written = stage == Stage::After && verdict == Verdict::Inserted;
        IndexInserted {
            revoked: self.revoked(IndexInserted::MOST_REVOKED),
            sessions: is_written.then_some(self.live as u64),
            ..IndexInserted::new(verdict, place.is_some())
        }
    }

    fn is_full(&self, entry: &Entry, limit: OwnerLimit, now: Duration) -> bool {
        let (sessions, more) = self.others(entry, limit, now, |_| true);
        sessions.len() + more >= most(limit)
    }

    fn evict_beyond(&mut self, entry: &Entry, limit: OwnerLimit, now: Duration) {
        let (mut sessions, more) = self.others(entry, limit, now, |place| place.written);
        let too_many = (sessions.len() + more + 1).saturating_sub(most(limit));
        sessions.sort_by_key(|session| session.iter().map(|entry| entry.created_at).max());
        for entry in sessions.iter().take(too_many).flatten() {
            self.revoke(Revocation::One(entry), now);
        }
    }

    /// The owner's other sessions, if there may be as many as are allowed, and how many there are beyond a
    /// page. A session is all that is of one lineage: while it is given a new id, it has two entries.
    fn others(
        &self,
        entry: &Entry,
        limit: OwnerLimit,
        now: Duration,
        counts: impl Fn(&Place) -> bool,
    ) -> (Vec<Vec<Entry>>, usize) {
        if self.live < most(limit) {
            return (Vec::new(), 0);
        }
        let mut others: HashMap<&str, Vec<Entry>> = HashMap::new();
        let mut looked_at = 0;
        for (_, key) in self.live(now).take(Owned::PAGE) {
            looked_at += 1;
            if key.lineage() != entry.key.lineage() && counts(&self.places[key]) {
                others.entry(key.lineage()).or_default().push(self.entry(key));
            }
        }
        let more = if looked_at == Owned::PAGE { self.live - looked_at } else { 0 };
        (others.into_values().collect(), more)
    }

    fn remove(&mut self, gone: &[Entry], missing: &[Entry], now: Duration) {
        for entry in gone {
            self.take(&entry.key);
        }
        for entry in missing {
            let revoked = self.place(&entry.key).filter(|place| place.position.0 < self.generation);
            if let Some(Place { position: (group, ends, _), created_at, .. }) = revoked
                && group != MISSING
            {
                self.put(&entry.key, MISSING, ends.min(now + Entry::ON_ITS_WAY), created_at, true);
            }
        }
    }

    fn revoke(&mut self, which: Revocation<'_>, now: Duration) {
        match which {
            Revocation::One(entry) if self.is_revoked(entry) => {}
            Revocation::One(entry) => {
                // If it is unknown, long enough to keep out a successor that is on its way.
                let ends = self
                    .live_place(&entry.key, now)
                    .map_or(now + Entry::ON_ITS_WAY, |place| place.position.1);
                self.put(&entry.key, ALONE, ends, entry.created_at, true);
            }
            Revocation::All => self.revoke_all_but(None, now),
            Revocation::AllBut(spared) => self.revoke_all_but(Some(spared), now),
        }
    }

    fn revoke_all_but(&mut self, spared: Option<&Entry>, now: Duration) {
        let spared = spared.and_then(|entry| Some((&entry.key, self.live_place(&entry.key, now)?)));
        self.generation += 1;
        self.live = 0;
        if let Some((key, Place { position: (_, ends, _), created_at, .. })) = spared {
            self.put(key, self.generation, ends, created_at, true);
        }
        self.revoked_at = Some((SystemClock.now(), now + Owned::REVOCATION_KNOWN));
    }
}

fn most(limit: OwnerLimit) -> usize {
    usize::try_from(limit.sessions).unwrap_or(usize::MAX)
}

fn position(cursor: &Cursor) -> Result<(Duration, u64), Error> {
    let parts = cursor.as_str().split_once('-');
    let position = parts
        .and_then(|(ends, number)| Some((Duration::from_nanos(ends.parse().ok()?), number.parse().ok()?)));
    position.ok_or_else(Cursor::is_strange)
}
