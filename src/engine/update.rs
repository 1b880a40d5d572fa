//! `update`: a change of the stored data as one atomic step.

use std::sync::Arc;

use super::change::Change;
use super::late_write::{Kind, LateWrite};
use super::plan::CommitTrigger;
use super::state::{Intent, StoredState};
use super::write::{CasOutcome, CasWrite};
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::codec::{Codec, Encoder};
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::Record;
use crate::telemetry::session_events::Subject;

/// A change to be made on top of whatever is stored, as often as it takes.
struct Update<'a, T, R, F> {
    encoder: Encoder<'a>,
    change: F,
    /// What the last run answered, and the data that it left.
    outcome: Option<(R, T)>,
}

impl<T: SessionData, R, F: FnMut(&mut T) -> R> Update<'_, T, R, F> {
    fn run_on(&mut self, mut value: T) -> Result<Change, Error> {
        let before = self.encoder.codec.encode_to_compare(&value)?;
        let answer = (self.change)(&mut value);
        let after = self.encoder.encode(&value)?;
        self.outcome = Some((answer, value));
        Ok(if before == after { Change::None } else { Change::Edit { before, after } })
    }
}

impl<T: SessionData> Shared<T> {
    /// Stores what is pending; then runs `change` on the stored data, and again on top of each
    /// write that came first.
    pub(super) async fn update<R>(&self, change: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        let _one_at_a_time = self.storing.lock().await;
        self.store_pending(CommitTrigger::Handler).await?;
        let mut update = Update { encoder: self.manager.encoder(), change, outcome: None };
        let (stored, writes, committed, seen) = self.state().read(|state| {
            // A copy of what the handler sees, not another `T::default()`: that may draw a token, and
            // the first one may be in the page already.
            let is_new = matches!(state.stored, StoredState::New { .. });
            let seen = is_new.then(|| update.encoder.codec.encode_to_compare(&*state.value));
            (state.stored.clone(), state.writes, self.is_committed(), seen)
        });
        let (key, owner) = (stored.id().map(SessionId::key), stored.record().and_then(|it| it.owner.clone()));
        let stored = match stored {
            StoredState::New { .. } => {
                let seen = seen.transpose()?.and_then(|seen| Codec::decode(&seen).ok());
                self.create_by(&mut update, seen.unwrap_or_default(), committed).await
            }
            // In a box, as most stores have no copies and need not carry this.
            StoredState::Live { id, record } if self.may_load_copies() => {
                Box::pin(self.swap_past_copies(&mut update, id, record)).await.map(Some)
            }
            StoredState::Live { id, record } => self.swap_by(&mut update, id, record).await.map(Some),
            StoredState::Renewed { id, record } => self.follow_by(&mut update, id, record).await.map(Some),
            StoredState::Moved { .. } => Err(Conflict::Moved.into()),
            StoredState::Unproven { .. } => Err(Conflict::Unproven.into()),
            StoredState::Ended => Err(Conflict::Ended.into()),
        }
        .inspect_err(|error| {
            self.manager.telemetry().failed(error, Subject::of(key).owned_by(&owner));
        })?;

        let (answer, value) = update.outcome.expect("the change ran at least once");
        self.state().write(|state| {
            if state.writes == writes && state.baseline.is_none() {
                state.value = Arc::new(value);
            } else if let Some((StoredState::Live { record, .. } | StoredState::Renewed { record, .. }, _)) =
                &stored
                && let Some(known) = state.baseline.take()
            {
                // What another task wrote meanwhile stays pending.
                state.rebase(update.encoder, known, &record.data);
            }
            if let Some((stored, known_at)) = stored {
                state.stored = stored;
                state.known_at = known_at;
            }
        });
        Ok(answer)
    }

    async fn create_by<R, F: FnMut(&mut T) -> R>(
        &self,
        update: &mut Update<'_, T, R, F>,
        value: T,
        committed: bool,
    ) -> Result<Option<(StoredState, Timestamp)>, Error> {
        match update.run_on(value)? {
            Change::Edit { .. } if committed => Err(Conflict::Committed.into()),
            Change::Edit { after, .. } => {
                let (intent, now) =
                    (self.state().read(|state| state.intent.clone()), self.manager.clock.now());
                let (id, record) = self.create(&intent, after, now).await?;
                self.state().write(|state| state.grant(&intent));
                Ok(Some((StoredState::Live { id, record }, now)))
            }
            _ => Ok(None),
        }
    }

    async fn swap_by<R, F: FnMut(&mut T) -> R>(
        &self,
        update: &mut Update<'_, T, R, F>,
        id: SessionId,
        record: Record,
    ) -> Result<(StoredState, Timestamp), Error> {
        let codec = self.manager.codec;
        let mut change = Change::None;
        let (intent, now) = (Intent::default(), self.manager.clock.now());
        let swap = CasWrite { id: &id, new_id: None, base: &record, intent: &intent, now };
        let swapped = self.swap(swap, |current| {
            let value =
                Codec::decode(&current.data).map_err(|reason| current.unreadable(id.key(), reason))?;
            change = update.run_on(value)?;
            Ok(change.is_some().then(|| change.apply_to::<T>(codec, &current.data)))
        });
        match swapped.await? {
            CasOutcome::Stored(id, record) => Ok((StoredState::Live { id, record }, now)),
            // The store was not asked.
            CasOutcome::Unchanged(record) => {
                let known_at = self.state().read(|state| state.known_at);
                Ok((StoredState::Live { id, record }, known_at))
            }
            CasOutcome::Moved(known) => self.send_late(&change, id, &known, now).await,
            CasOutcome::Missing => {
                self.state().write(|state| state.lose(StoredState::Ended));
                Err(Conflict::Ended.into())
            }
        }
    }

    /// As [`swap_by`](Self::swap_by), where the record may be a near cache's copy: a change that found nothing to do there is
    /// decided by the store.
    async fn swap_past_copies<R, F: FnMut(&mut T) -> R>(
        &self,
        update: &mut Update<'_, T, R, F>,
        id: SessionId,
        record: Record,
    ) -> Result<(StoredState, Timestamp), Error> {
        let swapped = self.swap_by(update, id, record).await?;
        let (StoredState::Live { id, record: seen }, known_at) = swapped else { return Ok(swapped) };
        if !self.is_as_old_as_a_copy(known_at) {
            return Ok((StoredState::Live { id, record: seen }, known_at));
        }
        let now = self.manager.clock.now();
        match self.load_again(id, now).await?.0 {
            StoredState::Live { id, record } if record.revision == seen.revision => {
                Ok((StoredState::Live { id, record }, now))
            }
            StoredState::Live { id, record } => self.swap_by(update, id, record).await,
            stored => {
                let conflict = stored.conflict();
                self.state().write(|state| state.lose(stored));
                Err(conflict.into())
            }
        }
    }

    /// An update of a session that had another id when the request loaded it. It runs on what the request
    /// knows of the session.
    async fn follow_by<R, F: FnMut(&mut T) -> R>(
        &self,
        update: &mut Update<'_, T, R, F>,
        id: SessionId,
        record: Record,
    ) -> Result<(StoredState, Timestamp), Error> {
        let value = Codec::decode(&record.data).map_err(|reason| record.unreadable(id.key(), reason))?;
        let now = self.manager.clock.now();
        match update.run_on(value)? {
            Change::None => Ok((StoredState::Renewed { id, record }, now)),
            change => self.send_late(&change, id, &record, now).await,
        }
    }

    async fn send_late(
        &self,
        change: &Change,
        id: SessionId,
        base: &Record,
        now: Timestamp,
    ) -> Result<(StoredState, Timestamp), Error> {
        let intent = &Intent::default();
        let record =
            self.follow(LateWrite { id: &id, base, change, intent, now, kind: Kind::Update }).await?;
        Ok((StoredState::Renewed { id, record }, now))
    }
}
