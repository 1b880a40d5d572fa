//! How often a request asks the store. These are promises, counted and not timed.

use session_store::Session;

use crate::world::{Browser, World};

#[tokio::test]
async fn a_request_that_never_uses_its_session_never_asks_the_store() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let actions = visitor.begin(&world.manager).finish(200).await;
    assert!(actions.set_cookie.is_none() && !actions.vary_cookie && !actions.no_store);
    assert!(world.store.calls().is_empty());
}

#[tokio::test]
async fn an_anonymous_visitor_costs_nothing_and_gets_no_cookie() {
    let world = World::new();
    let mut visitor = Browser::default();
    assert_eq!(visitor.visit(&world.manager, |session| session.read(|a| a.visits)).await, 0);
    // Writing what was there already is no reason to remember anybody.
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 0)).await.unwrap();
    assert!(visitor.cookie.is_none() && world.store.calls().is_empty());
}

#[tokio::test]
async fn a_forged_cookie_costs_nothing() {
    let world = World::new();
    let mut forger = world.visitor(1).await;
    let cookie = forger.cookie.take().unwrap();
    forger.cookie = Some(format!("{}AAAA", &cookie[..cookie.len() - 4]));
    assert_eq!(forger.visit(&world.manager, |session| session.read(|a| a.visits)).await, 0);
    assert!(world.store.calls().is_empty());
    assert_eq!(world.manager.counts().forged, 1);
}

#[tokio::test]
async fn reading_is_one_load_and_within_the_touch_window_nothing_else() {
    let world = World::new();
    let mut visitor = world.visitor(7).await;
    for _ in 0..1000 {
        assert_eq!(visitor.visit(&world.manager, |session| session.read(|a| a.visits)).await, 7);
    }
    assert_eq!(world.store.calls(), ["load"; 1000]);
}

#[tokio::test]
async fn every_extractor_of_a_request_shares_one_load() {
    let world = World::new();
    let request = world.visitor(1).await.begin(&world.manager);
    let (first, second) = tokio::join!(request.session(), request.session());
    first.unwrap().write(|a| a.visits = 2).unwrap();
    assert_eq!(second.unwrap().read(|a| a.visits), 2);
    assert_eq!(world.store.calls(), ["load"]);
}

#[tokio::test]
async fn each_kind_of_request_has_its_price() {
    let world = World::new();
    let mut visitor = Browser::default();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
    assert_eq!(world.store.calls(), ["create"]);

    world.store.forget_calls();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 2)).await.unwrap();
    assert_eq!(world.store.calls(), ["load", "update"]);

    world.store.forget_calls();
    visitor.visit(&world.manager, Session::renew).await.unwrap();
    assert_eq!(world.store.calls(), ["load", "rotate"]);

    world.store.forget_calls();
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().update(|a| a.visits += 1).await.unwrap();
    assert!(request.finish(200).await.set_cookie.is_none());
    assert_eq!(world.store.calls(), ["load", "update"]);

    world.store.forget_calls();
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().destroy().await.unwrap();
    assert!(request.finish(200).await.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["load", "delete"]);

    let counts = world.manager.counts();
    let seen = (counts.created, counts.loaded, counts.updated, counts.rotated, counts.destroyed);
    assert_eq!(seen, (1, 4, 2, 1, 1));
}

#[tokio::test]
async fn a_write_that_changes_nothing_stores_nothing() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 3)).await.unwrap();
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().update(|a| a.visits).await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(world.store.calls(), ["load", "load"]);
}
