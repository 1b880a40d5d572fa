//! The way of entries to their histories: a bounded queue, and a task that has the store record them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::store_client::StoreClient;
use crate::error::Error;
use crate::record::{Owner, OwnerHash};
use crate::store::background::{Background, Backoff, Job, Next, RuntimeHandle};
use crate::store::history::{HistoryBounds, HistoryEntry};
use crate::telemetry::session_events::Remembers;

/// So many entries wait at most: two megabytes or so.
const MOST_WAITING: usize = 8192;
/// So many are on their way to the store at once.
const AT_ONCE: usize = 16;
/// How long an entry waits for a store that is away. Less than a store that has forgotten an owner keeps out what is on
/// its way.
const PATIENCE: Duration = Duration::from_secs(55);
const RETRIES: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Has entries recorded, one after the other for each owner as far as that matters: they are sorted by their times.
pub(in crate::engine) struct Recorder {
    client: Weak<StoreClient>,
    bounds: HistoryBounds,
    queue: Mutex<Queue>,
    /// The number of entries that were recorded or lost.
    handled: watch::Sender<u64>,
    background: Background,
    has_lost: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// The number of entries that were ever put in.
    accepted: u64,
}

#[derive(Clone)]
struct Waiting {
    owner: OwnerHash,
    entry: HistoryEntry,
    since: Instant,
}

impl Recorder {
    pub(in crate::engine) fn new(
        client: Weak<StoreClient>,
        bounds: HistoryBounds,
        home: RuntimeHandle,
    ) -> Self {
        Self {
            client,
            bounds,
            queue: Mutex::default(),
            handled: watch::Sender::new(0),
            background: Background::new(home),
            has_lost: AtomicBool::new(false),
        }
    }

    /// An entry is not recorded, for this reason.
    fn lose(&self, reason: &dyn std::fmt::Display) {
        if !self.has_lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an entry of a history is lost: {reason}; `Counts::history_lost` counts further ones"
            );
        }
    }

    /// Takes the first entries out, but for those that are to be tried again. They stayed in until now, so that none
    /// is lost with a runtime that ends.
    fn settle(&self, tried: Vec<(Waiting, Result<(), Error>)>, client: &StoreClient) -> bool {
        let (mut again, mut handled) = (Vec::new(), 0);
        for (waiting, recorded) in tried {
            match recorded {
                Err(Error::Unavailable { .. }) if waiting.since.elapsed() < PATIENCE => again.push(waiting),
                recorded => {
                    handled += 1;
                    if let Err(error) = recorded {
                        client.telemetry().history_lost();
                        self.lose(&error);
                    }
                }
            }
        }
        let is_away = !again.is_empty();
        let mut queue = self.queue.lock();
        queue.waiting.drain(..again.len() + handled);
        for waiting in again.into_iter().rev() {
            queue.waiting.push_front(waiting);
        }
        drop(queue);
        self.handled.send_modify(|count| *count += handled as u64);
        is_away
    }
}

impl Job for Recorder {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        loop {
            let first: Vec<_> = self.queue.lock().waiting.iter().take(AT_ONCE).cloned().collect();
            let Some(client) = self.client.upgrade().filter(|_| !first.is_empty()) else {
                return Next::Done(Duration::ZERO);
            };
            let tried = join_all(first.into_iter().map(|waiting| async {
                let recorded = client.record(waiting.owner, &waiting.entry, self.bounds).await;
                (waiting, recorded)
            }));
            if self.settle(tried.await, &client) {
                return Next::Retry(RETRIES.after(waited));
            }
        }
    }

    fn is_needed(&self) -> bool {
        !self.queue.lock().waiting.is_empty()
    }
}

impl Remembers for Recorder {
    fn remember(self: Arc<Self>, owner: &Owner, entry: HistoryEntry) -> bool {
        // Here, once: what is tried again has to be the same bytes, to be known for what is there.
        let Some(client) = self.client.upgrade() else { return false };
        let entry = client.settle_entry(entry);
        {
            let mut queue = self.queue.lock();
            if queue.waiting.len() >= MOST_WAITING {
                drop(queue);
                self.lose(&"too many are waiting");
                return false;
            }
            queue.waiting.push_back(Waiting { owner: OwnerHash::of(owner), entry, since: Instant::now() });
            queue.accepted += 1;
        }
        self.background.ask(&self, Duration::ZERO);
        true
    }

    fn recorded(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let accepted = self.queue.lock().accepted;
        Box::pin(async move {
            let mut handled = self.handled.subscribe();
            if *handled.borrow() < accepted {
                // Where the last one was put in, there may have been no runtime.
                self.background.ask(&self, Duration::ZERO);
            }
            handled.wait_for(|handled| *handled >= accepted).await.expect("the sender is at hand");
        })
    }
}
