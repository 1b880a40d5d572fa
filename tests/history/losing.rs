//! No response waits for a history, and what is lost is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session_store::{FallbackPolicy, FallbackStore, HistoryBounds, KeyRing, SessionManager};
use tokio::time::{Instant, sleep};

use crate::stage::{history_of, remembering, sign_in};
use crate::world::{Browser, World};

#[tokio::test]
async fn no_response_waits_for_a_history() {
    let world = remembering();
    world.store.hold("remember");
    let ada = sign_in(&world.manager, "ada", "a phone").await;
    world.store.called("remember").await;
    ada.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    // Whoever reads gives it a moment, and no more.
    let began = Instant::now();
    assert!(history_of(&world.manager, "ada").await.is_empty());
    assert!(began.elapsed() < Duration::from_secs(10));
    world.store.let_go();
    assert_eq!(history_of(&world.manager, "ada").await, ["signedOut a phone", "signedIn a phone"]);
    assert_eq!(world.manager.counts().history_lost, 0);
}

/// The clock that tasks wait by moves on by itself.
#[tokio::test(start_paused = true)]
async fn what_happens_while_the_store_is_away_for_a_moment_is_recorded() {
    let world = remembering();
    world.store.hold("remember");
    sign_in(&world.manager, "ada", "a phone").await;
    sign_in(&world.manager, "bob", "a laptop").await;
    world.store.go_down(true);
    world.store.let_go();
    sleep(Duration::from_secs(50)).await;
    world.store.go_down(false);
    world.manager.flush_events().await;
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn a phone"]);
    assert_eq!(history_of(&world.manager, "bob").await, ["signedIn a laptop"]);
    assert_eq!(world.manager.counts().history_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_too_long_is_lost_and_counted() {
    let world = remembering();
    world.store.hold("remember");
    sign_in(&world.manager, "ada", "a phone").await;
    sign_in(&world.manager, "bob", "a laptop").await;
    world.store.go_down(true);
    world.store.let_go();
    let began = Instant::now();
    world.manager.flush_events().await;
    assert!((50..70).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(world.manager.counts().history_lost, 2);
    world.store.go_down(false);
    sign_in(&world.manager, "ada", "a tablet").await;
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn a tablet"]);
}

#[tokio::test]
async fn what_the_store_refuses_is_lost_and_counted() {
    let world = remembering();
    world.store.is_full.store(true, Ordering::SeqCst);
    sign_in(&world.manager, "ada", "a phone").await;
    world.manager.flush_events().await;
    assert_eq!(world.manager.counts().history_lost, 1);
    world.store.is_full.store(false, Ordering::SeqCst);
    sign_in(&world.manager, "ada", "a laptop").await;
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn a laptop"]);
}

#[tokio::test]
async fn so_many_wait_and_no_more() {
    let world = remembering();
    world.store.hold("remember");
    let mut ada = sign_in(&world.manager, "ada", "a phone").await;
    for _ in 0..8191 + 7 {
        ada.visit(&world.manager, |session| session.confirm([session_store::AuthMethod::Otp])).await.unwrap();
    }
    assert_eq!(world.manager.counts().history_lost, 7);
    world.store.let_go();
    world.manager.flush_events().await;
    assert_eq!(history_of(&world.manager, "ada").await.len(), 100);
    assert_eq!(world.manager.counts().history_lost, 7);
}

/// The task goes down with the runtime that it was on, and the next entry starts another.
#[test]
fn what_waits_when_a_runtime_ends_is_recorded_on_the_next_one() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let world = first.block_on(async {
        let world = remembering();
        world.store.hold("remember");
        sign_in(&world.manager, "ada", "a phone").await;
        world.store.called("remember").await;
        world
    });
    drop(first);
    world.store.let_go();
    second.block_on(async {
        sign_in(&world.manager, "bob", "a laptop").await;
        assert_eq!(history_of(&world.manager, "ada").await, ["signedIn a phone"]);
        assert_eq!(history_of(&world.manager, "bob").await, ["signedIn a laptop"]);
    });
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_a_fallback_bridges_leaves_its_traces_too() {
    let World { store, clock, .. } = World::new();
    let fallback = FallbackStore::new(Arc::clone(&store), FallbackPolicy::WhileDown);
    let manager = SessionManager::<u32>::builder(fallback, KeyRing::generate())
        .clock(clock)
        .history(HistoryBounds::default())
        .build()
        .unwrap();
    store.go_down(true);
    let mut ada = Browser::default();
    ada.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    store.go_down(false);
    manager.flush_events().await;
    assert_eq!(history_of(&manager, "ada").await, ["signedIn ?"]);
    assert_eq!(manager.counts().history_lost, 0);
}
