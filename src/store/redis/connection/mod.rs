//! Connections and their supervision, and nothing else.
//!
//! There is one multiplexed connection. When it breaks, or leads to a server that is of no use, a
//! background task makes another while callers fail at once. A topology supplies connections: it
//! is a [`Connector`].

mod standalone;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::time::{Instant, sleep, timeout};

use super::failure::Failure;
use crate::random;

pub(super) use standalone::Standalone;

/// So many operations without an answer, one after the other, and the server counts as frozen.
const TIMEOUTS_IN_A_ROW: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What commands are sent on; clones share it.
pub(super) type Connection = MultiplexedConnection;

/// To be called when a connection ends on the server's part.
pub(super) type OnLoss = Box<dyn Fn() + Send + Sync>;

/// A way to reach Redis. Displays as the address, without secrets.
#[async_trait]
pub(super) trait Connector: fmt::Display + Send + Sync + 'static {
    /// One attempt. The supervisor bounds its time and repeats it.
    async fn connect(&self, on_loss: OnLoss) -> RedisResult<Connection>;
}

/// Has a connection, or is making one.
pub(super) struct Supervisor(Arc<Shared>);

struct Shared {
    connector: Box<dyn Connector>,
    timeout: Duration,
    state: ArcSwap<State>,
    reconnecting: AtomicBool,
    generations: AtomicU64,
}

enum State {
    Up(Link),
    Down { reason: String },
}

struct Link {
    connection: Connection,
    /// Tells it from its successors: news of an old connection's end must not end a new one.
    generation: u64,
    since: Instant,
    timeouts: AtomicU32,
    /// How long the attempt that made it had waited, from which the next one's delay grows.
    waited: Duration,
    /// Whether news of its end has come; see [`Shared::publish`].
    lost: Arc<AtomicBool>,
}

const CLOSED: &str = "the server closed the connection";

impl Supervisor {
    /// Connects, or fails within `timeout`, which bounds every operation too.
    pub(super) async fn connect(connector: impl Connector, timeout: Duration) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            connector: Box::new(connector),
            timeout,
            state: ArcSwap::from_pointee(State::Down { reason: "connecting".to_owned() }),
            reconnecting: AtomicBool::new(false),
            generations: AtomicU64::new(0),
        });
        let link = shared.open(Duration::ZERO).await?;
        shared.publish(link);
        tracing::info!("connected to Redis at {}", shared.connector);
        Ok(Self(shared))
    }

    /// Runs an operation of one or more commands on the present connection.
    pub(super) async fn run<F>(&self, operation: impl FnOnce(Connection) -> F) -> Result<Value, Failure>
    where
        F: Future<Output = RedisResult<Value>>,
    {
        let state = self.0.state.load_full();
        let link = match &*state {
            State::Up(link) => link,
            State::Down { reason } => {
                // The task that reconnects may have gone down with the runtime that it was on.
                self.0.reconnect(FIRST_DELAY);
                return Err(Failure::NotConnected(reason.clone()));
            }
        };
        let mut patience = Patience { shared: &self.0, link, since: Instant::now(), waiting: true };
        let result = match timeout(self.0.timeout, operation(link.connection.clone())).await {
            Ok(result) => result.map_err(Failure::Redis),
            Err(_) => Err(Failure::TimedOut(self.0.timeout)),
        };
        patience.waiting = false;
        self.0.judge(link, &result);
        result
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = matches!(**self.0.state.load(), State::Up(_));
        f.debug_struct("Supervisor")
            .field("address", &format_args!("{}", self.0.connector))
            .field("timeout", &self.0.timeout)
            .field("connected", &connected)
            .finish()
    }
}

impl Shared {
    async fn open(self: &Arc<Self>, waited: Duration) -> Result<Link, Failure> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let (shared, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let on_loss = Box::new(move || {
            is_lost.swap(true, Ordering::AcqRel);
            if let Some(shared) = shared.upgrade() {
                shared.lose(generation, &CLOSED);
            }
        });
        let connection = match timeout(self.timeout, self.connector.connect(on_loss)).await {
            Ok(result) => result.map_err(Failure::Redis),
            Err(_) => Err(Failure::TimedOut(self.timeout)),
        };
        let connection = connection.map_err(|failure| failure.at(&self.connector))?;
        Ok(Link { connection, generation, since: Instant::now(), timeouts: AtomicU32::new(0), waited, lost })
    }

    /// Makes `link` the present one. News of its end may have come before: of these two, whoever is
    /// second sees the first.
    fn publish(self: &Arc<Self>, link: Link) {
        let (generation, lost) = (link.generation, Arc::clone(&link.lost));
        self.state.store(Arc::new(State::Up(link)));
        if lost.swap(true, Ordering::AcqRel) {
            self.lose(generation, &CLOSED);
        }
    }

    fn judge(self: &Arc<Self>, link: &Link, result: &Result<Value, Failure>) {
        match result {
            Err(failure @ Failure::TimedOut(_)) => self.count_timeout(link, failure),
            // It still serves reads; whether another server took its place, a new connection tells.
            Err(failure) if failure.is_read_only() => {
                if self.is_present(link.generation) {
                    self.reconnect(link.next_delay());
                }
            }
            Err(failure) if failure.condemns_connection() => self.lose(link.generation, failure),
            _ => link.timeouts.store(0, Ordering::Relaxed),
        }
    }

    fn count_timeout(self: &Arc<Self>, link: &Link, failure: &Failure) {
        if link.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_IN_A_ROW {
            self.lose(link.generation, failure);
        }
    }

    fn is_present(&self, generation: u64) -> bool {
        matches!(&**self.state.load(), State::Up(link) if link.generation == generation)
    }

    /// Gives up the connection of this generation, if it is still the present one.
    fn lose(self: &Arc<Self>, generation: u64, reason: &dyn fmt::Display) {
        let state = self.state.load();
        let State::Up(link) = &**state else { return };
        if link.generation != generation {
            return;
        }
        let down = Arc::new(State::Down { reason: reason.to_string() });
        if Arc::ptr_eq(&self.state.compare_and_swap(&state, down), &state) {
            tracing::warn!("lost the connection to Redis at {}: {reason}", self.connector);
            self.reconnect(link.next_delay());
        }
    }

    /// Sees to it that a task is reconnecting; its first attempt follows after `delay`.
    fn reconnect(self: &Arc<Self>, mut delay: Duration) {
        if self.reconnecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = Reconnecting(Arc::downgrade(self));
        tokio::spawn(async move {
            loop {
                sleep(jittered(delay)).await;
                let Some(shared) = task.0.upgrade() else { return };
                match shared.open(delay).await {
                    Ok(link) => {
                        shared.publish(link);
                        tracing::info!("reconnected to Redis at {}", shared.connector);
                        drop(task);
                        // A loss until now found this task at work, and started none.
                        if matches!(**shared.state.load(), State::Down { .. }) {
                            shared.reconnect(longer(delay));
                        }
                        return;
                    }
                    Err(failure) => shared.stay_down(failure),
                }
                delay = longer(delay);
            }
        });
    }

    fn stay_down(&self, failure: Failure) {
        let reason = match failure {
            Failure::NotConnected(reason) => reason,
            answered => answered.to_string(),
        };
        let news = matches!(&**self.state.load(), State::Down { reason: old } if *old != reason);
        if news {
            tracing::warn!("cannot reconnect to Redis yet: {reason}");
            self.state.store(Arc::new(State::Down { reason }));
        }
    }
}

/// Held by the task that reconnects. A runtime that shuts down drops the task, and this with it, so
/// that a caller on another runtime can start over.
struct Reconnecting(Weak<Shared>);

impl Drop for Reconnecting {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.reconnecting.swap(false, Ordering::AcqRel);
        }
    }
}

/// Held while an operation runs. A caller with a shorter timeout of its own drops the operation, and
/// a frozen server would never be noticed; so what was dropped late counts as a timeout too.
struct Patience<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Link,
    since: Instant,
    waiting: bool,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        if self.waiting && waited >= self.shared.timeout / 2 {
            self.shared.count_timeout(self.link, &Failure::TimedOut(waited));
        }
    }
}

impl Link {
    /// A server that accepts connections and is of no use is not to be stormed.
    fn next_delay(&self) -> Duration {
        if self.since.elapsed() < 2 * LONGEST_DELAY { longer(self.waited) } else { Duration::ZERO }
    }
}

fn longer(delay: Duration) -> Duration {
    (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
}

/// Somewhere in the second half of `delay`: instances that lost the same server come back one by one.
fn jittered(delay: Duration) -> Duration {
    let [byte] = random::bytes();
    delay.mul_f64(0.5 + f64::from(byte) / 512.0)
}
