//! What is particular to Redis. The promises that it shares with every store are in
//! `conformance_redis.rs`.

#![cfg(feature = "redis")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use session_store::{
    Clock as _, Created, Error, Loaded, Moved, Owner, Payload, Record, RedisStore, Rotation, SessionId,
    SessionKey, SessionStore, SystemClock, Topology, Touch, Ttl, Update, Updated,
};
use support::redis::{Server, Traffic, wait_until};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);

fn ttl() -> Ttl {
    Ttl::new(HOUR)
}

fn key() -> SessionKey {
    SessionId::generate().key()
}

fn record(data: &'static str) -> Record {
    let now = SystemClock.now();
    Record::new(now, now.saturating_add(HOUR), Payload::new(1, data))
}

fn name(key: &SessionKey) -> String {
    format!("session:{}", key.storage_name())
}

async fn store(server: &Server) -> RedisStore {
    RedisStore::connect(server.url()).await.unwrap()
}

/// A session that is in the store, and its key.
async fn stored(store: &RedisStore) -> (SessionKey, Record) {
    let (key, record) = (key(), record("{}"));
    assert_eq!(store.create(&key, &record, ttl()).await.unwrap(), Created::Created);
    (key, record)
}

async fn update(store: &RedisStore, key: &SessionKey, stored: &Record) -> Result<Updated, Error> {
    store.update(Update::new(key, &stored.next(), ttl())).await
}

async fn rotate(
    store: &RedisStore,
    old: &SessionKey,
    new: &SessionKey,
    stored: &Record,
) -> Result<Updated, Error> {
    store.rotate(Rotation::new(old, new, &stored.next(), ttl())).await
}

async fn touch(store: &RedisStore, key: &SessionKey, stored: &Record) -> Result<bool, Error> {
    store.touch(Touch::new(key, stored, stored.expires_at.saturating_add(HOUR), Ttl::new(2 * HOUR))).await
}

async fn ask<T: redis::FromRedisValue>(client: &mut MultiplexedConnection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(client).await.unwrap()
}

async fn bytes_at(client: &mut MultiplexedConnection, key: &SessionKey) -> Option<Vec<u8>> {
    redis::cmd("GET").arg(name(key)).query_async(client).await.unwrap()
}

/// Waits until the store has a connection, without asking it for anything.
async fn connected(store: &RedisStore) {
    wait_until("the store has reconnected by itself", || async { store.status().connected }).await;
}

fn unavailable(result: Result<impl std::fmt::Debug, Error>) -> bool {
    match result {
        Err(Error::Unavailable { outcome_unknown, .. }) => outcome_unknown,
        other => panic!("{other:?}"),
    }
}

fn refused(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Refused { message }) => message,
        other => panic!("{other:?}"),
    }
}

fn config(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Config(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_that_of_the_connection() {
    let mut server = Server::start().await;
    let store = store(&server).await;
    let status = store.status();
    assert_eq!((status.kind, status.topology, status.connected), ("redis", Some(Topology::Standalone), true));
    assert_eq!((status.since, status.reconnects), (store.status().since, 0));
    assert!(!status.uses_fallback() && status.since.is_some() && status.last_error.is_none());

    server.kill();
    wait_until("the store has noticed", || async { !store.status().connected }).await;
    // The reason is noted a moment after the state.
    wait_until("it says why", || async { store.status().last_error.is_some() }).await;
    let error = store.status().last_error.expect("it was there");
    assert!(error.contains("127.0.0.1"), "{error}");
    server.restart().await;
    wait_until("it is back", || async { store.status().connected }).await;
    assert_eq!(store.status().reconnects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_its_envelope_under_prefix_and_storage_name() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let mut record = record("{\"cart\":[1,2]}");
    record.owner = Some(Owner::new("ada").unwrap());
    store.create(&id.key(), &record, ttl()).await.unwrap();

    let keys: Vec<String> = ask(&mut client, "KEYS *").await;
    assert_eq!(keys, ["session:{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK"]);
    assert_eq!(bytes_at(&mut client, &id.key()).await, Some(record.to_bytes()));

    let later = record.expires_at.saturating_add(HOUR);
    assert!(store.touch(Touch::new(&id.key(), &record, later, ttl())).await.unwrap());
    record.expires_at = later;
    assert_eq!(bytes_at(&mut client, &id.key()).await, Some(record.to_bytes()));

    let (old, new, next) = (id.key(), id.rotated().key(), record.next());
    let rotation = Rotation::new(&old, &new, &next, ttl());
    assert_eq!(store.rotate(rotation).await.unwrap(), Updated::Updated);
    assert_eq!(bytes_at(&mut client, &new).await, Some(next.to_bytes()));
    let marker = Moved::new(new, &next, record.revision);
    assert_eq!(bytes_at(&mut client, &id.key()).await, Some(marker.to_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_without_a_time_to_live() {
    async fn life(client: &mut MultiplexedConnection, key: &SessionKey) -> Duration {
        let millis: i64 = ask(client, &format!("PTTL {}", name(key))).await;
        Duration::from_millis(millis.try_into().expect("a time to live"))
    }
    let about = |life: Duration, asked: Duration| life <= asked && life + Duration::from_secs(5) > asked;

    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (old, record) = stored(&store).await;
    assert!(about(life(&mut client, &old).await, HOUR));

    let next = record.next();
    store.update(Update::new(&old, &next, Ttl::new(2 * HOUR))).await.unwrap();
    assert!(about(life(&mut client, &old).await, 2 * HOUR));

    let later = next.expires_at.saturating_add(HOUR);
    assert!(store.touch(Touch::new(&old, &next, later, Ttl::new(3 * HOUR))).await.unwrap());
    assert!(about(life(&mut client, &old).await, 3 * HOUR));
    assert!(!store.touch(Touch::new(&old, &next, record.expires_at, ttl())).await.unwrap());
    assert!(about(life(&mut client, &old).await, 3 * HOUR));

    let new = key();
    assert_eq!(rotate(&store, &old, &new, &next).await.unwrap(), Updated::Updated);
    assert!(about(life(&mut client, &new).await, HOUR));
    assert!(about(life(&mut client, &old).await, Moved::MAX_LIFE));

    let (brief, record) = stored(&store).await;
    let (next, successor, ttl) = (record.next(), key(), Ttl::new(Duration::from_secs(9)));
    let rotation = Rotation::new(&brief, &successor, &next, ttl);
    store.rotate(rotation).await.unwrap();
    assert!(about(life(&mut client, &brief).await, Duration::from_secs(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_one_round_trip() {
    /// Compares the commands that the client sends, and those that its script runs inside Redis.
    macro_rules! assert_commands {
        ($client:ident, $operation:expr, $sent:expr, $inside:expr) => {{
            let before = Traffic::of(&mut $client).await;
            $operation.await.unwrap();
            let traffic = Traffic::of(&mut $client).await.since(&before);
            let (sent, inside): (&[(&str, u64)], &[(&str, u64)]) = (&$sent, &$inside);
            let round_trips = sent.iter().map(|(_, count)| count).sum();
            let calls =
                sent.iter().chain(inside).map(|(name, count)| (String::from(*name), *count)).collect();
            assert_eq!(traffic, Traffic { reads: round_trips, calls }, stringify!($operation));
        }};
    }
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    // Teaches the server the scripts.
    let (old, first) = stored(&store).await;
    update(&store, &old, &first).await.unwrap();
    touch(&store, &old, &first).await.unwrap();
    rotate(&store, &old, &key(), &first).await.unwrap();
    store.delete(&old).await.unwrap();

    let (old, new) = (key(), key());
    let record = record("{}");
    assert_commands!(client, store.load(&old), [("getrange", 1)], []);
    assert_commands!(client, store.create(&old, &record, ttl()), [("set", 1)], []);
    assert_commands!(client, store.create(&old, &record, ttl()), [("set", 1), ("getrange", 1)], []);
    assert_commands!(client, store.load(&old), [("getrange", 1)], []);
    assert_commands!(
        client,
        touch(&store, &old, &record),
        [("evalsha", 1)],
        [("getrange", 1), ("pexpire", 1), ("setrange", 1)]
    );
    assert_commands!(client, update(&store, &old, &record), [("evalsha", 1)], [("getrange", 1), ("set", 1)]);
    assert_commands!(client, update(&store, &old, &first), [("evalsha", 1)], [("getrange", 1)]);
    let Loaded::Found(record) = store.load(&old).await.unwrap() else { panic!("it was stored") };
    assert_commands!(
        client,
        rotate(&store, &old, &new, &record),
        [("evalsha", 1)],
        [("getrange", 1), ("set", 2)]
    );
    assert_commands!(client, store.delete(&old), [("evalsha", 1)], [("getrange", 2), ("del", 1)]);
    assert_commands!(client, store.delete(&old), [("evalsha", 1)], [("getrange", 1), ("del", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgot_the_scripts_is_taught_again() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    for _ in 0..2 {
        let (old, record) = stored(&store).await;
        assert!(touch(&store, &old, &record).await.unwrap());
        assert_eq!(rotate(&store, &old, &key(), &record).await.unwrap(), Updated::Updated);
        let (old, record) = stored(&store).await;
        assert_eq!(update(&store, &old, &record).await.unwrap(), Updated::Updated);
        assert!(store.delete(&old).await.unwrap());
        let () = ask(&mut client, "SCRIPT FLUSH").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_values_are_left_as_they_are() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let record = record("{}");
    // These bear the revision that the writes expect.
    let sound = record.to_bytes();
    let newer_format = [&[0xA2], &sound[1..]].concat();
    let newer_flags = [&[0xA1, 0x80], &sound[2..]].concat();
    let values = [
        ("LPUSH", b"a list".to_vec(), "cannot be read"),
        ("SET", b"{\"cookie\":{}}".to_vec(), "cannot be read"),
        ("SET", sound[..20].to_vec(), "cannot be read"),
        ("SET", sound[..40].to_vec(), "cannot be read"),
        ("SET", newer_format, "newer version"),
        ("SET", newer_flags, "newer version"),
    ];
    for (command, value, error) in values {
        let (at, new) = (key(), key());
        let () = redis::cmd(command).arg(name(&at)).arg(&value).query_async(&mut client).await.unwrap();
        let dump = redis::cmd("DUMP").arg(name(&at)).clone();
        let before: Vec<u8> = dump.query_async(&mut client).await.unwrap();

        let refused = [
            store.load(&at).await.map(drop).unwrap_err(),
            update(&store, &at, &record).await.map(drop).unwrap_err(),
            rotate(&store, &at, &new, &record).await.map(drop).unwrap_err(),
        ];
        for refusal in refused {
            assert!(refusal.to_string().contains(error), "{command} {value:?}: {refusal:?}");
        }
        assert_eq!(store.create(&at, &record, ttl()).await.unwrap(), Created::Taken);
        // A touch reads no further than it has to; what matters is that it changes nothing.
        match touch(&store, &at, &record).await {
            Ok(touched) => assert!(!touched),
            Err(refusal) => assert!(refusal.to_string().contains(error), "{refusal:?}"),
        }
        let after: Vec<u8> = dump.query_async(&mut client).await.unwrap();
        assert_eq!(before, after);
        assert_eq!(bytes_at(&mut client, &new).await, None);

        assert!(store.delete(&at).await.unwrap());
        let left: i64 = ask(&mut client, "DBSIZE").await;
        assert_eq!(left, 0, "{command} {value:?}");
    }
}

/// No answer to `GETRANGE` tells it from a key that is absent.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_value_is_no_session_and_left_as_it_is() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (at, new, record) = (key(), key(), record("{}"));
    let () = redis::cmd("SET").arg(name(&at)).arg("").query_async(&mut client).await.unwrap();

    assert_eq!(store.load(&at).await.unwrap(), Loaded::Absent);
    assert_eq!(update(&store, &at, &record).await.unwrap(), Updated::Missing);
    assert_eq!(rotate(&store, &at, &new, &record).await.unwrap(), Updated::Missing);
    assert!(!touch(&store, &at, &record).await.unwrap());
    assert_eq!(store.create(&at, &record, ttl()).await.unwrap(), Created::Taken);

    assert_eq!(bytes_at(&mut client, &at).await, Some(vec![]));
    assert_eq!(bytes_at(&mut client, &new).await, None);
    assert!(store.delete(&at).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_follows_markers_in_this_prefix_to_the_end_and_out_of_circles() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (first, record) = stored(&store).await;
    let (second, third) = (key(), key());
    rotate(&store, &first, &second, &record).await.unwrap();
    let Loaded::Found(record) = store.load(&second).await.unwrap() else { panic!("it was rotated") };
    rotate(&store, &second, &third, &record).await.unwrap();
    assert!(store.delete(&first).await.unwrap());
    assert_eq!(ask::<i64>(&mut client, "DBSIZE").await, 0);

    for (from, to) in [(first.clone(), second.clone()), (second, first.clone())] {
        let marker = Moved::new(to, &record, record.revision).to_bytes();
        let () = redis::cmd("SET").arg(name(&from)).arg(marker).query_async(&mut client).await.unwrap();
    }
    assert!(store.delete(&first).await.unwrap());
    assert_eq!(ask::<i64>(&mut client, "DBSIZE").await, 0);
}

/// However often a session was renewed within a minute, a logout with its first id ends it, in scripts that
/// each take a bounded number of steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_follows_thousands_of_renewals() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).timeout(Duration::from_secs(10)).connect().await.unwrap();
    for renewals in [499, 500, 501, 9_000] {
        let first = SessionId::generate();
        let (mut last, mut stored) = (first.clone(), record("{}"));
        store.create(&first.key(), &stored, ttl()).await.unwrap();
        for _ in 0..renewals {
            let next = last.rotated();
            assert_eq!(rotate(&store, &last.key(), &next.key(), &stored).await.unwrap(), Updated::Updated);
            (last, stored) = (next, stored.next());
            stored.revision = match store.load(&last.key()).await.unwrap() {
                Loaded::Found(record) => record.revision,
                other => panic!("{other:?}"),
            };
        }
        assert!(store.delete(&first.key()).await.unwrap(), "{renewals}");
        assert_eq!(store.load(&last.key()).await.unwrap(), Loaded::Absent, "{renewals}");
        let mut client = server.client().await;
        assert_eq!(ask::<u64>(&mut client, "DBSIZE").await, 0, "{renewals}");
        assert!(!store.delete(&first.key()).await.unwrap(), "{renewals}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_does_not_take_a_key_that_is_in_use() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (old, record) = stored(&store).await;
    let (new, other) = stored(&store).await;
    refused(rotate(&store, &old, &new, &record).await);
    assert_eq!(bytes_at(&mut client, &old).await, Some(record.to_bytes()));
    assert_eq!(bytes_at(&mut client, &new).await, Some(other.to_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_keeps_sessions_alive_and_takes_no_new_ones() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (at, mut record) = stored(&store).await;
    let (revoked, _) = stored(&store).await;
    let () = ask(&mut client, "CONFIG SET maxmemory 1").await;

    for message in [
        refused(store.create(&key(), &record, ttl()).await),
        refused(update(&store, &at, &record).await),
        refused(rotate(&store, &at, &key(), &record).await),
    ] {
        assert!(message.starts_with("OOM "), "{message}");
    }
    assert_eq!(bytes_at(&mut client, &at).await, Some(record.to_bytes()));
    assert!(touch(&store, &at, &record).await.unwrap());
    record.expires_at = record.expires_at.saturating_add(HOUR);
    assert_eq!(store.load(&at).await.unwrap(), Loaded::Found(record));
    assert!(store.delete(&revoked).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_reported_within_the_timeout() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [closed, mute.local_addr().unwrap()] {
        let limit = Duration::from_millis(300);
        let begun = Instant::now();
        let result = RedisStore::builder(format!("redis://{address}")).timeout(limit).connect().await;
        assert!(begun.elapsed() < 2 * limit, "{:?}", begun.elapsed());
        assert!(result.as_ref().is_err_and(|e| e.to_string().contains(&address.to_string())), "{result:?}");
        assert!(!unavailable(result));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_died_is_found_again() {
    let mut server = Server::start().await;
    let store = store(&server).await;
    let (at, record) = stored(&store).await;
    server.kill();
    for _ in 0..20 {
        let begun = Instant::now();
        unavailable(store.load(&at).await);
        unavailable(update(&store, &at, &record).await);
        assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    }
    sleep(Duration::from_millis(200)).await;
    let error = store.load(&at).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "the latest reason: {error}");

    server.restart().await;
    connected(&store).await;
    assert_eq!(store.load(&at).await.unwrap(), Loaded::Absent);
    stored(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_delays_nobody_for_longer_than_the_timeout() {
    let server = Server::start().await;
    let limit = Duration::from_millis(200);
    let store = RedisStore::builder(server.url()).timeout(limit).connect().await.unwrap();
    let (at, record) = stored(&store).await;
    server.freeze();

    let begun = Instant::now();
    let (write, read, other) =
        tokio::join!(update(&store, &at, &record), store.load(&at), update(&store, &at, &record));
    assert!(begun.elapsed() < 2 * limit, "{:?}", begun.elapsed());
    assert!(unavailable(write) && unavailable(other));
    assert!(!unavailable(read), "a read has no outcome");

    let begun = Instant::now();
    assert!(!unavailable(update(&store, &at, &record).await), "it was not even sent");
    assert!(begun.elapsed() < limit / 2, "{:?}", begun.elapsed());

    server.thaw();
    connected(&store).await;
    assert!(matches!(store.load(&at).await.unwrap(), Loaded::Found(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_is_replaced_before_it_is_needed() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (at, record) = stored(&store).await;
    for killings in 1..=3 {
        let killed: u32 = ask(&mut client, "CLIENT KILL TYPE normal").await;
        assert_eq!(killed, 1);
        wait_until("it is connected again", || async { store.status().reconnects == killings }).await;
        assert_eq!(store.load(&at).await.unwrap(), Loaded::Found(record.clone()));
    }
    let clients: String = ask(&mut client, "CLIENT LIST").await;
    assert_eq!(clients.lines().count(), 2, "one of the store, one of this test: {clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_serves_reads_until_it_is_promoted() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (at, record) = stored(&store).await;
    let () = ask(&mut client, "REPLICAOF 127.0.0.1 1").await;
    let error = update(&store, &at, &record).await.unwrap_err();
    assert!(error.to_string().contains("READONLY"), "{error}");
    assert!(!error.outcome_unknown());
    // It can't be written, but it can be read, also while another connection is being made.
    for _ in 0..20 {
        assert!(!unavailable(store.create(&key(), &record, ttl()).await));
        assert_eq!(store.load(&at).await.unwrap(), Loaded::Found(record.clone()));
    }

    let () = ask(&mut client, "REPLICAOF NO ONE").await;
    connected(&store).await;
    assert_eq!(update(&store, &at, &record).await.unwrap(), Updated::Updated);
}

/// Redis 6 wraps what goes wrong inside a script.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_in_its_own_words() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let (at, record) = stored(&store).await;
    let () = ask(&mut client, "CONFIG SET maxmemory 1").await;
    let message = refused(update(&store, &at, &record).await);
    assert!(message.starts_with("OOM command not allowed"), "{message}");
}

/// The quote of a command that the server does not know has the record in it, which is not UTF-8.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_scripts_is_said_so() {
    let server = Server::start_with(&["--rename-command", "EVALSHA", ""]).await;
    let store = store(&server).await;
    let (at, record) = stored(&store).await;
    let error = update(&store, &at, &record).await.unwrap_err();
    assert!(error.to_string().contains("is a command renamed or disabled there?"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_needed_and_never_shown() {
    let server = Server::start_with(&["--requirepass", "hunter2"]).await;
    let address = format!("127.0.0.1:{}", server.port());
    let message = refused(RedisStore::connect(server.url()).await);
    assert!(message.starts_with("NOAUTH "), "{message}");
    let wrong = RedisStore::connect(format!("redis://:hunter3@{address}")).await;
    assert!(!format!("{wrong:?}").contains("hunter3"));
    assert!(refused(wrong).starts_with("WRONGPASS "));

    let builder = RedisStore::builder(format!("redis://:hunter2@{address}"));
    assert!(!format!("{builder:?}").contains("hunter2"));
    let store = builder.connect().await.unwrap();
    let (at, _) = stored(&store).await;
    assert!(!format!("{store:?}").contains("hunter2"));

    // The password changes under a running service, and somebody closes its connection.
    let mut admin = TcpStream::connect(&address).unwrap();
    admin.write_all(b"AUTH hunter2\r\nCONFIG SET requirepass new\r\nCLIENT KILL TYPE normal\r\n").unwrap();
    sleep(Duration::from_millis(300)).await;
    let error = store.load(&at).await.unwrap_err();
    assert!(error.to_string().contains("WRONGPASS") && !format!("{error:?}").contains("hunter2"), "{error}");
    admin.write_all(b"CONFIG SET requirepass hunter2\r\n").unwrap();
    connected(&store).await;
    assert!(matches!(store.load(&at).await.unwrap(), Loaded::Found(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let rules = "+set +getrange +setrange +pexpire +del +eval +evalsha";
    let () = ask(&mut client, &format!("ACL SETUSER app on >secret ~session:* {rules}")).await;
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    let (old, record) = stored(&store).await;
    assert!(touch(&store, &old, &record).await.unwrap());
    assert_eq!(update(&store, &old, &record).await.unwrap(), Updated::Updated);
    let Loaded::Found(record) = store.load(&old).await.unwrap() else { panic!("it was updated") };
    assert_eq!(rotate(&store, &old, &key(), &record).await.unwrap(), Updated::Updated);
    assert!(store.delete(&old).await.unwrap());

    let () = ask(&mut client, "ACL SETUSER app +select").await;
    RedisStore::connect(format!("{url}/2")).await.unwrap();

    let elsewhere = RedisStore::builder(&url).prefix("other:").connect().await.unwrap();
    let message = refused(elsewhere.load(&old).await);
    assert!(message.starts_with("NOPERM "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_services_apart() {
    let server = Server::start().await;
    let one = store(&server).await;
    let two = RedisStore::builder(server.url()).prefix("two:").connect().await.unwrap();
    let (at, record) = stored(&one).await;
    assert_eq!(two.load(&at).await.unwrap(), Loaded::Absent);
    assert_eq!(update(&two, &at, &record).await.unwrap(), Updated::Missing);
    assert!(!two.delete(&at).await.unwrap());

    two.create(&at, &record, ttl()).await.unwrap();
    let new = key();
    rotate(&two, &at, &new, &record).await.unwrap();
    assert!(two.delete(&at).await.unwrap());
    assert_eq!(two.load(&new).await.unwrap(), Loaded::Absent);
    assert_eq!(one.load(&at).await.unwrap(), Loaded::Found(record));
}

/// SECURITY 21 and 23: whoever can read Redis cannot make a cookie.
#[tokio::test(flavor = "multi_thread")]
async fn redis_never_sees_an_id() {
    let server = Server::start().await;
    let store = store(&server).await;
    let mut monitor = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    monitor.write_all(b"MONITOR\r\n").unwrap();

    let id = SessionId::generate();
    let (new_id, record) = (id.rotated(), record("{}"));
    store.create(&id.key(), &record, ttl()).await.unwrap();
    store.load(&id.key()).await.unwrap();
    touch(&store, &id.key(), &record).await.unwrap();
    rotate(&store, &id.key(), &new_id.key(), &record).await.unwrap();
    let keys: Vec<String> = ask(&mut server.client().await, "KEYS *").await;
    store.delete(&id.key()).await.unwrap();
    store.load(&key()).await.unwrap();

    let mut seen = keys.concat();
    while !seen.contains("\"DEL\"") {
        let mut part = [0; 4096];
        let length = monitor.read(&mut part).unwrap();
        seen += std::str::from_utf8(&part[..length]).expect("MONITOR escapes bytes");
    }
    for id in [id, new_id] {
        assert!(seen.contains(id.key().storage_name()), "{seen}");
        assert!(!seen.contains(&id.as_str()[4..]), "{seen}");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_without_connecting() {
    for url in [
        "nonsense hunter2",
        "http://me:hunter2@localhost",
        "redis://me:hunter2@localhost:port",
        "redis://me:hunter2@localhost/db",
        "redis://me:hunter2@localhost?protocol=2",
        "redis://me:12?hunter2@localhost",
        "redis://me:12#hunter2@localhost",
        "redis://hunter2#me:@localhost",
        "redis://me:hunter2@localhost?unknown=3",
        "redis://me:hunter2@0.0.0.0",
    ] {
        let message = config(RedisStore::connect(url).await);
        assert!(!message.contains("hunter2") && !message.contains("me:"), "{message}");
        assert!(message.contains("redis://[[user]:password@]host"), "{message}");
    }
    // Never plaintext instead: either the build lacks TLS, or the file is missing.
    let lacking = if cfg!(feature = "tls") { "/no/ca.pem" } else { "feature `tls`" };
    for url in
        ["rediss://:hunter2@localhost?", "redis://:hunter2@localhost?tls=true&", "redis://localhost?ssl=1&"]
    {
        let message = config(RedisStore::connect(format!("{url}cacert=/no/ca.pem")).await);
        assert!(message.contains(lacking) && !message.contains("hunter2"), "{message}");
    }
    let unused = "redis://127.0.0.1:1";
    assert!(config(RedisStore::builder(unused).prefix("{app}:").connect().await).contains("braces"));
    for timeout in [Duration::ZERO, Duration::MAX] {
        assert!(config(RedisStore::builder(unused).timeout(timeout).connect().await).contains("timeout"));
    }
    for (replicas, within) in [(0, 100), (1, 0), (1, u64::MAX)] {
        let builder = RedisStore::builder(unused).wait_for_replicas(replicas, Duration::from_millis(within));
        assert!(config(builder.connect().await).contains("replica"));
    }
}

#[test]
fn a_store_survives_the_runtimes_that_it_is_used_on() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let end = |runtime: tokio::runtime::Runtime| runtime.shutdown_timeout(Duration::from_secs(5));
    let first = runtime();
    let (mut server, store, at) = first.block_on(async {
        let server = Server::start().await;
        let store = store(&server).await;
        let (at, _) = stored(&store).await;
        (server, store, at)
    });
    end(first);

    let second = runtime();
    second.block_on(async {
        assert!(matches!(store.load(&at).await.unwrap(), Loaded::Found(_)));
        server.kill();
        unavailable(store.load(&at).await);
    });
    // This ends the task that reconnects, too.
    end(second);

    runtime().block_on(async {
        server.restart().await;
        assert_eq!(store.load(&at).await.unwrap(), Loaded::Absent);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_store_stops_reconnecting() {
    let mut server = Server::start().await;
    let gone = store(&server).await;
    server.kill();
    unavailable(gone.load(&key()).await);
    drop(gone);
    server.restart().await;
    sleep(Duration::from_secs(1)).await;
    let clients: String = ask(&mut server.client().await, "CLIENT LIST").await;
    assert_eq!(clients.lines().count(), 1, "only this test's own: {clients}");
}

/// Each worker of actix-web has a runtime of its own, and a handler may block it.
#[test]
fn a_caller_that_notices_an_outage_and_then_blocks_its_runtime_holds_up_nobody_else() {
    let home = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let worker = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, store) = home.block_on(async {
        let server = Server::start().await;
        let store = RedisStore::builder(server.url()).timeout(Duration::from_millis(100));
        (server, store.connect().await.unwrap())
    });
    server.freeze();
    worker.block_on(async {
        while store.status().connected {
            assert!(store.load(&key()).await.is_err());
        }
        server.thaw();
        wait_until("the store is connected again", || async { store.load(&key()).await.is_ok() }).await;
    });
    // From here on nothing on the worker's runtime gets on.
    home.block_on(async {
        for _ in 0..10 {
            assert_eq!(store.load(&key()).await.unwrap(), Loaded::Absent);
        }
    });
}

#[tokio::test]
async fn an_update_runs_a_script_where_the_server_cannot_compare_or_something_has_changed() {
    let server = Server::start().await;
    let (store, mut client) = (store(&server).await, server.client().await);
    let compares = server.sets_if_equal().await;
    let (key, record) = stored(&store).await;
    let mut scripts = async |record: &Record, next: &Record, expected: Updated| {
        let before = Traffic::of(&mut client).await;
        let updated = store.update(Update::new(&key, next, ttl()).replacing(record)).await.unwrap();
        assert_eq!(updated, expected);
        Traffic::of(&mut client).await.since(&before).calls.get("evalsha").copied().unwrap_or(0)
    };
    let next = record.next();
    // The first one has to be sent by its code.
    scripts(&record, &next, Updated::Updated).await;
    let third = next.next();
    assert_eq!(scripts(&next, &third, Updated::Updated).await, u64::from(!compares));
    // What is sent again recognises itself.
    assert_eq!(scripts(&next, &third, Updated::Updated).await, 1);
    let later = third.expires_at.saturating_add(HOUR);
    assert!(store.touch(Touch::new(&key, &third, later, ttl())).await.unwrap());
    let fourth = third.next();
    assert_eq!(scripts(&third, &fourth, Updated::Updated).await, 1, "a touch in between is no conflict");
    assert_eq!(scripts(&third, &third.next(), Updated::Stale(fourth)).await, 1);
}
