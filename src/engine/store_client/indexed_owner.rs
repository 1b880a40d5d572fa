//! Keeps the index of owners in step with their sessions, in the order that [`OwnerIndex`] needs: whoever
//! writes a session enters it before and looks again afterwards, whoever ends sessions revokes them before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::runtime::Handle;

use super::StoreClient;
use super::pruning::Ended;
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::record::{Label, Owner, OwnerHash};
use crate::store::owner_index::{
    Entry, Evict, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage, Verdict,
};
use crate::store::scan::Cursor;
use crate::telemetry::operations::Operation;
use crate::telemetry::session_events::{EventKind, RevokedBy, Subject};

/// So many deletions are on their way at once.
const DELETED_AT_ONCE: usize = 64;
/// How a session ends that somebody revoked, or evicted, without coming to deleting it.
const LEFT_BEHIND: EventKind = EventKind::Revoked { by: RevokedBy::Earlier };
/// How long a task goes on deleting what somebody else left.
const SWEEP_TIME: Duration = Duration::from_secs(600);

/// The sessions of one owner, in a store that keeps an index of them.
#[derive(Clone, Copy)]
pub(in crate::engine) struct OwnerSessions<'a> {
    client: &'a Arc<StoreClient>,
    index: Index<'a>,
    owner: &'a Owner,
    now: Timestamp,
}

impl<'a> OwnerSessions<'a> {
    pub(super) fn new(
        client: &'a Arc<StoreClient>,
        index: &'a dyn OwnerIndex,
        owner: &'a Owner,
        now: Timestamp,
    ) -> Self {
        Self { client, index: Index::new(client, index, OwnerHash::of(owner)), owner, now }
    }

    /// Ends all sessions that `which` means, and answers how many there were.
    pub(in crate::engine) async fn revoke(
        &self,
        which: Revocation<'_>,
        within: Duration,
    ) -> Result<u64, Error> {
        let until = Instant::now() + within;
        let ending = EventKind::Revoked {
            by: match which {
                Revocation::One(_) => RevokedBy::One,
                Revocation::AllBut(_) => RevokedBy::Others,
                Revocation::All => RevokedBy::All,
            },
        };
        self.index.revoke(which).await?;
        let ended = self.delete_revoked(ending, until).await;
        if ended.is_err() {
            self.sweep_in_background(ending);
        }
        ended
    }

    /// Ends a session, and answers whether it was there.
    pub(in crate::engine) async fn revoke_one(
        &self,
        entry: &Entry,
        label: Option<&Label>,
        by: RevokedBy,
    ) -> Result<bool, Error> {
        self.index.revoke(Revocation::One(entry)).await?;
        let Deleted { count, failure } =
            self.delete(&Ending { label, ..EventKind::Revoked { by }.into() }, vec![entry.clone()]).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let mut others = self.index.revoked().await?;
        others.truncate(IndexInserted::MOST_REVOKED);
        self.sweep(&LEFT_BEHIND.into(), others).await;
        Ok(count > 0)
    }

    /// A page of the sessions that should be there, once those are gone that are revoked.
    pub(in crate::engine) async fn page(&self, after: Option<&Cursor>) -> Result<Owned, Error> {
        let mut owned = self.index.list(after).await?;
        self.sweep(&LEFT_BEHIND.into(), std::mem::take(&mut owned.revoked)).await;
        Ok(owned)
    }

    /// Whether a session is entered, and whether it was before. If it is revoked it is not, and it is gone.
    pub(super) async fn insert(&self, entering: IndexInsert<'_>) -> Result<Option<bool>, Error> {
        let mut entered = self.index.insert(entering).await?;
        if entered.verdict == Verdict::Full && self.forget_ended().await? {
            entered = self.index.insert(entering).await?;
        }
        let is_written = entering.stage == Stage::After;
        let is_limited = entering.limit.is_some_and(|limit| limit.evict == Evict::Oldest);
        // What was left behind went before the session was written.
        let evicts = is_written && is_limited && entered.verdict == Verdict::Inserted;
        let kind = if evicts { EventKind::Evicted } else { LEFT_BEHIND };
        let ending = Ending { unanswered: is_written.then_some(&entering), ..kind.into() };
        self.sweep(&ending, entered.revoked).await;
        if let Some(sessions) = entered.sessions
            && is_written
            && entering.replaces.is_none()
        {
            self.client.telemetry.owner_has(sessions);
        }
        match entered.verdict {
            Verdict::Inserted => Ok(Some(entered.known)),
            Verdict::Full => Err(Conflict::TooManySessions.into()),
            Verdict::Revoked => {
                // Of many that are revoked, an answer has some.
                for revoked in [Some(entering.entry), entering.replaces].into_iter().flatten() {
                    if self.client.delete(&revoked.key).await? {
                        self.tell(&ending, revoked);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Takes entries away whose sessions ended without the index being told: by a logout that still had the
    /// id from before a renewal. Answers whether there were any.
    async fn forget_ended(&self) -> Result<bool, Error> {
        let Ended { entries, failure } = self.client.ended(self.index.list(None).await?).await;
        if entries.is_empty() {
            return failure.map_or(Ok(false), Err);
        }
        self.index.remove(&entries, &[]).await?;
        Ok(true)
    }

    /// Sessions are no more, or were not found when they were to be deleted. If that does not reach the
    /// index, their entries stay until their time is up.
    pub(in crate::engine) async fn leave(&self, gone: &[Entry], missing: &[Entry]) {
        if let Err(error) = self.index.remove(gone, missing).await {
            tracing::debug!(%error, "deleted sessions stay in the index of owners for now");
        }
    }

    /// Deletes what somebody revoked who may not have come to deleting it. If it fails, the next one tries.
    async fn sweep(&self, ending: &Ending<'_>, revoked: Vec<Entry>) {
        let there_may_be_more = revoked.len() >= IndexInserted::MOST_REVOKED;
        if let Some(error) = self.delete(ending, revoked).await.failure {
            tracing::warn!(%error, "revoked sessions could not be deleted yet");
        } else if there_may_be_more {
            self.sweep_in_background(ending.kind);
        }
    }

    /// Deletes all that is revoked, in a task of its own: whoever comes upon it need not wait.
    fn sweep_in_background(&self, ending: EventKind) {
        // Without a runtime to run on, the next one tries.
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.client.sweeps.lock().insert(self.owner.clone()) {
            return;
        }
        let (sweeping, now) =
            (Sweeping { client: Arc::clone(self.client), owner: self.owner.clone() }, self.now);
        runtime.spawn(async move {
            let Some(sessions) = sweeping.client.sessions_of(&sweeping.owner, now) else { return };
            match sessions.delete_revoked(ending, Instant::now() + SWEEP_TIME).await {
                Ok(ended) => tracing::debug!(ended, "deleted revoked sessions"),
                Err(error) => tracing::warn!(%error, "revoked sessions could not be deleted yet"),
            }
        });
    }

    /// Deletes all that is revoked, page by page, and answers how many sessions there were.
    async fn delete_revoked(&self, ending: EventKind, until: Instant) -> Result<u64, Error> {
        let mut ended = 0;
        let unfinished =
            |ended, source: Option<Error>| Error::Unfinished { ended, source: source.map(Box::new) };
        loop {
            let revoked = match self.index.revoked().await {
                Ok(revoked) => revoked,
                Err(error) => return Err(unfinished(ended, Some(error))),
            };
            if revoked.is_empty() {
                return Ok(ended);
            }
            if Instant::now() >= until {
                return Err(unfinished(ended, None));
            }
            let deleted = self.delete(&ending.into(), revoked).await;
            ended += deleted.count;
            if let Some(error) = deleted.failure {
                return Err(unfinished(ended, Some(error)));
            }
        }
    }

    /// Deletes revoked sessions. Those that were not there stay revoked for a while: they may be on their way.
    async fn delete(&self, ending: &Ending<'_>, revoked: Vec<Entry>) -> Deleted {
        let deletions = revoked.into_iter().map(|entry| async move {
            let deleted = self.client.delete(&entry.key).await;
            (entry, deleted)
        });
        let mut deletions = stream::iter(deletions).buffer_unordered(DELETED_AT_ONCE);
        let (mut gone, mut missing, mut failure) = (Vec::new(), Vec::new(), None);
        while let Some((entry, deleted)) = deletions.next().await {
            match deleted {
                Ok(true) => {
                    self.tell(ending, &entry);
                    gone.push(entry);
                }
                Ok(false) => missing.push(entry),
                Err(error) => failure = Some(error),
            }
        }
        let count = gone.len() as u64;
        if (!gone.is_empty() || !missing.is_empty())
            && let Err(error) = self.index.remove(&gone, &missing).await
        {
            failure.get_or_insert(error);
        }
        Deleted { count, failure }
    }

    fn tell(&self, ending: &Ending<'_>, entry: &Entry) {
        let known = match ending.unanswered {
            Some(unanswered) if unanswered.entry.key == entry.key => unanswered.replaces,
            _ => Some(entry),
        };
        let Some(entry) = known else { return };
        let subject = Subject::of(entry.key.clone()).began(entry.created_at);
        self.client.telemetry.tell(ending.kind, subject.owned_by(self.owner).labelled(ending.label));
    }
}

/// The index of owners, each call of which is watched.
#[derive(Clone, Copy)]
pub(super) struct Index<'a> {
    client: &'a StoreClient,
    store: &'a dyn OwnerIndex,
    owner: OwnerHash,
}

impl<'a> Index<'a> {
    pub(super) fn new(client: &'a StoreClient, store: &'a dyn OwnerIndex, owner: OwnerHash) -> Self {
        Self { client, store, owner }
    }

    async fn insert(&self, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let key = &entering.entry.key;
        self.client.call(Operation::IndexInsert, key, self.store.insert(self.owner, entering)).await
    }

    pub(super) async fn list(&self, after: Option<&Cursor>) -> Result<Owned, Error> {
        self.client.call(Operation::IndexList, None, self.store.list(self.owner, after)).await
    }

    async fn revoke(&self, which: Revocation<'_>) -> Result<(), Error> {
        self.client.call(Operation::IndexRevoke, None, self.store.revoke(self.owner, which)).await
    }

    async fn revoked(&self) -> Result<Vec<Entry>, Error> {
        self.client.call(Operation::IndexRevoked, None, self.store.revoked(self.owner)).await
    }

    pub(super) async fn remove(&self, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        self.client.call(Operation::IndexRemove, None, self.store.remove(self.owner, gone, missing)).await
    }
}

/// How sessions end.
#[derive(Clone, Copy)]
struct Ending<'a> {
    kind: EventKind,
    /// That of the session, if it is one.
    label: Option<&'a Label>,
    /// A session that nobody has been told of. The one that it was to replace ends in its place.
    unanswered: Option<&'a IndexInsert<'a>>,
}

impl From<EventKind> for Ending<'_> {
    fn from(kind: EventKind) -> Self {
        Self { kind, label: None, unanswered: None }
    }
}

/// What came of some deletions.
struct Deleted {
    count: u64,
    failure: Option<Error>,
}

/// Held by a task that deletes an owner's revoked sessions.
struct Sweeping {
    client: Arc<StoreClient>,
    owner: Owner,
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.client.sweeps.lock().remove(&self.owner);
    }
}
