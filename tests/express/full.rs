//! At `maxmemory`, what takes no room still works.

use session_store::{Error, RedisLayout, RedisStore};

use super::stage::{Stage, cookie_of, layout, manager, sid_in};
use crate::support::redis::Cluster;

#[tokio::test]
async fn a_full_server_still_reads_extends_and_ends_sessions() {
    let mut stage = Stage::set().await;
    let (read, ended) = (stage.create().await, stage.create().await);
    let () = stage.server.ask("CONFIG SET maxmemory 1").await.unwrap();
    let () = stage.server.ask(&format!("PEXPIRE sess:{read} 60000")).await.unwrap();
    assert_eq!(stage.read(&read, "user").await, Some("ada".into()));
    assert!(stage.time_to_live(&read).await > 60_000, "touched");
    let refused = stage.write(&read, "n", 1).await.failure;
    assert!(
        matches!(&refused, Some(Error::Refused { message }) if message.starts_with("OOM")),
        "{refused:?}"
    );
    let ((), actions) = stage.request(&ended, async |session| session.destroy().await).await;
    assert!(actions.failure.is_none());
    assert_eq!(stage.keys().await, [format!("sess:{read}")]);
}

/// The marker takes less than the session whose place it takes.
#[tokio::test]
async fn a_session_leaves_a_full_node_of_a_cluster_when_it_gets_a_new_id() {
    let cluster = Cluster::start().await;
    let manager =
        manager(RedisStore::builder(cluster.url()).layout(RedisLayout::express(layout())), |manager| manager)
            .await;
    let begun = manager.begin(None);
    begun.session().await.unwrap().write(|values| values.insert("user", "ada")).unwrap().unwrap();
    let sid = sid_in(&begun.finish(200).await);
    for node in cluster.nodes() {
        if node.ask::<bool>(&format!("EXISTS sess:{sid}")).await == Ok(true) {
            let () = node.ask("CONFIG SET maxmemory 1").await.unwrap();
        }
    }
    // A new id on the same node can't be stored.
    for _ in 0..30 {
        let request = manager.begin(Some(&cookie_of(&sid)));
        request.session().await.unwrap().renew().unwrap();
        let actions = request.finish(200).await;
        if actions.failure.is_none() {
            return assert_ne!(sid_in(&actions), sid);
        }
    }
    panic!("no new id");
}
