//! One connection that is replaced when it is of no use any more.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redis::Value;
use tokio::time::{Instant, sleep, timeout};

use super::health::{Journal, Status};
use super::home::Home;
use super::{Connection, Failure};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::random::jittered;

/// So many operations without an answer, one after the other, and the server counts as frozen.
const TIMEOUTS_IN_A_ROW: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// A server that answers again is found within a second.
const LONGEST_DELAY: Duration = Duration::from_millis(800);

/// To be called, with the reason, when a connection has ended or leads to the wrong server.
pub(super) type OnLoss = Arc<dyn Fn(&dyn fmt::Display) + Send + Sync>;

/// A way to reach Redis. Displays as the address, without secrets.
#[async_trait]
pub(super) trait Connector: fmt::Display + Send + Sync + 'static {
    /// One attempt. The supervisor bounds its time and repeats it.
    async fn connect(&self, on_loss: OnLoss) -> Result<Connection, Failure>;
}

/// Has a connection, or is making one.
pub(super) struct Supervisor(Arc<Shared>);

struct Shared {
    connector: Arc<dyn Connector>,
    timeout: Duration,
    journal: Arc<Journal>,
    home: Home,
    state: ArcSwap<State>,
    reconnecting: AtomicBool,
    generations: AtomicU64,
    was_connected: AtomicBool,
}

enum State {
    Up(Link),
    Down { reason: String, since: Timestamp },
}

struct Link {
    connection: Connection,
    /// Tells it from its successors: news of an old connection's end must not end a new one.
    generation: u64,
    since: Timestamp,
    opened: Instant,
    timeouts: AtomicU32,
    /// How long the attempt that made it had waited, from which the next one's delay grows.
    waited: Duration,
    /// Whether news of its end has come; see [`Shared::publish`].
    lost: Arc<AtomicBool>,
}

impl Supervisor {
    /// Without a connection, and not yet making one. `timeout` bounds every operation and every
    /// attempt to connect.
    pub(super) fn new(
        connector: Arc<dyn Connector>,
        timeout: Duration,
        journal: Arc<Journal>,
        home: Home,
    ) -> Self {
        let down = State::Down { reason: "no connection was made yet".to_owned(), since: SystemClock.now() };
        Self(Arc::new(Shared {
            connector,
            timeout,
            journal,
            home,
            state: ArcSwap::from_pointee(down),
            reconnecting: AtomicBool::new(false),
            generations: AtomicU64::new(0),
            was_connected: AtomicBool::new(false),
        }))
    }

    /// Connects, or fails within the timeout.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        // Whoever connects first is at home.
        self.0.home.runtime();
        let link = self.0.open(Duration::ZERO).await?;
        self.0.publish(link);
        Ok(())
    }

    /// Connects in the background, unless it is connected.
    pub(super) fn start(&self) {
        if !self.is_up() {
            self.0.reconnect(Duration::ZERO);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(**self.0.state.load(), State::Up(_))
    }

    pub(super) fn status(&self) -> Status {
        match &**self.0.state.load() {
            State::Up(link) => Status { connected: true, since: link.since },
            State::Down { since, .. } => Status { connected: false, since: *since },
        }
    }

    /// Runs an operation of one or more commands on the present connection.
    pub(super) async fn run<F>(&self, operation: impl FnOnce(Connection) -> F) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let state = self.0.state.load_full();
        let link = match &*state {
            State::Up(link) => link,
            State::Down { reason, .. } => {
                // The task that reconnects may have gone down with the runtime that it was on.
                self.0.reconnect(FIRST_DELAY);
                return Err(Failure::NotConnected(reason.clone()));
            }
        };
        let mut patience = Patience { shared: &self.0, link, since: Instant::now(), waiting: true };
        // Pinned here, since what is given to the timer is moved several times.
        let operation = pin!(operation(link.connection.clone()));
        let result = match timeout(self.0.timeout, operation).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut(self.0.timeout)),
        };
        patience.waiting = false;
        self.0.judge(link, &result);
        result
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("address", &format_args!("{}", self.0.connector))
            .field("timeout", &self.0.timeout)
            .field("connected", &self.is_up())
            .finish()
    }
}

impl Shared {
    async fn open(self: &Arc<Self>, waited: Duration) -> Result<Link, Failure> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let (shared, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let on_loss = Arc::new(move |reason: &dyn fmt::Display| {
            is_lost.swap(true, Ordering::AcqRel);
            if let Some(shared) = shared.upgrade() {
                shared.lose(generation, reason);
            }
        });
        let connection = match timeout(self.timeout, self.connector.connect(on_loss)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut(self.timeout)),
        };
        let connection = connection.map_err(|failure| failure.at(&self.connector))?;
        Ok(Link {
            connection: Connection { generation, ..connection },
            generation,
            since: SystemClock.now(),
            opened: Instant::now(),
            timeouts: AtomicU32::new(0),
            waited,
            lost,
        })
    }

    /// Makes `link` the present one. News of its end may have come before: of these two, whoever is
    /// second sees the first.
    fn publish(self: &Arc<Self>, link: Link) {
        let (generation, lost) = (link.generation, Arc::clone(&link.lost));
        self.state.store(Arc::new(State::Up(link)));
        if self.was_connected.swap(true, Ordering::AcqRel) {
            self.journal.reconnected();
            tracing::info!("reconnected to Redis at {}", self.connector);
        } else {
            tracing::info!("connected to Redis at {}", self.connector);
        }
        if lost.swap(true, Ordering::AcqRel) {
            self.lose(generation, &"it ended as soon as it was made");
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
            _ => link.end_row_of_timeouts(),
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
        let reason = reason.to_string();
        let down = Arc::new(State::Down { reason: reason.clone(), since: SystemClock.now() });
        if Arc::ptr_eq(&self.state.compare_and_swap(&state, down), &state) {
            tracing::warn!("lost the connection to Redis at {}: {reason}", self.connector);
            self.journal.failed(format!("{}: {reason}", self.connector));
            self.reconnect(link.next_delay());
            self.journal.lost();
        }
    }

    /// Sees to it that a task is reconnecting; its first attempt follows after `delay`.
    fn reconnect(self: &Arc<Self>, mut delay: Duration) {
        let Some(runtime) = self.home.runtime() else { return };
        if self.reconnecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = Reconnecting(Arc::downgrade(self));
        runtime.spawn(async move {
            loop {
                sleep(jittered(delay)).await;
                let Some(shared) = task.0.upgrade() else { return };
                match shared.open(delay).await {
                    Ok(link) => {
                        shared.publish(link);
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
        let reason = failure.into_reason();
        let news = match &**self.state.load() {
            State::Down { reason: old, since } if *old != reason => Some(*since),
            _ => None,
        };
        self.journal.failed(reason.clone());
        if let Some(since) = news {
            tracing::warn!("cannot connect to Redis yet: {reason}");
            self.state.store(Arc::new(State::Down { reason, since }));
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
        if !self.waiting {
            return;
        }
        let waited = self.since.elapsed();
        if waited >= self.shared.timeout / 2 {
            self.shared.count_timeout(self.link, &Failure::TimedOut(waited));
        }
    }
}

impl Link {
    /// Writes only where that says something new, since all threads read it.
    fn end_row_of_timeouts(&self) {
        if self.timeouts.load(Ordering::Relaxed) != 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
    }

    /// A server that accepts connections and is of no use is not to be stormed.
    fn next_delay(&self) -> Duration {
        if self.opened.elapsed() < 4 * LONGEST_DELAY { longer(self.waited) } else { Duration::ZERO }
    }
}

fn longer(delay: Duration) -> Duration {
    (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
}

#[cfg(test)]
mod tests;
