//! Writes to sessions, each together with what the index of owners says of it.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use super::{OwnerSessions, StoreClient};
use crate::clock::Timestamp;
use crate::engine::at_rest::Known;
use crate::error::{Conflict, Error};
use crate::id::{SessionId, SessionKey};
use crate::record::Record;
use crate::store::owner_index::{Entry, IndexInsert, OwnerLimit, Stage};
use crate::store::{Created, Loaded, Rotation, SessionStore, Touch, Update, Updated};
use crate::telemetry::operations::Operation;
use crate::ttl::Ttl;

/// What may be written to the sessions of a store at a moment.
pub(in crate::engine) struct Writes<'a> {
    client: &'a Arc<StoreClient>,
    now: Timestamp,
}

/// A session under the key that it has by now, opened.
pub(in crate::engine) struct Found(SessionKey, Record);

impl<'a> Writes<'a> {
    pub(super) fn new(client: &'a Arc<StoreClient>, now: Timestamp) -> Self {
        Self { client, now }
    }

    /// A create. A session that was revoked before this is over is a conflict, and is gone.
    pub(in crate::engine) async fn create(
        &self,
        id: &SessionId,
        record: &mut Record,
        ttl: Ttl,
        limit: Option<OwnerLimit>,
    ) -> Result<Created, Error> {
        self.settle(Known::Id(id), record)?;
        let (key, record) = (id.as_key(), &*record.as_stored());
        let create = || self.client.call(Operation::Create, key, self.store().create(key, record, ttl));
        let Some(sessions) = self.sessions_of(record) else { return create().await };
        let entry = Entry::of(key.clone(), record);
        // What is never written is soon forgotten.
        let pending = Entry::life(record, self.left(record)).min(Entry::ON_ITS_WAY);
        let entering = IndexInsert { limit, ..IndexInsert::new(&entry, pending, Stage::Before) };
        if sessions.insert(entering).await?.is_none() {
            return Err(Conflict::Ended.into());
        }
        let created = create().await;
        match &created {
            Ok(Created::Created) => self.confirm(&sessions, &entry, record, None, limit).await?,
            // It may yet be written.
            Err(error) if error.outcome_unknown() => {}
            _ => sessions.leave(slice::from_ref(&entry), &[]).await,
        }
        created
    }

    /// An update, on top of `current`. A session that was revoked is missing.
    pub(in crate::engine) async fn update(
        &self,
        id: &SessionId,
        current: &Record,
        record: &mut Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        self.settle(Known::Id(id), record)?;
        let (key, record, current) = (id.as_key(), &*record.as_stored(), &*current.as_stored());
        let extension = self.extend(key, current, record).await?;
        if extension == Extension::Refused {
            return Ok(Updated::Missing);
        }
        let update = self.store().update(Update::new(key, record, ttl).replacing(current));
        let updated = self.client.call(Operation::Update, key, update).await;
        if let (Extension::Made { .. }, Ok(Updated::Missing | Updated::Moved)) = (extension, &updated) {
            self.leave(key, record).await;
        }
        if record.entered_owner() != current.entered_owner() && matches!(updated, Ok(Updated::Updated)) {
            self.leave(key, current).await;
        }
        self.client.open_stale(Known::Id(id), updated?)
    }

    /// An update of a session that has another key than this by now. It ends when it did, so that the index
    /// need not know. What is `found` under the new key is for the next attempt.
    pub(in crate::engine) async fn follow(
        &self,
        key: &SessionKey,
        found: &mut Option<Found>,
        record: &mut Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        if self.client.at_rest.is_sealing() {
            return self.follow_sealed(key, found, record, ttl).await;
        }
        self.settle(Known::Key(key), record)?;
        let record = &*record.as_stored();
        let update = self.store().update(Update::new(key, record, ttl).following());
        let updated = self.client.call(Operation::Update, key, update).await?;
        self.client.open_stale(Known::Key(key), updated)
    }

    /// The same where what is written is bound to its key: the new one is looked for first. Where that takes the new id,
    /// which nobody knows who has the old one, the write does not follow.
    async fn follow_sealed(
        &self,
        key: &SessionKey,
        found: &mut Option<Found>,
        record: &mut Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        let Found(key, present) = match found.take() {
            Some(found) => found,
            None => match self.client.find(key).await {
                Ok(Some((key, present))) => match self.client.at_rest.open(Known::Key(&key), present) {
                    Ok(present) => Found(key, present),
                    Err(_) => return Ok(Updated::Moved),
                },
                Ok(None) => return Ok(Updated::Missing),
                Err(Error::Unsupported { .. }) => return Ok(Updated::Moved),
                Err(error) => return Err(error),
            },
        };
        if present.revision != record.replaces() {
            *found = Some(Found(key, present.clone()));
            return Ok(Updated::Stale(present));
        }
        let known = Known::Key(&key);
        if self.client.at_rest.settle(known, record).is_err() {
            return Ok(Updated::Moved);
        }
        let (record, present) = (&*record.as_stored(), &*present.as_stored());
        let update = self.store().update(Update::new(&key, record, ttl).replacing(present));
        let updated = self.client.call(Operation::Update, &key, update).await?;
        let updated = self.client.open_stale(known, updated)?;
        if let Updated::Stale(theirs) = &updated {
            *found = Some(Found(key, theirs.clone()));
        }
        Ok(updated)
    }

    /// A touch. A session that was revoked is not touched.
    pub(in crate::engine) async fn touch(
        &self,
        key: &SessionKey,
        current: &Record,
        expires_at: Timestamp,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        let touched = Record { expires_at, ..current.clone() };
        let extension = self.extend(key, current, &touched).await?;
        if extension == Extension::Refused {
            return Ok(false);
        }
        let touch = self.store().touch(Touch::new(key, current, expires_at, ttl));
        let touch = self.client.call(Operation::Touch, key, touch).await?;
        // Had it no effect because the session is gone?
        if !touch && extension == (Extension::Made { known: false }) && !self.is_there(key).await? {
            self.leave(key, current).await;
        }
        Ok(touch)
    }

    /// A rotation from `current`. A session that was revoked is missing; or it is a conflict, if that
    /// happened while this went on, and is gone.
    pub(in crate::engine) async fn rotate(
        &self,
        [old_id, new_id]: [&SessionId; 2],
        current: &Record,
        record: &mut Record,
        ttl: Ttl,
        limit: Option<OwnerLimit>,
    ) -> Result<Updated, Error> {
        self.settle(Known::Id(new_id), record)?;
        let (old, new, record) = (old_id.as_key(), new_id.as_key(), &*record.as_stored());
        let rotation = Rotation::new(old, new, record, ttl);
        let (old, new) = (Entry::of(old.clone(), current), Entry::of(new.clone(), record));
        let sessions = self.sessions_of(record);
        let replaces = (record.entered_owner() == current.entered_owner()).then_some(&old);
        if let Some(sessions) = &sessions {
            let life = Entry::life(record, self.left(record));
            // Where the owner stays, what protects a session is its old entry, so the new one may stand.
            let life = if replaces.is_some() { life } else { life.min(Entry::ON_ITS_WAY) };
            let entering = IndexInsert { replaces, limit, ..IndexInsert::new(&new, life, Stage::Before) };
            if sessions.insert(entering).await?.is_none() {
                return Ok(Updated::Missing);
            }
        }
        let rotate = self.store().rotate(rotation);
        let rotated = self.client.call(Operation::Rotate, rotation.old, rotate).await;
        let is_done = matches!(rotated, Ok(Updated::Updated));
        if let Some(sessions) = &sessions {
            match &rotated {
                Ok(Updated::Updated) => self.confirm(sessions, &new, record, replaces, limit).await?,
                Err(error) if error.outcome_unknown() => {}
                _ => sessions.leave(slice::from_ref(&new), &[]).await,
            }
        }
        if let Some(before) = self.sessions_of(current).filter(|_| is_done && replaces.is_none()) {
            before.leave(slice::from_ref(&old), &[]).await;
        }
        rotated
    }

    /// A deletion of a session whose time has passed. It leaves alone what became of the session meanwhile: a
    /// deletion alone would follow the marker of a sign-in, which starts the absolute timeout again. So the
    /// session is written first, and what is deleted then is the version that nobody else knows.
    pub(in crate::engine) async fn expire(&self, id: &SessionId, record: &Record) -> Result<Updated, Error> {
        let mut last = record.next();
        self.settle(Known::Id(id), &mut last)?;
        let (key, last) = (id.as_key(), &*last.as_stored());
        let update = self.store().update(Update::new(key, last, Ttl::new(Duration::ZERO)));
        let outcome = self.client.call(Operation::Update, key, update).await?;
        match outcome {
            Updated::Updated => drop(self.delete(key, Some(record)).await?),
            Updated::Missing => self.leave(key, record).await,
            _ => {}
        }
        self.client.open_stale(Known::Id(id), outcome)
    }

    /// A deletion, of a session of which this record may be known.
    pub(in crate::engine) async fn delete(
        &self,
        key: &SessionKey,
        known: Option<&Record>,
    ) -> Result<bool, Error> {
        let was_there = self.client.delete(key).await?;
        if let Some(record) = known {
            self.leave(key, record).await;
        }
        Ok(was_there)
    }

    /// Lets the index know that a session ends as `record` says, if that is later than `current` does, or has the owner
    /// whom its data tells.
    async fn extend(&self, key: &SessionKey, current: &Record, record: &Record) -> Result<Extension, Error> {
        let is_entered = record.entered_owner() == current.entered_owner();
        if is_entered && Entry::end(record) <= Entry::end(&current.as_written()) {
            return Ok(Extension::NotDue);
        }
        let Some(sessions) = self.sessions_of(record) else { return Ok(Extension::NotDue) };
        let (entry, life) = (Entry::of(key.clone(), record), Entry::life(record, self.left(record)));
        let known = sessions.insert(IndexInsert::new(&entry, life, Stage::Later)).await?;
        Ok(known.map_or(Extension::Refused, |known| Extension::Made { known }))
    }

    /// After a session was written under a new key: it may have been revoked meanwhile, or even have ended
    /// already.
    async fn confirm(
        &self,
        sessions: &OwnerSessions<'_>,
        entry: &Entry,
        record: &Record,
        replaces: Option<&Entry>,
        limit: Option<OwnerLimit>,
    ) -> Result<(), Error> {
        let life = Entry::life(record, self.left(record));
        let entering = IndexInsert { replaces, limit, ..IndexInsert::new(entry, life, Stage::After) };
        match sessions.insert(entering).await {
            Ok(Some(true)) => Ok(()),
            // Its entry may have been taken for that of a session which has ended.
            Ok(Some(false)) if replaces.is_some() && self.is_there(&entry.key).await? => Ok(()),
            Ok(Some(false)) => {
                self.client.delete(&entry.key).await?;
                sessions.leave(slice::from_ref(entry), &[]).await;
                Err(Conflict::Ended.into())
            }
            Ok(None) => Err(Conflict::Ended.into()),
            Err(error) if replaces.is_some() => {
                tracing::warn!(key = %entry.key, %error, "a session's new id could not be confirmed in the index of owners");
                Ok(())
            }
            Err(error) => {
                // Its id goes to nobody.
                if let Err(error) = self.client.delete(&entry.key).await {
                    tracing::debug!(%error, "a session that could not be confirmed stays until it ends");
                }
                Err(error)
            }
        }
    }

    async fn is_there(&self, key: &SessionKey) -> Result<bool, Error> {
        Ok(matches!(self.client.look_up(key).await?, Loaded::Found(_)))
    }

    async fn leave(&self, key: &SessionKey, record: &Record) {
        if let Some(sessions) = self.sessions_of(record) {
            sessions.leave(&[Entry::of(key.clone(), record)], &[]).await;
        }
    }

    fn sessions_of<'r>(&self, record: &'r Record) -> Option<OwnerSessions<'r>>
    where
        'a: 'r,
    {
        self.client.sessions_of(record.entered_owner()?, self.now)
    }

    /// Brings a record into the form in which it is to rest.
    fn settle(&self, known: Known<'_>, record: &mut Record) -> Result<(), Error> {
        self.client.at_rest.settle(known, record)
    }

    fn store(&self) -> &'a dyn SessionStore {
        self.client.store()
    }

    fn left(&self, record: &Record) -> Duration {
        record.expires_at.saturating_since(self.now)
    }
}

/// What became of an entry that was to be extended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    NotDue,
    /// It lasts longer; whether it was there before.
    Made {
        known: bool,
    },
    /// The session was revoked, and is gone.
    Refused,
}
