//! Histories of instances that keep copies (SECURITY 28): while connections break, servers freeze and slots move, no read
//! is older than the bound, none is older than what the same instance has acknowledged, and no count is lost.
//!
//! `OPERATIONS=100000 cargo test --release --all-features --test feed aging -- --nocapture --test-threads=1` makes that
//! many in each history, and prints how old reads were.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use session_store::{Conflict, Error, KeyRing, Session, SessionKey, SessionManager, SessionStore};
use tokio::time::sleep;

use crate::stage::{NEAR_BOUND, SECRET, connected, copied, near_cache};
use crate::support::redis::{Cluster, Proxy, Server, wait_until};
use crate::told_by::ToldBy;

/// The present `value`, which one request at a time writes, and a `count`, which any request adds to.
type Data = BTreeMap<String, u64>;
type Manager = SessionManager<Data>;

const INSTANCES: usize = 3;
const SESSIONS: usize = 64;
const TASKS: usize = 8;
/// In each history, unless `OPERATIONS` says otherwise.
const OPERATIONS: u64 = 15_000;

/// What was under a key, from one write to the next.
#[derive(Clone, Copy, Debug)]
struct State {
    /// `None`: no session.
    value: Option<u64>,
    by: usize,
    /// Not if its outcome is unknown, or not known yet.
    acknowledged: Option<Instant>,
}

/// All that was under one key.
#[derive(Debug, Default)]
struct History(Mutex<Vec<State>>);

impl History {
    fn begin(&self, value: Option<u64>, by: usize) -> usize {
        let mut states = self.0.lock().unwrap();
        states.push(State { value, by, acknowledged: None });
        states.len() - 1
    }

    fn acknowledge(&self, state: usize) {
        self.0.lock().unwrap()[state].acknowledged = Some(Instant::now());
    }

    /// How old a read was that began at `begun` and saw `value`: since when it was acknowledged that there is something
    /// newer.
    fn age(&self, begun: Instant, value: Option<u64>, by: usize) -> Duration {
        let states = self.0.lock().unwrap();
        let seen = states.iter().rposition(|state| state.value == value);
        let seen = seen.unwrap_or_else(|| panic!("{value:?} was never written: {states:?}"));
        let newer = states[seen + 1..].iter().filter_map(|state| {
            let age = begun.checked_duration_since(state.acknowledged?)?;
            assert_ne!(
                state.by, by,
                "instance {by} saw {value:?}, {age:?} after it had acknowledged {state:?}"
            );
            Some(age)
        });
        newer.max().unwrap_or_default()
    }
}

/// A session, under whatever key.
#[derive(Clone)]
struct Present {
    cookie: String,
    key: SessionKey,
    history: Arc<History>,
    counts: Arc<Counts>,
}

/// How often a session was counted up.
#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    in_doubt: AtomicU64,
}

/// A visitor, who has one session after the other.
struct Visitor {
    /// Held by who writes the value.
    turn: tokio::sync::Mutex<()>,
    present: Mutex<Present>,
    /// The one that the present one took the place of.
    past: Mutex<Option<Present>>,
}

struct World {
    instances: Vec<Manager>,
    visitors: Vec<Visitor>,
    values: AtomicU64,
    left: AtomicU64,
    ages: Mutex<Vec<Duration>>,
    reads: AtomicU64,
    failures: AtomicU64,
    refusals: AtomicU64,
}

fn instance(store: impl SessionStore) -> Manager {
    SessionManager::builder(store, KeyRing::parse(SECRET).unwrap()).build().unwrap()
}

fn random(below: usize) -> usize {
    getrandom::u32().unwrap() as usize % below
}

/// From 0 to 1.
fn fraction() -> f64 {
    f64::from(getrandom::u32().unwrap()) / f64::from(u32::MAX)
}

/// A request. Answers with the cookie that is set.
async fn request<R>(
    manager: &Manager,
    cookie: &str,
    handler: impl AsyncFnOnce(&Session<Data>) -> Result<R, Error>,
) -> Result<(R, Option<String>, Option<SessionKey>), Error> {
    let request = manager.begin(Some(cookie));
    let session = request.session().await?;
    let answer = handler(&session).await;
    let actions = request.finish(200).await;
    match actions.failure {
        Some(error) => Err(error),
        None => {
            let cookie = actions.set_cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
            Ok((answer?, cookie, session.key()))
        }
    }
}

impl World {
    async fn of(instances: Vec<Manager>) -> Arc<Self> {
        let operations = std::env::var("OPERATIONS").map_or(OPERATIONS, |count| count.parse().unwrap());
        let mut world = Self {
            instances,
            visitors: Vec::new(),
            values: AtomicU64::new(0),
            left: AtomicU64::new(operations),
            ages: Mutex::default(),
            reads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        };
        for _ in 0..SESSIONS {
            let present = Mutex::new(world.arrival(0).await.unwrap());
            world.visitors.push(Visitor {
                turn: tokio::sync::Mutex::default(),
                present,
                past: Mutex::default(),
            });
        }
        Arc::new(world)
    }

    fn new_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    /// A new session.
    async fn arrival(&self, by: usize) -> Result<Present, Error> {
        let value = self.new_value();
        let write =
            async |session: &Session<Data>| session.write(|data| _ = data.insert("value".to_owned(), value));
        let ((), cookie, key) = request(&self.instances[by], "", write).await?;
        let history = Arc::<History>::default();
        let first = history.begin(Some(value), by);
        history.acknowledge(first);
        Ok(Present { cookie: cookie.unwrap(), key: key.unwrap(), history, counts: Arc::default() })
    }

    async fn read(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        let past = visitor.past.lock().unwrap().clone().filter(|_| random(4) == 0);
        let Present { cookie, history, .. } = past.unwrap_or_else(|| visitor.present.lock().unwrap().clone());
        let begun = Instant::now();
        let look = async |session: &Session<Data>| Ok(session.read(|data| data.get("value").copied()));
        let (value, ..) = request(&self.instances[by], &cookie, look).await?;
        let age = history.age(begun, value, by);
        assert!(age <= NEAR_BOUND, "{value:?} was read {age:?} after there was something newer: {history:?}");
        self.reads.fetch_add(1, Ordering::Relaxed);
        if !age.is_zero() {
            self.ages.lock().unwrap().push(age);
        }
        Ok(())
    }

    async fn count(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        let Present { cookie, counts, .. } = visitor.present.lock().unwrap().clone();
        let update = async |session: &Session<Data>| {
            if session.is_new() {
                return Err(Conflict::Ended.into());
            }
            session.update(|data| *data.entry("count".to_owned()).or_default() += 1).await
        };
        let counted = request(&self.instances[by], &cookie, update).await;
        match &counted {
            Ok(_) => _ = counts.acknowledged.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.outcome_unknown() => _ = counts.in_doubt.fetch_add(1, Ordering::Relaxed),
            Err(_) => {}
        }
        counted.map(|_| ())
    }

    async fn write(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        let _turn = visitor.turn.lock().await;
        let Present { cookie, history, .. } = visitor.present.lock().unwrap().clone();
        let value = self.new_value();
        let state = history.begin(Some(value), by);
        let write = async |session: &Session<Data>| {
            if session.is_new() {
                return Err(Conflict::Ended.into());
            }
            session.write(|data| _ = data.insert("value".to_owned(), value))
        };
        request(&self.instances[by], &cookie, write).await?;
        history.acknowledge(state);
        Ok(())
    }

    async fn renew(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        let _turn = visitor.turn.lock().await;
        let present = visitor.present.lock().unwrap().clone();
        let ends = present.history.begin(None, by);
        let value = self.new_value();
        let renew = async |session: &Session<Data>| {
            session.write(|data| _ = data.insert("value".to_owned(), value))?;
            session.renew()
        };
        let renewed = request(&self.instances[by], &present.cookie, renew).await;
        match renewed {
            Ok(((), Some(cookie), Some(key))) => {
                let history = Arc::<History>::default();
                let first = history.begin(Some(value), by);
                history.acknowledge(first);
                present.history.acknowledge(ends);
                let renewed = Present { cookie, key, history, counts: Arc::clone(&present.counts) };
                *visitor.past.lock().unwrap() = Some(present);
                *visitor.present.lock().unwrap() = renewed;
                Ok(())
            }
            // Whatever became of it, nobody has its new id.
            Ok(_) | Err(_) => self.replace(visitor, by).await,
        }
    }

    async fn end(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        let _turn = visitor.turn.lock().await;
        let present = visitor.present.lock().unwrap().clone();
        let state = present.history.begin(None, by);
        let manager = &self.instances[by];
        let ended = if random(2) == 0 {
            manager.revoke(&present.key).await.map(|_| ())
        } else {
            let destroy = async |session: &Session<Data>| session.destroy().await;
            request(manager, &present.cookie, destroy).await.map(|_| ())
        };
        if ended.is_ok() {
            present.history.acknowledge(state);
        }
        self.replace(visitor, random(INSTANCES)).await
    }

    /// A new session in the place of one that has ended, or may have.
    async fn replace(&self, visitor: &Visitor, by: usize) -> Result<(), Error> {
        loop {
            match self.arrival(by).await {
                Ok(arrival) => {
                    let past = std::mem::replace(&mut *visitor.present.lock().unwrap(), arrival);
                    *visitor.past.lock().unwrap() = Some(past);
                    return Ok(());
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Takes all sessions at once.
    async fn flush(&self, server: &Server) {
        let mut turns = Vec::new();
        for visitor in &self.visitors {
            turns.push(visitor.turn.lock().await);
        }
        let presents: Vec<_> =
            self.visitors.iter().map(|visitor| visitor.present.lock().unwrap().clone()).collect();
        let ends: Vec<_> = presents.iter().map(|present| present.history.begin(None, INSTANCES)).collect();
        server.ask::<String>("FLUSHALL").await.unwrap();
        for (present, state) in presents.iter().zip(ends) {
            present.history.acknowledge(state);
        }
        for visitor in &self.visitors {
            self.replace(visitor, random(INSTANCES)).await.unwrap();
        }
    }

    async fn work(self: Arc<Self>) {
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        {
            let (visitor, by) = (&self.visitors[random(SESSIONS)], random(INSTANCES));
            let done = match random(32) {
                0..=1 => self.renew(visitor, by).await,
                2..=3 => self.end(visitor, by).await,
                4..=5 => self.count(visitor, by).await,
                6..=9 => self.write(visitor, by).await,
                _ => self.read(visitor, by).await,
            };
            match done {
                Ok(()) => {}
                Err(Error::Conflict(_)) => _ = self.refusals.fetch_add(1, Ordering::Relaxed),
                Err(Error::Unavailable { .. }) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Lets everybody work, and `faults` happen meanwhile, again and again.
    async fn run(self: &Arc<Self>, name: &str, mut fault: impl AsyncFnMut()) {
        let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(Arc::clone(self).work())).collect();
        while self.left.load(Ordering::Relaxed) > 0 && !tasks.iter().any(tokio::task::JoinHandle::is_finished)
        {
            fault().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        for visitor in &self.visitors {
            self.check_count(visitor).await;
        }
        self.report(name);
    }

    async fn check_count(&self, visitor: &Visitor) {
        let Present { cookie, counts, .. } = visitor.present.lock().unwrap().clone();
        let look = async |session: &Session<Data>| {
            session.fresh().await?;
            Ok(session.read(|data| data.get("count").copied().unwrap_or_default()))
        };
        let mut found = None;
        wait_until("Redis answers", || async { request(&self.instances[0], &cookie, look).await.is_ok() })
            .await;
        if let Ok((count, ..)) = request(&self.instances[0], &cookie, look).await {
            found = Some(count);
        }
        let (found, least) = (found.unwrap(), counts.acknowledged.load(Ordering::Relaxed));
        let most = least + counts.in_doubt.load(Ordering::Relaxed);
        assert!((least..=most).contains(&found), "{least} to {most} were counted, and {found} are there");
    }

    fn report(&self, name: &str) {
        let mut ages = self.ages.lock().unwrap();
        ages.sort_unstable();
        let percentile = |share: usize| ages.get(ages.len() * share / 100).copied().unwrap_or_default();
        let near: Vec<_> = self.instances.iter().filter_map(|manager| manager.status().near_cache).collect();
        let sum = |count: fn(&session_store::NearCacheStatus) -> u64| near.iter().map(count).sum::<u64>();
        println!(
            "{name}: {} reads, {} of them old (p50 {:?}, p99 {:?}, at most {:?}); {} failed, {} refused; {} hits, {} misses, \
             {} past the copies, emptied {} times",
            self.reads.load(Ordering::Relaxed),
            ages.len(),
            percentile(50),
            percentile(99),
            ages.last().copied().unwrap_or_default(),
            self.failures.load(Ordering::Relaxed),
            self.refusals.load(Ordering::Relaxed),
            sum(|status| status.hits),
            sum(|status| status.misses),
            sum(|status| status.bypassed),
            sum(|status| status.emptied),
        );
        assert!(sum(|status| status.hits) > 0, "copies were of use");
    }
}

async fn instances(url: &str) -> Vec<Manager> {
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(instance(copied(url).await));
    }
    instances
}

/// Instances that hear of changes through a proxy, and have a connection of their own for sessions.
async fn instances_that_hear_by(proxy: &Proxy, server: &Server) -> Vec<Manager> {
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        let told = ToldBy::another(connected(&server.url()).await, connected(&proxy.url()).await);
        instances.push(instance(near_cache().around(told).unwrap()));
    }
    for manager in &instances {
        wait_until("copies are used", || async { manager.status().near_cache.unwrap().trusted }).await;
    }
    instances
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks() {
    let server = Server::start().await;
    let world = World::of(instances(&server.url()).await).await;
    world.run("nothing breaks", async || sleep(Duration::from_millis(50)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_closed() {
    let server = Server::start().await;
    let world = World::of(instances(&server.url()).await).await;
    let close = async || {
        sleep(Duration::from_millis(100).mul_f64(1.0 + fraction() * 4.0)).await;
        server.ask::<u64>("CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
    };
    world.run("connections are closed", close).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_of_changes_is_cut_or_lags() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let world = World::of(instances_that_hear_by(&proxy, &server).await).await;
    let disturb = async || {
        sleep(Duration::from_millis(500)).await;
        if random(2) == 0 {
            proxy.cut();
            sleep(NEAR_BOUND).await;
            proxy.heal();
        } else {
            proxy.hold_replies();
            sleep((NEAR_BOUND / 5).mul_f64(1.0 + fraction() * 3.0)).await;
            proxy.release_replies();
        }
    };
    world.run("what tells of changes is cut or lags", disturb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_freezes_and_is_emptied() {
    let server = Server::start().await;
    let world = World::of(instances(&server.url()).await).await;
    let mut round = 0;
    let disturb = async || {
        sleep(Duration::from_millis(300)).await;
        round += 1;
        if round % 3 == 0 {
            server.freeze();
            sleep(Duration::from_millis(100).mul_f64(1.0 + fraction() * 14.0)).await;
            server.thaw();
        } else {
            world.flush(&server).await;
        }
    };
    world.run("Redis freezes and is emptied", disturb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_and_replicas_take_over() {
    let cluster = Cluster::start().await;
    let world = World::of(instances(&cluster.url()).await).await;
    let mut round = 0;
    let disturb = async || {
        sleep(Duration::from_millis(200)).await;
        round += 1;
        if round % 4 == 0 {
            // Without loss: the master waits for its replica.
            let master = cluster.master_of(0).await;
            let replica = cluster.replica_of(master);
            let _refused_where_the_last_one_is_under_way =
                cluster.nodes()[replica].ask::<String>("CLUSTER FAILOVER").await;
            sleep(Duration::from_secs(1)).await;
        } else {
            let key = world.visitors[random(SESSIONS)].present.lock().unwrap().key.clone();
            let question = format!("CLUSTER KEYSLOT session:{}", key.storage_name());
            let slot: u16 = cluster.nodes()[0].ask(&question).await.unwrap();
            let from = cluster.master_of(slot).await;
            let others = (0..cluster.nodes().len()).filter(|node| *node != from);
            let mut masters = Vec::new();
            for node in others {
                let role: Vec<redis::Value> = cluster.nodes()[node].ask("ROLE").await.unwrap();
                if role.first() == Some(&redis::Value::BulkString("master".into())) {
                    masters.push(node);
                }
            }
            cluster.migrate_slot(slot, masters[random(masters.len())]).await;
        }
    };
    world.run("slots move and replicas take over", disturb).await;
}
