//! Whose sessions are in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Owner;
use crate::store::owners::{
    Doom, Entered, Entering, Entry, Evict, Owned, OwnerIndex, OwnerLimit, Stage, Verdict,
};

/// What is known of each owner.
#[derive(Default)]
pub(super) struct Owners(Mutex<HashMap<Owner, Known>>);

#[derive(Default)]
struct Known {
    live: HashMap<SessionKey, Place>,
    doomed: HashMap<SessionKey, Place>,
    revoked: Option<(Timestamp, Instant)>,
}

/// An entry, but for its key.
#[derive(Clone, Copy)]
struct Place {
    created_at: Timestamp,
    ends: Instant,
    written: bool,
}

#[async_trait]
impl OwnerIndex for MemoryStore {
    async fn enter(&self, owner: &Owner, entering: Entering<'_>) -> Result<Entered, Error> {
        Ok(self.owners.with(owner, |known| known.enter(entering)))
    }

    async fn list(&self, owner: &Owner) -> Result<Owned, Error> {
        Ok(self.owners.with(owner, |known| Owned {
            entries: entries(&known.live).collect(),
            doomed: entries(&known.doomed).collect(),
            revoked_at: known.revoked.map(|(time, _)| time),
        }))
    }

    async fn doom(&self, owner: &Owner, which: Doom<'_>) -> Result<Vec<Entry>, Error> {
        Ok(self.owners.with(owner, |known| known.doom(which)))
    }

    async fn remove(&self, owner: &Owner, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        self.owners.with(owner, |known| known.remove(gone, missing));
        Ok(())
    }
}

impl Owners {
    /// One step for one owner, who is forgotten if nothing is left.
    fn with<A>(&self, owner: &Owner, step: impl FnOnce(&mut Known) -> A) -> A {
        let mut owners = self.lock();
        let known = owners.entry(owner.clone()).or_default();
        known.forget_what_has_ended(Instant::now());
        let answer = step(known);
        if known.is_empty() {
            owners.remove(owner);
        }
        answer
    }

    /// Forgets what has ended, and sessions that were written and that the store does not hold (any
    /// more): full, it forgets sessions before their time.
    pub(super) fn sweep(&self, is_held: impl Fn(&SessionKey) -> bool) {
        let now = Instant::now();
        self.lock().retain(|_, known| {
            known.forget_what_has_ended(now);
            known.live.retain(|key, place| !place.written || is_held(key));
            !known.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget_what_has_ended(&mut self, now: Instant) {
        self.live.retain(|_, place| place.ends > now);
        self.doomed.retain(|_, place| place.ends > now);
        self.revoked = self.revoked.filter(|(_, until)| *until > now);
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.doomed.is_empty() && self.revoked.is_none()
    }

    fn enter(&mut self, entering: Entering<'_>) -> Entered {
        let Entering { entry, life, stage, replaces, limit } = entering;
        let known = self.live.contains_key(&entry.key);
        let is_doomed = |entry: &Entry| self.doomed.contains_key(&entry.key);
        let verdict = if is_doomed(entry) || replaces.is_some_and(is_doomed) {
            Verdict::Doomed
        } else if known || limit.is_none_or(|limit| self.makes_room(entry, limit)) {
            if let (Stage::After, Some(replaced)) = (stage, replaces) {
                self.live.remove(&replaced.key);
            }
            let (ends, written) = (Instant::now() + life, stage != Stage::Before);
            let new = Place { created_at: entry.created_at, ends, written };
            let place = self.live.entry(entry.key.clone()).or_insert(new);
            *place = Place { ends: place.ends.max(ends), written: place.written || written, ..*place };
            Verdict::Entered
        } else {
            Verdict::Full
        };
        let doomed = entries(&self.doomed).take(Entered::MOST_DOOMED).collect();
        Entered { verdict, known, doomed }
    }

    /// Whether one more session is within the limit, by dooming others if need be. A session is all that is
    /// of one lineage: while it is given a new id, it has two entries.
    fn makes_room(&mut self, entry: &Entry, limit: OwnerLimit) -> bool {
        let mut others: HashMap<String, Vec<Entry>> = HashMap::new();
        for other in entries(&self.live).filter(|other| other.key.lineage() != entry.key.lineage()) {
            others.entry(other.key.lineage().to_owned()).or_default().push(other);
        }
        let most = usize::try_from(limit.sessions).unwrap_or(usize::MAX);
        let too_many = (others.len() + 1).saturating_sub(most);
        if too_many > 0 && limit.evict == Evict::Refuse {
            return false;
        }
        let mut others: Vec<_> = others.into_values().collect();
        others.sort_by_key(|session| session.iter().map(|entry| entry.created_at).max());
        for entry in others.iter().take(too_many).flatten() {
            self.doom(Doom::One(entry));
        }
        true
    }

    fn remove(&mut self, gone: &[Entry], missing: &[Entry]) {
        for entry in gone {
            self.live.remove(&entry.key);
            self.doomed.remove(&entry.key);
        }
        let soon = Instant::now() + Entry::ON_ITS_WAY;
        for entry in missing {
            if let Some(place) = self.doomed.get_mut(&entry.key) {
                place.ends = place.ends.min(soon);
            }
        }
    }

    fn doom(&mut self, which: Doom<'_>) -> Vec<Entry> {
        let now = Instant::now();
        match which {
            Doom::One(entry) => {
                let known = self.live.remove(&entry.key);
                // Long enough to keep out a successor that is on its way.
                let unknown =
                    || Place { created_at: entry.created_at, ends: now + Entry::ON_ITS_WAY, written: true };
                self.doomed.entry(entry.key.clone()).or_insert_with(|| known.unwrap_or_else(unknown));
            }
            Doom::All => self.doom_all_but(None, now),
            Doom::AllBut(spared) => self.doom_all_but(Some(spared), now),
        }
        entries(&self.doomed).collect()
    }

    fn doom_all_but(&mut self, spared: Option<&Entry>, now: Instant) {
        let kept = spared.and_then(|entry| self.live.remove_entry(&entry.key));
        self.doomed.extend(self.live.drain());
        self.live.extend(kept);
        self.revoked = Some((SystemClock.now(), now + Owned::REVOCATION_KNOWN));
    }
}

fn entries(places: &HashMap<SessionKey, Place>) -> impl Iterator<Item = Entry> {
    places.iter().map(|(key, place)| Entry { key: key.clone(), created_at: place.created_at })
}
