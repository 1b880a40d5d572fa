//! What Redis tells of changes by itself: one more connection to each master, on which the server names every key
//! with our prefix that is written, touched, deleted or evicted.
//!
//! `CLIENT TRACKING` in its broadcasting mode: the server remembers prefixes, and not who has read what. It is there
//! while somebody watches. What it does not tell:
//!
//! - what happens while there is no connection. So whoever watches is told of every new connection.
//! - that the peer is gone, if nothing closes the connection. So it has to answer a `PING` now and then.
//! - that another server took over. So it is made anew when the store's own connections are.
//! - sessions that end by their time to live, until the server comes upon them. Who watches has a clock.
//!
//! Where there is no such connection, or no permission for it, everybody is told to look from time to time. Within
//! [`BOUND`] every change is known.
//!
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::RedisStore;
use super::complaint::Complaint;
use super::connection::{Address, Connection, Connections};
use super::failure::Failure;
use super::layout::Keyspace;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::background::{Background, Job, Next};
use crate::store::feed::{Feed, Watch, Watches};
use crate::store::{Loaded, SessionStore as _};

/// How long a change may stay unknown while Redis can be reached.
const BOUND: Duration = Duration::from_secs(5);
/// How often connections are looked after.
const ROUND: Duration = Duration::from_millis(1250);
/// How long a server may take to let in or to answer.
const PATIENCE: Duration = Duration::from_millis(1250);
/// More renewals than fit into the life of a marker can only be a circle.
const MOST_RENEWALS: usize = 1000;

/// Keeps the connections that tell of changes.
pub(super) struct RedisFeed {
    connections: Arc<Connections>,
    keyspaces: Vec<Arc<dyn Keyspace>>,
    watches: Watches,
    background: Background,
    tracking: Mutex<Tracking>,
    /// Why there is no connection, as the log has it already.
    complaint: Complaint,
}

#[derive(Default)]
struct Tracking {
    trackers: Vec<Tracker>,
    /// How often the store had connected anew when these were made.
    reconnects: u64,
    /// When everybody was told to look.
    told: Option<Instant>,
}

/// A connection to a master.
struct Tracker {
    address: Address,
    connection: Connection,
    lost: Arc<AtomicBool>,
}

impl RedisFeed {
    pub(super) fn new(connections: &Arc<Connections>, keyspaces: &[Arc<dyn Keyspace>]) -> Self {
        Self {
            connections: Arc::clone(connections),
            keyspaces: keyspaces.to_vec(),
            watches: Watches::default(),
            background: Background::new(connections.home().clone()),
            tracking: Mutex::default(),
            complaint: Complaint::default(),
        }
    }
}

#[async_trait]
impl Feed for RedisStore {
    fn watch(&self, key: &SessionKey) -> Watch {
        let watch = self.feed.watches.watch(key);
        self.feed.background.ask(&self.feed, Duration::ZERO);
        watch
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        if self.feed.is_needed() {
            // The task may have gone down with the runtime that it was on.
            self.feed.background.ask(&self.feed, Duration::ZERO);
        }
        let mut key = key.clone();
        for _ in 0..MOST_RENEWALS {
            match self.load(&key).await? {
                Loaded::Found(record) => return Ok(Some((key, record))),
                Loaded::Absent => return Ok(None),
                Loaded::Moved => match self.layout().successor(&key).await? {
                    Some(successor) => key = successor,
                    // It ended between the two steps.
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }
}

impl Job for RedisFeed {
    async fn attempt(self: &Arc<Self>, _: Duration) -> Next {
        let mut tracking = self.tracking.lock().await;
        if self.watches.is_empty() {
            *tracking = Tracking::default();
            return Next::Done(Duration::ZERO);
        }
        let reconnects = self.connections.status().reconnects;
        if reconnects != tracking.reconnects {
            tracking.trackers.clear();
            tracking.reconnects = reconnects;
        }
        tracking.keep_those_that_answer().await;
        let (is_news, is_whole) = self.join_masters(&mut tracking).await;
        if is_whole {
            self.complaint.settle();
        }
        // The next round may be half as long again as this one.
        let is_due = || tracking.told.is_none_or(|told| told.elapsed() + 2 * ROUND > BOUND);
        if is_news || (!is_whole && is_due()) {
            self.watches.tell_all();
            tracking.told = Some(Instant::now());
        }
        Next::Retry(ROUND)
    }

    fn is_needed(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Who watches on another runtime looks, and starts another.
    fn abandoned(&self) {
        self.watches.tell_all();
    }
}

impl Tracking {
    async fn keep_those_that_answer(&mut self) {
        let mut asking = JoinSet::new();
        for mut tracker in self.trackers.drain(..).filter(|tracker| !tracker.lost.load(Ordering::Acquire)) {
            asking.spawn(async move {
                let answer = timeout(PATIENCE, tracker.connection.send(&redis::cmd("PING"))).await;
                matches!(answer, Ok(Ok(_))).then_some(tracker)
            });
        }
        self.trackers.extend(asking.join_all().await.into_iter().flatten());
    }
}

impl RedisFeed {
    /// Connects to the masters that are not tracked. Answers whether it did to any, and whether all are tracked.
    async fn join_masters(self: &Arc<Self>, tracking: &mut Tracking) -> (bool, bool) {
        let masters = match self.masters(tracking).await {
            Ok(masters) => masters,
            Err(failure) => {
                self.complain(failure);
                return (false, false);
            }
        };
        tracking.trackers.retain(|tracker| masters.contains(&tracker.address));
        let mut joining = JoinSet::new();
        for address in &masters {
            if tracking.trackers.iter().all(|tracker| tracker.address != *address) {
                let (feed, address) = (Arc::clone(self), address.clone());
                joining.spawn(async move {
                    let joined = timeout(PATIENCE, feed.join(address)).await;
                    joined.unwrap_or(Err(Failure::TimedOut(PATIENCE)))
                });
            }
        }
        let before = tracking.trackers.len();
        for joined in joining.join_all().await {
            match joined {
                Ok(tracker) => tracking.trackers.push(tracker),
                Err(failure) => self.complain(failure),
            }
        }
        (tracking.trackers.len() > before, !masters.is_empty() && tracking.trackers.len() == masters.len())
    }

    /// Where the masters are. One that is tracked stays the only one until the store connects anew.
    async fn masters(&self, tracking: &Tracking) -> Result<Vec<Address>, Failure> {
        if self.connections.are_one_server() {
            if let [only] = &*tracking.trackers {
                return Ok(vec![only.address.clone()]);
            }
            return Ok(self.connections.address().await?.into_iter().collect());
        }
        Ok(self.connections.nodes().into_iter().map(Address::Host).collect())
    }

    async fn join(self: &Arc<Self>, address: Address) -> Result<Tracker, Failure> {
        let (feed, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let hear = move |push| {
            hear(&feed, &is_lost, &push);
            Ok::<(), ()>(())
        };
        let mut connection = self.connections.connect_beside(&address, hear).await?;
        connection.send(&self.tracking_on()).await?;
        Ok(Tracker { address, connection, lost })
    }

    fn tracking_on(&self) -> Cmd {
        let mut on = redis::cmd("CLIENT");
        on.arg("TRACKING").arg("ON").arg("BCAST");
        let prefixes: Vec<_> = self.keyspaces.iter().map(|keys| keys.prefix().as_str()).collect();
        for (number, prefix) in prefixes.iter().enumerate() {
            // One that begins like another is heard of by that; the server refuses both together.
            let is_covered = prefixes.iter().enumerate().any(|(other, shorter)| {
                prefix.starts_with(shorter) && (shorter.len() < prefix.len() || other < number)
            });
            if !is_covered {
                on.arg("PREFIX").arg(prefix);
            }
        }
        on
    }

    fn tell(&self, name: &[u8]) {
        for keyspace in &self.keyspaces {
            if let Some(named) = keyspace.named(name) {
                self.watches.tell(&named.key);
            }
        }
    }

    /// Logs each new reason once, until all masters tell.
    fn complain(&self, failure: Failure) {
        let reason = failure.into_reason();
        if self.complaint.is_new(&reason) {
            tracing::warn!(
                "Redis does not tell of changes yet ({reason}): sessions that are watched are looked at every {BOUND:?}"
            );
        }
    }
}

fn hear(feed: &Weak<RedisFeed>, lost: &AtomicBool, push: &PushInfo) {
    let Some(feed) = feed.upgrade() else { return };
    match (&push.kind, &*push.data) {
        (PushKind::Disconnection, _) => {
            lost.store(true, Ordering::Release);
            feed.background.hurry();
        }
        (PushKind::Invalidate, [Value::Array(names)]) => {
            for name in names {
                if let Value::BulkString(name) = name {
                    feed.tell(name);
                }
            }
        }
        // The whole database was emptied.
        (PushKind::Invalidate, _) => feed.watches.tell_all(),
        _ => {}
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFeed").field("watches", &self.watches).finish_non_exhaustive()
    }
}
