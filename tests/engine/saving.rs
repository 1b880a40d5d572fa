//! A save that fails in a handler, which answers it itself.

use session_store::{Conflict, Error, Evict, Owner, RequestSession, Session};

use crate::world::{Account, Browser, World, codecs};

async fn begin(world: &World, browser: &Browser) -> (RequestSession<Account>, Session<Account>) {
    let request = browser.begin(&world.manager);
    let session = request.session().await.unwrap();
    (request, session)
}

/// The handler's answer goes out, and the store is not asked for anything again.
async fn expect_settled(world: &World, request: RequestSession<Account>) {
    world.store.forget_calls();
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none() && actions.set_cookie.is_none(), "{actions:?}");
    assert!(world.store.calls().is_empty(), "{:?}", world.store.calls());
}

type Change = fn(&Session<Account>) -> Result<(), Error>;

/// Each asks for something to be stored.
const CHANGES: [Change; 4] = [
    |session| session.write(|a| a.visits = 9),
    |session| session.sign_in("ada", |a| a.visits = 9),
    Session::renew,
    |session| session.write(|a| a.visits = 9).and_then(|()| session.set_owner("ada")),
];

#[tokio::test]
async fn what_a_save_failed_to_store_is_not_stored_by_the_response() {
    for change in CHANGES {
        let world = World::new();
        let visitor = world.visitor(3).await;
        let key = visitor.key(&world.manager).await;
        let stored = world.store.record(&key).await;
        let (request, session) = begin(&world, &visitor).await;
        change(&session).unwrap();
        world.store.go_down(true);
        assert!(matches!(session.save().await, Err(Error::Unavailable { .. })));
        world.store.go_down(false);
        // The session is as it is stored.
        assert_eq!(
            (session.read(|a| a.visits), session.owner(), session.key()),
            (3, None, Some(key.clone()))
        );
        expect_settled(&world, request).await;
        assert_eq!(world.store.record(&key).await, stored);
    }
}

#[tokio::test]
async fn every_error_is_told_once() {
    let too_large: Change = |session| session.write(|a| a.name = "x".repeat(500));
    let no_number: Change = |session| session.sign_in("ada", |a| a.balance = f64::NAN);
    for change in [too_large, no_number] {
        let world = World::with(|builder| builder.max_payload(400));
        for browser in [world.visitor(3).await, Browser::default()] {
            let (request, session) = begin(&world, &browser).await;
            let before = session.read(Account::clone);
            change(&session).unwrap();
            let error = session.save().await.unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. } | Error::Encode { .. }), "{error}");
            assert_eq!((session.read(Account::clone), session.owner()), (before, None));
            expect_settled(&world, request).await;
        }
    }
}

/// The page about it is the handler's.
#[tokio::test]
async fn a_sign_in_that_finds_no_room_leaves_the_session_as_it_was() {
    let world = World::with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
    Browser::default().visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    for browser in [world.visitor(3).await, Browser::default()] {
        let (request, session) = begin(&world, &browser).await;
        let visits = session.read(|a| a.visits);
        session.sign_in("ada", |a| a.visits = 9).unwrap();
        let refused = session.save().await;
        assert!(matches!(refused, Err(Error::Conflict(Conflict::TooManySessions))));
        assert_eq!((session.owner(), session.read(|a| a.visits)), (None, visits));
        expect_settled(&world, request).await;
    }
}

#[tokio::test]
async fn a_session_that_moved_or_ended_is_told_of_once() {
    for change in CHANGES {
        let world = World::new();
        let visitor = world.visitor(3).await;
        let (request, session) = begin(&world, &visitor).await;
        change(&session).unwrap();
        visitor.clone().visit(&world.manager, |session| session.sign_in("bob", |_| ())).await.unwrap();
        if session.save().await.is_err() {
            expect_settled(&world, request).await;
        }
    }
}

#[tokio::test]
async fn a_contradiction_is_told_once() {
    for codec in codecs() {
        let world = World::with(|builder| builder.codec(codec));
        let mut visitor = world.visitor(3).await;
        visitor.visit(&world.manager, |session| session.write(|a| a.cart.push("tea".into()))).await.unwrap();
        let (request, session) = begin(&world, &visitor).await;
        session.write(|a| a.cart.clear()).unwrap();
        visitor.visit(&world.manager, |session| session.write(|a| a.cart.push("rye".into()))).await.unwrap();
        let outcome = session.save().await;
        assert!(matches!(outcome, Err(Error::Conflict(Conflict::Fields))), "{outcome:?}");
        expect_settled(&world, request).await;
        assert_eq!(visitor.sees(&world.manager).await.cart, ["tea", "rye"]);
    }
}

#[tokio::test]
async fn saving_again_tries_the_same_again() {
    for change in CHANGES {
        let world = World::new();
        let mut visitor = world.visitor(3).await;
        let before = visitor.clone();
        let (request, session) = begin(&world, &visitor).await;
        change(&session).unwrap();
        session.write(|a| a.name = "Ada".into()).unwrap();
        let asked_for = (session.read(Account::clone), session.owner());
        world.store.go_down(true);
        for _ in 0..3 {
            assert!(session.save().await.is_err());
        }
        world.store.go_down(false);
        session.save().await.unwrap();
        assert_eq!((session.read(Account::clone), session.owner()), asked_for);
        visitor.receive(&request.finish(200).await);
        let session = visitor.begin(&world.manager).session().await.unwrap();
        assert_eq!((session.read(Account::clone), session.owner()), asked_for);
        // Whoever got a new id has no way back.
        let moved = visitor.cookie != before.cookie;
        assert_eq!(moved, before.begin(&world.manager).session().await.unwrap().is_new());
    }
}

#[tokio::test]
async fn what_is_written_after_a_save_that_failed_is_stored_without_what_failed() {
    for codec in codecs() {
        for change in CHANGES {
            let world = World::with(|builder| builder.codec(codec));
            for mut browser in [world.visitor(3).await, Browser::default()] {
                let (request, session) = begin(&world, &browser).await;
                let visits = session.read(|a| a.visits);
                change(&session).unwrap();
                session.write(|a| a.cart.push("tea".into())).unwrap();
                world.store.go_down(true);
                assert!(session.save().await.is_err());
                world.store.go_down(false);
                session.write(|a| a.name = "Ada".into()).unwrap();
                let expected = Account { name: "Ada".into(), visits, ..Account::default() };
                assert_eq!(session.read(Account::clone), expected);
                browser.receive(&request.finish(200).await);
                let session = browser.begin(&world.manager).session().await.unwrap();
                assert_eq!((session.read(Account::clone), session.owner()), (expected, None), "{codec:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_again_is_stored() {
    let world = World::with(|builder| builder.max_payload(400));
    let mut visitor = world.visitor(3).await;
    let (request, session) = begin(&world, &visitor).await;
    session.write(|a| (a.visits, a.name) = (9, "x".repeat(500))).unwrap();
    assert!(session.save().await.is_err());
    session.write(|a| a.visits = 9).unwrap();
    visitor.receive(&request.finish(200).await);
    assert_eq!(visitor.sees(&world.manager).await, Account { visits: 9, ..Account::default() });
}

#[tokio::test]
async fn an_update_after_a_save_that_failed_stands_for_itself() {
    let world = World::with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
    Browser::default().visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    let mut visitor = world.visitor(3).await;
    let (request, session) = begin(&world, &visitor).await;
    session.sign_in("ada", |a| a.visits = 9).unwrap();
    assert!(session.save().await.is_err());
    session.update(|a| a.visits += 1).await.unwrap();
    visitor.receive(&request.finish(200).await);
    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!((session.read(|a| a.visits), session.owner()), (4, None));
}

/// An update stores what was written before; if it can't, it is told as a save is.
#[tokio::test]
async fn an_update_that_fails_is_not_tried_again_by_the_response() {
    for change in CHANGES {
        let world = World::new();
        for browser in [world.visitor(3).await, Browser::default()] {
            let (request, session) = begin(&world, &browser).await;
            change(&session).unwrap();
            world.store.go_down(true);
            let update = session.update(|a| a.cart.push("tea".into())).await;
            world.store.go_down(false);
            if update.is_err() {
                expect_settled(&world, request).await;
            }
        }
    }
}

#[tokio::test]
async fn a_reload_gives_up_what_a_save_failed_to_store() {
    for change in CHANGES {
        let world = World::new();
        let mut visitor = world.visitor(3).await;
        let (request, session) = begin(&world, &visitor).await;
        change(&session).unwrap();
        world.store.go_down(true);
        assert!(session.save().await.is_err());
        world.store.go_down(false);
        visitor.visit(&world.manager, |session| session.write(|a| a.visits = 4)).await.unwrap();
        session.reload().await.unwrap();
        session.save().await.unwrap();
        assert_eq!((session.read(|a| a.visits), session.owner()), (4, None));
        expect_settled(&world, request).await;
    }
}

#[tokio::test]
async fn a_logout_that_failed_still_removes_the_cookie_after_a_save_that_failed() {
    let world = World::new();
    let (request, session) = begin(&world, &world.visitor(3).await).await;
    session.sign_in("ada", |_| ()).unwrap();
    world.store.go_down(true);
    assert!(session.save().await.is_err());
    assert!(session.destroy().await.is_err());
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none() && actions.set_cookie.unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn a_reload_keeps_what_was_asked_for_beside_data() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    let (request, session) = begin(&world, &visitor).await;
    session.renew().unwrap();
    session.set_label("phone").unwrap();
    session.write(|a| a.visits = 9).unwrap();
    session.reload().await.unwrap();
    visitor.receive(&request.finish(200).await);
    assert_ne!(visitor.cookie, before.cookie);
    assert!(before.begin(&world.manager).session().await.unwrap().is_new());
    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!((session.read(|a| a.visits), session.label().unwrap().as_str()), (3, "phone"));
}

/// SECURITY 7.
#[tokio::test]
async fn a_reload_hands_nobody_the_data_of_another_owner() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    visitor
        .visit(&world.manager, |session| session.sign_in("bob", |a| a.cart.push("tea".into())))
        .await
        .unwrap();
    let (request, session) = begin(&world, &visitor).await;
    session.sign_in("ada", |a| a.visits = 9).unwrap();
    session.reload().await.unwrap();
    assert_eq!(session.read(Account::clone), Account::default());
    visitor.receive(&request.finish(200).await);
    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!(
        (session.read(Account::clone), session.owner().unwrap().as_str()),
        (Account::default(), "ada")
    );

    // Nor does `set_owner`, where somebody signed in between.
    let visitor = world.visitor(3).await;
    let (request, session) = begin(&world, &visitor).await;
    session.set_owner("ada").unwrap();
    let bob = Owner::new("bob").unwrap();
    world.store.overwrite(&session.key().unwrap(), |record| record.owner = Some(bob)).await;
    session.reload().await.unwrap();
    assert!(matches!(request.finish(200).await.failure, Some(Error::Conflict(Conflict::Owner))));
}
