//! Values that are far larger than any session, under a session's key: they are not read into memory, their
//! visitors are anonymous, and they stay as they are. SECURITY 27.

#![cfg(all(feature = "memory", feature = "redis", feature = "express"))]

mod support;

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use futures_util::TryStreamExt as _;
use redis::aio::MultiplexedConnection;
use session_store::{
    Clock as _, Codec, Created, Error, ExpressLayout, FallbackPolicy, FallbackStore, KeyRing, Loaded, Record,
    RedisLayout, RedisStore, RedisStoreBuilder, Rotation, SessionCookie, SessionId, SessionManager,
    SessionStore, SystemClock, Touch, Ttl, Update, Values,
};
use support::redis::Server;
use tokio::runtime::{Builder, Runtime};

const HUGE: usize = 100 << 20;
/// What may be held of it at once, by the client's buffer and the value that it makes of that.
const MOST: u64 = 8 << 20;
const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
const DAY: Duration = Duration::from_secs(86_400);

/// One thread does everything, the Redis client's work included: others' is not counted.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn store(server: &Server) -> RedisStoreBuilder {
    RedisStore::builder(server.url()).timeout(Duration::from_secs(20))
}

/// Makes a value huge, as the session that it is.
async fn blow_up(client: &mut MultiplexedConnection, name: &str) {
    let () = redis::cmd("SETRANGE").arg(name).arg(HUGE - 1).arg("x").query_async(client).await.unwrap();
}

async fn names(client: &mut MultiplexedConnection) -> Vec<String> {
    redis::cmd("KEYS").arg("*").query_async(client).await.unwrap()
}

/// All that a change of the value would show in.
async fn state(client: &mut MultiplexedConnection, name: &str) -> (usize, Vec<u8>, bool) {
    let mut both = redis::pipe();
    both.cmd("STRLEN").arg(name).cmd("GETRANGE").arg(name).arg(0).arg(2000).cmd("PTTL").arg(name);
    let (length, head, left): (_, _, i64) = both.query_async(client).await.unwrap();
    (length, head, left > 0)
}

fn record() -> Record {
    let now = SystemClock.now();
    Record::new(now, now.saturating_add(DAY), Codec::Json.encode(&Values::default()).unwrap())
}

fn assert_corrupt<R: std::fmt::Debug>(answer: &Result<R, Error>) {
    assert!(matches!(answer, Err(Error::Corrupt { .. } | Error::Unreadable { .. })), "{answer:?}");
}

/// A visitor whose session became huge, in whatever layout.
fn assert_is_bounded(builder: impl FnOnce(&Server) -> RedisStoreBuilder, keys: KeyRing) {
    let runtime = runtime();
    let (server, store, manager, mut client, cookie, key, first) = runtime.block_on(async {
        let server = Server::start().await;
        let store = Arc::new(builder(&server).connect().await.unwrap());
        let manager = SessionManager::<Values>::builder(Arc::clone(&store), keys).build().unwrap();
        let request = manager.begin(None);
        let session = request.session().await.unwrap();
        session.write(|values| values.insert("name", "Ada")).unwrap().unwrap();
        session.save().await.unwrap();
        let key = session.key().expect("it is stored");
        let cookie = request.finish(200).await.set_cookie.unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let Loaded::Found(first) = store.load(&key).await.unwrap() else { panic!("it was stored") };
        let client = server.client().await;
        (server, store, manager, client, cookie, key, first)
    });
    let name = runtime.block_on(names(&mut client)).pop().unwrap();
    runtime.block_on(blow_up(&mut client, &name));
    let before = runtime.block_on(state(&mut client, &name));
    assert_eq!(before.0, HUGE);

    let held = measure(|| {
        runtime.block_on(async {
            let request = manager.begin(Some(&cookie));
            match request.session().await {
                Ok(session) => {
                    assert!(
                        session.is_new() && session.read(|values| values.get::<String>("name")).is_none()
                    );
                }
                // Node may be able to read it.
                Err(error) => assert!(matches!(error, Error::Unreadable { .. }), "{error}"),
            }
            assert!(request.finish(200).await.failure.is_none());
            assert_eq!(manager.counts().corrupt, 1);

            let mut next = record();
            assert_corrupt(&store.load(&key).await);
            for replaced in [Some(first.revision), None] {
                next.previous_revision = replaced;
                for follow in [false, true] {
                    let update = Update::new(&key, &next, Ttl::new(DAY));
                    assert_corrupt(&store.update(if follow { update.following() } else { update }).await);
                }
            }
            let _ = store.touch(Touch::new(&key, &next, next.expires_at, Ttl::new(DAY))).await;
            assert_eq!(store.create(&key, &next, Ttl::new(DAY)).await.unwrap(), Created::Taken);
            let new = SessionId::express("another").unwrap().key();
            let ttl = Ttl::new(DAY);
            for replaced in [Some(first.revision), None] {
                next.previous_revision = replaced;
                assert_corrupt(&store.rotate(Rotation::new(&key, &new, &next, ttl)).await);
            }
            let _: Vec<_> = manager.sessions().try_collect().await.unwrap();
        });
    });
    assert!(held.bytes_max < MOST, "{} bytes were held at once", held.bytes_max);
    assert_eq!(runtime.block_on(state(&mut client, &name)), before, "it was left as it is");
    assert_eq!(runtime.block_on(names(&mut client)), [name]);
    assert!(runtime.block_on(store.delete(&key)).unwrap());
    drop(server);
}

fn layout() -> ExpressLayout {
    ExpressLayout::new(SessionCookie::new().name("connect.sid"))
}

#[test]
fn in_its_own_layout() {
    assert_is_bounded(store, KeyRing::generate());
}

#[test]
fn in_the_layout_of_express() {
    assert_is_bounded(
        |server| store(server).layout(RedisLayout::express(layout())),
        KeyRing::express("keyboard cat").unwrap(),
    );
}

#[test]
fn in_both_layouts() {
    for layout_of in [RedisLayout::move_to_native, RedisLayout::express_before_move] {
        let keys = KeyRing::express("keyboard cat").unwrap();
        assert_is_bounded(|server| store(server).layout(layout_of(layout())), keys);
    }
}

/// Express' marker of a session with a new id names the successor, and may be anything, too.
#[test]
fn a_huge_marker_leads_nowhere() {
    let runtime = runtime();
    let (_server, store, mut client) = runtime.block_on(async {
        let server = Server::start().await;
        let store = store(&server).layout(RedisLayout::express(layout())).connect().await.unwrap();
        let client = server.client().await;
        (server, store, client)
    });
    let key = SessionId::express("sid").unwrap().key();
    let name = "moved:{sess:sid}";
    runtime.block_on(async {
        let () = redis::cmd("HSET")
            .arg(name)
            .arg("to")
            .arg("x".repeat(HUGE))
            .query_async(&mut client)
            .await
            .unwrap();
    });
    let record = record();
    let held = measure(|| {
        runtime.block_on(async {
            assert_eq!(store.load(&key).await.unwrap(), Loaded::Moved);
            let update = Update::new(&key, &record, Ttl::new(DAY));
            assert_corrupt(&store.update(update.following()).await);
            assert!(store.delete(&key).await.unwrap());
        });
    });
    assert!(held.bytes_max < MOST, "{} bytes were held at once", held.bytes_max);
    assert!(runtime.block_on(names(&mut client)).is_empty());
}

/// Whatever a manager allows can be read again, through whatever is around the store.
#[tokio::test]
async fn a_manager_raises_the_limit_to_what_it_may_write() {
    let server = Server::start().await;
    let connect = async || store(&server).connect().await.unwrap();
    let text = "x".repeat(5 << 20);

    let wrapped: [Arc<dyn SessionStore>; 3] = [
        Arc::new(connect().await),
        Arc::new(Box::new(Arc::new(connect().await))),
        Arc::new(FallbackStore::new(connect().await, FallbackPolicy::default())),
    ];
    for store in wrapped {
        let build = |bytes| {
            let manager =
                SessionManager::<String>::builder(Arc::clone(&store), KeyRing::parse(SECRET).unwrap());
            manager.max_payload(bytes).build().unwrap()
        };
        let manager = build(6 << 20);
        build(4096);
        let request = manager.begin(None);
        request.session().await.unwrap().write(|name| name.push_str(&text)).unwrap();
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        let cookie = actions.set_cookie.unwrap().split(';').next().unwrap().to_owned();

        let request = manager.begin(Some(&cookie));
        let session = request.session().await.unwrap();
        assert_eq!(session.read(String::len), text.len());
        session.write(|name| name.push('y')).unwrap();
        assert!(request.finish(200).await.failure.is_none());
    }
}

/// Nobody could read it again.
#[tokio::test]
async fn no_record_beyond_the_limit_is_written() {
    let server = Server::start().await;
    let store = store(&server).connect().await.unwrap();
    let id = SessionId::generate();
    let (key, new, ttl) = (id.key(), id.rotated().key(), Ttl::new(DAY));
    let small = record();
    assert_eq!(store.create(&key, &small, ttl).await.unwrap(), Created::Created);
    let mut large = small.next();
    // The largest that there may be, but for its head.
    large.data = Codec::Json.encode(&"x".repeat((2 << 20) - 55)).unwrap();
    assert_eq!(large.to_bytes().len(), 2 << 20);
    store.update(Update::new(&key, &large, ttl)).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(large.clone()));

    let mut larger = large.next();
    larger.data = Codec::Json.encode(&"x".repeat((2 << 20) - 54)).unwrap();
    let is_refused = |error| matches!(error, Error::TooLarge { size: 2_097_153, limit: 2_097_152, .. });
    assert!(is_refused(store.create(&new, &larger, ttl).await.unwrap_err()));
    let update = Update::new(&key, &larger, ttl);
    assert!(is_refused(store.update(update).await.unwrap_err()));
    assert!(is_refused(store.update(update.following()).await.unwrap_err()));
    let rotation = Rotation::new(&key, &new, &larger, ttl);
    assert!(is_refused(store.rotate(rotation).await.unwrap_err()));
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(large));
    assert_eq!(store.load(&new).await.unwrap(), Loaded::Absent);
}
