//! The task that brings everything back to the primary once it answers again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::random::{self, jittered};
use crate::record::Envelope;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
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
    /// Sees to it that the task is running.
    pub(super) fn start_recovery(self: &Arc<Self>) {
        if self.recovering.load(Ordering::Acquire) {
            return;
        }
        // Without a runtime to run on, whoever comes next has to start it.
        let Some(runtime) = self.home.runtime() else { return };
        if self.recovering.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = Recovering(Arc::downgrade(self));
        runtime.spawn(async move {
            let (mut delay, mut complained) = (FIRST_DELAY, false);
            loop {
                sleep(jittered(delay)).await;
                let Some(shared) = task.0.upgrade() else { return };
                delay = match shared.round().await {
                    Ok(Left::Nothing) => {
                        drop(task);
                        // What came until now found this task at work, and started none.
                        if shared.is_engaged() {
                            shared.start_recovery();
                        }
                        return;
                    }
                    Ok(Left::Sessions) => FIRST_DELAY,
                    Ok(Left::Waiting) => LONGEST_DELAY,
                    Ok(Left::Refused(refusal)) => {
                        if !complained {
                            tracing::warn!("the session store refuses what it missed: {refusal}");
                        }
                        complained = true;
                        LONGEST_DELAY
                    }
                    Err(_) => (delay * 2).min(LONGEST_DELAY),
                };
            }
        });
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

/// A key that no session has, and that a store of any layout looks up: one that refuses it unasked would
/// seem to answer.
fn unused_key() -> SessionKey {
    let id = SessionId::generate();
    id.into_foreign().key()
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

/// Held by the task. A runtime that shuts down drops the task, and this with it, so that a caller
/// on another runtime can start over.
struct Recovering(Weak<Shared>);

impl Drop for Recovering {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.recovering.store(false, Ordering::Release);
        }
    }
}
