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

/// What a round of the task left to do.
enum Left {
    Nothing,
    /// Sessions that came or changed during the round.
    Sessions,
    /// Markers, or a deletion to be repeated: only time helps.
    Waiting,
    /// What the primary has no room for, or no permission.
    Refused(Error),
}

impl Shared {
    /// Recovers in the background, unless that is under way.
    pub(super) fn start_recovery(self: &Arc<Self>) {
        self.background.ask(self, BACKOFF.first);
    }

    /// One attempt at all that is to be done.
    ///
    /// A read comes first: it does no harm if it's lost, and while it is, nothing else is tried.
    /// Deletions come before anything that makes sessions usable.
    async fn round(self: &Arc<Self>) -> Result<Left, Error> {
        let probe = self.primary.load(&unused_key()).await;
        let _whatever_it_answers = unless_unavailable(self.observe(probe))?;
        self.ledger().primary_answers(Instant::now());
        let deleted = unless_unavailable(self.make_deletions().await)?;
        let moved = unless_unavailable(self.move_sessions().await)?;
        self.close();
        Ok(match deleted.and(moved) {
            Ok(()) => self.rest(),
            Err(refusal) => Left::Refused(refusal),
        })
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

    fn rest(&self) -> Left {
        if self.memory.sessions().next().is_some() {
            return Left::Sessions;
        }
        let mut ledger = self.ledger();
        ledger.forget_what_is_over(Instant::now());
        // Under the lock, under which sessions come into memory.
        if ledger.is_empty() && self.memory.is_empty() {
            self.engaged.store(false, Ordering::Release);
            return Left::Nothing;
        }
        Left::Waiting
    }
}

impl Job for Shared {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        match self.round().await {
            Ok(Left::Nothing) => {
                self.complained.store(false, Ordering::Relaxed);
                Next::Done(BACKOFF.first)
            }
            Ok(Left::Sessions) => Next::Retry(BACKOFF.first),
            Ok(Left::Waiting) => Next::Retry(BACKOFF.longest),
            Ok(Left::Refused(refusal)) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the session store refuses what it missed: {refusal}");
                }
                Next::Retry(BACKOFF.longest)
            }
            Err(_) => Next::Retry(BACKOFF.after(waited)),
        }
    }

    fn is_needed(&self) -> bool {
        self.is_engaged()
    }
}

/// A key that no session has, and that a store of any layout looks up: one that refuses it unasked would
/// seem to answer.
fn unused_key() -> SessionKey {
    let id = SessionId::generate();
    #[cfg(feature = "express")]
    let id = id.into_express();
    id.key()
}

/// All of `keys`, beginning anywhere: what the primary refuses ends a round, so that it isn't stormed,
/// and should not end every round at the same place.
fn in_turn<K>(keys: &[K]) -> impl Iterator<Item = &K> {
    let start = usize::from_ne_bytes(random::bytes()) % keys.len().max(1);
    keys[start..].iter().chain(&keys[..start])
}

/// Sets apart what ends a round: a refusal is a sign of life.
fn unless_unavailable<A>(result: Result<A, Error>) -> Result<Result<A, Error>, Error> {
    match result {
        Err(error @ Error::Unavailable { .. }) => Err(error),
        answer => Ok(answer),
    }
}
