//! What becomes of an operation that finds no connection, or loses it before the answer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::{BACKOFF, Down, Shared, State, Supervisor};
use crate::store::redis::connection::{Connection, Failure, Repeat};

/// So many operations may wait for a connection at a time.
pub(super) const MOST: usize = 10_000;
/// Nothing is sent so late that the answer might not come in time: the outcome would be unknown, where
/// "not connected" says that there was none. At most a quarter of the timeout.
const LAST_START: Duration = Duration::from_millis(50);

/// So long does an insistent operation wait for another attempt to connect.
const KNOCKING: Duration = Duration::from_millis(100);

impl Supervisor {
    /// If the server is known to be away, waits for an attempt to connect that begins from now on: a server
    /// that is back by now is found, unless it takes long to answer.
    pub(in super::super) async fn knock(&self) {
        let shared = &self.0;
        let begins = shared.generations.load(Ordering::Acquire);
        let attempted = async {
            loop {
                let news = shared.background.news();
                let is_away = matches!(&**shared.state.load(), State::Down(Down { away: true, .. }));
                if !is_away || shared.failed.load(Ordering::Acquire) > begins {
                    return;
                }
                shared.reconnect(BACKOFF.first);
                shared.background.hurry();
                news.await;
            }
        };
        let _still_away = timeout(KNOCKING, attempted).await;
    }
}

impl Shared {
    /// Runs an operation on the next connection, and again on the one after that if `repeat` allows it.
    /// `lost` says how it failed on the connection before, if it was sent on that.
    pub(super) async fn persist<F>(
        self: &Arc<Self>,
        deadline: Instant,
        mut lost: Option<Failure>,
        repeat: Repeat<'_>,
        mut operation: impl FnMut(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let Ok(_place) = self.waiting.try_acquire() else {
            let crowd =
                || Failure::NotConnected(format!("{MOST} operations are already waiting for a connection"));
            return Err(lost.unwrap_or_else(crowd));
        };
        loop {
            let state = match self.connected(deadline).await {
                Ok(state) => state,
                Err(failure) => return Err(lost.unwrap_or(failure)),
            };
            let State::Up(up) = &*state else { continue };
            let connection = Connection { again: lost.is_some(), ..up.connection.clone() };
            let result = {
                let operation = pin!(operation(connection));
                self.run_on(up, Instant::now(), deadline, operation).await
            };
            let repeats = !matches!(repeat, Repeat::Never);
            match result {
                Err(failure) if failure.is_broken() && repeats => lost = lost.or(Some(failure)),
                result => {
                    return match lost {
                        Some(lost) => repeat.conclude(lost, result),
                        None => result,
                    };
                }
            }
        }
    }

    /// The state with a connection, once there is one.
    async fn connected(self: &Arc<Self>, deadline: Instant) -> Result<Arc<State>, Failure> {
        let (begun, patience) = (Instant::now(), self.timeout - LAST_START.min(self.timeout / 4));
        let until = deadline - (self.timeout - patience);
        loop {
            let news = self.background.news();
            let state = self.state.load_full();
            let down = match &*state {
                State::Up(_) => return Ok(state),
                State::Down(down) => down,
            };
            // The task that reconnects may have gone down with the runtime that it was on.
            self.reconnect(if down.away { BACKOFF.first } else { Duration::ZERO });
            let in_vain = !down.away && timeout_at(until, news).await.is_err();
            // Who waited for long has found out for the others.
            if in_vain && begun.elapsed() >= patience / 2 {
                self.exchange(&state, State::Down(Down { away: true, ..down.clone() }));
            }
            if in_vain || down.away {
                return Err(Failure::NotConnected(down.reason.clone()));
            }
        }
    }
}

impl Repeat<'_> {
    /// What became of an operation that was run again after it had failed with `lost`.
    fn conclude(self, lost: Failure, result: Result<Value, Failure>) -> Result<Value, Failure> {
        match (self, result) {
            (Self::Read | Self::Write, Ok(value)) => Ok(value),
            (Self::If(tells), Ok(value)) if tells(&value) => Ok(value),
            (Self::Read, Err(failure)) => Err(failure),
            // What the first run did is not known by it.
            _ => Err(lost),
        }
    }
}
