//! A user who is forgotten leaves nothing.

use std::time::Duration;

use session_store::{Error, HistoryBounds};

use crate::stage::{history_of, remembering, sign_in};
use crate::world::World;

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_forgotten_owner_has_neither_sessions_nor_a_history() {
    let world = remembering();
    let manager = &world.manager;
    for device in ["a phone", "a laptop"] {
        sign_in(manager, "ada", device).await;
    }
    sign_in(manager, "bob", "a tablet").await;
    world.clock.advance(Duration::from_secs(60));
    let forgotten = manager.forget("ada").await.unwrap();
    assert_eq!((forgotten.sessions, forgotten.entries), (2, 4), "two sign-ins, and their ends");
    assert!(manager.sessions_of("ada").await.unwrap().is_empty());
    assert_eq!(history_of(manager, "ada").await, NOTHING);
    assert_eq!(history_of(manager, "bob").await, ["signedIn a tablet"]);

    let again = manager.forget("ada").await.unwrap();
    assert_eq!((again.sessions, again.entries), (0, 0));
    assert!(matches!(manager.forget("").await, Err(Error::InvalidInput { .. })));
}

#[tokio::test]
async fn what_was_on_its_way_is_forgotten_too() {
    let world = remembering();
    let other = world.instance(|builder| builder.history(HistoryBounds::default()));
    let ada = sign_in(&world.manager, "ada", "a phone").await;
    world.manager.flush_events().await;
    world.clock.advance(Duration::from_secs(60));
    // The other instance is about to record a logout.
    world.store.hold("remember");
    ada.begin(&other).session().await.unwrap().destroy().await.unwrap();
    world.store.called("remember").await;
    assert_eq!(world.manager.forget("ada").await.unwrap().entries, 1);
    world.store.let_go();
    other.flush_events().await;
    assert_eq!(history_of(&other, "ada").await, NOTHING);

    world.clock.advance(Duration::from_millis(1));
    sign_in(&other, "ada", "a laptop").await;
    assert_eq!(history_of(&other, "ada").await, ["signedIn a laptop"], "she is a new user");
}

#[tokio::test]
async fn whoever_keeps_no_history_forgets_what_others_kept() {
    let world = World::new();
    let other = world.instance(|builder| builder.history(HistoryBounds::default()));
    sign_in(&other, "ada", "a phone").await;
    other.flush_events().await;
    let forgotten = world.manager.forget("ada").await.unwrap();
    assert_eq!((forgotten.sessions, forgotten.entries), (1, 1));
    assert_eq!(history_of(&other, "ada").await, NOTHING);
}

#[tokio::test]
async fn a_store_that_fails_has_not_forgotten() {
    let world = remembering();
    sign_in(&world.manager, "ada", "a phone").await;
    world.manager.flush_events().await;
    world.store.fails_once("forget");
    assert!(matches!(world.manager.forget("ada").await, Err(Error::Unavailable { .. })));
    world.store.fails_once("revoke");
    assert!(matches!(world.manager.forget("ada").await, Err(Error::Unavailable { .. })));
    assert_eq!(history_of(&world.manager, "ada").await, NOTHING, "the history, nevertheless");
}
