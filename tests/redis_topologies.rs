//! `RedisStore` on clusters, behind sentinels, over TLS and with credentials: it keeps every promise,
//! and what is particular to them.
#![cfg(all(feature = "conformance", feature = "redis"))]

mod support;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use session_store::{
    Created, Credentials, Error, Loaded, Owner, Payload, Record, RedisStore, Rotation, SessionId, SessionKey,
    SessionStore, Timestamp, Topology, Touch, Ttl, Update, Updated, conformance,
};
use support::redis::{Cluster, Sentinels, Server, Traffic, wait_until};
use tokio::task::JoinSet;

fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(600))
}

fn record() -> Record {
    let data = Payload::new(1, "{}");
    Record::new(Timestamp::from_millis(1), Timestamp::from_millis(u64::MAX >> 1), data)
}

/// A fresh session, and the id that it would be rotated to.
async fn stored(store: &RedisStore, id: &SessionId) -> (SessionKey, Record) {
    let (key, record) = (id.key(), record());
    assert_eq!(store.create(&key, &record, ttl()).await.unwrap(), Created::Created);
    (key, record)
}

async fn rotated(
    store: &RedisStore,
    old: &SessionKey,
    new: &SessionKey,
    record: &Record,
) -> Result<Updated, Error> {
    store.rotate(Rotation::new(old, new, &record.next(), ttl())).await
}

async fn slot_of(client: &mut MultiplexedConnection, key: &SessionKey) -> u16 {
    let mut keyslot = redis::cmd("CLUSTER");
    keyslot.arg("KEYSLOT").arg(format!("session:{}", key.storage_name())).query_async(client).await.unwrap()
}

/// The slot of a session on its way to another master.
struct Migration<'a> {
    redis: &'a Cluster,
    slot: u16,
    from: usize,
    to: usize,
}

impl<'a> Migration<'a> {
    async fn begin(redis: &'a Cluster, key: &SessionKey) -> Self {
        let slot = slot_of(&mut redis.client_of(0).await, key).await;
        let to = (redis.master_of(slot).await + 1) % 3;
        Self { redis, slot, from: redis.begin_migration(slot, to).await, to }
    }

    async fn move_keys(&self) {
        self.redis.move_keys(self.slot, self.from, self.to).await;
    }

    async fn finish(&self) {
        self.move_keys().await;
        self.redis.finish_migration(self.slot, self.from, self.to).await;
    }
}

async fn keeps_every_promise(store: RedisStore, topology: Topology) {
    let health = store.status();
    assert!(
        health.connected && health.topology == Some(topology) && health.last_error.is_none(),
        "{health:?}"
    );
    let beside = store.with_prefix("session:tenant:").unwrap();
    assert_eq!(beside.status(), health);
    let (one, another) = tokio::join!(conformance::all(Arc::new(store)), conformance::all(Arc::new(beside)));
    one.and(another).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_every_promise() {
    let redis = Cluster::start_with(&["--requirepass", "secret"]).await;
    // One node leads to the others.
    let url = redis.url_of(&[4]).replace("://", "://:secret@");
    keeps_every_promise(RedisStore::connect(url).await.unwrap(), Topology::Cluster).await;
    for master in 0..3 {
        assert!(redis.nodes()[master].ask::<u32>("DBSIZE").await.unwrap() > 0, "all masters took part");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_a_store_that_keeps_every_promise() {
    let redis = Sentinels::start_with(&["--requirepass", "secret"], &["--requirepass", "watch"]).await;
    let url = redis.url().replace("://", "://:secret@") + "?sentinel_password=watch";
    keeps_every_promise(RedisStore::connect(&url).await.unwrap(), Topology::Sentinel).await;
    let wrong = RedisStore::connect(url.replace("watch", "wrong")).await.unwrap_err();
    assert!(wrong.to_string().contains("WRONGPASS") && !format!("{wrong:?}").contains("secret"), "{wrong}");
}

/// The whole operation goes where the slot goes, in one round trip where it has arrived.
#[tokio::test(flavor = "multi_thread")]
async fn operations_follow_a_slot_through_its_migration() {
    let redis = Cluster::start().await;
    let store = RedisStore::connect(redis.url()).await.unwrap();
    let id = SessionId::generate();
    let (key, before) = stored(&store, &id).await;

    let migration = Migration::begin(&redis, &key).await;
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(before.clone()));
    let next = before.next();
    assert_eq!(store.update(Update::new(&key, &next, ttl())).await.unwrap(), Updated::Updated);
    // What the source does not have, it may have had.
    let newcomer = id.rotated().key();
    assert_eq!(store.load(&newcomer).await.unwrap(), Loaded::Absent);
    assert_eq!(store.create(&newcomer, &record(), ttl()).await.unwrap(), Created::Created);

    migration.move_keys().await;
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(next.clone()));
    let last = next.next();
    assert_eq!(store.update(Update::new(&key, &last, ttl())).await.unwrap(), Updated::Updated);

    migration.finish().await;
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(last));
    let mut target = redis.client_of(migration.to).await;
    let before = Traffic::of(&mut target).await;
    assert!(store.delete(&key).await.unwrap());
    assert_eq!(Traffic::of(&mut target).await.since(&before).calls["evalsha"], 1);
}

/// Redis does not run what needs two keys while one of them is elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_the_end_of_a_migration_but_not_for_ever() {
    let redis = Cluster::start().await;
    let store = RedisStore::connect(redis.url()).await.unwrap();
    let id = SessionId::generate();
    let (old, new) = (id.key(), id.rotated().key());
    let (_, record) = stored(&store, &id).await;
    let migration = Migration::begin(&redis, &old).await;

    let error = rotated(&store, &old, &new, &record).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { outcome_unknown: false, .. }), "{error}");
    assert!(error.to_string().contains("TRYAGAIN"), "{error}");

    let (outcome, ()) = tokio::join!(rotated(&store, &old, &new, &record), migration.finish());
    assert_eq!(outcome.unwrap(), Updated::Updated);
}

/// A marker without its session would be all that a logout finds, and the session lived on.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_does_not_miss_a_session_that_migrated_before_its_marker() {
    let redis = Cluster::start().await;
    let store = RedisStore::connect(redis.url()).await.unwrap();
    let id = SessionId::generate();
    let (old, new) = (id.key(), id.rotated().key());
    let (_, record) = stored(&store, &id).await;
    assert_eq!(rotated(&store, &old, &new, &record).await.unwrap(), Updated::Updated);
    let migration = Migration::begin(&redis, &old).await;
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(redis.nodes()[migration.to].port());
    migrate.arg(format!("session:{}", new.storage_name())).arg(0).arg(5000);
    let _: String = migrate.query_async(&mut redis.client_of(migration.from).await).await.unwrap();

    let error = store.delete(&old).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { outcome_unknown: false, .. }), "{error}");
    assert!(matches!(store.load(&new).await.unwrap(), Loaded::Found(_)));
    migration.finish().await;
    assert!(store.delete(&old).await.unwrap());
    assert_eq!(store.load(&new).await.unwrap(), Loaded::Absent);
}

/// A write that follows its session says that it can't, where it might take it for one that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_does_not_miss_a_session_that_migrated_before_its_marker() {
    let redis = Cluster::start().await;
    let store = RedisStore::connect(redis.url()).await.unwrap();
    let id = SessionId::generate();
    let (old, new) = (id.key(), id.rotated().key());
    let (_, record) = stored(&store, &id).await;
    assert_eq!(rotated(&store, &old, &new, &record).await.unwrap(), Updated::Updated);
    let Loaded::Found(there) = store.load(&new).await.unwrap() else { panic!("it was rotated") };
    let next = there.next();
    let update = Update::new(&old, &next, ttl()).following();
    let migration = Migration::begin(&redis, &old).await;
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(redis.nodes()[migration.to].port());
    migrate.arg(format!("session:{}", new.storage_name())).arg(0).arg(5000);
    let _: String = migrate.query_async(&mut redis.client_of(migration.from).await).await.unwrap();

    let error = store.update(update).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { outcome_unknown: false, .. }), "{error}");
    migration.finish().await;
    assert_eq!(store.update(update).await.unwrap(), Updated::Updated);
    assert_eq!(store.load(&new).await.unwrap(), Loaded::Found(next));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_the_name_of_one_server_is_recognised() {
    let redis = Cluster::start().await;
    let store = RedisStore::connect(redis.nodes()[0].url()).await.unwrap();
    let elsewhere = async || loop {
        if let Err(error) = store.load(&SessionId::generate().key()).await {
            return error.to_string();
        }
    };
    let advice = elsewhere().await;
    assert!(advice.contains("redis-cluster://"), "{advice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_share_the_operations() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).connections(3).connect().await.unwrap();
    for _ in 0..30 {
        store.load(&SessionId::generate().key()).await.unwrap();
    }
    let clients: String = server.ask("CLIENT LIST TYPE normal").await.unwrap();
    let busy = clients.lines().filter(|line| line.contains("cmd=get"));
    assert_eq!(busy.count(), 3, "{clients}");

    // With one of them gone, the others do its work.
    let victim = clients.split_whitespace().find_map(|word| word.strip_prefix("id=")).unwrap();
    server.ask::<u32>(&format!("CLIENT KILL ID {victim}")).await.unwrap();
    for _ in 0..30 {
        let _ = store.load(&SessionId::generate().key()).await;
    }
    wait_until("all are back", async || store.status().reconnects == 1).await;
    for settings in [0, 65] {
        let error = RedisStore::builder(server.url()).connections(settings).connect().await.unwrap_err();
        assert!(error.to_string().contains("1 to 64"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out_wait_for_replicas() {
    let redis = Sentinels::start().await;
    let builder = || RedisStore::builder(redis.url()).wait_for_replicas(2, Duration::from_millis(100));
    let store = builder().connect().await.unwrap();
    let mut master = redis.client_of(0).await;
    let waits = async |client: &mut MultiplexedConnection| {
        Traffic::of(client).await.calls.get("wait").copied().unwrap_or_default()
    };
    let id = SessionId::generate();
    let (key, first) = stored(&store, &id).await;
    store.update(Update::new(&key, &first.next(), ttl())).await.unwrap();
    assert_eq!(waits(&mut master).await, 0, "neither an anonymous session nor a change waits");

    let mut owned = record();
    owned.owner = Some(Owner::new("ada").unwrap());
    let (old, new) = (SessionId::generate(), SessionId::generate());
    assert_eq!(store.create(&old.key(), &owned, ttl()).await.unwrap(), Created::Created);
    assert_eq!(waits(&mut master).await, 1);
    assert_eq!(rotated(&store, &old.key(), &new.key(), &owned).await.unwrap(), Updated::Updated);
    assert_eq!(waits(&mut master).await, 2);
    assert_eq!(rotated(&store, &old.key(), &id.rotated().key(), &owned).await.unwrap(), Updated::Moved);
    assert_eq!(waits(&mut master).await, 2, "nothing was written");
    assert!(store.delete(&new.key()).await.unwrap());
    assert_eq!(waits(&mut master).await, 3);
    for replica in [1, 2] {
        assert_eq!(redis.servers()[replica].ask::<u32>("DBSIZE").await.unwrap(), 2, "a session and a marker");
    }

    // A replica that is away: the master has it, the caller learns the rest, others don't wait.
    redis.servers()[1].freeze();
    let deletion = store.delete(&key);
    let beside = async {
        wait_until("the server waits", async || waits(&mut redis.client_of(0).await).await > 3).await;
        store.load(&key).await.unwrap()
    };
    let (deleted, loaded) = tokio::join!(deletion, beside);
    assert_eq!(loaded, Loaded::Absent);
    let error = deleted.unwrap_err();
    assert!(error.to_string().contains("1 of 2 replicas") && error.outcome_unknown(), "{error}");
    assert_eq!(store.status().unreplicated, 1);

    // However many wait, they wait together.
    let before = waits(&mut master).await;
    let store = Arc::new(store);
    let mut deletions = JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(&store);
        deletions.spawn(async move { store.delete(&SessionId::generate().key()).await });
    }
    for outcome in deletions.join_all().await {
        assert!(outcome.unwrap_err().to_string().contains("1 of 2 replicas"));
    }
    assert!(waits(&mut master).await - before <= 2);
}

const RULES: &str = "+set +getrange +setrange +pexpire +del +eval +evalsha";

/// Needs all of the commands that a store ever sends.
async fn does_everything(store: &RedisStore) {
    let old = SessionId::generate();
    let (key, first) = stored(store, &old).await;
    assert!(
        store.touch(Touch::new(&key, &first, Timestamp::from_millis(u64::MAX >> 1), ttl())).await.unwrap()
    );
    let next = first.next();
    assert_eq!(store.update(Update::new(&key, &next, ttl())).await.unwrap(), Updated::Updated);
    let successor = old.rotated().key();
    assert_eq!(rotated(store, &key, &successor, &next).await.unwrap(), Updated::Updated);
    assert!(store.delete(&key).await.unwrap());
    assert_eq!(store.load(&successor).await.unwrap(), Loaded::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_in_a_cluster() {
    let redis = Cluster::start().await;
    for node in redis.nodes() {
        let rules = format!("{RULES} +cluster|slots +cluster|info +asking +wait");
        node.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    }
    let url = redis.url().replace("://", "://app:secret@");
    let builder = RedisStore::builder(url).wait_for_replicas(1, Duration::from_secs(1));
    let store = builder.connect().await.unwrap();
    for _ in 0..20 {
        does_everything(&store).await;
    }
    let id = SessionId::generate();
    Migration::begin(&redis, &id.key()).await;
    stored(&store, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_behind_sentinels() {
    let redis = Sentinels::start().await;
    for server in redis.servers() {
        let rules = format!("{RULES} +role +wait");
        server.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    }
    for sentinel in redis.sentinels() {
        let rules = "&* +subscribe +sentinel|master +sentinel|get-master-addr-by-name";
        sentinel.ask::<String>(&format!("ACL SETUSER watcher on >watch {rules}")).await.unwrap();
    }
    let url = redis.url().replace("://", "://app:secret@");
    let store = RedisStore::builder(url)
        .sentinel_credentials(Credentials::user("watcher", "watch"))
        .wait_for_replicas(1, Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    does_everything(&store).await;
    redis.failover().await;
    wait_until("the store follows", async || store.status().reconnects > 0).await;
    wait_until("all watches are in place", async || {
        let clients = redis.sentinels()[2].ask::<String>("CLIENT LIST").await.unwrap();
        clients.contains("user=watcher") && clients.contains(" sub=2 ")
    })
    .await;
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::support::redis::{Certificates, Identity};

    fn path(identity: &Identity) -> String {
        format!("cert={}&key={}", identity.certificate.path().display(), identity.key.path().display())
    }

    async fn refused(url: &str) -> String {
        RedisStore::connect(url).await.expect_err(url).to_string()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_is_believed_by_its_authority_and_its_name() {
        let (ours, strange) = (Certificates::generate(), Certificates::generate());
        let elsewhere = Certificates::for_names("DNS:elsewhere.example");
        let server = Server::start_tls(&ours, &["--requirepass", "secret"]).await;
        let url = server.url().replace("://", "://:secret@");
        let trusting =
            |authority: &Identity| format!("{url}?cacert={}", authority.certificate.path().display());
        keeps_every_promise(
            RedisStore::connect(trusting(&ours.authority)).await.unwrap(),
            Topology::Standalone,
        )
        .await;
        // What `rediss` says, the parameter says too.
        let by_parameter = trusting(&ours.authority).replace("rediss", "redis") + "&tls=true";
        RedisStore::connect(by_parameter).await.unwrap();

        assert!(refused(&trusting(&strange.authority)).await.contains("certificate"));
        // The system's authorities don't know it either.
        assert!(refused(&url).await.contains("certificate"));
        let misnamed = Server::start_tls(&elsewhere, &[]).await;
        let wrong_name =
            misnamed.url() + "?cacert=" + elsewhere.authority.certificate.path().to_str().unwrap();
        assert!(refused(&wrong_name).await.contains("certificate"));
        // Self-signed, or under another name, by explicit choice.
        for server in [&url, &misnamed.url()] {
            RedisStore::connect(format!("{server}?insecure=true")).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_shows_its_certificate_and_the_file_that_is_renewed() {
        let (ours, strange) = (Certificates::generate(), Certificates::generate());
        let server = Server::start_tls(&ours, &["--tls-auth-clients", "yes"]).await;
        let url = format!("{}?cacert={}", server.url(), ours.authority.certificate.path().display());
        let store = RedisStore::connect(format!("{url}&{}", path(&ours.client))).await.unwrap();
        let pem = |identity: &Identity| (identity.certificate.bytes(), identity.key.bytes());
        let (certificate, key) = pem(&ours.client);
        RedisStore::builder(&url).tls_client(certificate, key).connect().await.unwrap();

        assert!(RedisStore::connect(&url).await.is_err());
        assert!(RedisStore::connect(format!("{url}&{}", path(&strange.client))).await.is_err());

        // A strange one is in the files for a while, and then the right one again.
        let (old, new) = (pem(&ours.client), pem(&strange.client));
        let write = |(certificate, key): &(Vec<u8>, Vec<u8>)| {
            std::fs::write(ours.client.certificate.path(), certificate).unwrap();
            std::fs::write(ours.client.key.path(), key).unwrap();
        };
        write(&new);
        server.ask::<u32>("CLIENT KILL TYPE normal").await.unwrap();
        wait_until("the strange one is refused", || async { !store.status().connected }).await;
        write(&old);
        wait_until("the right one is accepted", || async {
            store.load(&SessionId::generate().key()).await.is_ok()
        })
        .await;
    }

    #[tokio::test]
    async fn files_that_are_no_certificates_are_refused_at_once() {
        let server = "rediss://127.0.0.1:1";
        for url in [format!("{server}?cacert=/no/such.pem"), format!("{server}?cacert=Cargo.toml")] {
            let error = RedisStore::connect(&url).await.unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{error}");
        }
        let nonsense = RedisStore::builder(server).tls_client("hunter2", "hunter2").connect().await;
        let error = nonsense.unwrap_err();
        assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("hunter2"), "{error}");
    }
}

/// Whatever the topology, and whoever asked for it.
#[cfg(feature = "tls")]
#[tokio::test]
async fn certificates_that_are_not_verified_are_a_warning() {
    async fn warnings(url: &str, variables: &[(&str, &str)]) -> usize {
        let log = support::log::Log::begin();
        let builder = session_store::RedisStoreBuilder::from_variables(|name| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| value.into()).or_else(|| (name == "REDIS_URL").then(|| url.into()))
        });
        drop(builder.unwrap().unwrap().connect_eventually().await.unwrap());
        let text = log.text();
        assert!(!text.contains("correct-horse"), "{text}");
        text.lines().filter(|line| line.contains("WARN") && line.contains("not verified")).count()
    }
    for url in ["rediss://", "rediss-cluster://", "rediss-sentinel://"] {
        let url =
            format!("{url}:correct-horse@127.0.0.1:1{}", if url.contains("sentinel") { "/m" } else { "" });
        assert_eq!(warnings(&format!("{url}?insecure=true"), &[]).await, 1, "{url}");
        assert_eq!(warnings(&url, &[("REDIS_TLS_INSECURE", "true")]).await, 1, "{url}");
        assert_eq!(warnings(&url, &[("REDIS_TLS_INSECURE", "false")]).await, 0, "{url}");
        assert_eq!(warnings(&url, &[]).await, 0, "{url}");
    }
}
