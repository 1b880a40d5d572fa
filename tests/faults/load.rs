//! Requests that go on while something breaks, and what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_store::{
    Clock as _, Created, Error, Loaded, Payload, Record, Revision, SessionId, SessionKey, SessionStore,
    SystemClock, Ttl, Update, Updated,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

const WORKERS: usize = 16;
const SESSIONS_OF_A_WORKER: usize = 8;
/// Between two operations of a worker.
const PAUSE: Duration = Duration::from_millis(4);
const TTL: Duration = Duration::from_secs(600);

/// Workers that create, load, change and delete sessions without a pause.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    workers: JoinSet<Account>,
}

/// What the workers saw.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) operations: usize,
    /// How often each kind of error was answered.
    pub(crate) errors: BTreeMap<&'static str, usize>,
    pub(crate) longest_wait: Duration,
    pub(crate) last_error: Option<Instant>,
    /// Sessions that are older than a write which was acknowledged.
    pub(crate) lost_writes: usize,
    /// Sessions that are gone though nobody deleted them.
    pub(crate) lost_sessions: usize,
    /// Sessions that are back after a deletion which was acknowledged.
    pub(crate) resurrected: usize,
}

impl Load {
    /// Every worker has its sessions before this returns.
    pub(crate) async fn on(store: &Arc<impl SessionStore>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for seed in 0..WORKERS {
            let mut worker = Worker::new(Arc::clone(store) as _, seed);
            worker.begin().await;
            let stop = Arc::clone(&stop);
            workers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    worker.step().await;
                    sleep(PAUSE).await;
                }
                worker.account
            });
        }
        Self { stop, workers }
    }

    /// Lets every worker finish its operation.
    pub(crate) async fn stop(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        let accounts = self.workers.join_all().await;
        accounts.into_iter().fold(Account::default(), Account::and)
    }
}

impl Account {
    fn and(mut self, other: Self) -> Self {
        self.operations += other.operations;
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.last_error = self.last_error.max(other.last_error);
        self.lost_writes += other.lost_writes;
        self.lost_sessions += other.lost_sessions;
        self.resurrected += other.resurrected;
        self
    }

    /// For how long after `moment` operations still failed.
    pub(crate) fn unhealthy_after(&self, moment: Instant) -> Duration {
        self.last_error.map_or(Duration::ZERO, |last| last.saturating_duration_since(moment))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: Vec<_> = self.errors.iter().map(|(error, count)| format!("{error} {count}")).collect();
        write!(
            f,
            "{} operations; errors: {}; longest wait {} ms; lost writes {}, lost sessions {}, resurrected {}",
            self.operations,
            if errors.is_empty() { "none".to_owned() } else { errors.join(", ") },
            self.longest_wait.as_millis(),
            self.lost_writes,
            self.lost_sessions,
            self.resurrected
        )
    }
}

struct Worker {
    store: Arc<dyn SessionStore>,
    random: u64,
    alive: Vec<Known>,
    ended: Vec<SessionKey>,
    account: Account,
}

/// A session, as it was acknowledged last.
struct Known {
    key: SessionKey,
    record: Record,
    /// By writes whose outcome is unknown, and that may yet take effect.
    possible: Vec<Revision>,
    /// Whether to look before the next write.
    unsure: bool,
}

impl Worker {
    fn new(store: Arc<dyn SessionStore>, seed: usize) -> Self {
        let random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 + 1);
        Self { store, random, alive: Vec::new(), ended: Vec::new(), account: Account::default() }
    }

    async fn begin(&mut self) {
        for _ in 0..SESSIONS_OF_A_WORKER {
            self.create().await;
        }
        assert_eq!(self.alive.len(), SESSIONS_OF_A_WORKER, "{}", self.account);
    }

    async fn step(&mut self) {
        match self.draw(10) {
            0 => self.create().await,
            1 if self.alive.len() >= SESSIONS_OF_A_WORKER => self.delete().await,
            2 => self.look_at_an_ended_one().await,
            3..6 => self.update().await,
            _ => self.load().await,
        }
    }

    async fn create(&mut self) {
        let key = SessionId::generate().key();
        let now = SystemClock.now();
        let data = Payload::new(1, "0");
        let record = Record::new(now, now.saturating_add(TTL), data);
        let store = Arc::clone(&self.store);
        if self.answer(store.create(&key, &record, Ttl::new(TTL))).await == Some(Created::Created) {
            self.alive.push(Known { key, record, possible: Vec::new(), unsure: false });
        }
    }

    async fn update(&mut self) {
        let Some(index) = self.choose() else { return };
        let Known { key, record, unsure, .. } = &self.alive[index];
        if *unsure {
            return self.load_one(index).await;
        }
        let mut next = record.next();
        next.data = Payload::new(next.data.codec(), self.random.to_string());
        let (key, store) = (key.clone(), Arc::clone(&self.store));
        let result = self.timed(store.update(Update::new(&key, &next, Ttl::new(TTL)))).await;
        let known = &mut self.alive[index];
        match result {
            Ok(Updated::Updated) => {
                known.record = next;
                known.possible.clear();
            }
            Ok(Updated::Stale(found)) => self.find(index, found),
            Ok(_) => self.lose(index),
            Err(error) if error.outcome_unknown() => {
                known.possible.push(next.revision);
                known.unsure = true;
            }
            Err(_) => {}
        }
    }

    async fn load(&mut self) {
        if let Some(index) = self.choose() {
            self.load_one(index).await;
        }
    }

    async fn load_one(&mut self, index: usize) {
        let (key, store) = (self.alive[index].key.clone(), Arc::clone(&self.store));
        match self.answer(store.load(&key)).await {
            Some(Loaded::Found(found)) => self.find(index, found),
            Some(_) => self.lose(index),
            None => {}
        }
    }

    async fn delete(&mut self) {
        let Some(index) = self.choose() else { return };
        let known = self.alive.swap_remove(index);
        let store = Arc::clone(&self.store);
        // What is not acknowledged may be either way, and nobody looks at it again.
        if self.answer(store.delete(&known.key)).await.is_some() {
            self.ended.push(known.key);
        }
    }

    async fn look_at_an_ended_one(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let index = self.draw(self.ended.len());
        let (key, store) = (self.ended[index].clone(), Arc::clone(&self.store));
        if !matches!(self.answer(store.load(&key)).await, None | Some(Loaded::Absent)) {
            self.account.resurrected += 1;
            self.ended.swap_remove(index);
        }
    }

    fn find(&mut self, index: usize, found: Record) {
        let known = &mut self.alive[index];
        known.unsure = false;
        if found.revision != known.record.revision {
            self.account.lost_writes += usize::from(!known.possible.contains(&found.revision));
            known.record = found;
        }
    }

    fn lose(&mut self, index: usize) {
        self.account.lost_sessions += 1;
        self.alive.swap_remove(index);
    }

    async fn answer<T>(&mut self, operation: impl Future<Output = Result<T, Error>>) -> Option<T> {
        self.timed(operation).await.ok()
    }

    async fn timed<T>(&mut self, operation: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let start = Instant::now();
        let result = operation.await;
        self.account.operations += 1;
        self.account.longest_wait = self.account.longest_wait.max(start.elapsed());
        if let Err(error) = &result {
            *self.account.errors.entry(kind(error)).or_default() += 1;
            // That one is the servers' state, and not the connection's.
            if kind(error) != NOT_REPLICATED {
                self.account.last_error = Some(Instant::now());
            }
        }
        result
    }

    fn choose(&mut self) -> Option<usize> {
        let count = self.alive.len();
        (count > 0).then(|| self.draw(count))
    }

    /// Xorshift: the same operations in every run.
    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % below as u64).unwrap()
    }
}

const NOT_REPLICATED: &str = "not replicated";

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { reason, .. } if reason.contains("replicas confirmed") => NOT_REPLICATED,
        Error::Unavailable { outcome_unknown: true, .. } => "outcome unknown",
        Error::Unavailable { reason, .. } if reason.starts_with("not connected") => "not connected",
        Error::Unavailable { reason, .. } if reason.contains("did not answer") => "timed out",
        Error::Unavailable { .. } => "passing",
        Error::Refused { .. } => "refused",
        _ => "other",
    }
}
