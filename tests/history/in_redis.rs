//! Histories on real servers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use session_store::{
    Clock as _, Error, ExpressLayout, HistoryBounds, HistoryEntry, HistoryEvent, KeyRing, Owner, OwnerHash,
    RedisLayout, RedisStore, RedisStoreBuilder, SessionCookie, SessionId, SessionManager, SessionStore as _,
    SystemClock,
};

use crate::stage::{history_of, sign_in};
use crate::support::redis::{Cluster, Server};

type Manager = SessionManager<u32>;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn manager(builder: RedisStoreBuilder) -> Manager {
    let store = builder.timeout(Duration::from_secs(10)).connect().await.unwrap();
    let bounds = HistoryBounds::default().entries(50).age(7 * DAY);
    SessionManager::builder(store, KeyRing::generate()).history(bounds).build().unwrap()
}

async fn manager_at(url: impl AsRef<str>) -> Manager {
    manager(RedisStore::builder(url)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_a_list_beside_the_index_that_lasts_as_long_as_its_age() {
    let server = Server::start().await;
    let [first, second] = [manager_at(server.url()).await, manager_at(server.url()).await];
    sign_in(&first, "ada.lovelace", "a phone").await;
    first.flush_events().await;
    sign_in(&second, "ada.lovelace", "a laptop").await;
    assert_eq!(history_of(&second, "ada.lovelace").await, ["signedIn a laptop", "signedIn a phone"]);

    let names: Vec<String> = server.ask("KEYS session:history:*").await.unwrap();
    let [name] = <[String; 1]>::try_from(names).unwrap();
    let index: Vec<String> = server.ask("KEYS session:owner:*").await.unwrap();
    assert_eq!(name.replace("history", "owner"), index[0], "in the same slot of a cluster");
    assert!(!name.contains("ada"));
    let millis: u64 = server.ask(&format!("PTTL {name}")).await.unwrap();
    assert!(
        (7 * DAY - Duration::from_secs(60)..=7 * DAY).contains(&Duration::from_millis(millis)),
        "{millis}"
    );
    let length: usize = server.ask(&format!("LLEN {name}")).await.unwrap();
    assert_eq!(length, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_are_no_sessions() {
    let server = Server::start().await;
    let manager = manager_at(server.url()).await;
    for owner in 0..50 {
        sign_in(&manager, &owner.to_string(), "a phone").await;
    }
    manager.flush_events().await;
    assert_eq!(manager.count_sessions().await.unwrap(), 50);
    assert!((manager.usage().await.unwrap().sessions - 50.0).abs() < 0.1);
    assert_eq!(manager.revoke_everyone().await.unwrap(), 50);
    manager.flush_events().await;
    // Who was signed out may see by what.
    let histories: Vec<_> = manager.histories().try_collect().await.unwrap();
    assert_eq!(histories.len(), 50);
    let ended = |entries: &[HistoryEntry]| entries[0].what == HistoryEvent::Revoked;
    assert!(histories.iter().all(|history| history.entries.len() == 2 && ended(&history.entries)));
    assert_eq!(manager.forget("7").await.unwrap().entries, 2);
    assert_eq!(manager.histories().try_collect::<Vec<_>>().await.unwrap().len(), 49);
}

/// Of an owner whose index alone would be one.
#[tokio::test(flavor = "multi_thread")]
async fn services_of_other_prefixes_have_histories_of_their_own() {
    let server = Server::start().await;
    let mut services = Vec::new();
    for prefix in ["app:", "app:history:", "app", "a?p:", ""] {
        services.push(manager(RedisStore::builder(server.url()).prefix(prefix)).await);
    }
    for (nth, service) in services.iter().enumerate() {
        sign_in(service, "ada", &nth.to_string()).await;
    }
    for (nth, service) in services.iter().enumerate() {
        let expected = [format!("signedIn {nth}")];
        assert_eq!(history_of(service, "ada").await, expected);
        let histories: Vec<_> = service.histories().try_collect().await.unwrap();
        assert_eq!(histories.len(), 1, "{nth}");
        assert_eq!(crate::stage::told(&histories[0].entries), expected);
        assert_eq!(service.count_sessions().await.unwrap(), 1);
    }
    services[0].forget("ada").await.unwrap();
    assert_eq!(history_of(&services[1], "ada").await, ["signedIn 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_of_a_cluster_has_some_and_all_are_found() {
    let cluster = Cluster::start().await;
    let manager = manager_at(cluster.url()).await;
    for owner in 0..60 {
        sign_in(&manager, &owner.to_string(), "a phone").await;
    }
    manager.flush_events().await;
    let mut with_some = 0;
    for node in cluster.nodes() {
        let names: Vec<String> = node.ask("KEYS session:history:*").await.unwrap();
        with_some += usize::from(!names.is_empty());
    }
    assert!(with_some >= 3, "{with_some}");
    assert_eq!(manager.histories().try_collect::<Vec<_>>().await.unwrap().len(), 60);
    assert_eq!(manager.forget("7").await.unwrap().entries, 2);
}

/// What stands in the list that this version does not know is passed over, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_recorded_is_left_alone() {
    let server = Server::start().await;
    let manager = manager_at(server.url()).await;
    sign_in(&manager, "ada", "a phone").await;
    manager.flush_events().await;
    let [name] =
        <[String; 1]>::try_from(server.ask::<Vec<String>>("KEYS session:history:*").await.unwrap()).unwrap();
    server.ask::<usize>(&format!("RPUSH {name} x")).await.unwrap();
    sign_in(&manager, "ada", "a laptop").await;
    assert_eq!(history_of(&manager, "ada").await, ["signedIn a laptop", "signedIn a phone"]);
    let histories: Vec<_> = manager.histories().try_collect().await.unwrap();
    assert_eq!(histories[0].entries.len(), 2);
    assert_eq!(server.ask::<usize>(&format!("LLEN {name}")).await.unwrap(), 3);
    assert_eq!(manager.forget("ada").await.unwrap().entries, 5, "two of them are ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_records_nothing_and_signs_out_all_the_same() {
    let server = Server::start().await;
    let manager = manager_at(server.url()).await;
    let ada = sign_in(&manager, "ada", "a phone").await;
    manager.flush_events().await;
    server.ask::<String>("CONFIG SET maxmemory 1").await.unwrap();
    ada.begin(&manager).session().await.unwrap().destroy().await.unwrap();
    manager.flush_events().await;
    assert_eq!(manager.counts().history_lost, 1);
    assert_eq!(history_of(&manager, "ada").await, ["signedIn a phone"]);
    assert_eq!(manager.forget("ada").await.unwrap().entries, 1);
}

/// What `RedisStore` says of permissions.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let histories = "+llen +lpush +lrange +ltrim";
    let basic = "+set +getrange +setrange +pexpire +del +eval +evalsha";
    server
        .ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {basic} {histories}"))
        .await
        .unwrap();
    let url = server.url().replace("://", "://app:secret@");
    let store = Arc::new(RedisStore::connect(url).await.unwrap());
    let history = store.history().unwrap();
    let everything = async || -> Result<(), Error> {
        let (owner, now) = (OwnerHash::of(&Owner::new("ada")?), SystemClock.now());
        let bounds = HistoryBounds::default().entries(1);
        for nth in 0..2 {
            let at = session_store::Timestamp::from_millis(now.as_millis() + nth);
            let entry = HistoryEntry::new(at, HistoryEvent::SignedIn, SessionId::generate().key(), at);
            history.record(owner, &entry, bounds).await?;
        }
        assert_eq!(history.list(owner, bounds, now).await?.len(), 1);
        let long_ago = session_store::Timestamp::from_millis(1);
        assert_eq!(history.forget(owner, long_ago).await?, 1);
        Ok(())
    };
    everything().await.unwrap();
    for permission in histories.split(' ') {
        server.ask::<String>(&format!("ACL SETUSER app -{}", &permission[1..])).await.unwrap();
        assert!(everything().await.is_err(), "{permission} is not needed");
        server.ask::<String>(&format!("ACL SETUSER app {permission}")).await.unwrap();
    }
    assert!(history.page(None, 10).await.is_err());
    server.ask::<String>("ACL SETUSER app +scan +info").await.unwrap();
    assert!(history.page(None, 10).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_express_are_not_among_its_sessions() {
    let server = Server::start().await;
    let layout = ExpressLayout::new(SessionCookie::new().secure(false).name("connect.sid"));
    let layout = RedisLayout::express(layout);
    let store = RedisStore::builder(server.url()).layout(layout).connect().await.unwrap();
    let keys = KeyRing::express("keyboard cat").unwrap();
    let manager = SessionManager::<session_store::Values>::builder(store, keys)
        .history(HistoryBounds::default())
        .build()
        .unwrap();
    sign_in(&manager, "ada", "a phone").await;
    assert_eq!(history_of(&manager, "ada").await, ["signedIn a phone"]);
    let devices = manager.sessions_of("ada").await.unwrap();
    assert!(manager.history_of("ada").await.unwrap()[0].is_about(&devices[0]));
    assert_eq!(server.ask::<Vec<String>>("KEYS history:{sess:*}").await.unwrap().len(), 1);
    assert_eq!(server.ask::<Vec<String>>("KEYS sess:*").await.unwrap().len(), 1);
    assert_eq!(manager.histories().try_collect::<Vec<_>>().await.unwrap().len(), 1);
}
