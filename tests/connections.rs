//! Connections that end while Redis is well cost nobody an error: those that the server closes, and those
//! whose runtime ends.

#![cfg(all(feature = "memory", feature = "tls", feature = "json"))]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use session_store::{
    Expiry, FallbackPolicy, FallbackStore, KeyRing, MemoryStore, RedisStore, SessionCookie, SessionManager,
    SessionStore, Values,
};
use support::redis::{Certificates, Cluster, Sentinels, Server, wait_until};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Between two times that all connections are closed. A handshake with TLS takes long in a debug build.
const PAUSE: Duration = Duration::from_millis(100);

/// For a machine that runs other tests at the same time.
const PATIENCE: Duration = Duration::from_secs(5);

type Manager = SessionManager<Values>;

fn manager(store: impl SessionStore) -> Manager {
    let keys = KeyRing::parse("cB7xqv9TzD2mPw5HrKs8LyNf3GjEuA6V").unwrap();
    let cookie = SessionCookie::new().name("id");
    let expiry = Expiry::idle(Duration::from_secs(600));
    SessionManager::builder(store, keys).cookie(cookie).expiry(expiry).build().unwrap()
}

async fn connect(url: &str) -> RedisStore {
    RedisStore::builder(url).timeout(PATIENCE).connect().await.unwrap()
}

/// One request: `None` for the cookie begins a session. Answers the cookie and how often the session was
/// written.
async fn request(manager: &Manager, cookie: Option<&str>) -> (Option<String>, u64) {
    let request_session = manager.begin(cookie);
    let session = request_session.session().await.expect("the store answers");
    let count = session.read(|values| values.get::<u64>("count").unwrap_or(0)) + 1;
    session.write(|values| values.insert("count", count)).unwrap().unwrap();
    let actions = request_session.finish(200).await;
    assert!(actions.failure.is_none(), "{:?}, new: {}", actions.failure, cookie.is_none());
    let set = actions.set_cookie.as_ref().map(|set| set.split(';').next().unwrap().to_owned());
    (set, count)
}

/// A visitor who comes with a new session every few requests, and whose writes are all there.
async fn visit(manager: Manager, until: Instant) -> usize {
    let mut requests = 0;
    while Instant::now() < until {
        let (mut cookie, _) = request(&manager, None).await;
        for expected in 2..=5 {
            let (set, count) = request(&manager, cookie.as_deref()).await;
            assert_eq!(count, expected, "a write is lost, or was made twice");
            cookie = set.or(cookie);
            requests += 1;
        }
    }
    requests
}

/// Visitors come while the servers close all connections, again and again.
async fn endure_kills(what: &str, store: RedisStore, servers: &[&Server], pause: Duration) {
    let (manager, until) = (manager(store), Instant::now() + Duration::from_secs(3));
    let mut visitors: JoinSet<_> = (0..16).map(|_| visit(manager.clone(), until)).collect();
    let mut kills = 0;
    while Instant::now() < until {
        for server in servers {
            kills += server.ask::<usize>("CLIENT KILL TYPE normal").await.unwrap();
        }
        sleep(pause).await;
    }
    let mut requests = 0;
    while let Some(visited) = visitors.join_next().await {
        requests += visited.unwrap();
    }
    println!("{what}: {requests} requests, {kills} connections closed");
    assert!(requests > 200 && kills >= 5, "{what}: {requests} requests, {kills} connections closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_connections_costs_no_errors() {
    let server = Server::start().await;
    endure_kills("standalone", connect(&server.url()).await, &[&server], PAUSE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_that_closes_connections_costs_no_errors() {
    let certificates = Certificates::generate();
    let server = Server::start_tls(&certificates, &[]).await;
    let store = RedisStore::builder(server.url()).tls_authorities(certificates.authority.certificate.bytes());
    endure_kills("TLS", store.timeout(PATIENCE).connect().await.unwrap(), &[&server], 5 * PAUSE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_closes_connections_costs_no_errors() {
    let redis = Cluster::start().await;
    let masters: Vec<_> = redis.nodes()[..3].iter().collect();
    endure_kills("cluster", connect(&redis.url()).await, &masters, PAUSE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_master_that_closes_connections_costs_no_errors() {
    let redis = Sentinels::start().await;
    let store = connect(&redis.url()).await;
    endure_kills("sentinel", store, &[&redis.servers()[redis.master().await]], PAUSE).await;
}

#[tokio::test]
async fn an_idle_timeout_of_the_server_costs_no_error() {
    let server = Server::start().await;
    let store = Arc::new(RedisStore::connect(server.url()).await.unwrap());
    let manager = manager(Arc::clone(&store));
    let () = server.ask("CONFIG SET timeout 1").await.unwrap();
    let (cookie, _) = request(&manager, None).await;
    for count in 2..=3 {
        let before = store.status().reconnects;
        wait_until("the idle connection was closed", async || store.status().reconnects > before).await;
        assert_eq!(request(&manager, cookie.as_deref()).await.1, count);
    }
}

fn runtimes() -> Vec<Runtime> {
    let multi = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let single = || Builder::new_current_thread().enable_all().build().unwrap();
    vec![single(), single(), multi(), multi(), single()]
}

/// Uses what is in a `static` in most tests: made on the first runtime, used on others when that has ended.
fn on_one_runtime_after_another<S: SessionStore>(make: impl AsyncFn() -> S) {
    let (mut manager, mut cookie, mut count) = (None, None, 0);
    for (nth, runtime) in runtimes().into_iter().enumerate() {
        runtime.block_on(async {
            if manager.is_none() {
                manager = Some(self::manager(make().await));
            }
            let manager = manager.as_ref().unwrap();
            // Each kind of operation is the first one, on one runtime or another.
            if nth % 2 == 1 {
                request(manager, None).await;
            }
            let (set, visits) = request(manager, cookie.as_deref()).await;
            count += 1;
            assert_eq!(visits, count);
            cookie = set.or(cookie.take());
        });
    }
}

#[test]
fn a_store_works_on_one_runtime_after_another() {
    let keeper = Builder::new_multi_thread().enable_all().build().unwrap();
    let certificates = Certificates::generate();
    let server = keeper.block_on(Server::start());
    let tls = keeper.block_on(Server::start_tls(&certificates, &[]));
    let cluster = keeper.block_on(Cluster::start());
    let with_tls = async |url: String| {
        let store = RedisStore::builder(url).tls_authorities(certificates.authority.certificate.bytes());
        store.timeout(PATIENCE).connect().await.unwrap()
    };
    on_one_runtime_after_another(async || connect(&server.url()).await);
    on_one_runtime_after_another(async || with_tls(tls.url()).await);
    on_one_runtime_after_another(async || connect(&cluster.url()).await);
    on_one_runtime_after_another(async || MemoryStore::new());
    on_one_runtime_after_another(async || {
        FallbackStore::new(connect(&server.url()).await, FallbackPolicy::WhileDown)
    });
    // As in a `LazyLock`: no runtime is there when it is made.
    on_one_runtime_after_another(async || {
        RedisStore::builder(server.url()).timeout(PATIENCE).connect_eventually().await.unwrap()
    });
}

/// The runtime that noticed the outage ends, and sessions move all the same; so they do when the one ends
/// that the store was made on, as soon as another uses it.
#[test]
fn the_recovery_of_a_fallback_lives_where_the_connections_do() {
    let keeper = Builder::new_multi_thread().enable_all().build().unwrap();
    let mut server = keeper.block_on(Server::start());
    let home = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = home.block_on(async {
        let redis = RedisStore::connect(server.url()).await.unwrap();
        Arc::new(FallbackStore::new(redis, FallbackPolicy::WhileDown))
    });
    let manager = manager(Arc::clone(&store));
    let fall_back = || {
        let worker = Builder::new_current_thread().enable_all().build().unwrap();
        worker.block_on(async {
            wait_until("a session is in memory", async || {
                let request_session = manager.begin(None);
                if let Ok(session) = request_session.session().await {
                    session.write(|values| values.insert("count", 1)).unwrap().unwrap();
                }
                let _actions = request_session.finish(200).await;
                store.status().fallback.unwrap().in_memory > 0
            })
            .await;
        });
    };
    let moved =
        async || wait_until("it moved", async || store.status().fallback.unwrap().in_memory == 0).await;

    server.kill();
    fall_back();
    keeper.block_on(async {
        server.restart().await;
        moved().await;
    });

    server.kill();
    fall_back();
    drop(home);
    keeper.block_on(async {
        server.restart().await;
        // Whoever comes next.
        let request_session = manager.begin(None);
        if let Ok(session) = request_session.session().await {
            session.write(|values| values.insert("count", 1)).unwrap().unwrap();
        }
        let _actions = request_session.finish(200).await;
        moved().await;
    });
}

/// A server that answers `reply` to whatever it is told.
fn fake(reply: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://me:hunter2@{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut part) = (stream.unwrap(), [0; 4096]);
            while let Ok(1..) = stream.read(&mut part) {
                let _ = stream.write_all(reply.as_bytes());
            }
        }
    });
    url
}

async fn refusal(builder: session_store::RedisStoreBuilder) -> String {
    let error = builder.timeout(Duration::from_secs(2)).connect().await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_server_without_hello_is_told_apart() {
    for reply in [
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `me`, `hunter2`, \r\n+OK\r\n+OK\r\n",
        "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'hunter2' \r\n+OK\r\n+OK\r\n",
        "-ERR unsupported command\r\n+OK\r\n+OK\r\n",
        "-NOPROTO unsupported protocol version\r\n+OK\r\n+OK\r\n",
        "-NOPERM User me has no permissions to run the 'hello' command\r\n+OK\r\n+OK\r\n",
    ] {
        let error = refusal(RedisStore::builder(fake(reply))).await;
        assert!(error.contains("HELLO 3") && error.contains("Redis 6.0 or newer"), "{reply}: {error}");
    }
    let error =
        refusal(RedisStore::builder(fake("-WRONGPASS invalid username-password pair\r\n+OK\r\n+OK\r\n")))
            .await;
    assert!(error.contains("WRONGPASS") && !error.contains("HELLO"), "{error}");
}

#[tokio::test]
async fn tls_and_plaintext_are_told_apart() {
    let certificates = Certificates::generate();
    let (plain, tls) = (Server::start().await, Server::start_tls(&certificates, &[]).await);
    let authority = certificates.authority.certificate.bytes();

    let url = format!("rediss://me:hunter2@{}", plain.address());
    let error = refusal(RedisStore::builder(&url).tls_authorities(authority)).await;
    assert!(error.contains("does not speak TLS") && error.contains("redis://"), "{error}");

    let url = format!("redis://me:hunter2@{}", tls.address());
    let error = refusal(RedisStore::builder(&url)).await;
    assert!(error.contains("if it expects TLS, its URL begins with rediss://"), "{error}");
}
