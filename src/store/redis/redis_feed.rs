//! What Redis tells of changes by itself: one more connection to each master, on which the server names every key
//! with our prefix that is written, touched, deleted or evicted.
//!
//! `CLIENT TRACKING` in its broadcasting mode: the server remembers prefixes, and not who has read what. It is there
//! while somebody watches, for all stores that share connections: each is a [`Listener`](listeners::Listener). What it
//! does not tell:
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
mod listeners;
mod prefixes;
mod store_feed;
mod tracker;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::confirmed::Confirmed;
use self::listeners::{Listener, Listeners};
use self::tracker::{PATIENCE, Question, Standing, Tracker};
use super::RedisStore;
use super::complaint::Complaint;
use super::connection::{Address, Connections};
use super::failure::Failure;
use super::layout::Keyspace;
use crate::store::background::{Background, Job, Next};

pub(super) use self::store_feed::StoreFeed;

/// How long a change may stay unknown while Redis can be reached.
const BOUND: Duration = Duration::from_secs(5);
/// How often connections are looked after within the bound.
const ROUNDS: u32 = 4;

/// Keeps the connections that tell of changes.
pub(super) struct RedisFeed {
    connections: Arc<Connections>,
    listeners: Listeners,
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

/// What is asked of each server.
struct Wanted {
    prefixes: Vec<Vec<u8>>,
    question: Question,
}

/// A server that has sessions, or may get some.
struct Master {
    address: Address,
    has_sessions: bool,
}

impl RedisFeed {
    pub(super) fn new(connections: &Arc<Connections>) -> Self {
        Self {
            connections: Arc::clone(connections),
            listeners: Listeners::default(),
            background: Background::new(connections.home().clone()),
            tracking: tokio::sync::Mutex::default(),
            confirmed: Confirmed::nothing(),
            bound: Mutex::new(BOUND),
            complaint: Complaint::default(),
        }
    }

    fn round(&self) -> Duration {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) / ROUNDS
    }
}

impl Job for RedisFeed {
    async fn attempt(self: &Arc<Self>, _: Duration) -> Next {
        let mut tracking = self.tracking.lock().await;
        let listening = self.listeners.listening();
        if listening.is_empty() {
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
        let wanted = Wanted {
            prefixes: prefixes::covering(listening.iter().flat_map(|it| &*it.keyspaces).map(|keys| &**keys)),
            question: self.question(have_copies(&listening)),
        };
        let question = wanted.question;
        let wanted = Arc::new(wanted);
        tracking.keep_those_that_answer(&wanted).await;
        let mut reasons = Vec::new();
        let masters = self.masters(&tracking).await.unwrap_or_else(|failure| {
            reasons.push(failure.into_reason());
            Vec::new()
        });
        let is_news = self.join(&mut tracking, &masters, &wanted, &mut reasons).await;
        if !reasons.is_empty() {
            self.complain(reasons, have_copies(&listening));
        }
        let is_whole = !masters.is_empty() && tracking.trackers.len() == masters.len();
        let is_due = || tracking.told.is_none_or(|told| told.elapsed() + 2 * self.round() > BOUND);
        let tells_all = is_news || (!is_whole && is_due());
        if tells_all {
            tracking.told = Some(Instant::now());
        }
        for listener in &listening {
            // Of what happened before its keys are told of, it does not hear.
            if tells_all || (is_whole && !listener.hears()) {
                listener.watches.tell_all();
            }
            if is_whole {
                listener.begin_to_hear();
            }
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
        self.listeners.are_needed()
    }

    /// Who watches on another runtime looks, and starts another.
    fn abandoned(&self) {
        self.confirmed.clear();
        self.listeners.tell_all();
    }
}

impl Tracking {
    /// The others are made anew.
    async fn keep_those_that_answer(&mut self, wanted: &Arc<Wanted>) {
        let mut asking = JoinSet::new();
        for mut tracker in self.trackers.drain(..).filter(|tracker| !tracker.is_lost()) {
            let wanted = Arc::clone(wanted);
            asking.spawn(async move {
                let tells = tracker.tell_of(&wanted.prefixes).await.unwrap_or(false);
                (tells && tracker.ask(wanted.question).await.is_ok()).then_some(tracker)
            });
        }
        self.trackers.extend(asking.join_all().await.into_iter().flatten());
    }
}

impl RedisFeed {
    /// What servers are asked: more than whether they are there, if somebody trusts in that nothing has changed.
    fn question(&self, have_copies: bool) -> Question {
        match (have_copies, self.connections.are_one_server()) {
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
        wanted: &Arc<Wanted>,
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
                let (feed, address, wanted) = (Arc::clone(self), address.clone(), Arc::clone(wanted));
                joining.spawn(async move { feed.track(address, &wanted).await });
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

    async fn track(self: &Arc<Self>, address: Address, wanted: &Wanted) -> Result<Tracker, Failure> {
        let tracked = timeout(PATIENCE, self.track_at_leisure(address.clone(), wanted)).await;
        tracked.unwrap_or(Err(Failure::TimedOut(PATIENCE))).map_err(|failure| failure.at(&address))
    }

    async fn track_at_leisure(
        self: &Arc<Self>,
        address: Address,
        wanted: &Wanted,
    ) -> Result<Tracker, Failure> {
        let (feed, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let hear = move |push| {
            hear(&feed, &is_lost, &push);
            Ok::<(), ()>(())
        };
        let connection = self.connections.connect_beside(&address, hear).await?;
        let mut tracker = Tracker::new(address, connection, lost);
        tracker.tell_of(&wanted.prefixes).await?;
        tracker.ask(wanted.question).await?;
        Ok(tracker)
    }

    /// Whether the servers tell of changes, and are known to be masters; why not otherwise.
    async fn trial(self: &Arc<Self>, prefixes: Vec<Vec<u8>>) -> Result<(), String> {
        let masters = self.masters(&Tracking::default()).await.map_err(Failure::into_reason)?;
        let wanted = Wanted { prefixes, question: self.question(true) };
        if masters.is_empty() {
            return Err("no server is known yet".to_owned());
        }
        let mut trackers = Vec::new();
        for Master { address, .. } in &masters {
            let tracked = self.track(address.clone(), &wanted).await;
            trackers.push(tracked.map_err(Failure::into_reason)?);
        }
        doubt(&trackers, &masters).map_or(Ok(()), Err)
    }

    /// Logs new reasons once, until all masters tell.
    fn complain(&self, reasons: Vec<String>, have_copies: bool) {
        let reason = in_words(reasons);
        if self.complaint.is_new(&reason) {
            let besides = if have_copies { ", and copies of sessions are not used" } else { "" };
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

/// Whether somebody trusts in that nothing has changed.
fn have_copies(listening: &[Arc<Listener>]) -> bool {
    listening.iter().any(|listener| listener.watches.have_copies())
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
                    feed.listeners.tell(name);
                }
            }
        }
        // The whole database was emptied.
        (PushKind::Invalidate, _) => feed.listeners.tell_all(),
        _ => {}
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFeed").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}
