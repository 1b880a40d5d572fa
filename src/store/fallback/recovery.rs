//! The task that brings everything back to the primary once it answers again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::random;
use crate::record::Envelope;
use crate::store::background::{Backoff, Job, Next};

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1) };
/// So many sessions in a row (or all there are) must have moved before new ones go to the primary
/// again: where one shard of a cluster is down, some operations succeed.
const PROOF: usize = 16;

impl Shared {
    /// Recovers in the background, unless that is under way.
    pub(super) fn start_recovery(self: &Arc<Self>) {
        self.background.ask(self, BACKOFF.first);
    }

    /// One attempt at all that is to be done.
    ///
    /// A read comes first: it does no harm if it's lost, and while it is, nothing else is tried.
    /// Deletions come before anything that makes sessions usable.
    async fn recover(self: &Arc<Self>) -> Result<Next, Error> {
        let probe = self.primary.load(&unused_key()).await;
        let _whatever_it_answers = unless_unavailable(self.observe(probe))?;
        self.ledger().primary_answers(Instant::now());
        let deleted = unless_unavailable(self.make_deletions().await)?;
        let moved = unless_unavailable(self.move_sessions().await)?;
        self.close();
        if let Err(refusal) = deleted.and(moved) {
            // There is no room for it, or no permission.
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::warn!("the session store refuses the changes that it missed: {refusal}");
            }
            return Ok(Next::Retry(BACKOFF.longest));
        }
        Ok(self.rest())
    }

    async fn make_deletions(self: &Arc<Self>) -> Result<(), Error> {
        let due = {
            let mut ledger = self.ledger();
            let held = |key: &SessionKey| matches!(self.memory.held(key), Some(Envelope::Record(_)));
            ledger.owe_half_moved(held);
            ledger.due(Instant::now())
        };
        for key in in_turn(&due) {
            self.delete_in_primary(key).await?;
        }
        Ok(())
    }

    async fn move_sessions(self: &Arc<Self>) -> Result<(), Error> {
        let sessions: Vec<_> = self.memory.sessions().collect();
        for (moved, key) in in_turn(&sessions).enumerate() {
            if moved == PROOF {
                self.close();
            }
            self.relocate(key).await?;
        }
        Ok(())
    }

    /// What is left to do.
    fn rest(&self) -> Next {
        // They came or changed during the attempt.
        if self.memory.sessions().next().is_some() {
            return Next::Retry(BACKOFF.first);
        }
        let mut ledger = self.ledger();
        ledger.forget_what_is_over(Instant::now());
        // Under the lock, under which sessions come into memory.
        if ledger.is_empty() && self.memory.is_empty() {
            self.engaged.store(false, Ordering::Release);
            self.complained.store(false, Ordering::Relaxed);
            return Next::Done(BACKOFF.first);
        }
        // Markers, or a deletion to be repeated: only time helps.
        Next::Retry(BACKOFF.longest)
    }
}

impl Job for Shared {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        self.recover().await.unwrap_or_else(|_| Next::Retry(BACKOFF.after(waited)))
    }

    fn is_needed(&self) -> bool {
        self.is_engaged()
    }
}

/// A key that no session has, and that a store of any layout looks up: one that refuses it unasked would
/// seem to answer.
fn unused_key() -> SessionKey {
    let id = SessionId::generate();
    id.into_foreign().key()
}

/// All of `keys`, beginning anywhere: what the primary refuses ends an attempt, so that it isn't stormed,
/// and should not end every attempt at the same place.
fn in_turn<K>(keys: &[K]) -> impl Iterator<Item = &K> {
    let start = usize::from_ne_bytes(random::bytes()) % keys.len().max(1);
    keys[start..].iter().chain(&keys[..start])
}

/// Sets apart what ends an attempt: a refusal is a sign of life.
fn unless_unavailable<A>(result: Result<A, Error>) -> Result<Result<A, Error>, Error> {
    match result {
        Err(error @ Error::Unavailable { .. }) => Err(error),
        answer => Ok(answer),
    }
}
