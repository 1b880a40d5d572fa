//! Slots that move while the sessions are gone through, in the order that is worst for it.

use std::collections::HashSet;
use std::sync::Arc;

use session_store::{ExpressLayout, RedisLayout, RedisStore, SessionCookie, SessionId, SessionKey};

use crate::stage::{Walk, connect, fill, store_all};
use crate::support::redis::Cluster;

/// A cluster whose masters are scanned in a known order, and a slot full of sessions.
struct Stage {
    redis: Cluster,
    store: Arc<RedisStore>,
    slot: u16,
    keys: HashSet<SessionKey>,
    in_slot: HashSet<SessionKey>,
}

const IN_SLOT: usize = 300;

impl Stage {
    /// The slot's owner is scanned in this place (0 to 2).
    async fn set(place: usize) -> Self {
        let redis = Cluster::start().await;
        let owner = order(&redis).await[place];
        let store = connect(redis.url()).await;
        let mut keys = fill(&store, 1500).await;
        let (slot, lineage) = loop {
            let id = SessionId::generate();
            let mut keyslot = redis::cmd("CLUSTER");
            keyslot.arg("KEYSLOT").arg(id.key().storage_name());
            let slot: u16 = keyslot.query_async(&mut redis.client_of(0).await).await.unwrap();
            if redis.master_of(slot).await == owner {
                break (slot, id);
            }
        };
        let in_slot = store_all(&store, (0..IN_SLOT).map(|_| lineage.rotated().key()).collect()).await;
        keys.extend(in_slot.iter().cloned());
        Self { redis, store, slot, keys, in_slot }
    }

    async fn in_place(&self, place: usize) -> usize {
        order(&self.redis).await[place]
    }

    async fn keys_on(&self, node: usize) -> usize {
        self.redis.nodes()[node].ask(&format!("CLUSTER COUNTKEYSINSLOT {}", self.slot)).await.unwrap()
    }

    /// Moves so many keys, one by one.
    async fn move_some(&self, from: usize, to: usize, count: usize) {
        let names = format!("CLUSTER GETKEYSINSLOT {} {count}", self.slot);
        let names: Vec<Vec<u8>> = self.redis.nodes()[from].ask(&names).await.unwrap();
        let mut client = self.redis.client_of(from).await;
        for name in names {
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(self.redis.nodes()[to].port()).arg(name).arg(0).arg(5000);
            let () = migrate.query_async(&mut client).await.unwrap();
        }
    }

    /// Goes on until the first master in the order is behind.
    async fn scan_the_first(&self, size: usize) -> Walk {
        let mut walk = Walk::new(&self.store, size);
        while walk.progress < 1.0 / 3.0 {
            assert!(walk.step().await);
        }
        walk
    }

    fn nothing_missed(&self, walk: &Walk) {
        assert_eq!((walk.missed(&self.in_slot), walk.missed(&self.keys)), (0, 0));
    }
}

/// Masters are scanned in the order of their ids.
async fn order(redis: &Cluster) -> Vec<usize> {
    let mut ids = Vec::new();
    for node in 0..3 {
        ids.push((redis.nodes()[node].ask::<String>("CLUSTER MYID").await.unwrap(), node));
    }
    ids.sort();
    ids.into_iter().map(|(_, node)| node).collect()
}

/// Begun, carried through and finished when the target is behind and the source ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_migration_between_two_pages() {
    let stage = Stage::set(2).await;
    let mut walk = stage.scan_the_first(100).await;
    stage.redis.migrate_slot(stage.slot, stage.in_place(0).await).await;
    walk.finish().await;
    stage.nothing_missed(&walk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_left_open() {
    for open_before in [true, false] {
        let stage = Stage::set(2).await;
        let (target, source) = (stage.in_place(0).await, stage.in_place(2).await);
        if open_before {
            stage.redis.begin_migration(stage.slot, target).await;
            stage.move_some(source, target, 50).await;
        }
        let mut walk = stage.scan_the_first(100).await;
        if !open_before {
            stage.redis.begin_migration(stage.slot, target).await;
        }
        stage.move_some(source, target, 150).await;
        walk.finish().await;
        stage.nothing_missed(&walk);
        // It ends, though the slot never arrives; and sees the same again.
        let mut again = Walk::new(&stage.store, 1000);
        again.finish().await;
        stage.nothing_missed(&again);
        assert!(stage.keys_on(source).await > 0 && stage.keys_on(target).await > 0);
    }
}

/// Some keys move after each page, and it is finished when all have.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_goes_on_between_pages() {
    for (source_place, target_place) in [(2, 0), (0, 2), (1, 0)] {
        let stage = Stage::set(source_place).await;
        let (source, target) = (stage.in_place(source_place).await, stage.in_place(target_place).await);
        stage.redis.begin_migration(stage.slot, target).await;
        let mut walk = Walk::new(&stage.store, 50);
        let mut finished = false;
        while walk.step().await {
            stage.move_some(source, target, 7).await;
            if !finished && stage.keys_on(source).await == 0 {
                stage.redis.finish_migration(stage.slot, source, target).await;
                finished = true;
            }
        }
        stage.nothing_missed(&walk);
    }
}

/// What had moved comes back, to a node that is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_called_off() {
    let stage = Stage::set(0).await;
    let (source, target) = (stage.in_place(0).await, stage.in_place(2).await);
    stage.redis.begin_migration(stage.slot, target).await;
    stage.move_some(source, target, 150).await;
    let mut walk = stage.scan_the_first(100).await;
    let stable = format!("CLUSTER SETSLOT {} STABLE", stage.slot);
    let () = stage.redis.nodes()[source].ask(&stable).await.unwrap();
    stage.move_some(target, source, 150).await;
    let () = stage.redis.nodes()[target].ask(&stable).await.unwrap();
    walk.finish().await;
    stage.nothing_missed(&walk);
}

/// It arrives behind the scan, and goes on to a third node while that is looked at again.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_twice() {
    let stage = Stage::set(2).await;
    let mut walk = stage.scan_the_first(100).await;
    stage.redis.migrate_slot(stage.slot, stage.in_place(0).await).await;
    while walk.progress < 1.0 {
        assert!(walk.step().await, "the first pass is over, and there is another");
    }
    stage.redis.migrate_slot(stage.slot, stage.in_place(1).await).await;
    walk.finish().await;
    stage.nothing_missed(&walk);
}

/// One slot after the other goes to a node that is behind, until long after the scan's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_resharding_that_has_no_end() {
    let stage = Stage::set(2).await;
    let (first, last) = (stage.in_place(0).await, stage.in_place(2).await);
    let mut walk = Walk::new(&stage.store, 100);
    let mut next = u16::try_from(last * 16384 / 3 + 10).unwrap();
    let mut pages = 0;
    while walk.step().await {
        for _ in 0..3 {
            next += 1;
            if next != stage.slot {
                stage.redis.migrate_slot(next, first).await;
            }
        }
        pages += 1;
        assert!(pages < 200, "it goes on for ever");
    }
    stage.nothing_missed(&walk);
}

/// Each of these has a slot of its own. Some arrive, and some are on their way to the end.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_express_are_not_missed_either() {
    let redis = Cluster::start().await;
    let layout = ExpressLayout::new(SessionCookie::new().secure(false));
    let store = Arc::new(
        RedisStore::builder(redis.url()).layout(RedisLayout::express(layout)).connect().await.unwrap(),
    );
    let id = || SessionId::express(SessionId::generate().as_str()).unwrap();
    let keys = store_all(&store, (0..900).map(|_| id().key()).collect()).await;
    let order = order(&redis).await;
    let (first, last) = (order[0], order[2]);
    let mut walk = Walk::new(&store, 50);
    while walk.progress < 1.0 / 3.0 {
        assert!(walk.step().await);
    }
    let names: Vec<String> = redis.nodes()[last].ask("KEYS *").await.unwrap();
    for (nth, name) in names.iter().take(40).enumerate() {
        let slot = redis.nodes()[last].ask(&format!("CLUSTER KEYSLOT {name}")).await.unwrap();
        if redis.master_of(slot).await != last {
            continue;
        }
        if nth % 2 == 0 {
            redis.migrate_slot(slot, first).await;
        } else {
            redis.begin_migration(slot, first).await;
            redis.move_keys(slot, last, first).await;
        }
    }
    walk.finish().await;
    assert_eq!(walk.missed(&keys), 0);
}
