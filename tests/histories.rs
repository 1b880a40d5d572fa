//! No acknowledged write is lost (SECURITY 31): many requests of one visitor write, give the session a new
//! id and sign in at the same time, and in the end all is there that was answered without an error.
//!
//! `cargo test --all-features --test histories -- --nocapture` prints how many of each there were.

#![cfg(all(feature = "express", feature = "json", feature = "memory", feature = "redis"))]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use session_store::{
    Conflict, Error, ExpressLayout, FallbackPolicy, FallbackStore, KeyRing, MemoryStore, RedisLayout,
    RedisStore, RedisStoreBuilder, Session, SessionCookie, SessionManager, SessionManagerBuilder,
    SessionStore,
};
use support::redis::{Cluster, Server};
use tokio::task::{JoinSet, yield_now};

/// A name for each write, and a list.
type Data = BTreeMap<String, Value>;

const ROUNDS: usize = 25;
const TASKS: usize = 8;
const REQUESTS: usize = 12;

/// What the requests of one visitor share.
struct Visitor {
    manager: SessionManager<Data>,
    /// As they came.
    cookies: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<String>>,
    refused: AtomicUsize,
    /// Acknowledged although the browser had another cookie by then.
    late: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Write,
    Save,
    Update,
    Count,
    Renew,
    SignIn,
}

const MIX: [Request; 8] = {
    use Request::{Renew, Save, SignIn, Update, Write};
    [Write, Update, Renew, Save, Update, Write, SignIn, Save]
};

/// Every other write adds to the list that all share.
fn put(data: &mut Data, id: &str, append: bool) {
    if append {
        let list = data.entry("list".to_owned()).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it is a list").push(json!(id));
    } else {
        data.insert(id.to_owned(), json!(true));
    }
}

fn count(data: &Data) -> u64 {
    data.get("count").and_then(Value::as_u64).unwrap_or_default()
}

fn counted(data: &Data) -> Data {
    let mut counted = data.clone();
    counted.insert("count".to_owned(), json!(count(data) + 1));
    counted
}

fn holds(data: &Data, id: &str) -> bool {
    let listed = |list: &Value| list.as_array().is_some_and(|list| list.contains(&json!(id)));
    data.contains_key(id) || data.get("list").is_some_and(listed)
}

impl Visitor {
    async fn arrive(manager: &SessionManager<Data>) -> Arc<Self> {
        let visitor = Self {
            manager: manager.clone(),
            cookies: Mutex::default(),
            acknowledged: Mutex::default(),
            refused: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
        };
        visitor.ask(Request::Write, "first", true).await;
        Arc::new(visitor)
    }

    async fn ask(&self, request: Request, id: &str, append: bool) {
        let cookie = self.cookies.lock().unwrap().last().cloned();
        let request_session = self.manager.begin(cookie.as_deref());
        let session = request_session.session().await.unwrap();
        // A handler takes its time.
        for _ in 0..id.len() * 7 % 5 {
            yield_now().await;
        }
        let done = act(&session, request, id, append).await;
        let actions = request_session.finish(200).await;
        let asks_for_id = matches!(request, Request::Renew | Request::SignIn) || cookie.is_none();
        assert!(actions.set_cookie.is_none() || asks_for_id, "{request:?} set a cookie");
        match done.and(actions.failure.map_or(Ok(()), Err)) {
            Ok(()) => {
                if self.cookies.lock().unwrap().last() != cookie.as_ref() {
                    self.late.fetch_add(1, Ordering::Relaxed);
                }
                self.acknowledged.lock().unwrap().push(id.to_owned());
            }
            Err(Error::Conflict(Conflict::Moved | Conflict::Fields | Conflict::Contention)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{request:?}: {error}"),
        }
        if let Some(header) = actions.set_cookie {
            let pair = header.split(';').next().expect("it has a name and a value");
            self.cookies.lock().unwrap().push(pair.to_owned());
        }
    }
}

async fn act(session: &Session<Data>, request: Request, id: &str, append: bool) -> Result<(), Error> {
    match request {
        Request::Write => session.write(|data| put(data, id, append)),
        Request::Save => {
            session.write(|data| put(data, id, append))?;
            session.save().await
        }
        Request::Update => session.update(|data| put(data, id, append)).await,
        Request::Count => session.update(|data| *data = counted(data)).await,
        Request::Renew => {
            session.renew()?;
            session.write(|data| put(data, id, append))
        }
        Request::SignIn => session.sign_in("ada", |data| put(data, id, append)),
    }
}

async fn no_acknowledged_write_is_lost(store: impl SessionStore, keys: KeyRing) {
    no_acknowledged_write_is_lost_with(SessionManager::builder(store, keys)).await;
}

async fn no_acknowledged_write_is_lost_with(builder: SessionManagerBuilder<Data>) {
    let cookie = SessionCookie::new().name("connect.sid").secure(false);
    let manager = builder.cookie(cookie).build().unwrap();
    let (mut acknowledged, mut refused, mut late) = (0, 0, 0);
    for round in 0..ROUNDS {
        let visitor = Visitor::arrive(&manager).await;
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let visitor = Arc::clone(&visitor);
            tasks.spawn(async move {
                for n in 0..REQUESTS {
                    let request = MIX[(task * 3 + n + round) % MIX.len()];
                    visitor
                        .ask(request, &format!("{task}-{n}-{}", "x".repeat((task + n) % 7)), n % 2 == 0)
                        .await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }

        // A sign-in that finds the session moved begins one of its own.
        let mut kept = Vec::new();
        let cookies = visitor.cookies.lock().unwrap().clone();
        for cookie in cookies {
            kept.push(manager.begin(Some(&cookie)).session().await.unwrap().read(Data::clone));
        }
        let written = visitor.acknowledged.lock().unwrap();
        let lost: Vec<_> = written.iter().filter(|id| !kept.iter().any(|data| holds(data, id))).collect();
        assert!(lost.is_empty(), "round {round}: {} of {} are lost: {lost:?}", lost.len(), written.len());
        acknowledged += written.len();
        refused += visitor.refused.load(Ordering::Relaxed);
        late += visitor.late.load(Ordering::Relaxed);
    }
    let counts = no_count_is_lost_beside_renewals(&manager).await;
    println!("{counts} counted beside renewals");
    println!("{acknowledged} acknowledged, {late} of them when there was a newer cookie; {refused} refused");
    assert!(late > ROUNDS, "too few requests met a new id to prove anything: {late}");
    assert!(acknowledged > refused, "{acknowledged} acknowledged, {refused} refused");
}

/// All of them count, while one of them gives the session a new id now and then.
async fn no_count_is_lost_beside_renewals(manager: &SessionManager<Data>) -> u64 {
    let visitor = Visitor::arrive(manager).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let visitor = Arc::clone(&visitor);
        tasks.spawn(async move {
            for n in 0..REQUESTS * 5 {
                let renews = task == 0 && n % 3 == 0;
                let (request, id) =
                    if renews { (Request::Renew, "renewed") } else { (Request::Count, "count") };
                visitor.ask(request, &format!("{id}{}", "x".repeat((task + n) % 5)), true).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let acknowledged =
        visitor.acknowledged.lock().unwrap().iter().filter(|id| id.starts_with("count")).count() as u64;
    let cookie = visitor.cookies.lock().unwrap().last().cloned();
    let counted = manager.begin(cookie.as_deref()).session().await.unwrap().read(count);
    assert_eq!(counted, acknowledged, "counted, and acknowledged");
    let met = visitor.late.load(Ordering::Relaxed) + visitor.refused.load(Ordering::Relaxed);
    assert!(met > 0, "no count met a new id");
    acknowledged
}

/// Whether Redis answers in time is not what this is about.
fn patient(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).timeout(Duration::from_secs(20))
}

fn express() -> (ExpressLayout, KeyRing) {
    let cookie = SessionCookie::new().name("connect.sid").secure(false);
    (ExpressLayout::new(cookie), KeyRing::express("keyboard cat").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory() {
    no_acknowledged_write_is_lost(MemoryStore::new(), KeyRing::generate()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_fallback() {
    let store = FallbackStore::new(MemoryStore::new(), FallbackPolicy::WhileDown);
    no_acknowledged_write_is_lost(store, KeyRing::generate()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_redis() {
    let redis = Server::start().await;
    let store = patient(&redis.url()).connect().await.unwrap();
    no_acknowledged_write_is_lost(store, KeyRing::generate()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_the_layout_of_express() {
    let (redis, (layout, keys)) = (Server::start().await, express());
    let store = patient(&redis.url()).layout(RedisLayout::express(layout)).connect().await.unwrap();
    no_acknowledged_write_is_lost(store, keys).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_leaving_express() {
    let (redis, (layout, keys)) = (Server::start().await, express());
    let store = patient(&redis.url()).layout(RedisLayout::move_to_native(layout)).connect().await.unwrap();
    no_acknowledged_write_is_lost(store, keys).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_cluster_in_either_layout() {
    let (redis, (layout, keys)) = (Cluster::start().await, express());
    let store = patient(&redis.url()).connect().await.unwrap();
    no_acknowledged_write_is_lost(store, KeyRing::generate()).await;
    let store = patient(&redis.url()).layout(RedisLayout::express(layout)).connect().await.unwrap();
    no_acknowledged_write_is_lost(store, keys).await;
}

/// Each write that meets a new id looks for it first: what is sealed is sealed for a key.
#[cfg(all(feature = "seal", feature = "compress"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealed() {
    use session_store::Sealing;

    fn sealing(store: impl SessionStore) -> SessionManagerBuilder<Data> {
        let sealing = Sealing::new(&KeyRing::generate()).unwrap();
        SessionManager::builder(store, KeyRing::generate()).seal(sealing.labels()).compress(64)
    }

    no_acknowledged_write_is_lost_with(sealing(MemoryStore::new())).await;
    let redis = Server::start().await;
    no_acknowledged_write_is_lost_with(sealing(patient(&redis.url()).connect().await.unwrap())).await;
}
