//! Whose sessions are in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Moved, Owner};
use crate::store::owners::{Doom, Entered, Entering, Entry, Evict, Owned, OwnerIndex, OwnerLimit, Verdict};

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

    async fn remove(&self, owner: &Owner, gone: &[Entry]) -> Result<(), Error> {
        self.owners.with(owner, |known| {
            for entry in gone {
                known.live.remove(&entry.key);
                known.doomed.remove(&entry.key);
            }
        });
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
        let Entering { entry, ttl, written, replaces, replaced, limit } = entering;
        let verdict = if [Some(entry), replaces, replaced].into_iter().flatten().any(|it| self.is_doomed(it))
        {
            Verdict::Doomed
        } else if self.has_room(entry, replaces, limit) {
            if let Some(replaced) = replaced {
                self.live.remove(&replaced.key);
            }
            let ends = Instant::now() + ttl.as_duration();
            let new = Place { created_at: entry.created_at, ends, written };
            let place = self.live.entry(entry.key.clone()).or_insert(new);
            *place = Place { ends: place.ends.max(ends), written: place.written || written, ..*place };
            Verdict::Entered
        } else {
            Verdict::Full
        };
        Entered { verdict, doomed: entries(&self.doomed).take(Entered::MOST_DOOMED).collect() }
    }

    fn is_doomed(&self, entry: &Entry) -> bool {
        self.doomed.contains_key(&entry.key)
    }

    /// Whether one more session is within the limit, by dooming others if need be.
    fn has_room(&mut self, entry: &Entry, replaces: Option<&Entry>, limit: Option<OwnerLimit>) -> bool {
        let Some(limit) = limit.filter(|_| !self.live.contains_key(&entry.key)) else { return true };
        let mut others: Vec<_> = entries(&self.live).filter(|other| Some(other) != replaces).collect();
        let most = usize::try_from(limit.sessions).unwrap_or(usize::MAX);
        let too_many = (others.len() + 1).saturating_sub(most);
        if too_many > 0 && limit.evict == Evict::Refuse {
            return false;
        }
        others.sort_by_key(|other| other.created_at);
        for oldest in others.iter().take(too_many) {
            self.doom(Doom::One(oldest));
        }
        true
    }

    fn doom(&mut self, which: Doom<'_>) -> Vec<Entry> {
        let now = Instant::now();
        match which {
            Doom::One(entry) => {
                let known = self.live.remove(&entry.key);
                // Long enough to keep out a successor that is on its way.
                let unknown =
                    || Place { created_at: entry.created_at, ends: now + Moved::MAX_LIFE, written: true };
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
