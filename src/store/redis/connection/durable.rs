//! Writes that are done when replicas have them too.
//!
//! A connection stands still while the server waits on it, so these have one of their own: first
//! all writes at hand, then one `WAIT` that is for all of them, and so on. Were each to wait for
//! itself, a missing replica would let them queue up until nobody could sign out any more.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Mutex, RwLock};
use tokio::time::timeout;

use super::health::{Journal, Status};
use super::supervisor::Supervisor;
use super::{Connection, Failure, Repeat};
use crate::clock::millis_rounded_up;

/// By how many replicas a write has to be confirmed, and in what time.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::redis) struct Replication {
    pub(in crate::store::redis) replicas: u32,
    pub(in crate::store::redis) within: Duration,
}

#[derive(Debug)]
pub(super) struct Durable {
    pub(super) link: Supervisor,
    replication: Replication,
    limit: Duration,
    journal: Arc<Journal>,
    /// Read by those who write, written by who makes the server wait.
    writing: RwLock<()>,
    rounds_begun: AtomicU64,
    last_round: Mutex<Round>,
}

/// One `WAIT`, and how many replicas confirmed what was written before it on the same connection:
/// of others' writes a server answers for none.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    generation: u64,
    confirmed: i64,
}

impl Durable {
    pub(super) fn new(
        link: Supervisor,
        replication: Replication,
        limit: Duration,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            link,
            replication,
            limit,
            journal,
            writing: RwLock::new(()),
            rounds_begun: AtomicU64::new(0),
            last_round: Mutex::new(Round { number: 0, generation: 0, confirmed: 0 }),
        }
    }

    /// What was sent on a connection that broke is not sent again: on another one, a `WAIT` would answer for
    /// a write that was not made there.
    pub(super) async fn run<F>(&self, mut operation: impl FnMut(Connection) -> F) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let all = async {
            let mut generation = 0;
            let (reply, begun) = {
                let _writing = self.writing.read().await;
                let operation = |connection: Connection| {
                    generation = connection.generation;
                    operation(connection)
                };
                let reply = self.link.run(Repeat::Never, operation).await?;
                (reply, self.rounds_begun.load(Ordering::Acquire))
            };
            // Anything else is what is stored instead. Of several parts one may tell of a write.
            if matches!(reply, Value::Okay | Value::Int(_) | Value::Array(_)) {
                self.confirm(begun, generation).await.inspect_err(|_| self.journal.unreplicated())?;
            }
            Ok(reply)
        };
        timeout(self.limit, all).await.unwrap_or(Err(Failure::TimedOut(self.limit)))
    }

    pub(super) fn status(&self) -> Status {
        self.link.status()
    }

    /// Waits for a round that began after so many others, on the connection of this generation.
    async fn confirm(&self, begun: u64, generation: u64) -> Result<(), Failure> {
        let mut last = self.last_round.lock().await;
        if last.number <= begun {
            *last = self.wait().await.map_err(|failure| Failure::Unconfirmed(failure.to_string()))?;
        }
        if last.generation != generation {
            return Err(Failure::Unconfirmed("its connection is gone".to_owned()));
        }
        let Round { confirmed, .. } = *last;
        let wanted = self.replication.replicas;
        if confirmed >= i64::from(wanted) {
            Ok(())
        } else {
            Err(Failure::NotReplicated { confirmed, wanted })
        }
    }

    /// <https://redis.io/docs/latest/commands/wait/>
    async fn wait(&self) -> Result<Round, Failure> {
        let _alone = self.writing.write().await;
        let number = self.rounds_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.replication.replicas).arg(millis_rounded_up(self.replication.within));
        let mut generation = 0;
        let operation = |mut connection: Connection| {
            generation = connection.generation;
            let wait = &wait;
            async move { connection.send(wait).await }
        };
        match self.link.run(Repeat::Never, operation).await? {
            Value::Int(confirmed) => Ok(Round { number, generation, confirmed }),
            _ => Ok(Round { number, generation, confirmed: 0 }),
        }
    }
}

#[cfg(test)]
mod tests;
