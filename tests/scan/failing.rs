//! Servers that go down, come back, or are replaced while the sessions are gone through.

use std::time::Duration;

use session_store::Error;
use tokio::time::{Instant, sleep};

use crate::stage::{Walk, connect, fill, manager};
use crate::support::redis::{Cluster, Sentinels, Server};

/// Asks for each page again until there is an answer.
async fn to_the_end(walk: &mut Walk) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match walk.try_step().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(Error::Unavailable { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn part_of(walk: &mut Walk, share: f64) {
    while walk.progress < share {
        assert!(walk.step().await);
    }
}

/// A cursor is of no use to the same server, started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted() {
    let mut server = Server::start_with(&["--appendonly", "yes"]).await;
    let store = connect(server.url()).await;
    let keys = fill(&store, 5000).await;
    let mut walk = Walk::new(&store, 100);
    part_of(&mut walk, 0.6).await;
    server.restart().await;
    to_the_end(&mut walk).await;
    assert_eq!(walk.missed(&keys), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_behind_sentinels() {
    let redis = Sentinels::start().await;
    let store = connect(redis.url()).await;
    let keys = fill(&store, 5000).await;
    let mut walk = Walk::new(&store, 100);
    part_of(&mut walk, 0.6).await;
    let old = redis.master().await;
    redis.failover().await;
    redis.wait_for_new_master(old).await;
    to_the_end(&mut walk).await;
    assert_eq!(walk.missed(&keys), 0);
}

/// Before, in and after each of the three masters.
#[tokio::test(flavor = "multi_thread")]
async fn masters_that_are_replaced_on_demand() {
    let redis = Cluster::start().await;
    let store = connect(redis.url()).await;
    let keys = fill(&store, 3000).await;
    for (nth, share) in [0.1, 0.5, 0.9].into_iter().enumerate() {
        let mut walk = Walk::new(&store, 50);
        part_of(&mut walk, share).await;
        redis.nodes()[redis.replica_of(nth)].ask::<String>("CLUSTER FAILOVER").await.unwrap();
        redis.wait_for_promotion(nth).await;
        to_the_end(&mut walk).await;
        assert_eq!(walk.missed(&keys), 0, "node {nth} was replaced at {share}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed() {
    for share in [0.1, 0.5] {
        let mut redis = Cluster::start().await;
        let store = connect(redis.url()).await;
        let keys = fill(&store, 3000).await;
        let mut walk = Walk::new(&store, 50);
        part_of(&mut walk, share).await;
        // What replicas have not got is lost with their master.
        sleep(Duration::from_secs(2)).await;
        redis.nodes_mut()[1].kill();
        to_the_end(&mut walk).await;
        assert_eq!(walk.missed(&keys), 0, "killed at {share}");
    }
}

/// A manager's stream ends with the error, and can be resumed; its count fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away() {
    use futures_util::StreamExt as _;

    let mut server = Server::start().await;
    let store = connect(server.url()).await;
    fill(&store, 300).await;
    let manager = manager(&store);
    let mut scan = manager.sessions().page_size(20);
    assert!(scan.next().await.is_some_and(|session| session.is_ok()));
    server.kill();
    let items: Vec<_> = (&mut scan).collect().await;
    assert!(matches!(items.last(), Some(Err(Error::Unavailable { .. }))));
    assert!(scan.next().await.is_none() && scan.cursor().is_some());
    assert!(matches!(manager.count_sessions().await, Err(Error::Unavailable { .. })));
    assert!(matches!(manager.revoke_everyone().await, Err(Error::Unavailable { .. })));
    assert!(matches!(manager.usage().await, Err(Error::Unavailable { .. })));
}
