//! Idle and absolute timeouts, touches, and expiries of a session's own.

use std::time::Duration;

use session_store::{Error, Expiry, KeyRing, MemoryStore, Session, SessionCookie, SessionManager};

use crate::world::{ABSOLUTE, Browser, IDLE, SECRET, World};

const SECOND: Duration = Duration::from_secs(1);

/// SECURITY 8: the store still holds the record (its clock is the real one), the engine refuses it.
#[tokio::test]
async fn an_idle_session_ends_even_if_client_and_store_keep_it() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let key = visitor.key(&world.manager).await;
    world.clock.advance(IDLE - Duration::from_millis(1));
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.sees(&world.manager).await.visits, 0);
    assert!(world.store.record(&key).await.is_some());
    assert_eq!(world.manager.counts().expired, 1);
}

#[tokio::test]
async fn reading_extends_a_session_once_a_tenth_of_its_idle_time_has_passed() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    world.clock.advance(IDLE / 10 - SECOND);
    visitor.visit(&world.manager, |session| session.read(|_| ())).await;
    assert_eq!(world.store.calls(), ["load"]);

    world.clock.advance(SECOND);
    world.store.forget_calls();
    visitor.visit(&world.manager, |session| session.read(|_| ())).await;
    assert_eq!(world.store.calls(), ["load", "touch"]);
    world.store.forget_calls();
    visitor.visit(&world.manager, |session| session.read(|_| ())).await;
    assert_eq!(world.store.calls(), ["load"]);

    world.clock.advance(IDLE - SECOND);
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
}

#[tokio::test]
async fn a_request_that_writes_needs_no_touch_besides() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    world.clock.advance(IDLE / 2);
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.save().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(world.store.calls(), ["load", "update"]);
}

/// SECURITY 9.
#[tokio::test]
async fn the_absolute_timeout_holds_under_activity_and_across_renewal() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    let steps = ABSOLUTE.as_secs() / 500 - 1;
    for step in 0..steps {
        world.clock.advance(SECOND * 500);
        if step % 3 == 0 {
            visitor.visit(&world.manager, Session::renew).await.unwrap();
        } else {
            visitor.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();
        }
    }
    assert!(visitor.sees(&world.manager).await.visits > 5);
    world.clock.advance(SECOND * 500);
    assert_eq!(visitor.sees(&world.manager).await.visits, 0);
}

#[tokio::test]
async fn a_lowered_absolute_policy_ends_existing_sessions() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let strict = world.instance(|builder| builder.expiry(Expiry::idle(IDLE).absolute(SECOND * 60)));
    world.clock.advance(SECOND * 60);
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
    assert_eq!(visitor.sees(&strict).await.visits, 0);
}

#[tokio::test]
async fn remember_me_travels_with_the_session_and_survives_writes() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    let remember = Expiry::idle(Duration::from_secs(1_000_000));
    visitor
        .visit(&world.manager, |session| {
            session.sign_in("ada", |_| ())?;
            session.set_expiry(remember)
        })
        .await
        .unwrap();
    world.clock.advance(SECOND * 500_000);
    visitor.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();
    world.clock.advance(SECOND * 999_999);
    assert_eq!(visitor.sees(&world.manager).await.visits, 6);

    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    world.clock.advance(IDLE);
    assert_eq!(visitor.sees(&world.manager).await.visits, 0, "a new sign-in is under the policy again");
}

/// SECURITY 11.
#[tokio::test]
async fn an_expiry_of_its_own_cannot_stretch_a_session_that_exists() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    let greedy = Expiry::idle(ABSOLUTE * 10).absolute(ABSOLUTE * 10);
    visitor.visit(&world.manager, |session| session.set_expiry(greedy)).await.unwrap();
    world.clock.advance(ABSOLUTE - SECOND);
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
    world.clock.advance(SECOND);
    assert_eq!(visitor.sees(&world.manager).await.visits, 0);
}

#[tokio::test]
async fn an_expiry_alone_makes_no_session_and_zero_is_refused() {
    let world = World::new();
    let mut visitor = Browser::default();
    let refused =
        visitor.visit(&world.manager, |session| session.set_expiry(Expiry::idle(Duration::ZERO))).await;
    assert!(matches!(refused, Err(Error::Config(_))));
    visitor.visit(&world.manager, |session| session.set_expiry(Expiry::idle(IDLE))).await.unwrap();
    assert!(visitor.cookie.is_none() && world.store.calls().is_empty());

    let builder = SessionManager::<u32>::builder(MemoryStore::default(), KeyRing::parse(SECRET).unwrap());
    assert!(matches!(builder.expiry(Expiry::idle(Duration::ZERO)).build(), Err(Error::Config(_))));
}

/// Above a half, a session in steady use could run out between two touches.
#[tokio::test]
async fn a_touch_share_outside_its_bounds_is_refused() {
    let build = |share| {
        let keys = KeyRing::parse(SECRET).unwrap();
        SessionManager::<u32>::builder(MemoryStore::default(), keys).touch_share(share).build()
    };
    for share in [0.51, 1.0, -0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(build(share), Err(Error::Config(_))), "{share}");
    }
    assert!(build(0.0).is_ok() && build(0.5).is_ok());
}

#[tokio::test]
async fn only_writes_extend_a_session_where_reads_do_not() {
    let world = World::with(|manager| manager.touch_on_read(false));
    let mut visitor = Browser::default();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
    world.clock.advance(IDLE / 2);
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
    assert_eq!(world.store.calls(), ["create", "load"]);
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 2)).await.unwrap();
    world.clock.advance(IDLE - Duration::from_secs(1));
    assert_eq!(visitor.sees(&world.manager).await.visits, 2);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(visitor.sees(&world.manager).await.visits, 0);
}

#[tokio::test]
async fn an_expiry_that_is_set_first_holds_for_the_session_that_an_update_creates() {
    let world = World::new();
    let mut visitor = Browser::default();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.set_expiry(Expiry::idle(IDLE * 5)).unwrap();
    session.save().await.unwrap();
    session.update(|a| a.visits = 5).await.unwrap();
    visitor.receive(&request.finish(200).await);
    world.clock.advance(IDLE * 4);
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
    assert_eq!(world.store.calls(), ["create", "load"]);
}

#[tokio::test]
async fn a_session_that_runs_out_during_its_request_is_deleted() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let key = visitor.key(&world.manager).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.visits = 6).unwrap();
    world.clock.advance(ABSOLUTE);
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none() && actions.set_cookie.is_none());
    assert_eq!(world.store.record(&key).await, None);
}

#[tokio::test]
async fn a_persistent_cookie_is_sent_again_only_when_its_end_moved() {
    let world = World::with(|builder| builder.cookie(SessionCookie::new().name("id").persistent(true)));
    let visitor = world.visitor(5).await;
    let reads = async || {
        let request = visitor.begin(&world.manager);
        request.session().await.unwrap();
        request.finish(200).await
    };
    assert!(reads().await.set_cookie.is_none());
    world.clock.advance(IDLE / 5);
    let actions = reads().await;
    assert!(actions.set_cookie.unwrap().ends_with("; Max-Age=1000") && actions.no_store);
    assert!(reads().await.set_cookie.is_none());
    // Near the deadline the cookie's life shrinks with the session's.
    for _ in 0..12 {
        world.clock.advance(IDLE * 4 / 5);
        drop(reads().await);
    }
    world.clock.advance(IDLE / 10);
    assert!(reads().await.set_cookie.is_none_or(|cookie| cookie.ends_with("Max-Age=100")));
}

#[tokio::test]
async fn a_persistent_cookie_whose_end_never_moves_is_sent_once() {
    let world = World::with(|builder| {
        builder
            .expiry(Expiry::absolute_only(ABSOLUTE))
            .cookie(SessionCookie::new().name("id").persistent(true))
    });
    let visitor = world.visitor(5).await;
    for visits in 6..9 {
        world.clock.advance(SECOND);
        let request = visitor.begin(&world.manager);
        request.session().await.unwrap().write(|a| a.visits = visits).unwrap();
        assert!(request.finish(200).await.set_cookie.is_none());
        assert_eq!(visitor.sees(&world.manager).await.visits, visits);
    }
}

#[tokio::test]
async fn remember_me_makes_the_cookie_outlive_the_browser_until_the_next_sign_in() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().set_expiry(Expiry::idle(IDLE * 5)).unwrap();
    let actions = request.finish(200).await;
    visitor.receive(&actions);
    assert!(actions.set_cookie.unwrap().ends_with("; Max-Age=5000"));

    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    let cookie = request.finish(200).await.set_cookie.unwrap();
    assert!(!cookie.contains("Max-Age"), "{cookie}");
}

#[tokio::test]
async fn a_failed_touch_does_not_alter_the_response() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    world.clock.advance(IDLE / 2);
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap();
    world.store.go_down(true);
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none() && actions.set_cookie.is_none());
    assert_eq!(world.store.calls(), ["load", "touch"]);
}
