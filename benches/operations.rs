//! What operating sessions costs in Redis: listing and ending a user's, counting all, how long requests
//! wait meanwhile, and the memory that a session takes with its owner's index. Prints Markdown.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_store::owners::{Entry, IndexInsert, Stage};
use session_store::{Clock as _, Codec, Owner, OwnerHash};
use session_store::{
    KeyRing, MAX_TTL, Record, RedisStore, SessionId, SessionManager, SessionStore, SystemClock, Ttl,
};
use support::redis::Server;
use support::shopper::Shopper;
use support::{Extent, runtime};
use tokio::task::JoinSet;

type Manager = SessionManager<Shopper>;

const AT_ONCE: usize = 64;
const LOADERS: [usize; 2] = [1, 16];

fn main() {
    let (all, alone) = match Extent::wanted() {
        Extent::Test => (5_000, Duration::from_millis(50)),
        Extent::Short => (20_000, Duration::from_secs(1)),
        Extent::Long => (1_000_000, Duration::from_secs(5)),
    };
    // `cargo bench --features full --bench operations -- --revoke 10000,200000,1000000`
    let arguments: Vec<_> = std::env::args().collect();
    let sizes = arguments.iter().position(|argument| argument == "--revoke");
    if let Some(sizes) = sizes.and_then(|place| arguments.get(place + 1)) {
        return runtime()
            .block_on(print_revocation(sizes.split(',').map(|size| size.parse().expect("a number"))));
    }
    // `… -- --count 10000,25000,50000`: keys a second.
    let rates = arguments.iter().position(|argument| argument == "--count");
    if let Some(rates) = rates.and_then(|place| arguments.get(place + 1)) {
        let rates: Vec<_> = rates.split(',').map(|rate| rate.parse().expect("a number")).collect();
        return runtime().block_on(print_count(all, alone, &rates));
    }
    runtime().block_on(async {
        print_owners().await;
        print_revocation([2_500].into_iter()).await;
        print_memory().await;
        print_count(all, alone, &[u32::MAX]).await;
    });
}

async fn manager_on(server: &Server) -> (Arc<RedisStore>, Manager) {
    let store = RedisStore::builder(server.url()).timeout(Duration::from_secs(5)).connect().await;
    let store = Arc::new(store.expect("the server answers"));
    let manager = SessionManager::builder(Arc::clone(&store), KeyRing::generate()).build();
    (store, manager.expect("the settings agree"))
}

/// A whole request that signs in.
async fn sign_in(manager: &Manager, owner: &str) {
    let request = manager.begin(None);
    let session = request.session().await.expect("the server answers");
    session.sign_in(owner, |shopper| *shopper = Shopper::ada()).expect("nothing was sent yet");
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none(), "{:?}", actions.failure);
}

async fn sign_in_often(
    manager: &Manager,
    times: u64,
    owner: impl Fn(u64) -> String + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    for first in (0..times).take(AT_ONCE) {
        let (manager, owner) = (manager.clone(), owner.clone());
        tasks.spawn(async move {
            for nth in (first..times).step_by(AT_ONCE) {
                sign_in(&manager, &owner(nth)).await;
            }
        });
    }
    tasks.join_all().await;
}

async fn print_owners() {
    let server = Server::start().await;
    let (_, manager) = manager_on(&server).await;
    println!("| sessions of one owner | sessions_of | revoke_all |\n|--:|--:|--:|");
    for count in [1, 100, 10_000] {
        let (mut listing, mut ending) = (Vec::new(), Vec::new());
        for _ in 0..if count == 10_000 { 3 } else { 21 } {
            sign_in_often(&manager, count, |_| "ada".to_owned()).await;
            let start = Instant::now();
            assert_eq!(manager.sessions_of("ada").await.expect("it answers").len() as u64, count);
            listing.push(start.elapsed());
            let start = Instant::now();
            assert_eq!(manager.revoke_all("ada").await.expect("it answers"), count);
            ending.push(start.elapsed());
        }
        println!("| {count} | {:.1?} | {:.1?} |", median(&mut listing), median(&mut ending));
    }
}

/// The end of a great many sessions of one owner, while others load theirs.
async fn print_revocation(sizes: impl Iterator<Item = u64>) {
    println!(
        "\n| sessions of one owner | all are refused after | all are gone after | p99 of others' loads | before | longest script |\n|--:|--:|--:|--:|--:|--:|"
    );
    for size in sizes {
        let server = Server::start().await;
        let (store, _) = manager_on(&server).await;
        let manager = SessionManager::<Shopper>::builder(Arc::clone(&store), KeyRing::generate());
        let manager = manager.revoke_within(Duration::from_secs(600)).build().expect("the settings agree");
        let others = store_many(&store, 1000, None).await;
        let keys = store_many(&store, size, Some("ada")).await;
        enter_all(&store, &keys).await;
        let before = loads_beside(&store, &others, tokio::time::sleep(Duration::from_secs(2))).await.1;
        // In microseconds.
        server.ask::<String>("CONFIG SET slowlog-log-slower-than 200").await.expect("it answers");
        server.ask::<String>("CONFIG SET slowlog-max-len 100000").await.expect("it answers");
        let watch = async {
            let (start, ada) = (Instant::now(), ada());
            let index = store.owners().expect("there is one");
            let refused = async {
                while !index.list(ada, None).await.expect("it answers").entries.is_empty() {}
                start.elapsed()
            };
            let (refused, ended) = tokio::join!(refused, manager.revoke_all("ada"));
            assert_eq!(ended.expect("it answers"), size);
            (refused, start.elapsed())
        };
        let ((refused, gone), during) = loads_beside(&store, &others, watch).await;
        let slow: Vec<Vec<redis::Value>> = redis::cmd("SLOWLOG")
            .arg("GET")
            .arg(-1)
            .query_async(&mut server.client().await)
            .await
            .expect("it answers");
        let micros = |entry: &Vec<redis::Value>| match entry.get(2) {
            Some(redis::Value::Int(micros)) => Duration::from_micros(u64::try_from(*micros).unwrap_or(0)),
            _ => Duration::ZERO,
        };
        let longest = slow.iter().map(micros).max().unwrap_or_default();
        println!("| {size} | {refused:.1?} | {gone:.1?} | {during:.1?} | {before:.1?} | {longest:.1?} |");
    }
}

fn ada() -> OwnerHash {
    OwnerHash::of(&Owner::new("ada").expect("a short name"))
}

async fn enter_all(store: &Arc<RedisStore>, keys: &[session_store::SessionKey]) {
    let mut tasks = JoinSet::new();
    for keys in keys.chunks(keys.len().div_ceil(AT_ONCE)) {
        let (store, keys) = (Arc::clone(store), keys.to_vec());
        tasks.spawn(async move {
            for key in keys {
                let entry = Entry { key, created_at: SystemClock.now() };
                let entering = IndexInsert::new(&entry, MAX_TTL, Stage::Later);
                store.owners().expect("there is one").insert(ada(), entering).await.expect("it answers");
            }
        });
    }
    tasks.join_all().await;
}

/// What something answers, and the 99th percentile of loads meanwhile.
async fn loads_beside<A>(
    store: &Arc<RedisStore>,
    keys: &[session_store::SessionKey],
    something: impl Future<Output = A>,
) -> (A, Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let (loading, stop, keys) = (Arc::clone(store), Arc::clone(&over), keys.to_vec());
    let loader = tokio::spawn(async move {
        let mut taken = Vec::new();
        for key in keys.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let start = Instant::now();
            loading.load(key).await.expect("the server answers");
            taken.push(start.elapsed());
        }
        taken
    });
    let answer = something.await;
    over.store(true, Ordering::Relaxed);
    let mut taken = loader.await.expect("it does not panic");
    taken.sort_unstable();
    (answer, taken[taken.len() * 99 / 100])
}

/// Each owner has one session: the most that an index costs.
async fn print_memory() {
    const SESSIONS: u64 = 50_000;
    println!("\n| 308 bytes of JSON | bytes of `used_memory` a session |\n|---|--:|");
    for with_owner in [false, true] {
        let server = Server::start().await;
        let (store, manager) = manager_on(&server).await;
        let before = used_memory(&server).await;
        if with_owner {
            sign_in_often(&manager, SESSIONS, |nth| format!("user-{nth:08}")).await;
        } else {
            store_many(&store, SESSIONS, None).await;
        }
        let each = (used_memory(&server).await - before) / SESSIONS;
        println!("| {} | {each} |", if with_owner { "signed in" } else { "of nobody" });
    }
}

/// What loads wait while all sessions are counted, at these many keys a second, and for so long `alone`.
async fn print_count(sessions: u64, alone: Duration, rates: &[u32]) {
    let server = Server::start().await;
    let (store, _) = manager_on(&server).await;
    let keys = store_many(&store, sessions, Some("ada")).await;
    let count = async |rate: Option<u32>| {
        let mut builder = SessionManager::<Shopper>::builder(Arc::clone(&store), KeyRing::generate());
        if let Some(rate) = rate {
            builder = builder.max_scan_rate(rate);
        }
        let manager = builder.build().expect("the settings agree");
        assert_eq!(manager.count_sessions().await.expect("it answers"), sessions);
    };
    let rates: Vec<_> = rates.iter().copied().map(Some).chain([None]).collect();
    let name = |rate: Option<u32>| rate.map_or("the default".to_owned(), |rate| format!("{rate} keys/s"));
    for loaders in LOADERS {
        println!("\n{loaders} tasks load sessions, of {sessions}, without pause:\n");
        println!("| | loads/s | p50 | p99 | the count took |\n|---|--:|--:|--:|--:|");
        for rate in &rates {
            print_loads(&store, &keys, loaders, "alone", tokio::time::sleep(alone)).await;
            let what = format!("while all are counted, {}", name(*rate));
            print_loads(&store, &keys, loaders, &what, count(*rate)).await;
        }
    }
    for rate in rates {
        let start = Instant::now();
        count(rate).await;
        println!("\ncounting alone, {}: {:.1?}", name(rate), start.elapsed());
    }
}

/// How so many tasks load sessions during something.
async fn print_loads(
    store: &Arc<RedisStore>,
    keys: &[session_store::SessionKey],
    loaders: usize,
    what: &str,
    something: impl Future<Output = ()>,
) {
    let over = Arc::new(AtomicBool::new(false));
    let mut loading = JoinSet::new();
    for nth in 0..loaders {
        let (store, over) = (Arc::clone(store), Arc::clone(&over));
        let keys: Vec<_> = keys.iter().skip(nth).step_by(loaders).take(1000).cloned().collect();
        loading.spawn(async move {
            let mut taken = Vec::new();
            for key in keys.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let start = Instant::now();
                store.load(key).await.expect("the server answers");
                taken.push(start.elapsed());
            }
            taken
        });
    }
    let start = Instant::now();
    something.await;
    let elapsed = start.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut taken: Vec<_> = loading.join_all().await.into_iter().flatten().collect();
    taken.sort_unstable();
    let loads = u32::try_from(taken.len()).expect("it takes no hours");
    let rate = f64::from(loads) / elapsed.as_secs_f64();
    let at = |percent: usize| taken[taken.len() * percent / 100];
    println!("| {what} | {rate:.0} | {:.0?} | {:.0?} | {elapsed:.1?} |", at(50), at(99));
}

/// Sessions past the engine, to have many of them soon.
async fn store_many(
    store: &Arc<RedisStore>,
    count: u64,
    owner: Option<&str>,
) -> Vec<session_store::SessionKey> {
    let now = SystemClock.now();
    let data = Codec::Json.encode(&Shopper::ada()).expect("it has this form");
    let mut record = Record::new(now, now.saturating_add(MAX_TTL), data);
    record.owner = owner.map(|name| Owner::new(name).expect("a short name"));
    let mut tasks = JoinSet::new();
    for first in (0..count).take(AT_ONCE) {
        let (store, record) = (Arc::clone(store), record.clone());
        tasks.spawn(async move {
            let mut keys = Vec::new();
            for _ in (first..count).step_by(AT_ONCE) {
                let key = SessionId::generate().key();
                store.create(&key, &record, Ttl::new(MAX_TTL)).await.expect("the server answers");
                keys.push(key);
            }
            keys
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn used_memory(server: &Server) -> u64 {
    let info: String = server.ask("INFO memory").await.expect("the server answers");
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("it is in there");
    line.trim().parse().expect("a number")
}

fn median(taken: &mut [Duration]) -> Duration {
    taken.sort_unstable();
    taken[taken.len() / 2]
}
