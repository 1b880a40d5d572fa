//! Keeps the index of owners in step with their sessions, in the order that [`OwnerIndex`] needs: whoever
//! writes a session enters it before and looks again afterwards, whoever ends sessions dooms them before.

mod indexed;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::record::Owner;
use crate::store::owners::{Doom, Entered, Entering, Entry, MARGIN, Owned, OwnerIndex, Verdict};
use crate::store::survey::Cursor;
use crate::store::{Loaded, SessionStore};

pub(crate) use indexed::Indexed;

/// So many deletions are on their way at once.
const DELETED_AT_ONCE: usize = 64;
/// How long a task goes on deleting what somebody else left.
const SWEEP_TIME: Duration = Duration::from_secs(600);

/// The owners whose doomed sessions a task of this process is deleting.
pub(crate) type Sweeps = Arc<Mutex<HashSet<Owner>>>;

/// The sessions of one owner, in a store that keeps an index of them.
#[derive(Clone, Copy)]
pub(crate) struct Ownership<'a> {
    store: &'a Arc<dyn SessionStore>,
    index: &'a dyn OwnerIndex,
    sweeps: &'a Sweeps,
    owner: &'a Owner,
    now: Timestamp,
}

impl<'a> Ownership<'a> {
    /// `None` where no index is kept.
    pub(crate) fn of(
        store: &'a Arc<dyn SessionStore>,
        sweeps: &'a Sweeps,
        owner: &'a Owner,
        now: Timestamp,
    ) -> Option<Self> {
        // Called on the `Arc`, which is a store too, an operation would be boxed twice.
        Some(Self { store, index: (**store).owners()?, sweeps, owner, now })
    }

    /// Ends all sessions that `which` means, and answers how many there were.
    pub(crate) async fn revoke(&self, which: Doom<'_>, within: Duration) -> Result<u64, Error> {
        let until = Instant::now() + within;
        self.index.doom(self.owner, which).await?;
        let ended = self.delete_doomed(until).await;
        if ended.is_err() {
            self.sweep_in_background();
        }
        ended
    }

    /// Ends a session, and answers whether it was there.
    pub(crate) async fn revoke_one(&self, entry: &Entry) -> Result<bool, Error> {
        self.index.doom(self.owner, Doom::One(entry)).await?;
        let Deleted { count, failure } = self.delete(vec![entry.clone()]).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let mut others = self.index.doomed(self.owner).await?;
        others.truncate(Entered::MOST_DOOMED);
        self.sweep(others).await;
        Ok(count > 0)
    }

    /// A page of the sessions that should be there, once those are gone that are doomed.
    pub(crate) async fn page(&self, after: Option<&Cursor>) -> Result<Owned, Error> {
        let mut owned = self.index.list(self.owner, after).await?;
        self.sweep(std::mem::take(&mut owned.doomed)).await;
        Ok(owned)
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
        for entry in self.index.list(self.owner, None).await?.entries {
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
        let there_may_be_more = doomed.len() >= Entered::MOST_DOOMED;
        if let Some(error) = self.delete(doomed).await.failure {
            tracing::warn!(%error, "sessions that were revoked could not be deleted yet");
        } else if there_may_be_more {
            self.sweep_in_background();
        }
    }

    /// Deletes all that is doomed, in a task of its own: whoever comes upon it need not wait.
    fn sweep_in_background(&self) {
        // Without a runtime to run on, the next one tries.
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.sweeps.lock().insert(self.owner.clone()) {
            return;
        }
        let (store, now) = (Arc::clone(self.store), self.now);
        let sweeping = Sweeping { sweeps: Arc::clone(self.sweeps), owner: self.owner.clone() };
        runtime.spawn(async move {
            let Sweeping { sweeps, owner } = &sweeping;
            let Some(ownership) = Ownership::of(&store, sweeps, owner, now) else { return };
            match ownership.delete_doomed(Instant::now() + SWEEP_TIME).await {
                Ok(ended) => tracing::debug!(ended, "deleted sessions that had been revoked"),
                Err(error) => tracing::warn!(%error, "sessions that were revoked could not be deleted yet"),
            }
        });
    }

    /// Deletes all that is doomed, page by page, and answers how many sessions there were.
    async fn delete_doomed(&self, until: Instant) -> Result<u64, Error> {
        let mut ended = 0;
        let unfinished =
            |ended, source: Option<Error>| Error::Unfinished { ended, source: source.map(Box::new) };
        loop {
            let doomed = match self.index.doomed(self.owner).await {
                Ok(doomed) => doomed,
                Err(error) => return Err(unfinished(ended, Some(error))),
            };
            if doomed.is_empty() {
                return Ok(ended);
            }
            if Instant::now() >= until {
                return Err(unfinished(ended, None));
            }
            let deleted = self.delete(doomed).await;
            ended += deleted.count;
            if let Some(error) = deleted.failure {
                return Err(unfinished(ended, Some(error)));
            }
        }
    }

    /// Deletes doomed sessions. Those that were not there stay doomed for a while: they may be on their way.
    async fn delete(&self, doomed: Vec<Entry>) -> Deleted {
        let store: &dyn SessionStore = &**self.store;
        let deletions = doomed.into_iter().map(|entry| async move {
            let deleted = store.delete(&entry.key).await;
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
        let count = gone.len() as u64;
        if (!gone.is_empty() || !missing.is_empty())
            && let Err(error) = self.index.remove(self.owner, &gone, &missing).await
        {
            failure.get_or_insert(error);
        }
        Deleted { count, failure }
    }
}

/// What came of some deletions.
struct Deleted {
    count: u64,
    failure: Option<Error>,
}

/// Held by a task that deletes an owner's doomed sessions.
struct Sweeping {
    sweeps: Sweeps,
    owner: Owner,
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.sweeps.lock().remove(&self.owner);
    }
}
