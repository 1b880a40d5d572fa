//! What the index keeps in Redis, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use session_store::{ManualClock, RedisLayout, RedisStore, SessionManager};

use crate::stage::{Browser, IDLE, Manager, manager_at, manager_on, manager_with};
use crate::support::redis::{Sentinels, Server, Traffic};

async fn keys(server: &Server, pattern: &str) -> Vec<String> {
    let mut keys: Vec<String> = server.ask(&format!("KEYS {pattern}")).await.unwrap();
    keys.sort();
    keys
}

/// An owner's index ends with the owner's last session, and is gone with it where that ends before.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_lasts_as_long_as_its_last_session() {
    let server = Server::start().await;
    let manager = manager_at(&server.url()).await;
    let browser = Browser::signed_in(&manager, "ada@example.com").await;
    let index = keys(&server, "session:owner:*").await;
    assert_eq!(index.len(), 1, "{index:?}");
    assert!(!index[0].contains("ada"), "owners are hashed in names");
    let left: u64 = server.ask(&format!("PTTL {}", index[0])).await.unwrap();
    let idle = u64::try_from(IDLE.as_millis()).unwrap();
    // A tenth more at most, and five seconds.
    assert!((idle..=idle * 11 / 10 + 5_000).contains(&left), "{left}");

    browser.session(&manager).await.destroy().await.unwrap();
    assert_eq!(keys(&server, "*").await, [""; 0]);

    Browser::signed_in(&manager, "ada@example.com").await;
    manager.revoke_all("ada@example.com").await.unwrap();
    let left = keys(&server, "*").await;
    assert_eq!(left, index, "that all were ended is known for a week");
    let days: u64 = server.ask(&format!("TTL {}", left[0])).await.unwrap();
    assert!((604_700..=604_800).contains(&days), "{days}");
}

/// What each request of a signed-in user costs.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_costs_sign_ins_and_little_else() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::default());
    let time = Arc::clone(&clock);
    let manager = manager_with(&server.url(), |builder| builder.clock(time)).await;
    // Redis learns the scripts.
    let mut warm = Browser::signed_in(&manager, "eve").await;
    clock.advance(IDLE / 2);
    warm.visit(&manager, |_| Ok(())).await.unwrap();
    warm.visit(&manager, |session| session.write(|count| *count += 1)).await.unwrap();
    warm.visit(&manager, session_store::Session::renew).await.unwrap();
    warm.session(&manager).await.destroy().await.unwrap();

    let mut watch = server.client().await;
    let mut browser = Browser::default();
    let mut costs = BTreeMap::new();
    for step in ["1 sign in", "2 read", "3 write", "4 later read", "5 renew", "6 log out"] {
        if step == "4 later read" {
            clock.advance(IDLE / 2);
        }
        let before = Traffic::of(&mut watch).await;
        match step {
            "1 sign in" => browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap(),
            "3 write" => browser.visit(&manager, |session| session.write(|count| *count += 1)).await.unwrap(),
            "5 renew" => browser.visit(&manager, session_store::Session::renew).await.unwrap(),
            "6 log out" => browser.session(&manager).await.destroy().await.unwrap(),
            _ => browser.visit(&manager, |_| Ok(())).await.unwrap(),
        }
        costs.insert(step, Traffic::of(&mut watch).await.since(&before).reads);
    }
    let expected = [
        ("1 sign in", 3),
        ("2 read", 1),
        ("3 write", 2),
        ("4 later read", 3),
        ("5 renew", 4),
        ("6 log out", 3),
    ];
    assert_eq!(costs, BTreeMap::from(expected));
}

/// Ending sessions works where there is no room for new ones, and so does using them.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_lets_sessions_go_on_and_end() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::default());
    let time = Arc::clone(&clock);
    let manager = manager_with(&server.url(), |builder| builder.clock(time)).await;
    let mut browser = Browser::signed_in(&manager, "ada").await;
    Browser::signed_in(&manager, "ada").await;
    server.ask::<String>("CONFIG SET maxmemory 1").await.unwrap();
    let refused = Browser::default().visit(&manager, |session| session.sign_in("bob", |_| ())).await;
    assert!(refused.unwrap_err().to_string().contains("OOM"));
    assert_eq!(keys(&server, "session:owner:*").await.len(), 1, "bob's entry went again");

    clock.advance(IDLE / 2);
    let before = browser.session(&manager).await.expires_at().unwrap();
    browser.visit(&manager, |_| Ok(())).await.unwrap();
    assert!(browser.session(&manager).await.expires_at().unwrap() > before, "it was extended");
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 2);
    assert_eq!(manager.revoke_all("ada").await.unwrap(), 2);
    assert_eq!(manager.count_sessions().await.unwrap(), 0);
}

/// A sign-in that the server has no room for ends nobody's session.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_that_refuses_a_sign_in_ends_no_session() {
    let server = Server::start().await;
    let manager = manager_with(&server.url(), |builder| {
        builder.max_sessions_per_owner(1, session_store::Evict::Oldest)
    })
    .await;
    let browser = Browser::signed_in(&manager, "ada").await;
    server.ask::<String>("CONFIG SET maxmemory 1").await.unwrap();
    for _ in 0..3 {
        let refused = Browser::default().visit(&manager, |session| session.sign_in("ada", |_| ())).await;
        assert!(refused.unwrap_err().to_string().contains("OOM"));
        assert!(browser.is_signed_in(&manager).await);
    }
    server.ask::<String>("CONFIG SET maxmemory 0").await.unwrap();
    let second = Browser::signed_in(&manager, "ada").await;
    assert!(second.is_signed_in(&manager).await && !browser.is_signed_in(&manager).await);
}

/// An index that was lost is made again by those who are there; until then, a search finds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_comes_back_and_a_search_does_without() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::default());
    let time = Arc::clone(&clock);
    let manager = manager_with(&server.url(), |builder| builder.clock(time)).await;
    let lose = async || {
        for key in keys(&server, "session:owner:*").await {
            server.ask::<u32>(&format!("DEL {key}")).await.unwrap();
        }
    };
    let (mut first, second) =
        (Browser::signed_in(&manager, "ada").await, Browser::signed_in(&manager, "ada").await);
    let other = Browser::signed_in(&manager, "bob").await;
    lose().await;
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 0);
    clock.advance(IDLE / 2);
    first.visit(&manager, |_| Ok(())).await.unwrap();
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 1, "it was used");

    assert_eq!(manager.revoke_all("ada").await.unwrap(), 1);
    assert!(second.is_signed_in(&manager).await, "the index does not know it");
    assert_eq!(manager.revoke_all_thoroughly("ada").await.unwrap(), 1);
    assert!(!second.is_signed_in(&manager).await && other.is_signed_in(&manager).await);
    // One in the index counts once.
    Browser::signed_in(&manager, "ada").await;
    assert_eq!(manager.revoke_all_thoroughly("ada").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_sessions_of_one_owner_are_listed_and_ended() {
    let server = Server::start().await;
    let manager = manager_at(&server.url()).await;
    sign_in_often(&manager, 10_000).await;
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 10_000);
    assert_eq!(manager.revoke_all("ada").await.unwrap(), 10_000);
    assert_eq!(manager.count_sessions().await.unwrap(), 0);
}

async fn sign_in_often(manager: &Manager, times: usize) {
    let mut sign_ins = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let manager = manager.clone();
        sign_ins.spawn(async move {
            for _ in 0..times / 50 {
                Browser::signed_in(&manager, "ada").await;
            }
        });
    }
    sign_ins.join_all().await;
}

/// What `RedisStore` says of permissions.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let owners =
        "+time +zadd +zcount +zrange +zrangebyscore +zrank +zrem +zrevrangebyscore +zscore +pexpireat";
    let rules = format!("+set +getrange +setrange +pexpire +del +eval +evalsha {owners}");
    server.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    let store = RedisStore::connect(server.url().replace("://", "://app:secret@")).await.unwrap();
    let store = Arc::new(store);
    let manager = manager_on(Arc::clone(&store), |builder| {
        builder.max_sessions_per_owner(2, session_store::Evict::Oldest)
    });
    let everything = async |manager: &SessionManager<u64>| {
        for _ in 0..3 {
            let mut browser = Browser::signed_in(manager, "ada").await;
            browser.visit(manager, session_store::Session::renew).await?;
            let session = browser.session(manager).await;
            manager.revoke_others(&session).await?;
            manager.revoke(&session.key().unwrap()).await?;
        }
        for _ in 0..3 {
            Browser::default().visit(manager, |session| session.sign_in("ada", |_| ())).await?;
        }
        manager.sessions_of("ada").await?;
        // As after a first page.
        manager.page_of("ada", Some(&session_store::Cursor::new("9000000000000000:{abc"))).await?;
        manager.revoke_all("ada").await.map(|_| ())
    };
    everything(&manager).await.unwrap();
    for permission in owners.split(' ') {
        server.ask::<String>(&format!("ACL SETUSER app -{}", &permission[1..])).await.unwrap();
        let mut browser = Browser::default();
        let one = browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await;
        let all = if one.is_ok() { everything(&manager).await } else { one };
        assert!(all.is_err(), "{permission} is not needed");
        server.ask::<String>(&format!("ACL SETUSER app {permission}")).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(5), everything(&manager)).await.unwrap().unwrap();
}

/// Several services in one Redis, with prefixes that contain each other: `ada` of one is not `ada` of another.
#[tokio::test(flavor = "multi_thread")]
async fn services_of_other_prefixes_have_owners_of_their_own() {
    let server = Server::start().await;
    let mut services = Vec::new();
    for prefix in ["app:", "app:owner:", "app", "a?p:", ""] {
        let builder = RedisStore::builder(server.url()).prefix(prefix).timeout(Duration::from_secs(10));
        let manager = manager_on(Arc::new(builder.connect().await.unwrap()), |builder| builder);
        let browser = Browser::signed_in(&manager, "ada").await;
        services.push((prefix, manager, browser));
    }
    for (prefix, manager, _) in &services {
        let seen = manager.tidy().dry_run().await.unwrap();
        assert_eq!((seen.seen, seen.owners), (1, 1), "{prefix:?}");
    }
    for ended in 0..services.len() {
        let (prefix, manager, _) = &services[ended];
        assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 1, "{prefix:?}");
        assert_eq!(manager.revoke_all("ada").await.unwrap(), 1, "{prefix:?}");
        for (nth, (other, manager, browser)) in services.iter().enumerate() {
            assert_eq!(browser.is_signed_in(manager).await, nth > ended, "{other:?} after {prefix:?}");
        }
    }
}

/// Where a sign-in waits for replicas, its entry does: in a cluster, the two are on different masters.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_waits_for_replicas_as_sessions_do() {
    let redis = Sentinels::start().await;
    let builder = RedisStore::builder(redis.url()).wait_for_replicas(1, Duration::from_secs(5));
    let store = builder.timeout(Duration::from_secs(10)).connect().await.unwrap();
    let manager = manager_on(Arc::new(store), |builder| builder);
    let mut watch = redis.servers()[0].client().await;
    let waits = async |watch: &mut _| Traffic::of(watch).await.calls.get("wait").copied().unwrap_or(0);
    let before = waits(&mut watch).await;
    Browser::signed_in(&manager, "ada").await;
    assert_eq!(waits(&mut watch).await - before, 2, "the session, and its entry");
    let before = waits(&mut watch).await;
    manager.revoke_all("ada").await.unwrap();
    assert_eq!(waits(&mut watch).await - before, 2, "that it is revoked, and its end");
}

/// Node extends sessions without a word to the index, which knows of them for a month all the same.
#[cfg(feature = "express")]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_only_node_uses_stays_known() {
    use session_store::{ExpressLayout, KeyRing, SessionCookie};
    use std::collections::BTreeMap;
    let server = Server::start().await;
    let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
    let store =
        RedisStore::builder(server.url()).layout(RedisLayout::express(layout)).connect().await.unwrap();
    let keys = KeyRing::express("keyboard cat").unwrap();
    let manager = SessionManager::<BTreeMap<String, u32>>::builder(store, keys).build().unwrap();
    let request = manager.begin(None);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    assert!(request.finish(200).await.failure.is_none());
    let names = self::keys(&server, "*").await;
    let (index, session) = (&names[0], &names[1]);
    assert!(index.starts_with("owner:{sess:") && session.starts_with("sess:"), "{names:?}");
    let days = async || server.ask::<u64>(&format!("TTL {index}")).await.unwrap() / 86_400;
    assert_eq!(days().await, 30);
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 1);
}
