//! What the documentation says of a user with an ACL.

use session_store::{
    ExpressLayout, RedisLayout, RedisStore, SessionCookie, SessionId, SessionKey, SessionStore,
};

use crate::stage::{manager, record, ttl};
use crate::support::redis::{Cluster, Server};

const STORE: &str = "+set +getrange +setrange +pexpire +del +eval +evalsha";
const SURVEY: &str = "+scan +strlen +dbsize +info +memory|usage";

async fn scans(url: &str) {
    let store = std::sync::Arc::new(RedisStore::connect(url).await.unwrap());
    for _ in 0..20 {
        store.create(&SessionId::generate().key(), &record(), ttl()).await.unwrap();
    }
    let manager = manager(&store);
    assert_eq!(manager.count_sessions().await.unwrap(), 20);
    let usage = manager.usage().await.unwrap();
    assert_eq!((usage.sessions, usage.bytes_per_session.is_some()), (20.0, true));
    assert_eq!(manager.tidy().await.unwrap().seen, 20);
    assert_eq!(manager.revoke_everyone().await.unwrap(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let rules = format!("ACL SETUSER app on >secret ~session:* {STORE} {SURVEY}");
    server.ask::<String>(&rules).await.unwrap();
    scans(&server.url().replace("://", "://app:secret@")).await;
    // Each of them is needed.
    let store = RedisStore::connect(server.url().replace("://", "://app:secret@")).await.unwrap();
    store.create(&SessionId::generate().key(), &record(), ttl()).await.unwrap();
    let scan = store.scan().unwrap();
    for (permission, of_page) in
        [("scan", true), ("strlen", true), ("info", true), ("dbsize", false), ("getrange", true)]
    {
        server.ask::<String>(&format!("ACL SETUSER app -{permission}")).await.unwrap();
        assert_eq!(scan.page(None, 10).await.is_err(), of_page, "{permission}");
        server.ask::<String>(&format!("ACL SETUSER app +{permission}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_in_a_cluster() {
    let redis = Cluster::start().await;
    for node in redis.nodes() {
        let rules = format!("{STORE} +cluster|slots +cluster|info +asking {SURVEY} +cluster|nodes");
        node.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    }
    scans(&redis.url().replace("://", "://app:secret@")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_for_express() {
    let server = Server::start().await;
    let commands = "+get +set +pttl +pexpire +del +exists +hget +hset +eval +evalsha +scan +strlen +getrange \
                    +dbsize +info +memory|usage";
    let keys = "~sess:* ~moved:{sess:*";
    server
        .ask::<String>(&format!("ACL SETUSER app on >secret resetkeys {keys} -@all {commands}"))
        .await
        .unwrap();
    let layout = ExpressLayout::new(SessionCookie::new().secure(false));
    let builder = RedisStore::builder(server.url().replace("://", "://app:secret@"));
    let store = builder.layout(RedisLayout::express(layout)).connect().await.unwrap();
    let key: SessionKey = SessionId::express("abc").unwrap().key();
    store.create(&key, &record(), ttl()).await.unwrap();
    let page = store.scan().unwrap().page(None, 10).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
    let usage = store.scan().unwrap().usage().await.unwrap();
    assert_eq!((usage.sessions, usage.bytes_per_session.is_some()), (1.0, true));
}
