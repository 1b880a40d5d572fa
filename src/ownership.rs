//! Keeps the index of owners in step with their sessions, in the order that [`OwnerIndex`] needs: whoever
//! writes a session enters it before and looks again afterwards, whoever ends sessions dooms them before.

use std::slice;

use futures_util::{StreamExt as _, stream};

use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::id::SessionKey;
use crate::manager::Inner;
use crate::manager::observed::Operation;
use crate::record::{Owner, Record};
use crate::store::owners::{Doom, Entering, Entry, OwnerIndex, OwnerLimit, Verdict};
use crate::store::{Created, Rotation, SessionStore, Updated};
use crate::ttl::Ttl;

/// So many deletions are on their way at once.
const DELETED_AT_ONCE: usize = 64;

/// A manager's store, whose sessions are written together with what the index says of them.
pub(crate) struct Indexed<'a, T> {
    pub(crate) manager: &'a Inner<T>,
    pub(crate) now: Timestamp,
}

impl<'a, T> Indexed<'a, T> {
    /// A create. A session that was revoked before this is over is a conflict, and is gone.
    pub(crate) async fn create(
        &self,
        key: &SessionKey,
        record: &Record,
        ttl: Ttl,
        limit: Option<OwnerLimit>,
    ) -> Result<Created, Error> {
        let create = self.manager.observe(Operation::Create, key, self.store().create(key, record, ttl));
        let Some(ownership) = self.ownership(record) else { return create.await };
        let entry = Entry::of(key.clone(), record);
        let entering = Entering { limit, ..Entering::new(&entry, self.life(record)) };
        if !ownership.enter(entering).await? {
            return Err(Conflict::Ended.into());
        }
        let created = create.await;
        if matches!(created, Ok(Created::Created)) {
            ownership.confirm(Entering::again(&entry, self.life(record))).await?;
        } else {
            ownership.leave_if_unwritten(&entry, created.as_ref().err()).await;
        }
        created
    }

    /// An update, on top of `current`. A session that was revoked is missing.
    pub(crate) async fn update(
        &self,
        key: &SessionKey,
        current: &Record,
        record: &Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        if !self.extend(key, current, record).await? {
            return Ok(Updated::Missing);
        }
        let update = self.store().update(key, current.revision, record, ttl);
        self.manager.observe(Operation::Update, key, update).await
    }

    /// A touch. A session that was revoked is not touched.
    pub(crate) async fn touch(
        &self,
        key: &SessionKey,
        current: &Record,
        expires_at: Timestamp,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        let touched = Record { expires_at, ..current.clone() };
        if !self.extend(key, current, &touched).await? {
            return Ok(false);
        }
        let touch = self.store().touch(key, current.revision, expires_at, ttl);
        self.manager.observe(Operation::Touch, key, touch).await
    }

    /// A rotation from `current`. A session that was revoked is missing; or it is a conflict, if that
    /// happened while this went on, and is gone.
    pub(crate) async fn rotate(
        &self,
        rotation: Rotation<'_>,
        current: &Record,
        limit: Option<OwnerLimit>,
    ) -> Result<Updated, Error> {
        let Rotation { old, new, record, .. } = rotation;
        let (old, new) = (Entry::of(old.clone(), current), Entry::of(new.clone(), record));
        let ownership = self.ownership(record);
        let replaced = (record.owner == current.owner).then_some(&old);
        if let Some(ownership) = &ownership {
            let entering = Entering { replaces: replaced, limit, ..Entering::new(&new, self.life(record)) };
            if !ownership.enter(entering).await? {
                return Ok(Updated::Missing);
            }
        }
        let rotate = self.store().rotate(rotation);
        let rotated = self.manager.observe(Operation::Rotate, rotation.old, rotate).await;
        let is_done = matches!(rotated, Ok(Updated::Updated));
        if let Some(ownership) = &ownership {
            if is_done {
                let again = Entering::again(&new, self.life(record));
                ownership.confirm(Entering { replaced, ..again }).await?;
            } else {
                ownership.leave_if_unwritten(&new, rotated.as_ref().err()).await;
            }
        }
        if let Some(before) = self.ownership(current).filter(|_| is_done && replaced.is_none()) {
            before.leave(slice::from_ref(&old)).await;
        }
        rotated
    }

    /// A deletion, of a session of which this record may be known.
    pub(crate) async fn delete(&self, key: &SessionKey, known: Option<&Record>) -> Result<bool, Error> {
        let was_there = self.manager.observe(Operation::Delete, key, self.store().delete(key)).await?;
        if let Some(record) = known
            && let Some(ownership) = self.ownership(record)
        {
            ownership.leave(&[Entry::of(key.clone(), record)]).await;
        }
        Ok(was_there)
    }

    /// Lets the index know that a session ends as `record` says, if that is later than `current` does.
    /// Answers whether it may.
    async fn extend(&self, key: &SessionKey, current: &Record, record: &Record) -> Result<bool, Error> {
        match self.ownership(record) {
            Some(ownership) if Entry::end(record) > Entry::end(current) => {
                let entry = Entry::of(key.clone(), record);
                ownership.enter(Entering::again(&entry, self.life(record))).await
            }
            _ => Ok(true),
        }
    }

    fn ownership(&self, record: &'a Record) -> Option<Ownership<'a>> {
        Ownership::of(self.store(), record.owner.as_ref()?)
    }

    fn store(&self) -> &'a dyn SessionStore {
        self.manager.store()
    }

    fn life(&self, record: &Record) -> Ttl {
        Entry::life(record, record.expires_at.saturating_since(self.now))
    }
}

/// The sessions of one owner, in a store that keeps an index of them.
#[derive(Clone, Copy)]
pub(crate) struct Ownership<'a> {
    store: &'a dyn SessionStore,
    index: &'a dyn OwnerIndex,
    owner: &'a Owner,
}

impl<'a> Ownership<'a> {
    /// `None` where no index is kept.
    pub(crate) fn of(store: &'a dyn SessionStore, owner: &'a Owner) -> Option<Self> {
        Some(Self { store, index: store.owners()?, owner })
    }

    /// Ends sessions, and answers how many there were.
    pub(crate) async fn revoke(&self, which: Doom<'_>) -> Result<u64, Error> {
        self.delete(self.index.doom(self.owner, which).await?).await
    }

    /// The sessions that should be there, once those are gone that are doomed.
    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let owned = self.index.list(self.owner).await?;
        self.sweep(owned.doomed).await;
        Ok(owned.entries)
    }

    /// Whether a session is entered. If it is doomed it is not, and it is gone.
    async fn enter(&self, entering: Entering<'_>) -> Result<bool, Error> {
        let Entering { entry, replaces, replaced, .. } = entering;
        let entered = self.index.enter(self.owner, entering).await?;
        self.sweep(entered.doomed).await;
        match entered.verdict {
            Verdict::Entered => Ok(true),
            Verdict::Full => Err(Conflict::TooManySessions.into()),
            Verdict::Doomed => {
                // Of many that are doomed, an answer has some.
                for doomed in [Some(entry), replaces, replaced].into_iter().flatten() {
                    self.store.delete(&doomed.key).await?;
                }
                Ok(false)
            }
        }
    }

    /// After a session was written under a new key: it may have been doomed meanwhile, by somebody who
    /// could not delete it yet.
    async fn confirm(&self, entering: Entering<'_>) -> Result<(), Error> {
        match self.enter(entering).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Conflict::Ended.into()),
            Err(error) => {
                // Its id goes to nobody.
                if let Err(error) = self.store.delete(&entering.entry.key).await {
                    tracing::debug!(%error, "a session that could not be confirmed stays until it ends");
                }
                Err(error)
            }
        }
    }

    /// A session was not written under its new key, unless it still may be.
    async fn leave_if_unwritten(&self, entry: &Entry, failure: Option<&Error>) {
        if !failure.is_some_and(Error::outcome_unknown) {
            self.leave(slice::from_ref(entry)).await;
        }
    }

    /// Sessions are no more. If that does not reach the index, their entries stay until their time is up.
    async fn leave(&self, entries: &[Entry]) {
        if let Err(error) = self.index.remove(self.owner, entries).await {
            tracing::debug!(%error, "sessions that are gone stay in the index of owners for now");
        }
    }

    /// Deletes what somebody doomed who may not have come to deleting it. If it fails, the next one tries.
    async fn sweep(&self, doomed: Vec<Entry>) {
        if let Err(error) = self.delete(doomed).await {
            tracing::warn!(%error, "sessions that were revoked could not be deleted yet");
        }
    }

    /// Deletes doomed sessions. Those that were not there stay doomed, since they may be on their way.
    async fn delete(&self, doomed: Vec<Entry>) -> Result<u64, Error> {
        let deletions = doomed.into_iter().map(|entry| async move {
            let deleted = self.store.delete(&entry.key).await;
            (entry, deleted)
        });
        let mut deletions = stream::iter(deletions).buffer_unordered(DELETED_AT_ONCE);
        let (mut gone, mut failure) = (Vec::new(), None);
        while let Some((entry, deleted)) = deletions.next().await {
            match deleted {
                Ok(true) => gone.push(entry),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        }
        if !gone.is_empty() {
            self.leave(&gone).await;
        }
        failure.map_or(Ok(gone.len() as u64), Err)
    }
}
