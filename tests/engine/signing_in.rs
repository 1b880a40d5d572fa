//! New ids: sign-in, renewal, logout, and what runs beside them.

use session_store::{Conflict, Error, Expiry, Session};

use crate::world::{Account, Browser, IDLE, World};

fn conflict(error: Option<&Error>) -> Option<Conflict> {
    match error {
        Some(Error::Conflict(conflict)) => Some(*conflict),
        _ => None,
    }
}

/// SECURITY 5 and 7.
#[tokio::test]
async fn signing_in_issues_a_new_id_and_the_old_one_stops_working() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |a| a.name = "Ada".into())).await.unwrap();
    assert_ne!(visitor.cookie, before.cookie);

    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!(session.owner().unwrap().as_str(), "ada");
    assert_eq!(session.read(|a| (a.name.clone(), a.visits)), ("Ada".to_owned(), 3));
    let stale = before.begin(&world.manager).session().await.unwrap();
    assert!(stale.is_new() && stale.owner().is_none());
    assert_eq!(stale.read(|a| a.visits), 0);
}

/// SECURITY 6.
#[tokio::test]
async fn renewing_keeps_everything_but_the_id() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    let old = visitor.clone();
    let created_at = old.begin(&world.manager).session().await.unwrap().created_at();
    world.clock.advance(std::time::Duration::from_secs(1));
    visitor.visit(&world.manager, Session::renew).await.unwrap();
    assert_ne!(visitor.cookie, old.cookie);
    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!(session.created_at(), created_at);
    assert_eq!(session.owner().unwrap().as_str(), "ada");
    assert_eq!(session.read(|a| a.visits), 3);
}

#[tokio::test]
async fn renewing_nothing_creates_nothing() {
    let world = World::new();
    let mut visitor = Browser::default();
    visitor.visit(&world.manager, Session::renew).await.unwrap();
    assert!(visitor.cookie.is_none() && world.store.calls().is_empty());
}

/// A request that still carries the id from before a sign-in must not push out the new cookie.
#[tokio::test]
async fn a_late_request_under_the_old_id_reads_nothing_and_may_not_write() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();

    let request = before.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.visits = 9).unwrap();
    assert!(matches!(session.update(|a| a.visits = 9).await, Err(Error::Conflict(Conflict::Moved))));
    session.write(|a| a.visits = 9).unwrap();
    let actions = request.finish(200).await;
    assert_eq!(conflict(actions.failure.as_ref()), Some(Conflict::Moved));
    assert!(actions.set_cookie.is_none());
    assert_eq!(visitor.sees(&world.manager).await.visits, 3);
}

#[tokio::test]
async fn signing_in_twice_at_once_gives_two_sessions_and_no_error() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let mut other_tab = visitor.clone();
    let (first, second) = (visitor.begin(&world.manager), other_tab.begin(&world.manager));
    first.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    second.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    visitor.receive(&first.finish(200).await);
    let actions = second.finish(200).await;
    assert!(actions.failure.is_none());
    other_tab.receive(&actions);
    assert_ne!(visitor.cookie, other_tab.cookie);
    for browser in [visitor, other_tab] {
        let session = browser.begin(&world.manager).session().await.unwrap();
        assert_eq!(session.owner().unwrap().as_str(), "ada");
        // The visitor had no owner, so what it collected goes along.
        assert_eq!(session.read(|a| a.visits), 3);
    }
}

#[tokio::test]
async fn signing_in_somebody_else_begins_with_nothing_and_the_same_owner_with_everything() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    for cart in [vec!["tea"], vec!["tea", "tea"]] {
        visitor
            .visit(&world.manager, |session| session.sign_in("bob", |a| a.cart.push("tea".into())))
            .await
            .unwrap();
        let account = visitor.sees(&world.manager).await;
        assert_eq!((account.visits, account.cart), (3, cart.into_iter().map(str::to_owned).collect()));
    }

    visitor
        .visit(&world.manager, |session| {
            session.write(|a| a.balance = 1.0)?;
            session.sign_in("ada", |a| a.name = "Ada".into())
        })
        .await
        .unwrap();
    let expected = Account { name: "Ada".into(), ..Account::default() };
    assert_eq!(visitor.sees(&world.manager).await, expected);
}

#[tokio::test]
async fn a_sign_in_whose_session_ended_takes_nothing_from_another_owner() {
    let world = World::new();
    let mut bob = world.visitor(3).await;
    bob.visit(&world.manager, |session| session.sign_in("bob", |a| a.cart.push("bob's".into())))
        .await
        .unwrap();

    let request = bob.begin(&world.manager);
    request.session().await.unwrap().sign_in("ada", |a| a.name = "Ada".into()).unwrap();
    bob.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none());
    bob.receive(&actions);
    let account = bob.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.visits, account.cart.len()), ("Ada", 0, 0));
}

#[tokio::test]
async fn a_write_after_somebody_else_signed_in_is_refused() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let key = visitor.key(&world.manager).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.visits = 9).unwrap();
    world
        .store
        .overwrite(&key, |record| record.owner = Some(session_store::Owner::new("eve").unwrap()))
        .await;
    assert_eq!(conflict(request.finish(200).await.failure.as_ref()), Some(Conflict::Owner));
    assert_eq!(world.manager.counts().conflicts, 1);
}

/// SECURITY 12.
#[tokio::test]
async fn no_request_in_flight_brings_a_session_back_after_logout() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let late = [visitor.begin(&world.manager), visitor.begin(&world.manager), visitor.begin(&world.manager)];
    let [writes, updates, renews] = &late;
    writes.session().await.unwrap().write(|a| a.visits = 9).unwrap();
    renews.session().await.unwrap().renew().unwrap();
    let updating = updates.session().await.unwrap();
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();

    assert!(matches!(updating.update(|a| a.visits = 9).await, Err(Error::Conflict(Conflict::Ended))));
    let failures = [None, None, Some(Conflict::Ended)];
    for (request, failure) in late.into_iter().zip(failures) {
        let actions = request.finish(200).await;
        assert!(actions.set_cookie.is_none(), "a late response must not touch the cookie");
        assert_eq!(conflict(actions.failure.as_ref()), failure);
    }
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
    assert!(world.manager.counts().ended_meanwhile >= 2);
}

#[tokio::test]
async fn a_logout_under_the_old_id_ends_the_session_at_its_new_one() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    let logout = before.begin(&world.manager);
    let session = logout.session().await.unwrap();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    session.destroy().await.unwrap();
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());

    // The same for a logout that begins after the sign-in.
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    before.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
}

#[tokio::test]
async fn destroying_removes_the_cookie_even_if_the_store_fails() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    world.store.go_down(true);
    assert!(matches!(session.destroy().await, Err(Error::Unavailable { .. })));
    let actions = request.finish(503).await;
    assert!(actions.set_cookie.unwrap().contains("Max-Age=0") && actions.no_store);
    assert_eq!(world.store.calls(), ["load", "delete"]);
}

#[tokio::test]
async fn signing_in_twice_in_one_request_keeps_what_both_wrote() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    visitor.visit(&world.manager, |session| session.sign_in("bob", |a| a.visits = 9)).await.unwrap();
    let twice = |session: &Session<_>| {
        session.sign_in("ada", |a: &mut crate::world::Account| a.name = "Ada".into())?;
        session.sign_in("ada", |a| a.cart.push("tea".into()))
    };
    visitor.visit(&world.manager, twice).await.unwrap();
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.cart.len(), account.visits), ("Ada", 1, 0));
}

#[tokio::test]
async fn no_id_that_the_response_failed_to_bring_is_made_after_it() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.renew().unwrap();
    world.store.go_down(true);
    assert!(request.finish(200).await.failure.is_some());
    world.store.go_down(false);
    session.save().await.unwrap();
    assert_eq!(visitor.sees(&world.manager).await.visits, 3, "under the only id that the client has");

    let request = Browser::default().begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.visits = 1).unwrap();
    world.store.go_down(true);
    assert!(request.finish(200).await.failure.is_some());
    world.store.go_down(false);
    world.store.forget_calls();
    assert!(matches!(session.save().await, Err(Error::Conflict(Conflict::Committed))));
    assert!(world.store.calls().is_empty());
}

#[tokio::test]
async fn destroying_again_after_a_failure_deletes() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let session = visitor.begin(&world.manager).session().await.unwrap();
    world.store.go_down(true);
    assert!(session.destroy().await.is_err());
    world.store.go_down(false);
    session.destroy().await.unwrap();
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
    assert_eq!(world.store.calls(), ["load", "delete", "delete", "load"]);
}

/// A browser holds two where one was set for a parent domain or a longer path (SECURITY 12).
#[tokio::test]
async fn a_logout_ends_the_sessions_of_all_cookies_that_came() {
    let world = World::new();
    let (one, two) = (world.visitor(1).await, world.visitor(2).await);
    let request = Browser::with_cookies_of(&[&one, &two]).begin(&world.manager);
    request.session().await.unwrap().destroy().await.unwrap();
    assert!(request.finish(200).await.set_cookie.unwrap().contains("Max-Age=0"));
    for browser in [one, two] {
        assert!(browser.begin(&world.manager).session().await.unwrap().is_new());
    }
}

/// SECURITY 12.
#[tokio::test]
async fn reloading_a_session_that_ended_makes_no_new_one_of_what_is_written_then() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    session.reload().await.unwrap();
    assert_eq!(session.read(|a| a.visits), 0);
    session.write(|a| a.visits = 9).unwrap();
    world.store.forget_calls();
    assert!(request.finish(200).await.set_cookie.is_none());
    assert!(world.store.calls().is_empty());
}

#[tokio::test]
async fn what_is_written_after_destroy_starts_a_new_session() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.destroy().await.unwrap();
    assert_eq!(session.read(|a| a.visits), 0);
    session.write(|a| a.name = "new".into()).unwrap();
    visitor.receive(&request.finish(200).await);
    assert_ne!(visitor.cookie, before.cookie);
    assert_eq!(visitor.sees(&world.manager).await.name, "new");
    assert!(before.begin(&world.manager).session().await.unwrap().is_new());
}

#[tokio::test]
async fn a_request_that_did_not_get_to_its_end_stores_nothing() {
    type Handler = fn(&Session<Account>) -> Result<(), Error>;
    let handlers: [Handler; 6] = [
        |session| session.write(|a| a.visits = 9),
        |session| session.sign_in("ada", |a| a.visits = 9),
        Session::renew,
        |session| session.set_owner("ada"),
        |session| session.set_label("phone"),
        |session| session.set_expiry(Expiry::idle(IDLE * 2)),
    ];
    for handler in handlers {
        for status in [408, 499, 500, 502, 503, 504, 599] {
            let world = World::new();
            let visitor = world.visitor(3).await;
            let stored = world.store.record(&visitor.key(&world.manager).await).await;
            world.store.forget_calls();
            for browser in [&visitor, &Browser::default()] {
                let request = browser.begin(&world.manager);
                handler(&request.session().await.unwrap()).unwrap();
                let actions = request.finish(status).await;
                assert!(actions.failure.is_none() && actions.set_cookie.is_none(), "{status}");
            }
            assert_eq!(world.store.calls(), ["load"], "{status}");
            assert_eq!(world.store.record(&visitor.key(&world.manager).await).await, stored);
        }
        for status in [200, 204, 303, 400, 401, 404, 409, 429, 498] {
            let world = World::new();
            let request = world.visitor(3).await.begin(&world.manager);
            handler(&request.session().await.unwrap()).unwrap();
            assert!(request.finish(status).await.failure.is_none());
            assert_ne!(world.store.calls(), ["load"], "{status}");
        }
    }
}

/// The new id is in the store already, so the client has to get it.
#[tokio::test]
async fn a_request_that_did_not_get_to_its_end_keeps_what_it_stored_itself() {
    for status in [408, 500] {
        let world = World::new();
        let mut visitor = world.visitor(3).await;
        let before = visitor.clone();
        let request = visitor.begin(&world.manager);
        let session = request.session().await.unwrap();
        session.sign_in("ada", |_| ()).unwrap();
        session.save().await.unwrap();
        session.sign_in("bob", |a| a.visits = 9).unwrap();
        visitor.receive(&request.finish(status).await);
        assert_ne!(visitor.cookie, before.cookie);
        let session = visitor.begin(&world.manager).session().await.unwrap();
        assert_eq!((session.read(|a| a.visits), session.owner().unwrap().as_str()), (3, "ada"));
    }
}

#[tokio::test]
async fn saving_early_gives_a_sign_in_its_new_id_early() {
    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |a| a.name = "Ada".into()).unwrap();
    session.save().await.unwrap();
    assert!(before.begin(&world.manager).session().await.unwrap().is_new());
    visitor.receive(&request.finish(500).await);
    assert_eq!(visitor.sees(&world.manager).await.name, "Ada");
}

/// SECURITY 7: the request found out that its session is gone, and goes on with a sign-in.
#[tokio::test]
async fn a_sign_in_after_the_session_was_lost_takes_over_nothing_of_its_owner() {
    for renewals in [None, Some("ada"), Some("carol")] {
        for saves in [false, true] {
            let world = World::new();
            let mut visitor = Browser::default();
            let fill = |account: &mut Account| account.cart.push("secret".into());
            visitor.visit(&world.manager, |session| session.sign_in("ada", fill)).await.unwrap();
            let late = visitor.begin(&world.manager);
            let session = late.session().await.unwrap();
            match renewals {
                None => visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap(),
                Some(owner) => {
                    for _ in 0..2 {
                        visitor
                            .visit(&world.manager, |session| session.sign_in(owner, |_| ()))
                            .await
                            .unwrap();
                    }
                }
            }
            if saves {
                session.write(|account| account.visits = 9).unwrap();
                session.save().await.unwrap_err();
            } else {
                session.update(|account| account.visits = 9).await.unwrap_err();
            }
            let begun = session.sign_in("bob", |account| {
                account.cart.push("tea".into());
                account.clone()
            });
            let expected = Account { cart: vec!["tea".into()], ..Account::default() };
            assert_eq!(begun.unwrap(), expected, "{renewals:?} {saves}");
            let mut bob = Browser::default();
            bob.receive(&late.finish(200).await);
            assert_eq!(bob.sees(&world.manager).await, expected, "{renewals:?} {saves}");
        }
    }
}

/// SECURITY 7: within one request, too, and where nothing was stored of either.
#[tokio::test]
async fn a_second_sign_in_takes_over_nothing_of_the_first() {
    for had_session in [false, true] {
        let world = World::new();
        let mut visitor = if had_session { world.visitor(3).await } else { Browser::default() };
        visitor
            .visit(&world.manager, |session| {
                session.sign_in("ada", |account| account.cart.push("secret".into())).unwrap();
                session.sign_in("bob", |account| account.name = "Bob".into()).unwrap();
            })
            .await;
        let expected = Account { name: "Bob".into(), ..Account::default() };
        assert_eq!(visitor.sees(&world.manager).await, expected, "{had_session}");
    }
}

#[tokio::test]
async fn a_lost_session_gets_no_other_owner() {
    let world = World::new();
    let mut visitor = Browser::default();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    let session = visitor.begin(&world.manager).session().await.unwrap();
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    session.update(|account| account.visits = 9).await.unwrap_err();
    assert!(matches!(session.set_owner("bob"), Err(Error::Config(_))));
}
