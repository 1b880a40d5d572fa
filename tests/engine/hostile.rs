//! Bad cookies, bad records, bad moments: an anonymous visitor or a typed error, never a loss.

use session_store::{Conflict, Error, KeyRing};

use crate::world::{Browser, SECOND, SECRET, World};

/// SECURITY 3, 4 and 27.
#[tokio::test]
async fn cookies_that_nobody_signed_are_an_anonymous_visitor() {
    let world = World::new();
    let good = world.visitor(1).await.cookie.unwrap();
    let other_key = world.instance_with(KeyRing::parse(SECOND).unwrap(), |builder| builder);
    let mut elsewhere = Browser::default();
    elsewhere.visit(&other_key, |session| session.write(|a| a.visits = 1)).await.unwrap();

    let (value, signature) = (good.strip_prefix("id=").unwrap(), good.split_once('.').unwrap().1);
    for cookie in [
        String::new(),
        "id=".into(),
        "id".into(),
        "=".into(),
        format!("id={}", "a".repeat(10_000)),
        format!("id={}.{signature}", "A".repeat(32)),
        format!("id={}", value.split_once('.').unwrap().0),
        format!("id={value}\0"),
        format!("id=é{value}"),
        format!("other={value}"),
        elsewhere.cookie.unwrap(),
        ["id=forged"; 10].join("; "),
    ] {
        let mut browser = Browser { cookie: Some(cookie.clone()) };
        world.store.forget_calls();
        assert_eq!(
            browser.visit(&world.manager, |s| (s.is_new(), s.read(|a| a.visits))).await,
            (true, 0),
            "{cookie}"
        );
        assert!(world.store.calls().is_empty(), "{cookie}");
    }
    assert!(world.manager.counts().forged > 10);
}

/// SECURITY 3.
#[tokio::test]
async fn a_well_signed_id_that_is_not_stored_is_never_adopted() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let before = visitor.clone();
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 2)).await.unwrap();
    assert_ne!(visitor.cookie, before.cookie);
    assert!(before.begin(&world.manager).session().await.unwrap().is_new());
    assert_eq!(world.manager.counts().unknown, 2);
}

/// SECURITY 23.
#[tokio::test]
async fn a_cookie_made_from_a_stored_key_is_no_session() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let key = visitor.key(&world.manager).await;
    let signature = visitor.cookie.as_ref().unwrap().split_once('.').unwrap().1;
    let mut thief = Browser { cookie: Some(format!("id={key}.{signature}")) };
    assert_eq!(thief.visit(&world.manager, |session| session.read(|a| a.visits)).await, 0);
    assert_eq!(world.manager.counts().forged, 1);
}

/// SECURITY 21.
#[tokio::test]
async fn the_actions_of_a_response_print_no_cookie() {
    let world = World::new();
    let request = Browser::default().begin(&world.manager);
    request.session().await.unwrap().write(|a| a.visits = 1).unwrap();
    let actions = request.finish(200).await;
    let cookie = actions.set_cookie.clone().unwrap();
    let (id, signature) =
        cookie.strip_prefix("id=").unwrap().split(';').next().unwrap().split_once('.').unwrap();
    let printed = format!("{actions:?}");
    assert!(!printed.contains(id) && !printed.contains(signature), "{printed}");
}

#[tokio::test]
async fn a_cookie_from_before_a_sign_in_does_not_hide_the_one_after_it() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    for order in [[&before, &visitor], [&visitor, &before]] {
        let mut both = Browser::with_cookies_of(&order);
        both.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();
    }
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
}

#[tokio::test]
async fn a_cookie_that_is_not_stored_does_not_hide_that_another_moved() {
    let world = World::new();
    let (mut visitor, gone) = (world.visitor(3).await, world.visitor(4).await);
    gone.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let before = visitor.clone();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    for order in [[&before, &gone], [&gone, &before]] {
        let request = Browser::with_cookies_of(&order).begin(&world.manager);
        request.session().await.unwrap().write(|a| a.visits = 9).unwrap();
        let actions = request.finish(200).await;
        assert!(matches!(actions.failure, Some(Error::Conflict(Conflict::Moved))));
        assert!(actions.set_cookie.is_none());
    }
}

#[tokio::test]
async fn a_cookie_of_an_old_key_is_sent_again() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let ring = KeyRing::parse(&format!("{SECOND}, {SECRET}")).unwrap();
    let rotated = world.instance_with(ring, |builder| builder);

    let request = visitor.begin(&rotated);
    assert_eq!(request.session().await.unwrap().read(|a| a.visits), 4);
    let actions = request.finish(200).await;
    let mut refreshed = visitor.clone();
    refreshed.receive(&actions);
    assert!(actions.no_store && refreshed.cookie != visitor.cookie);
    // The second one makes sure that the session still has this id.
    assert_eq!(world.store.calls(), ["load", "load"]);

    let again = refreshed.begin(&rotated);
    assert_eq!(again.session().await.unwrap().read(|a| a.visits), 4);
    assert!(again.finish(200).await.set_cookie.is_none());
}

/// SECURITY 26.
#[tokio::test]
async fn a_store_that_fails_never_empties_grants_or_overwrites_a_session() {
    let world = World::new();
    let mut visitor = world.visitor(4).await;
    world.store.go_down(true);
    let request = visitor.begin(&world.manager);
    assert!(matches!(request.session().await, Err(Error::Unavailable { .. })));
    let actions = request.finish(503).await;
    assert!(actions.set_cookie.is_none() && actions.failure.is_none());

    world.store.go_down(false);
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.visits = 5).unwrap();
    world.store.go_down(true);
    let actions = request.finish(200).await;
    assert_eq!(actions.failure.as_ref().map(Error::status), Some(503));
    visitor.receive(&actions);
    world.store.go_down(false);
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

#[tokio::test]
async fn a_load_that_failed_is_tried_again_at_the_next_use() {
    let world = World::new();
    let request = world.visitor(4).await.begin(&world.manager);
    world.store.go_down(true);
    assert!(request.session().await.is_err());
    world.store.go_down(false);
    assert_eq!(request.session().await.unwrap().read(|a| a.visits), 4);
}

#[tokio::test]
async fn data_that_cannot_be_decoded_is_absent_and_stays_where_it_is() {
    let world = World::new();
    let mut visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    world
        .store
        .overwrite(&key, |record| {
            record.data = session_store::Payload::new(record.data.codec(), "{\"visits\":\"many\"}");
        })
        .await;
    let broken = world.store.record(&key).await;

    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
    assert_ne!(visitor.key(&world.manager).await, key);
    assert_eq!(world.store.record(&key).await, broken);
    assert_eq!(world.manager.counts().corrupt, 1);
}

#[tokio::test]
async fn logging_out_deletes_even_what_cannot_be_read() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    world
        .store
        .overwrite(&key, |record| record.data = session_store::Payload::new(record.data.codec(), "junk"))
        .await;
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    assert_eq!(world.store.record(&key).await, None);
}
