//! The writes of one session to its store: each a create, a compare-and-swap or a touch.

use super::plan::Lifetime;
use super::state::{CookieChange, Intent};
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::{Payload, Record};
use crate::store::{Created, Updated};
use crate::ttl::Ttl;

/// How often a write is repeated on top of what others stored meanwhile before it gives up. Each
/// round means that somebody else's write succeeded, so this bounds unfairness, not progress.
pub(super) const MAX_ROUNDS: usize = 64;
/// Ids are 192 random bits: a second draw is needed only if the generator is broken.
const MAX_DRAWS: usize = 3;
/// So often a session is stored under another id because the connection broke before the answer.
const MAX_LOST_ANSWERS: usize = 5;

/// A write to a session that is stored.
pub(super) struct CasWrite<'a> {
    pub(super) id: &'a SessionId,
    /// The id to move it to, if it is to have another.
    pub(super) new_id: Option<SessionId>,
    /// The record that the request knows.
    pub(super) base: &'a Record,
    pub(super) intent: &'a Intent,
    pub(super) now: Timestamp,
}

/// What became of a [`CasWrite`].
pub(super) enum CasOutcome {
    /// This is stored, under this id.
    Stored(SessionId, Record),
    /// There was nothing to change about this record.
    Unchanged(Record),
    /// The session ended meanwhile.
    Missing,
    /// The session got another id meanwhile. This is the last that was known of it.
    Moved(Record),
}

impl<T: SessionData> Shared<T> {
    /// Stores a new session under a fresh id.
    pub(super) async fn create(
        &self,
        intent: &Intent,
        data: Payload,
        now: Timestamp,
    ) -> Result<(SessionId, Record), Error> {
        let manager = &*self.manager;
        manager.check_size(&data)?;
        let mut record = Record::new(now, now, data);
        Lifetime::at_start(intent, &manager.expiry, now).write_to(&mut record, now);
        manager.attribute(&mut record, intent.new_owner())?;
        let ttl = Ttl::new(record.expires_at.saturating_since(now));
        // What may be stored counts as one of an owner's sessions for a while.
        let is_limited = record.owner.is_some() && manager.owner_limit.is_some();
        let mut lost_answers = if is_limited { MAX_LOST_ANSWERS } else { 0 };
        for _ in 0..MAX_DRAWS + MAX_LOST_ANSWERS {
            let id = manager.signer.fresh_id();
            let created = manager.store.at(now).create(&id, &mut record, ttl, manager.owner_limit).await;
            if created.as_ref().is_err_and(Error::is_lost_answer) && lost_answers < MAX_LOST_ANSWERS {
                // It may yet be stored under this id, which nobody will ever have.
                lost_answers += 1;
                continue;
            }
            if created? == Created::Created {
                manager.telemetry().created(id.as_key(), &record, now);
                self.tell_begun(intent, id.key(), &record);
                self.state().write(|state| state.cookie = CookieChange::Set);
                return Ok((id, record));
            }
        }
        Err(Error::Refused { message: "the store holds a session under every id drawn".to_owned() })
    }

    /// Replaces the record of a session. `data_on` gives the data to store on top of a record:
    /// first of the known one, then of each that another request stored in between. `None` leaves
    /// the record alone.
    pub(super) async fn swap(
        &self,
        swap: CasWrite<'_>,
        mut data_on: impl FnMut(&Record) -> Result<Option<Payload>, Error>,
    ) -> Result<CasOutcome, Error> {
        let manager = &*self.manager;
        let (key, store) = (swap.id.as_key(), manager.store.at(swap.now));
        let mut current = swap.base.clone();
        for _ in 0..MAX_ROUNDS {
            let Some(data) = data_on(&current)? else {
                return Ok(CasOutcome::Unchanged(current));
            };
            manager.check_size(&data)?;
            let mut record = current.next();
            record.data = data;
            Lifetime::after(&current, swap.intent, &manager.expiry, swap.now).write_to(&mut record, swap.now);
            record.extensions.check_size()?;
            manager.attribute(&mut record, swap.intent.new_owner())?;

            let ttl = Ttl::new(record.expires_at.saturating_since(swap.now));
            let outcome = match &swap.new_id {
                None => store.update(swap.id, &current, &mut record, ttl).await,
                Some(new_id) => {
                    let limit = manager.owner_limit.filter(|_| swap.intent.new_owner().is_some());
                    store.rotate([swap.id, new_id], &current, &mut record, ttl, limit).await
                }
            };
            let outcome = match outcome {
                // By an instance whose keys this one lacks: the session is there, and this change is not.
                Err(Error::Sealed { .. }) => return Err(Conflict::Fields.into()),
                // What others made of it meanwhile counts as absent, as it does when it is loaded.
                Err(error) if error.counts_as_absent() => {
                    manager.telemetry().absent(&error);
                    Updated::Missing
                }
                outcome => outcome?,
            };
            match outcome {
                Updated::Updated => {
                    let outlives = |record| manager.outlives_browser(record).then_some(record.expires_at);
                    let resend = outlives(&record) != outlives(swap.base);
                    self.state().write(|state| match swap.new_id {
                        Some(_) => state.cookie = CookieChange::Set,
                        None => state.confirm(resend),
                    });
                    if let Some(new_id) = &swap.new_id {
                        manager.telemetry().rotated();
                        self.tell_moved(swap.intent, (key.clone(), &current), (new_id.key(), &record));
                    } else {
                        manager.telemetry().updated();
                        self.tell_updated(key, &current, &record);
                    }
                    let id = swap.new_id.unwrap_or_else(|| swap.id.clone());
                    return Ok(CasOutcome::Stored(id, record));
                }
                Updated::Stale(theirs) if theirs.owner == swap.base.owner => {
                    if let Err(reason) = manager.check_codec(&theirs.data) {
                        manager.telemetry().corrupt(key, reason);
                        return Err(Conflict::Fields.into());
                    }
                    current = theirs;
                }
                Updated::Stale(_) => return Err(Conflict::Owner.into()),
                Updated::Missing => return Ok(CasOutcome::Missing),
                Updated::Moved => return Ok(CasOutcome::Moved(current)),
            }
        }
        Err(Conflict::Contention.into())
    }

    /// Moves a session's end, and says whether it did. A failure is logged and no more: the
    /// response stays as it is.
    pub(super) async fn touch(
        &self,
        id: &SessionId,
        record: &Record,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let key = id.key();
        let ttl = Ttl::new(expires_at.saturating_since(now));
        match self.manager.store.at(now).touch(&key, record, expires_at, ttl).await {
            Ok(true) => {
                self.manager.telemetry().touched();
                let resend = self.manager.outlives_browser(record);
                self.state().write(|state| state.confirm(resend));
                true
            }
            // Another request changed, touched or ended the session: its word holds.
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(%key, %error, "could not extend a session");
                false
            }
        }
    }
}
