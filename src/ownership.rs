//! Keeps the index of owners in step with their sessions, in the order that [`OwnerIndex`] needs: whoever
//! writes a session enters it before and looks again afterwards, whoever ends sessions dooms them before.

mod indexed;

use futures_util::{StreamExt as _, stream};

use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::record::Owner;
use crate::store::owners::{Doom, Entering, Entry, MARGIN, OwnerIndex, Verdict};
use crate::store::{Loaded, SessionStore};

pub(crate) use indexed::Indexed;

/// So many deletions are on their way at once.
const DELETED_AT_ONCE: usize = 64;

/// The sessions of one owner, in a store that keeps an index of them.
#[derive(Clone, Copy)]
pub(crate) struct Ownership<'a> {
    store: &'a dyn SessionStore,
    index: &'a dyn OwnerIndex,
    owner: &'a Owner,
    now: Timestamp,
}

impl<'a> Ownership<'a> {
    /// `None` where no index is kept.
    pub(crate) fn of(store: &'a dyn SessionStore, owner: &'a Owner, now: Timestamp) -> Option<Self> {
        Some(Self { store, index: store.owners()?, owner, now })
    }

    /// Ends sessions, and answers how many there were.
    pub(crate) async fn revoke(&self, which: Doom<'_>) -> Result<u64, Error> {
        self.delete(self.index.doom(self.owner, which).await?).await
    }

    /// Ends a session, and answers whether it was there.
    pub(crate) async fn revoke_one(&self, entry: &Entry) -> Result<bool, Error> {
        let mut doomed = self.index.doom(self.owner, Doom::One(entry)).await?;
        let was_there = self.delete(vec![entry.clone()]).await? > 0;
        doomed.retain(|other| other != entry);
        self.sweep(doomed).await;
        Ok(was_there)
    }

    /// The sessions that should be there, once those are gone that are doomed.
    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let owned = self.index.list(self.owner).await?;
        self.sweep(owned.doomed).await;
        Ok(owned.entries)
    }

    /// Whether a session is entered, and whether it was before. If it is doomed it is not, and it is gone.
    async fn enter(&self, entering: Entering<'_>) -> Result<Option<bool>, Error> {
        let mut entered = self.index.enter(self.owner, entering).await?;
        if entered.verdict == Verdict::Full && self.forget_ended().await? {
            entered = self.index.enter(self.owner, entering).await?;
        }
        self.sweep(entered.doomed).await;
        match entered.verdict {
            Verdict::Entered => Ok(Some(entered.known)),
            Verdict::Full => Err(Conflict::TooManySessions.into()),
            Verdict::Doomed => {
                // Of many that are doomed, an answer has some.
                for doomed in [Some(entering.entry), entering.replaces].into_iter().flatten() {
                    self.store.delete(&doomed.key).await?;
                }
                Ok(None)
            }
        }
    }

    /// Takes entries away whose sessions ended without the index being told: by a logout that still had the
    /// id from before a renewal. Answers whether there were any.
    async fn forget_ended(&self) -> Result<bool, Error> {
        let mut ended = Vec::new();
        for entry in self.index.list(self.owner).await?.entries {
            if self.is_settled(&entry)
                && matches!(self.store.load(&entry.key).await, Ok(Loaded::Absent | Loaded::Moved))
            {
                ended.push(entry);
            }
        }
        self.index.remove(self.owner, &ended, &[]).await?;
        Ok(!ended.is_empty())
    }

    /// Whether a session whose entry is there was certainly written, so that it is no more if it is not found:
    /// what is not written leaves sooner. It may be on its way to this key from another one, though.
    fn is_settled(&self, entry: &Entry) -> bool {
        entry.created_at.saturating_add(Entry::ON_ITS_WAY + MARGIN) < self.now
    }

    /// Sessions are no more, or were not found when they were to be deleted. If that does not reach the
    /// index, their entries stay until their time is up.
    pub(crate) async fn leave(&self, gone: &[Entry], missing: &[Entry]) {
        if let Err(error) = self.index.remove(self.owner, gone, missing).await {
            tracing::debug!(%error, "sessions that are gone stay in the index of owners for now");
        }
    }

    /// Deletes what somebody doomed who may not have come to deleting it. If it fails, the next one tries.
    async fn sweep(&self, doomed: Vec<Entry>) {
        if let Err(error) = self.delete(doomed).await {
            tracing::warn!(%error, "sessions that were revoked could not be deleted yet");
        }
    }

    /// Deletes doomed sessions. Those that were not there stay doomed for a while: they may be on their way.
    async fn delete(&self, doomed: Vec<Entry>) -> Result<u64, Error> {
        let deletions = doomed.into_iter().map(|entry| async move {
            let deleted = self.store.delete(&entry.key).await;
            (entry, deleted)
        });
        let mut deletions = stream::iter(deletions).buffer_unordered(DELETED_AT_ONCE);
        let (mut gone, mut missing, mut failure) = (Vec::new(), Vec::new(), None);
        while let Some((entry, deleted)) = deletions.next().await {
            match deleted {
                Ok(true) => gone.push(entry),
                Ok(false) => missing.push(entry),
                Err(error) => failure = Some(error),
            }
        }
        if !gone.is_empty() || !missing.is_empty() {
            self.leave(&gone, &missing).await;
        }
        failure.map_or(Ok(gone.len() as u64), Err)
    }
}
