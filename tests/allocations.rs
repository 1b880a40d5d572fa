//! How often a request that only reads its session asks the allocator for memory: counted, so that it
//! can't creep up unseen. Who makes it less lowers the number here. And how much a store holds.

#![cfg(all(feature = "memory", feature = "redis", feature = "tower"))]

mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use allocation_counter::measure;
use http::{Request, Response, header::COOKIE};
use session_store::{
    Clock as _, Codec, KeyRing, Loaded, MemoryStore, NearCache, Record, RedisStore, Session, SessionId,
    SessionLayer, SessionManager, SessionManagerBuilder, SessionStore, SystemClock, Ttl, Values,
};
use support::redis::Server;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service as _, service_fn};

const ROUNDS: u64 = 500;
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
/// A text, which is an allocation by itself wherever it is decoded.
type Data = String;

/// Asserts how often `request` allocates once it has been made a few times. What grows now and then,
/// such as a buffer, does not count.
#[track_caller]
fn assert_allocations(runtime: &Runtime, expected: u64, mut request: impl AsyncFnMut()) {
    let mut rounds = || {
        runtime.block_on(async {
            for _ in 0..ROUNDS {
                request().await;
            }
        });
    };
    rounds();
    let counted = measure(rounds).count_total;
    assert_eq!((counted + ROUNDS / 2) / ROUNDS, expected, "{counted} allocations by {ROUNDS} requests");
}

/// One thread does everything, the Redis client's work included: others' is not counted.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A service, and the cookie of a visitor who has a session.
async fn service(store: impl SessionStore) -> (SessionManager<Data>, String) {
    service_of("Ada", SessionManager::builder(store, KeyRing::generate())).await
}

async fn service_of(name: &str, builder: SessionManagerBuilder<Data>) -> (SessionManager<Data>, String) {
    let manager = builder.build().unwrap();
    let cookie = sign_up(&manager, name).await;
    (manager, cookie)
}

async fn sign_up(manager: &SessionManager<Data>, name: &str) -> String {
    let request_session = manager.begin(None);
    request_session.session().await.unwrap().write(|data| data.push_str(name)).unwrap();
    let cookie = request_session.finish(200).await.set_cookie.unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn read(manager: &SessionManager<Data>, cookie: &str) {
    let request_session = manager.begin(Some(cookie));
    let session = request_session.session().await.unwrap();
    assert_eq!(session.read(String::len), 3);
    assert!(request_session.finish(200).await.set_cookie.is_none());
}

/// What the request's handles share, and the future of the store's operation, which has to be in a
/// box for there are many stores. The data was decoded by the first request, for all.
#[test]
fn a_read_from_memory_allocates_twice() {
    let runtime = runtime();
    let (manager, cookie) = runtime.block_on(service(MemoryStore::new()));
    assert_allocations(&runtime, 2, async || read(&manager, &cookie).await);
}

/// The names of the series are put together once.
#[cfg(feature = "metrics")]
#[test]
fn a_label_on_the_metrics_allocates_nothing() {
    let runtime = runtime();
    let builder = SessionManager::builder(MemoryStore::new(), KeyRing::generate());
    let manager = builder.metrics_label("tenant", "acme").build().unwrap();
    let cookie = runtime.block_on(sign_up(&manager, "Ada"));
    assert_allocations(&runtime, 2, async || read(&manager, &cookie).await);
}

#[test]
fn a_session_that_is_not_used_costs_one_allocation() {
    let runtime = runtime();
    let (manager, cookie) = runtime.block_on(service(MemoryStore::new()));
    assert_allocations(&runtime, 1, async || {
        let _ = manager.begin(Some(&cookie)).finish(200).await;
    });
}

/// A forged cookie is an event, as anybody can make many of them.
#[test]
fn an_event_that_nobody_listens_to_costs_no_allocation() {
    let runtime = runtime();
    let (manager, _) = runtime.block_on(service(MemoryStore::new()));
    let forged = format!("{}=forged", manager.cookie_name());
    assert_allocations(&runtime, 1, async || drop(manager.begin(Some(&forged))));
    assert_eq!(manager.counts().forged, 2 * ROUNDS);
}

/// A list of small numbers is one of the worst: decoded as `Values` it takes 37 times its JSON.
#[test]
fn what_is_held_decoded_is_bounded_too() {
    const CAPACITY: usize = 4 << 20;
    let runtime = runtime();
    let numbers = Codec::Json.encode(&HashMap::from([("numbers", vec![0; 1000])])).unwrap();
    let record = Record::new(SystemClock.now(), SystemClock.now(), numbers);
    let mut store = None;
    let fill = || {
        let store = store.insert(MemoryStore::with_capacity(CAPACITY));
        runtime.block_on(async {
            for _ in 0..2000 {
                let key = SessionId::generate().key();
                store.create(&key, &record, Ttl::new(Duration::from_secs(60))).await.unwrap();
                let Loaded::Found(found) = store.load(&key).await.unwrap() else { continue };
                found.data.decode::<Values>().unwrap();
            }
        });
    };
    let held = usize::try_from(measure(fill).bytes_current).unwrap();
    // The cache counts every 64 writes, which are 32 sessions here, of 75 kB: each is written again when it was decoded.
    assert!((CAPACITY / 2..CAPACITY * 7 / 4).contains(&held), "{held} bytes are held");
}

/// Those two, two for the command, the client's four, and the decoded data: a text, behind an `Arc`.
#[test]
fn a_read_from_redis_allocates_ten_times_four_of_which_are_the_clients() {
    let runtime = runtime();
    let server = runtime.block_on(Server::start());
    let mut client = runtime.block_on(server.client());
    let mut get = redis::cmd("GET");
    get.arg("name");
    runtime.block_on(client.send_packed_command(redis::cmd("SET").arg("name").arg("Ada"))).unwrap();
    assert_allocations(&runtime, 4, async || {
        client.send_packed_command(&get).await.unwrap();
    });

    let store = runtime.block_on(RedisStore::connect(server.url())).unwrap();
    let (manager, cookie) = runtime.block_on(service(store));
    assert_allocations(&runtime, 10, async || read(&manager, &cookie).await);
}

/// As from memory: the request's handles, and the future in a box.
#[test]
fn a_read_from_a_copy_allocates_twice() {
    let runtime = runtime();
    let server = runtime.block_on(Server::start());
    let (manager, cookie) = runtime.block_on(async {
        let store =
            RedisStore::builder(server.url()).near_cache(NearCache::new(1 << 20).bound(HALF_A_MINUTE));
        let (manager, cookie) = service(store.connect().await.unwrap()).await;
        while manager.status().near_cache.unwrap().hits == 0 {
            read(&manager, &cookie).await;
        }
        (manager, cookie)
    });
    let misses = manager.status().near_cache.unwrap().misses;
    assert_allocations(&runtime, 2, async || read(&manager, &cookie).await);
    assert_eq!(manager.status().near_cache.unwrap().misses, misses);
}

/// The request's extensions are three, the layer's future is one, and the response's headers are two. A body
/// that is axum's already is not put into a box again.
#[test]
fn the_layer_adds_six_allocations_to_those_of_the_engine() {
    let runtime = runtime();
    let (manager, cookie) = runtime.block_on(service(MemoryStore::new()));
    let request = || Request::builder().header(COOKIE, &cookie).body(()).unwrap();
    let own = measure(|| drop(request())).count_total;
    let mut service = SessionLayer::new(manager).layer(service_fn(|request: Request<()>| async move {
        let session = Session::<Data>::from_extensions(request.extensions()).await.unwrap();
        assert_eq!(session.read(String::len), 3);
        Ok::<_, Infallible>(Response::new(axum::body::Body::default()))
    }));
    assert_allocations(&runtime, own + 2 + 6, async || {
        service.call(request()).await.unwrap();
    });
}

/// What waits for the end of each session, beside its task.
#[test]
fn a_watch_takes_200_bytes_at_most() {
    const MANY: u64 = 10_000;
    let store = MemoryStore::new();
    let keys: Vec<_> = (0..MANY).map(|_| SessionId::generate().key()).collect();
    let feed = store.feed().unwrap();
    let mut watches = Vec::with_capacity(keys.len());
    let held = measure(|| watches.extend(keys.iter().map(|key| feed.watch(key)))).bytes_current;
    assert!(held <= 200 * i64::try_from(MANY).unwrap(), "{} bytes each", held / 10_000);
}

#[cfg(all(feature = "seal", feature = "compress"))]
mod at_rest {
    use session_store::Sealing;

    use super::*;

    type Form = fn(SessionManagerBuilder<Data>) -> SessionManagerBuilder<Data>;

    const SEALED: Form = |builder| builder.seal(Sealing::new(&KeyRing::generate()).unwrap());
    const SEALED_BY_ID: Form = |builder| builder.seal(Sealing::new(&KeyRing::generate()).unwrap().and_id());
    const PACKED: Form = |builder| SEALED(builder).compress(64);

    async fn service(store: impl SessionStore, name: &str, form: Form) -> (SessionManager<Data>, String) {
        service_of(name, form(SessionManager::builder(store, KeyRing::generate()))).await
    }

    async fn write(manager: &SessionManager<Data>, cookie: &str) {
        let request_session = manager.begin(Some(cookie));
        let session = request_session.session().await.unwrap();
        let other = if session.read(|name| name.starts_with('A')) { "Bob" } else { "Ada" };
        session.write(|name| name.replace_range(..3, other)).unwrap();
        assert!(request_session.finish(200).await.failure.is_none());
    }

    /// One more than otherwise: what the request notes of the form in which the session is stored. What was opened is
    /// there for all, as what was decoded is, so however long the data is, nothing is opened again.
    #[test]
    fn a_read_from_memory_allocates_three_times_and_opens_nothing() {
        let runtime = runtime();
        for form in [SEALED, SEALED_BY_ID, PACKED] {
            let long = "Ada ".repeat(50_000);
            let (manager, cookie) = runtime.block_on(service(MemoryStore::new(), &long, form));
            let read = async || {
                let session = manager.begin(Some(&cookie)).session().await.unwrap();
                assert_eq!(session.read(String::len), long.len());
            };
            assert_allocations(&runtime, 3, read);
            let used = measure(|| runtime.block_on(read())).bytes_total;
            assert!(used < 10_000, "{used} bytes");
        }
    }

    #[test]
    fn a_read_from_a_copy_allocates_three_times_and_opens_nothing() {
        let runtime = runtime();
        let server = runtime.block_on(Server::start());
        let long = "Ada ".repeat(5000);
        let (manager, cookie) = runtime.block_on(async {
            let copies = NearCache::new(1 << 20).bound(HALF_A_MINUTE);
            let store = RedisStore::builder(server.url()).near_cache(copies).connect().await.unwrap();
            let (manager, cookie) = service(store, &long, PACKED).await;
            while manager.status().near_cache.unwrap().hits == 0 {
                manager.begin(Some(&cookie)).session().await.unwrap();
            }
            (manager, cookie)
        });
        let read = async || {
            let session = manager.begin(Some(&cookie)).session().await.unwrap();
            assert_eq!(session.read(String::len), long.len());
        };
        assert_allocations(&runtime, 3, read);
        let used = measure(|| runtime.block_on(read())).bytes_total;
        assert!(used < 10_000, "{used} bytes");
    }

    /// The opened bytes, and what the request notes of the form in which the session is stored.
    #[test]
    fn a_read_from_redis_allocates_twice_more() {
        let runtime = runtime();
        let server = runtime.block_on(Server::start());
        for form in [SEALED, SEALED_BY_ID] {
            let store = runtime.block_on(RedisStore::connect(server.url())).unwrap();
            let (manager, cookie) = runtime.block_on(service(store, "Ada", form));
            assert_allocations(&runtime, 10 + 2, async || read(&manager, &cookie).await);
        }
    }

    /// Two for what it reads (in memory, the first who reads after a write opens it for all), and four for what it writes:
    /// the sealed bytes, the count of who shares them, the note of them, and the record that the store is given.
    #[test]
    fn a_write_allocates_six_times_more() {
        const PLAIN: Form = |builder| builder;
        let runtime = runtime();
        let server = runtime.block_on(Server::start());
        for (form, more) in [(PLAIN, 0), (SEALED, 6), (SEALED_BY_ID, 6)] {
            let (manager, cookie) = runtime.block_on(service(MemoryStore::new(), "Ada", form));
            assert_allocations(&runtime, 24 + more, async || write(&manager, &cookie).await);
            let store = runtime.block_on(RedisStore::connect(server.url())).unwrap();
            let (manager, cookie) = runtime.block_on(service(store, "Ada", form));
            assert_allocations(&runtime, 23 + more, async || write(&manager, &cookie).await);
        }
    }
}

/// The store of a tenant, its manager, and what one thread that serves the tenant adds.
#[test]
fn a_tenant_takes_few_kilobytes() {
    const TENANTS: usize = 1000;
    let runtime = runtime();
    let server = runtime.block_on(Server::start());
    let store = runtime.block_on(RedisStore::connect(server.url())).unwrap();
    let keys = KeyRing::generate();
    let each = |measured: allocation_counter::AllocationInfo| {
        usize::try_from(measured.bytes_current).unwrap() / TENANTS
    };

    let mut stores = Vec::with_capacity(TENANTS);
    let open =
        || stores.extend((0..TENANTS).map(|number| store.with_prefix(format!("tenant:{number}:")).unwrap()));
    let of_store = each(measure(open)) + size_of::<RedisStore>();

    let mut managers = Vec::with_capacity(TENANTS);
    let manager = |store| SessionManager::<Data>::builder(store, keys.clone()).build().unwrap();
    let of_manager =
        each(measure(|| managers.extend(stores.drain(..).map(manager)))) - size_of::<RedisStore>();

    let serve = |manager: &SessionManager<Data>| drop(runtime.block_on(sign_up(manager, "Ada")));
    serve(&manager(store.with_prefix("first:").unwrap()));
    let of_serving = each(measure(|| managers.iter().for_each(serve)));
    assert!(
        of_store <= 400 && of_manager <= 3_200 && of_serving <= 5_000,
        "a store takes {of_store} bytes, its manager {of_manager}, and a thread that serves it {of_serving}"
    );
}
