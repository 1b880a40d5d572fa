//! What Redis tells of changes by itself: one more connection to each master, on which the server names every key
//! with our prefix that is written, touched, deleted or evicted.
//!
//! `CLIENT TRACKING` in its broadcasting mode: the server remembers prefixes, and not who has read what. It is there
//! while somebody watches. What it does not tell:
//!
//! - what happens while there is no connection. So whoever watches is told of every new connection.
//! - that the peer is gone, if nothing closes the connection. So it has to answer now and then.
//! - that another server took over. So it is made anew when the store's own connections are; and where somebody keeps
//!   copies, the peer is asked whether it is a master.
//! - sessions that end by their time to live, until the server comes upon them. Who watches has a clock.
//!
//! Where there is no such connection, or no permission for it, everybody is told to look from time to time. Within
//! [`BOUND`] every change is known. Copies are used only while all masters have [`Confirmed`] that they told of everything:
//! an answer follows what was to be told before its question was sent.
//!
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

mod confirmed;
mod tracker;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::confirmed::Confirmed;
use self::tracker::{PATIENCE, Question, Standing, Tracker};
use super::RedisStore;
use super::complaint::Complaint;
use super::connection::{Address, Connections};
use super::failure::Failure;
use super::layout::Keyspace;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::Loaded;
use crate::store::background::{Background, Job, Next};
use crate::store::feed::{Copies, CopySource, Feed, Watch, Watches};

/// How long a change may stay unknown while Redis can be reached.
const BOUND: Duration = Duration::from_secs(5);
/// How often connections are looked after within the bound.
const ROUNDS: u32 = 4;
/// More renewals than fit into the life of a marker can only be a circle.
const MOST_RENEWALS: usize = 1000;

/// Keeps the connections that tell of changes.
pub(super) struct RedisFeed {
    connections: Arc<Connections>,
    keyspaces: Vec<Arc<dyn Keyspace>>,
    watches: Watches,
    background: Background,
    tracking: tokio::sync::Mutex<Tracking>,
    confirmed: Confirmed,
    /// The least that those who have copies can bear.
    bound: Mutex<Duration>,
    /// Why there is no connection, as the log has it already.
    complaint: Complaint,
}

#[derive(Default)]
struct Tracking {
    trackers: Vec<Tracker>,
    /// The generation of the store's connections when these were made.
    generation: u64,
    /// When everybody was told to look.
    told: Option<Instant>,
}

/// A server that has sessions, or may get some.
struct Master {
    address: Address,
    has_sessions: bool,
}

impl RedisFeed {
    pub(super) fn new(connections: &Arc<Connections>, keyspaces: &[Arc<dyn Keyspace>]) -> Self {
        Self {
            connections: Arc::clone(connections),
            keyspaces: keyspaces.to_vec(),
            watches: Watches::default(),
            background: Background::new(connections.home().clone()),
            tracking: tokio::sync::Mutex::default(),
            confirmed: Confirmed::nothing(),
            bound: Mutex::new(BOUND),
            complaint: Complaint::default(),
        }
    }

    /// Tells `copies` of all changes.
    pub(super) fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration) {
        let mut least = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        *least = bound.min(*least);
        self.watches.subscribe(copies);
    }

    /// The task may have gone down with the runtime that it was on.
    fn go_on(self: &Arc<Self>) {
        if self.is_needed() {
            self.background.ask(self, Duration::ZERO);
        }
    }

    fn round(&self) -> Duration {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) / ROUNDS
    }
}

#[async_trait]
impl Feed for RedisStore {
    fn watch(&self, key: &SessionKey) -> Watch {
        let watch = self.feed.watches.watch(key);
        self.feed.go_on();
        watch
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        self.feed.go_on();
        let mut key = key.clone();
        for _ in 0..MOST_RENEWALS {
            match self.layout().load(&key).await? {
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

    fn copies(&self) -> Option<&dyn CopySource> {
        Some(self)
    }
}

#[async_trait]
impl CopySource for RedisStore {
    fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration) {
        self.feed.subscribe(copies, bound);
    }

    fn told_until(&self) -> Option<Instant> {
        self.feed.confirmed.until(self.connections.generation())
    }

    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        self.feed.go_on();
        self.layout().load_to_copy(key).await
    }
}

impl Job for RedisFeed {
    async fn attempt(self: &Arc<Self>, _: Duration) -> Next {
        let mut tracking = self.tracking.lock().await;
        if self.watches.is_empty() {
            *tracking = Tracking::default();
            self.confirmed.clear();
            return Next::Done(Duration::ZERO);
        }
        // What is confirmed holds for the servers that there were when this began.
        let (began, generation) = (Instant::now(), self.connections.generation());
        if generation != tracking.generation {
            tracking.trackers.clear();
            tracking.generation = generation;
        }
        let question = self.question();
        tracking.keep_those_that_answer(question).await;
        let mut reasons = Vec::new();
        let masters = self.masters(&tracking).await.unwrap_or_else(|failure| {
            reasons.push(failure.into_reason());
            Vec::new()
        });
        let is_news = self.join(&mut tracking, &masters, question, &mut reasons).await;
        if !reasons.is_empty() {
            self.complain(reasons);
        }
        let is_whole = !masters.is_empty() && tracking.trackers.len() == masters.len();
        let is_due = || tracking.told.is_none_or(|told| told.elapsed() + 2 * self.round() > BOUND);
        if is_news || (!is_whole && is_due()) {
            self.watches.tell_all();
            tracking.told = Some(Instant::now());
        }
        match doubt(&tracking.trackers, &masters) {
            _ if !is_whole => {}
            None => {
                self.complaint.settle();
                self.confirmed.confirm(began, generation);
            }
            Some(_) if question == Question::Alive => self.complaint.settle(),
            Some(doubt) => {
                if self.complaint.is_new(&doubt) {
                    tracing::warn!("copies of sessions are not used at present: {doubt}");
                }
            }
        }
        Next::Retry(self.round())
    }

    fn is_needed(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Who watches on another runtime looks, and starts another.
    fn abandoned(&self) {
        self.confirmed.clear();
        self.watches.tell_all();
    }
}

impl Tracking {
    async fn keep_those_that_answer(&mut self, question: Question) {
        let mut asking = JoinSet::new();
        for mut tracker in self.trackers.drain(..).filter(|tracker| !tracker.is_lost()) {
            asking.spawn(async move { tracker.ask(question).await.is_ok().then_some(tracker) });
        }
        self.trackers.extend(asking.join_all().await.into_iter().flatten());
    }
}

impl RedisFeed {
    /// What servers are asked: more than whether they are there, if somebody trusts in that nothing has changed.
    fn question(&self) -> Question {
        match (self.watches.have_copies(), self.connections.are_one_server()) {
            (false, _) => Question::Alive,
            (true, true) => Question::Role,
            (true, false) => Question::RoleInCluster,
        }
    }

    /// Connects to the masters that are not tracked. Answers whether it did to any; why not to others goes to `reasons`.
    async fn join(
        self: &Arc<Self>,
        tracking: &mut Tracking,
        masters: &[Master],
        question: Question,
        reasons: &mut Vec<String>,
    ) -> bool {
        // Where there is one server, a replica may have the address that another one has by now.
        let is_stray =
            |tracker: &Tracker| tracker.standing == Standing::Replica && self.connections.are_one_server();
        tracking.trackers.retain(|tracker| {
            masters.iter().any(|master| master.address == tracker.address) && !is_stray(tracker)
        });
        let mut joining = JoinSet::new();
        for Master { address, .. } in masters {
            if tracking.trackers.iter().all(|tracker| tracker.address != *address) {
                let (feed, address) = (Arc::clone(self), address.clone());
                joining.spawn(async move { feed.track(address, question).await });
            }
        }
        let before = tracking.trackers.len();
        for joined in joining.join_all().await {
            match joined {
                Ok(tracker) => tracking.trackers.push(tracker),
                Err(failure) => reasons.push(failure.into_reason()),
            }
        }
        tracking.trackers.len() > before
    }

    /// Where the masters are. One that is tracked stays the only one until the store connects anew.
    async fn masters(&self, tracking: &Tracking) -> Result<Vec<Master>, Failure> {
        let needed = |address| Master { address, has_sessions: true };
        if self.connections.are_one_server() {
            return Ok(match &*tracking.trackers {
                [only] if only.standing != Standing::Replica => vec![needed(only.address.clone())],
                _ => self.connections.address().await?.into_iter().map(needed).collect(),
            });
        }
        let holders = self.connections.holders().into_iter();
        Ok(holders.map(|(host, owns)| Master { address: Address::Host(host), has_sessions: owns }).collect())
    }

    async fn track(self: &Arc<Self>, address: Address, question: Question) -> Result<Tracker, Failure> {
        let tracked = timeout(PATIENCE, self.track_at_leisure(address.clone(), question)).await;
        tracked.unwrap_or(Err(Failure::TimedOut(PATIENCE))).map_err(|failure| failure.at(&address))
    }

    async fn track_at_leisure(
        self: &Arc<Self>,
        address: Address,
        question: Question,
    ) -> Result<Tracker, Failure> {
        let (feed, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let hear = move |push| {
            hear(&feed, &is_lost, &push);
            Ok::<(), ()>(())
        };
        let mut connection = self.connections.connect_beside(&address, hear).await?;
        connection.send(&self.tracking_on()).await?;
        let mut tracker = Tracker { address, connection, lost, standing: Standing::not_asked() };
        tracker.ask(question).await?;
        Ok(tracker)
    }

    /// Whether the servers tell of changes, and are known to be masters; why not otherwise.
    pub(super) async fn trial(self: &Arc<Self>) -> Result<(), String> {
        let masters = self.masters(&Tracking::default()).await.map_err(Failure::into_reason)?;
        let question =
            if self.connections.are_one_server() { Question::Role } else { Question::RoleInCluster };
        if masters.is_empty() {
            return Err("no server is known yet".to_owned());
        }
        let mut trackers = Vec::new();
        for Master { address, .. } in &masters {
            let tracked = self.track(address.clone(), question).await;
            trackers.push(tracked.map_err(Failure::into_reason)?);
        }
        doubt(&trackers, &masters).map_or(Ok(()), Err)
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

    /// Logs new reasons once, until all masters tell.
    fn complain(&self, reasons: Vec<String>) {
        let reason = in_words(reasons);
        if self.complaint.is_new(&reason) {
            let besides =
                if self.watches.have_copies() { ", and copies of sessions are not used" } else { "" };
            tracing::warn!(
                "Redis does not tell of changes at present ({reason}): watched sessions are checked every \
                 {BOUND:?}{besides}"
            );
        }
    }
}

/// Why these may not tell of everything that happens to sessions.
fn doubt(trackers: &[Tracker], masters: &[Master]) -> Option<String> {
    let has_sessions =
        |address: &Address| masters.iter().any(|master| master.has_sessions && master.address == *address);
    let doubts = trackers.iter().filter_map(|tracker| match &tracker.standing {
        Standing::Master => None,
        Standing::Replica if !has_sessions(&tracker.address) => None,
        Standing::Replica => Some(format!("{} is a replica", tracker.address)),
        Standing::Unknown(reason) => Some(format!("{}: {reason}", tracker.address)),
    });
    let doubts: Vec<_> = doubts.collect();
    (!doubts.is_empty()).then(|| in_words(doubts))
}

/// The same words for the same reasons, whichever server was first.
fn in_words(mut reasons: Vec<String>) -> String {
    reasons.sort_unstable();
    reasons.join("; ")
}

fn hear(feed: &Weak<RedisFeed>, lost: &AtomicBool, push: &PushInfo) {
    let Some(feed) = feed.upgrade() else { return };
    match (&push.kind, &*push.data) {
        (PushKind::Disconnection, _) => {
            lost.store(true, Ordering::Release);
            feed.confirmed.clear();
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
