//! Where each operation goes: by the place that its session was born in, and for a new one by the
//! state of the primary.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::ledger::Opened;
use super::{FallbackStore, Shared};
use crate::clock::{Clock as _, SystemClock};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, Record};
use crate::store::feed::Feed;
use crate::store::history::History;
use crate::store::owner_index::{OwnerIndex, Stage};
use crate::store::scan::Scan;
use crate::store::status::StoreStatus;
use crate::store::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
use crate::ttl::Ttl;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for FallbackStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        match self.0.held_by_now(key).await? {
            Some(held) => Ok(held),
            None => self.0.observe(self.0.primary.load(key).await),
        }
    }

    async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
        match self.0.held_by_now(key).await? {
            Some(held) => Ok(held),
            None => self.0.observe(self.0.primary.load_fresh(key).await),
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        let shared = &self.0;
        if let Some(held) = shared.held(key)? {
            return Ok(if held.bears(record.revision) { Created::Created } else { Created::Taken });
        }
        if shared.new_sessions_go_to_memory() {
            return shared.create_in_memory(key, record, ttl);
        }
        shared.enter_where_it_goes(key, record, ttl, Stage::Before).await?;
        match shared.observe(shared.primary.create(key, record, ttl).await) {
            Err(error @ Error::Unavailable { outcome_unknown: false, .. })
                if shared.breaker.allows_memory() =>
            {
                shared.open(&error);
                shared.create_in_memory(key, record, ttl)
            }
            answer => answer,
        }
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let (shared, Update { key, record, ttl, .. }) = (&self.0, update);
        match shared.held(key)? {
            // The session behind it may be in the primary by now.
            Some(held @ Envelope::Moved(_)) if update.follow && held.bears(record.revision) => {
                return Ok(Updated::Updated);
            }
            Some(Envelope::Moved(marker)) if update.follow => {
                return self.update(Update { key: &marker.successor, follow: false, ..update }).await;
            }
            Some(_) => {
                let updated = shared.memory.update(Update { follow: false, ..update }).await?;
                if updated == Updated::Moved && update.follow {
                    // It was given a new id just now: there is a marker.
                    return self.update(update).await;
                }
                if updated != Updated::Missing {
                    return Ok(updated);
                }
                // It was moved or deleted just now.
                shared.refuse_owed(key)?;
            }
            None => {}
        }
        if !update.follow {
            shared.enter_where_it_goes(key, record, ttl, Stage::Later).await?;
        }
        shared.observe(shared.primary.update(update).await)
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let shared = &self.0;
        if shared.held(touch.key)?.is_some() {
            // Of a session that was moved just now it says `false`, which is true enough of a touch.
            return shared.memory.touch(touch).await;
        }
        shared.observe(shared.primary.touch(touch).await)
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let shared = &self.0;
        if shared.held(rotation.old)?.is_some() {
            let rotated = shared.memory.rotate(rotation).await?;
            if rotated == Updated::Updated {
                // It was about to be moved: under the old key it must not remain.
                shared.ledger().owe_if_in_doubt(rotation.old);
            }
            if rotated != Updated::Missing {
                return Ok(rotated);
            }
            shared.refuse_owed(rotation.old)?;
        }
        let Rotation { new, record, ttl, .. } = rotation;
        shared.enter_where_it_goes(new, record, ttl, Stage::Before).await?;
        shared.observe(shared.primary.rotate(rotation).await)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        if self.0.is_engaged() {
            self.0.delete_everywhere(key).await
        } else {
            self.0.delete_in_primary(key).await
        }
    }

    fn requirements(&self) -> Requirements {
        self.0.primary.requirements()
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.0.primary.owners().map(|_| self as &dyn OwnerIndex)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        self.0.primary.scan().map(|_| self as _)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.0.primary.feed().map(|_| self as _)
    }

    fn history(&self) -> Option<&dyn History> {
        self.0.primary.history().map(|_| self as _)
    }

    fn status(&self) -> StoreStatus {
        StoreStatus { fallback: Some(self.own_status()), ..self.0.primary.status() }
    }
}

impl Shared {
    /// What memory holds under `key`; an error for a key that must not be used any more.
    pub(super) fn held(self: &Arc<Self>, key: &SessionKey) -> Result<Option<Envelope>, Error> {
        if !self.is_engaged() {
            return Ok(None);
        }
        // The task may have gone down with the runtime that it was on.
        self.start_recovery();
        let held = self.memory.held(key);
        if held.is_none() {
            self.refuse_owed(key)?;
        }
        Ok(held)
    }

    /// What a load finds in memory, once the primary was asked about it where that is due.
    async fn held_by_now(self: &Arc<Self>, key: &SessionKey) -> Result<Option<Loaded>, Error> {
        let mut held = self.held(key)?;
        if let Some(Envelope::Record(record)) = &held
            && record.owner.is_some()
        {
            self.ask_whether_it_was_revoked(key).await;
            held = self.held(key)?;
        }
        Ok(held.map(|held| match held {
            Envelope::Record(record) => Loaded::Found(record),
            Envelope::Moved(_) => Loaded::Moved,
        }))
    }

    fn refuse_owed(&self, key: &SessionKey) -> Result<(), Error> {
        if !self.ledger().owes(key) {
            return Ok(());
        }
        Err(Error::unavailable("the session was ended, and its deletion is still owed", None))
    }

    /// Takes note of what the primary answered.
    pub(super) fn observe<A>(self: &Arc<Self>, result: Result<A, Error>) -> Result<A, Error> {
        // A store that was made outside of any runtime is at home where it is used first.
        self.settled.call_once(|| drop(self.background.home().runtime()));
        if self.breaker.is_tripped_by(&result)
            && let Err(error) = &result
        {
            self.open(error);
        }
        result
    }

    pub(super) fn new_sessions_go_to_memory(&self) -> bool {
        self.is_engaged() && self.breaker.allows_memory() && self.ledger().open.is_some()
    }

    /// Sends new sessions to memory from now on.
    pub(super) fn open(self: &Arc<Self>, reason: &Error) {
        let opens = {
            let mut ledger = self.engage();
            let opens = ledger.open.is_none();
            ledger.open.get_or_insert_with(|| Opened { at: Instant::now(), time: SystemClock.now() });
            opens
        };
        if opens {
            tracing::warn!(
                "fell back: new sessions are kept in memory from now on, and visitors whose sessions are not \
                 there are answered 503: {reason}"
            );
        }
        self.start_recovery();
    }

    /// Sends new sessions to the primary again.
    pub(super) fn close(&self) {
        let opened = self.ledger().open.take();
        if let Some(opened) = opened {
            let lasted = opened.at.elapsed();
            tracing::warn!(
                "recovered: the session store answers again, and new sessions go there, after {lasted:.1?} in \
                 memory"
            );
        }
    }

    fn create_in_memory(
        self: &Arc<Self>,
        key: &SessionKey,
        record: &Record,
        ttl: Ttl,
    ) -> Result<Created, Error> {
        // Under the ledger's lock: else the task might find memory empty and end in between.
        let created = {
            let _ledger = self.engage();
            self.memory.put(key, record, ttl)
        };
        self.start_recovery();
        created
    }

    pub(super) async fn delete_in_primary(self: &Arc<Self>, key: &SessionKey) -> Result<bool, Error> {
        let sent = Instant::now();
        let deleted = self.observe(self.primary.delete(key).await);
        match &deleted {
            Ok(_) if self.is_engaged() => self.ledger().deleted(key, sent),
            Ok(_) => {}
            Err(_) => {
                self.engage().owe(key);
                self.memory.tell(key);
                self.start_recovery();
            }
        }
        deleted
    }

    /// Deletes what memory holds of a session, and what the primary holds or may hold of it.
    async fn delete_everywhere(self: &Arc<Self>, key: &SessionKey) -> Result<bool, Error> {
        self.start_recovery();
        let mut was_there = false;
        let mut in_doubt = Vec::new();
        let mut next = Some(key.clone());
        let mut elsewhere = None;
        while let Some(key) = next.take() {
            // First it goes, then follows the question whether it was about to be moved: whoever moves
            // it asks in the other order.
            let removed = self.memory.remove(&key);
            let is_in_doubt = self.ledger().owe_if_in_doubt(&key);
            was_there |= removed.is_some();
            match removed {
                Some(Envelope::Moved(marker)) => next = Some(marker.successor),
                Some(Envelope::Record(_)) => {}
                None => elsewhere = (!is_in_doubt).then(|| key.clone()),
            }
            in_doubt.extend(is_in_doubt.then_some(key));
        }
        let mut outcome = Ok(was_there);
        for key in in_doubt {
            let _turn = self.turn.lock().await;
            let deleted = self.delete_in_primary(&key).await;
            outcome = outcome.and_then(|was_there| Ok(deleted? || was_there));
        }
        if let Some(key) = elsewhere {
            let deleted = self.delete_in_primary(&key).await;
            outcome = outcome.and_then(|was_there| Ok(deleted? || was_there));
        }
        outcome
    }
}
