//! What tenants are told of changes, by one connection.

use std::time::Duration;

use session_store::{Ended, RedisStore};
use tokio::time::timeout;

use crate::stage::{AT_ONCE, Manager, Visitor, builder, connect, connections, near_cache, tenants};
use crate::support::redis::{Server, wait_until};

/// What becomes of a session elsewhere is told at once, as the store keeps a connection for it.
async fn is_told(here: &Manager, there: &Manager) {
    let visitor = Visitor::signed_in(there, "ada").await;
    let (here, key) = (here.clone(), visitor.key.clone());
    let mut waiting = tokio::spawn(async move { here.ended(&key).await });
    let goes_on = timeout(Duration::from_millis(200), &mut waiting).await.is_err();
    assert!(goes_on, "it has not ended");
    there.revoke_all("ada").await.unwrap();
    let ended = timeout(AT_ONCE, waiting).await.expect("it is told").unwrap();
    assert_eq!(ended.unwrap(), Ended::SignedOut);
}

/// The later ones begin like those before, or the other way round, and there are more of them than a server is asked for
/// one by one.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_later_is_told_too() {
    let server = Server::start().await;
    let (here, there) = (connect(server.url()).await, connect(server.url()).await);
    let client = server.client().await;
    let many: Vec<_> = (0..20).map(|number| format!("tenant:{number}:")).collect();
    let prefixes: Vec<_> =
        ["a:b:", "a:", "a:b:c:", "b:"].into_iter().chain(many.iter().map(String::as_str)).collect();
    // One that is there all the time.
    let [(_, first), (_, first_there)] = [&here, &there].map(|store| tenants(store, ["first:"]).remove(0));
    let lasting = Visitor::signed_in(&first_there, "lasting").await;
    let waits = first.clone();
    let mut lasts = tokio::spawn(async move { waits.ended(&lasting.key).await });
    for prefix in &prefixes {
        let [(_, here), (_, there)] = [&here, &there].map(|store| tenants(store, [*prefix]).remove(0));
        is_told(&here, &there).await;
    }
    // All at once, each while those before it are there.
    let (here, there) = (tenants(&here, prefixes.clone()), tenants(&there, prefixes.clone()));
    let mut waiting = Vec::new();
    for ((_, here), (_, there)) in here.iter().zip(&there) {
        let (visitor, here) = (Visitor::signed_in(there, "ada").await, here.clone());
        waiting.push(tokio::spawn(async move { here.ended(&visitor.key).await }));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(connections(&client).await.1, 1);
    }
    for (nth, (_, there)) in there.iter().enumerate() {
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "{nth}");
        there.revoke_all("ada").await.unwrap();
        let ended = timeout(AT_ONCE, waiting.remove(0)).await.expect("it is told").unwrap();
        assert_eq!(ended.unwrap(), Ended::SignedOut, "{nth}");
    }
    assert!(!lasts.is_finished());
    first_there.revoke_all("lasting").await.unwrap();
    assert_eq!(timeout(AT_ONCE, &mut lasts).await.unwrap().unwrap().unwrap(), Ended::SignedOut);
    wait_until("nobody is told of anything", || async { connections(&client).await.1 == 0 }).await;
}

async fn until_trusted(manager: &Manager, visitor: &Visitor) {
    wait_until("copies are used", || async {
        assert!(visitor.is_known(manager).await);
        manager.status().near_cache.is_some_and(|near_cache| near_cache.trusted)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_tenants_are_apart_and_right() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).near_cache(near_cache()).connect().await.unwrap();
    let prefixes = ["a:", "a:b:", "c:", "d:"];
    let (here, there) = (tenants(&store, prefixes), tenants(&connect(server.url()).await, prefixes));
    let mut visitors = Vec::new();
    for ((_, here), (_, there)) in here.iter().zip(&there) {
        let visitor = Visitor::signed_in(there, "ada").await;
        until_trusted(here, &visitor).await;
        visitors.push(visitor);
    }
    let hits = |manager: &Manager| manager.status().near_cache.unwrap().hits;
    for (nth, (_, manager)) in here.iter().enumerate() {
        assert!(visitors[nth].is_known(manager).await);
        let before = hits(manager);
        assert!(visitors[nth].is_known(manager).await);
        assert_eq!(hits(manager), before + 1, "{nth} joined later, and took no copy from those before");
        for (other, visitor) in visitors.iter().enumerate() {
            assert_eq!(visitor.is_known(manager).await, nth == other, "{other} at {nth}");
        }
    }
    // What ends elsewhere ends here, and the copies of the others stay.
    there[0].1.revoke_all("ada").await.unwrap();
    wait_until("the end is seen", || async { !visitors[0].is_known(&here[0].1).await }).await;
    let before = hits(&here[1].1);
    assert!(visitors[1].is_known(&here[1].1).await);
    assert_eq!(hits(&here[1].1), before + 1);
}

/// A tenant that is gone is not told any more, and is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_dropped_leaves_nothing_behind() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).near_cache(near_cache()).connect().await.unwrap();
    let client = server.client().await;
    for _ in 0..3 {
        let (tenant, manager) = tenants(&store, ["a:"]).remove(0);
        let visitor = Visitor::signed_in(&manager, "ada").await;
        until_trusted(&manager, &visitor).await;
        let weak = std::sync::Arc::downgrade(&tenant);
        drop((tenant, manager));
        assert_eq!(weak.strong_count(), 0);
    }
    let other = builder(&std::sync::Arc::new(store.with_prefix("b:").unwrap())).build().unwrap();
    is_told(&other, &other).await;
    drop((store, other));
    wait_until("all connections are closed", || async { connections(&client).await.0 == 0 }).await;
}
