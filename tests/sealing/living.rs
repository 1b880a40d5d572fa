//! The life of sealed sessions on every store: what they can do unsealed, they do sealed.

use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Conflict, Error, Evict, FallbackPolicy, FallbackStore, ManualClock, NearCache, RedisStore, Sealing,
    Session,
};

use crate::stage::{
    Account, Browser, IDLE, Manager, Store, in_memory, in_redis, instance, instance_with, redis_at, sealing,
    stored,
};
use crate::support::redis::{Cluster, Server, wait_until};

fn forms() -> [Sealing; 2] {
    [sealing().labels(), sealing().labels().and_id()]
}

async fn a_life_in(store: Store) {
    for form in forms() {
        let clock = Arc::new(ManualClock::default());
        let manager = instance_with(&store, form, |builder| {
            builder.clock(Arc::clone(&clock)).compress(64).max_sessions_per_owner(2, Evict::Oldest)
        });
        let large = Account { cart: vec!["tea".to_owned(); 50], ..Account::of("Ada") };
        let mut ada = Browser::with(&manager, large.clone()).await;
        ada.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
        ada.visit(&manager, |session| session.set_label("a laptop")).await.unwrap();
        ada.visit(&manager, Session::renew).await.unwrap();
        assert_eq!(ada.sees(&manager).await, Some(large));
        let record = stored(&store, &ada.key(&manager).await).await;
        assert!(record.data.is_sealed() && record.data.is_compressed() && record.label.is_none());

        // A touch writes nothing but the end.
        clock.advance(IDLE / 2);
        ada.visit(&manager, |session| session.read(|_| Ok(()))).await.unwrap();
        let touched = stored(&store, &ada.key(&manager).await).await;
        assert_eq!((touched.data, touched.revision), (record.data, record.revision));
        assert!(touched.expires_at > record.expires_at);
        clock.advance(IDLE * 3 / 4);
        ada.session(&manager).await.update(|account| account.visits += 1).await.unwrap();
        let session = ada.session(&manager).await;
        assert_eq!(session.read(|account| account.visits), 1);
        assert_eq!(session.label().unwrap().as_str(), "a laptop");

        // A sign-in as somebody else begins with nothing.
        let mut bob = ada.clone();
        bob.visit(&manager, |session| session.sign_in("bob", |_| ())).await.unwrap();
        assert_eq!(bob.sees(&manager).await, Some(Account::default()));
        assert_eq!(ada.sees(&manager).await, None);

        // The third of an owner's sessions ends the first.
        let mut adas = Vec::new();
        for number in 0..3 {
            clock.advance(Duration::from_secs(1));
            let mut browser = Browser::default();
            browser
                .visit(&manager, |session| session.sign_in("ada", |account| account.visits = number))
                .await
                .unwrap();
            adas.push(browser);
        }
        assert_eq!(adas[0].sees(&manager).await, None);
        assert_eq!(adas[1].sees(&manager).await.unwrap().visits, 1);
        let here = adas[2].session(&manager).await;
        assert_eq!(manager.revoke_others(&here).await.unwrap(), 1);
        assert_eq!(adas[1].sees(&manager).await, None);
        assert!(manager.revoke(&here.key().unwrap()).await.unwrap());
        assert_eq!(adas[2].sees(&manager).await, None);

        // What was logged out does not come back.
        let late = bob.begin(&manager);
        late.session().await.unwrap().write(|account| account.visits = 9).unwrap();
        bob.session(&manager).await.destroy().await.unwrap();
        let _ = late.finish(200).await;
        assert_eq!(bob.sees(&manager).await, None);

        // A session that is not used ends.
        let eve = Browser::with(&manager, Account::of("Eve")).await;
        clock.advance(IDLE * 2);
        assert_eq!(eve.sees(&manager).await, None);
        let counts = manager.counts();
        assert_eq!((counts.unopened, counts.corrupt), (0, 0));
    }
}

#[tokio::test]
async fn sealed_sessions_live_in_memory() {
    a_life_in(in_memory()).await;
}

#[tokio::test]
async fn sealed_sessions_live_in_redis() {
    let server = Server::start().await;
    a_life_in(in_redis(&server).await).await;
}

#[tokio::test]
async fn sealed_sessions_live_in_a_cluster() {
    let cluster = Cluster::start().await;
    a_life_in(redis_at(&cluster.url()).await).await;
}

#[tokio::test]
async fn sealed_sessions_live_behind_a_near_cache() {
    let server = Server::start().await;
    let copies = NearCache::new(1 << 20).bound(Duration::from_secs(1));
    let store = RedisStore::builder(server.url()).timeout(Duration::from_secs(10)).near_cache(copies);
    a_life_in(Arc::new(store.connect().await.unwrap())).await;
}

/// A copy is opened once, whoever asks for it: a second instance on the same store that lacks the key gets nothing.
#[tokio::test]
async fn a_near_caches_copy_is_right_and_used() {
    let server = Server::start().await;
    let copies = NearCache::new(1 << 20).bound(Duration::from_secs(30));
    let store = RedisStore::builder(server.url()).timeout(Duration::from_secs(10)).near_cache(copies);
    let store: Store = Arc::new(store.connect().await.unwrap());
    for form in forms() {
        let manager = instance_with(&store, form, |builder| builder.compress(64));
        let account = Account { cart: vec!["tea".to_owned(); 50], ..Account::of("Ada") };
        let mut ada = Browser::with(&manager, account.clone()).await;
        ada.visit(&manager, |session| session.set_label("a laptop")).await.unwrap();
        let hits = || manager.status().near_cache.unwrap().hits;
        let before = hits();
        wait_until("a copy is used", || async {
            assert_eq!(ada.sees(&manager).await.as_ref(), Some(&account));
            hits() > before + 3
        })
        .await;
        assert_eq!(ada.session(&manager).await.label().unwrap().as_str(), "a laptop");
        let stranger = instance(&store, None);
        assert_eq!(ada.sees(&stranger).await, None);
        assert_eq!(ada.sees(&manager).await.as_ref(), Some(&account));
        ada.visit(&manager, |session| session.write(|account| account.visits = 7)).await.unwrap();
        assert_eq!(ada.sees(&manager).await.unwrap().visits, 7);
        assert_eq!(manager.counts().unopened, 0);
    }
}

fn is_settled(manager: &Manager) -> bool {
    let fallback = manager.status().fallback.unwrap();
    !fallback.open && fallback.in_memory == 0
}

#[tokio::test]
async fn sealed_sessions_outlast_an_outage_in_either_place() {
    for form in forms() {
        let server = Server::start().await;
        let redis = RedisStore::builder(server.url()).timeout(Duration::from_millis(200));
        let redis = redis.connect().await.unwrap();
        let store: Store = Arc::new(FallbackStore::new(redis, FallbackPolicy::WhileDown));
        let manager = instance(&store, form);
        let before = Browser::with(&manager, Account::of("before")).await;
        let in_redis = stored(&store, &before.key(&manager).await).await;

        server.freeze();
        let mut during = Browser::default();
        wait_until("the outage is noticed", || async {
            let mut visitor = Browser::default();
            visitor.visit(&manager, |session| session.write(|account| account.visits = 1)).await.is_ok()
        })
        .await;
        during
            .visit(&manager, |session| session.write(|account| account.name = "during".into()))
            .await
            .unwrap();
        during.visit(&manager, |session| session.set_label("a laptop")).await.unwrap();
        during.visit(&manager, Session::renew).await.unwrap();
        assert_eq!(during.sees(&manager).await.unwrap().name, "during");
        assert_eq!(before.begin(&manager).session().await.unwrap_err().status(), 503);
        let key = during.key(&manager).await;
        assert!(stored(&store, &key).await.data.is_sealed());

        server.thaw();
        wait_until("everything is in Redis again", || async { is_settled(&manager) }).await;
        let mut client = server.client().await;
        let name = format!("session:{}", key.storage_name());
        let bytes: Vec<u8> = redis::cmd("GET").arg(name).query_async(&mut client).await.unwrap();
        assert!(!bytes.is_empty() && !bytes.windows(6).any(|text| text == b"during"));
        assert_eq!(during.sees(&manager).await.unwrap().name, "during");
        assert_eq!(during.session(&manager).await.label().unwrap().as_str(), "a laptop");
        assert_eq!(before.sees(&manager).await.unwrap().name, "before");
        assert_eq!(stored(&store, &before.key(&manager).await).await, in_redis);
        assert_eq!(manager.counts().unopened, 0);
    }
}

/// A session that was compressed beyond what another instance takes is absent there, and stays.
#[tokio::test]
async fn data_over_the_limit_is_refused_before_it_is_compressed() {
    let store = in_memory();
    let manager = instance_with(&store, sealing(), |builder| builder.compress(64).max_payload(1000));
    let mut browser = Browser::with(&manager, Account::of("Ada")).await;
    let write = browser.visit(&manager, |session| session.write(|account| account.name = "a".repeat(2000)));
    let refused = write.await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { limit: 1000, .. }), "{refused}");
    assert_eq!(browser.sees(&manager).await.unwrap().name, "Ada");
}

/// As where keys are rotated in another order than the documented one.
#[tokio::test]
async fn a_write_that_meets_what_it_cannot_open_is_refused_and_overwrites_nothing() {
    let store = in_memory();
    let (manager, plain) = (instance(&store, sealing()), instance(&store, None));
    for by_update in [false, true] {
        let mut ada = Browser::with(&plain, Account::of("Ada")).await;
        let late = ada.begin(&plain);
        let session = late.session().await.unwrap();
        ada.visit(&manager, |session| session.write(|account| account.name = "Lady Ada".into()))
            .await
            .unwrap();
        let count = |account: &mut Account| account.visits = 1;
        let failure = if by_update {
            session.update(count).await.unwrap_err()
        } else {
            session.write(count).unwrap();
            late.finish(200).await.failure.unwrap()
        };
        assert!(matches!(failure, Error::Conflict(Conflict::Fields)), "{failure}");
        assert_eq!(plain.counts().unopened, 1 + u64::from(by_update));
        assert_eq!(ada.sees(&manager).await, Some(Account::of("Lady Ada")));
    }
}
