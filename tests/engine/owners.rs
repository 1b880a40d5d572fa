//! Whose sessions there are: listed, ended, limited, and nobody missed.

use std::time::Duration;

use session_store::SessionStore as _;
use session_store::owners::OwnerIndex as _;
use session_store::{
    Clock as _, Conflict, Cursor, Error, Evict, Label, Owner, OwnerHash, Session, SessionManager,
    SessionSummary,
};

use crate::world::{Account, Browser, IDLE, World};

async fn signed_in(world: &World, owner: &str) -> Browser {
    let mut browser = Browser::default();
    browser.visit(&world.manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
    world.store.forget_calls();
    browser
}

async fn is_signed_in(world: &World, browser: &Browser) -> bool {
    browser.begin(&world.manager).session().await.unwrap().owner().is_some()
}

async fn count(manager: &SessionManager<Account>, owner: &str) -> usize {
    manager.sessions_of(owner).await.unwrap().len()
}

/// What a whole request answers that signs `owner` in.
async fn sign_in(manager: SessionManager<Account>, owner: &str) -> (Browser, Option<Error>) {
    let request = manager.begin(None);
    request.session().await.unwrap().sign_in(owner, |_| ()).unwrap();
    let actions = request.finish(200).await;
    let mut browser = Browser::default();
    browser.receive(&actions);
    (browser, actions.failure)
}

fn conflict(failure: Option<&Error>) -> Option<Conflict> {
    match failure {
        Some(Error::Conflict(conflict)) => Some(*conflict),
        _ => None,
    }
}

/// SECURITY 14.
#[tokio::test]
async fn a_users_sessions_are_listed_with_what_helps_to_tell_them_apart() {
    let world = World::new();
    let mut phone = signed_in(&world, "ada").await;
    let began = world.clock.now();
    world.clock.advance(Duration::from_secs(60));
    let laptop = signed_in(&world, "ada").await;
    signed_in(&world, "bob").await;
    phone.visit(&world.manager, |session| session.set_label("phone")).await.unwrap();
    world.clock.advance(IDLE / 2);
    let seen = world.clock.now();
    phone.visit(&world.manager, |_| ()).await;

    let sessions = world.manager.sessions_of("ada").await.unwrap();
    let keys = [laptop.key(&world.manager).await, phone.key(&world.manager).await];
    assert_eq!([&sessions[0].key, &sessions[1].key], [&keys[0], &keys[1]], "the latest sign-in first");
    assert_eq!(sessions.len(), 2);
    let listed = &sessions[1];
    assert_eq!(listed.label, Some(Label::new("phone").unwrap()));
    assert_eq!((listed.created_at, listed.last_seen()), (began, Some(seen)));
    assert_eq!(listed.expires_at, seen.saturating_add(IDLE));
    assert_eq!(sessions[0].label, None);
    assert!(world.manager.sessions_of("nobody").await.unwrap().is_empty());
}

/// SECURITY 13 and 12.
#[tokio::test]
async fn an_operator_ends_one_session_a_user_all_others_or_all() {
    let world = World::new();
    let (first, second, third, other) = (
        signed_in(&world, "ada").await,
        signed_in(&world, "ada").await,
        signed_in(&world, "ada").await,
        signed_in(&world, "bob").await,
    );
    let key = first.key(&world.manager).await;
    assert!(world.manager.revoke(&key).await.unwrap());
    assert!(!world.manager.revoke(&key).await.unwrap(), "it is gone");
    assert_eq!(world.manager.counts().revoked, 1);
    assert!(!is_signed_in(&world, &first).await);
    assert_eq!(count(&world.manager, "ada").await, 2);

    let session = second.begin(&world.manager).session().await.unwrap();
    assert_eq!(world.manager.revoke_others(&session).await.unwrap(), 1);
    assert!(is_signed_in(&world, &second).await && !is_signed_in(&world, &third).await);

    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 0);
    assert!(!is_signed_in(&world, &second).await);
    assert!(is_signed_in(&world, &other).await, "nobody else is touched");

    let anonymous = world.visitor(1).await;
    let session = anonymous.begin(&world.manager).session().await.unwrap();
    assert_eq!(world.manager.revoke_others(&session).await.unwrap(), 0, "nobody is signed in");
    assert!(world.manager.revoke(&session.key().unwrap()).await.unwrap(), "a session of nobody");
}

/// A request of a revoked session that is in flight stores nothing and gets no cookie.
#[tokio::test]
async fn what_is_in_flight_cannot_bring_a_revoked_session_back() {
    for owner_op in ["write", "renew", "sign_in"] {
        let world = World::new();
        let browser = signed_in(&world, "ada").await;
        let request = browser.begin(&world.manager);
        let session = request.session().await.unwrap();
        world.manager.revoke_all("ada").await.unwrap();
        match owner_op {
            "write" => session.write(|a| a.visits = 1).unwrap(),
            "renew" => session.renew().unwrap(),
            _ => session.sign_in("ada", |_| ()).unwrap(),
        }
        let actions = request.finish(200).await;
        let sessions = count(&world.manager, "ada").await;
        match owner_op {
            "write" => assert!(actions.set_cookie.is_none() && actions.failure.is_none() && sessions == 0),
            "renew" => assert_eq!((conflict(actions.failure.as_ref()), sessions), (Some(Conflict::Ended), 0)),
            // It came after: a sign-in by right.
            _ => assert!(actions.set_cookie.is_some() && sessions == 1),
        }
    }
}

/// The index is asked first, then again: whoever revokes in between ends what is about to be made.
#[tokio::test]
async fn a_sign_in_or_renewal_that_is_revoked_while_it_is_stored_ends() {
    for held in ["create", "rotate"] {
        let world = World::new();
        let browser = if held == "create" { Browser::default() } else { signed_in(&world, "ada").await };
        world.store.hold(held);
        let request = browser.begin(&world.manager);
        let session = request.session().await.unwrap();
        if held == "create" {
            session.sign_in("ada", |_| ()).unwrap();
        } else {
            session.renew().unwrap();
        }
        let finishing = tokio::spawn(request.finish(200));
        world.store.called(held).await;
        world.manager.revoke_all("ada").await.unwrap();
        world.store.let_go();
        let actions = finishing.await.unwrap();
        assert_eq!(conflict(actions.failure.as_ref()), Some(Conflict::Ended), "{held}");
        assert!(actions.set_cookie.is_none());
        assert_eq!(count(&world.manager, "ada").await, 0, "{held}");
    }
}

/// Revoked between the two steps that end it, as by a process that died: it is not carried over, and the
/// next operation of this owner deletes it.
#[tokio::test]
async fn a_session_that_is_only_revoked_goes_with_the_next_operation() {
    for operation in ["extend", "update", "renew", "list", "sign in elsewhere"] {
        let world = World::new();
        let mut browser = signed_in(&world, "ada").await;
        let key = browser.key(&world.manager).await;
        let ada = OwnerHash::of(&Owner::new("ada").unwrap());
        world.store.inner.revoke(ada, session_store::owners::Revocation::All).await.unwrap();
        assert!(is_signed_in(&world, &browser).await, "nobody has deleted it yet");
        world.clock.advance(IDLE / 2);
        match operation {
            "extend" => browser.visit(&world.manager, |_| ()).await,
            "update" => {
                browser.visit(&world.manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
            }
            "renew" => {
                let request = browser.begin(&world.manager);
                request.session().await.unwrap().renew().unwrap();
                let actions = request.finish(200).await;
                assert_eq!(conflict(actions.failure.as_ref()), Some(Conflict::Ended));
            }
            "list" => assert_eq!(count(&world.manager, "ada").await, 0),
            _ => drop(signed_in(&world, "ada").await),
        }
        assert!(world.store.record(&key).await.is_none(), "after: {operation}");
        assert!(!is_signed_in(&world, &browser).await, "after: {operation}");
    }
}

/// SECURITY 15.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_sign_ins_at_once_end_with_five_sessions() {
    for evict in [Evict::Oldest, Evict::Refuse] {
        let world = World::with(|builder| builder.max_sessions_per_owner(5, evict));
        let sign_ins: Vec<_> = (0..50).map(|_| tokio::spawn(sign_in(world.manager.clone(), "ada"))).collect();
        let (mut browsers, mut answered_well) = (Vec::new(), 0);
        for request in sign_ins {
            let (browser, failure) = request.await.unwrap();
            let outcome = conflict(failure.as_ref());
            assert!(
                matches!(outcome, None | Some(Conflict::TooManySessions | Conflict::Ended)),
                "{failure:?}"
            );
            answered_well += usize::from(failure.is_none());
            browsers.push(browser);
        }
        let mut alive = 0;
        for browser in &browsers {
            alive += usize::from(is_signed_in(&world, browser).await);
        }
        assert_eq!((alive, count(&world.manager, "ada").await), (5, 5), "{evict:?}");
        assert!(answered_well >= 5 && (evict == Evict::Oldest || answered_well == 5), "{evict:?}");
    }
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_sign_in_ends_or_the_new_one_is_refused() {
    let world = World::with(|builder| builder.max_sessions_per_owner(2, Evict::Oldest));
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(signed_in(&world, "ada").await);
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(!is_signed_in(&world, &browsers[0]).await);
    assert!(is_signed_in(&world, &browsers[1]).await && is_signed_in(&world, &browsers[2]).await);
    // A new id is no new session.
    browsers[1].visit(&world.manager, Session::renew).await.unwrap();
    browsers[2].visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    assert!(is_signed_in(&world, &browsers[1]).await && is_signed_in(&world, &browsers[2]).await);

    let strict = world.instance(|builder| builder.max_sessions_per_owner(2, Evict::Refuse));
    let (refused, failure) = sign_in(strict.clone(), "ada").await;
    assert_eq!(conflict(failure.as_ref()), Some(Conflict::TooManySessions));
    assert!(refused.cookie.is_none());
    assert_eq!(Error::from(Conflict::TooManySessions).status(), 409);
    // In a handler.
    let session = Browser::default().begin(&strict).session().await.unwrap();
    session.sign_in("ada", |_| ()).unwrap();
    let refusal = session.save().await;
    assert!(matches!(refusal, Err(Error::Conflict(Conflict::TooManySessions))));
    // A logout makes room.
    let session = browsers[1].begin(&strict).session().await.unwrap();
    session.destroy().await.unwrap();
    assert!(sign_in(strict, "ada").await.1.is_none());
}

#[tokio::test]
async fn a_limit_needs_a_number_and_an_index() {
    use session_store::{KeyRing, MemoryStore};
    let build = |sessions| {
        let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
        builder.max_sessions_per_owner(sessions, Evict::Oldest).build()
    };
    assert!(build(1).is_ok());
    assert!(matches!(build(0), Err(Error::Config(_))));
}

#[tokio::test]
async fn set_owner_names_whose_session_goes_on() {
    let world = World::new();
    let mut browser = world.visitor(3).await;
    let began = browser.begin(&world.manager).session().await.unwrap().created_at();
    world.clock.advance(Duration::from_secs(60));
    let before = browser.cookie.clone();
    browser.visit(&world.manager, |session| session.set_owner("ada")).await.unwrap();
    assert_ne!(browser.cookie, before, "a new id");

    let session = browser.begin(&world.manager).session().await.unwrap();
    assert_eq!((session.owner(), session.created_at()), (Some(Owner::new("ada").unwrap()), began));
    assert_eq!(session.read(|a| a.visits), 3);
    assert_eq!(count(&world.manager, "ada").await, 1);
    let again = browser.cookie.clone();
    browser.visit(&world.manager, |session| session.set_owner("ada")).await.unwrap();
    assert_eq!(browser.cookie, again, "nothing to do");
    let taken = session.set_owner("bob");
    assert!(matches!(taken, Err(Error::Config(_))), "{taken:?}");

    let mut newcomer = Browser::default();
    newcomer.visit(&world.manager, |session| session.set_owner("ada")).await.unwrap();
    assert_eq!(count(&world.manager, "ada").await, 2);
    // Gone meanwhile: it is not created again.
    let request = world.visitor(1).await.begin(&world.manager);
    let session = request.session().await.unwrap();
    world.manager.revoke(&session.key().unwrap()).await.unwrap();
    session.set_owner("ada").unwrap();
    assert_eq!(conflict(request.finish(200).await.failure.as_ref()), Some(Conflict::Ended));
    assert_eq!(count(&world.manager, "ada").await, 2);
}

#[tokio::test]
async fn a_session_that_changes_hands_changes_lists() {
    let world = World::new();
    let mut browser = signed_in(&world, "ada").await;
    browser.visit(&world.manager, |session| session.set_label("phone")).await.unwrap();
    browser.visit(&world.manager, |session| session.sign_in("bob", |_| ())).await.unwrap();
    assert_eq!((count(&world.manager, "ada").await, count(&world.manager, "bob").await), (0, 1));
    let ada = OwnerHash::of(&Owner::new("ada").unwrap());
    assert!(world.store.inner.list(ada, None).await.unwrap().entries.is_empty(), "nothing is left behind");
    assert_eq!(world.manager.sessions_of("bob").await.unwrap()[0].label, None, "not ada's label");
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 0);
    assert!(is_signed_in(&world, &browser).await);
}

#[tokio::test]
async fn labels_stay_and_follow() {
    let world = World::new();
    let mut browser = world.visitor(1).await;
    browser.visit(&world.manager, |session| session.set_label("phone")).await.unwrap();
    world.store.forget_calls();
    browser.visit(&world.manager, |session| session.set_label("phone")).await.unwrap();
    assert_eq!(world.store.calls(), ["load"], "it is called so already");
    browser.visit(&world.manager, |session| session.write(|a| a.visits = 2)).await.unwrap();
    browser.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    browser.visit(&world.manager, Session::renew).await.unwrap();
    let session = browser.begin(&world.manager).session().await.unwrap();
    assert_eq!(session.label().unwrap().as_str(), "phone");
    for (text, held) in
        [("x".repeat(256), 256), ("x".repeat(257), 256), (format!("x{}", "é".repeat(200)), 255)]
    {
        browser.visit(&world.manager, |session| session.set_label(&text)).await.unwrap();
        // An empty one asks for nothing.
        browser.visit(&world.manager, |session| session.set_label("")).await.unwrap();
        let session = browser.begin(&world.manager).session().await.unwrap();
        assert_eq!(session.label().unwrap().as_str(), &text[..held]);
    }

    let mut nobody = Browser::default();
    nobody.visit(&world.manager, |session| session.set_label("phone")).await.unwrap();
    assert!(nobody.cookie.is_none(), "a label alone is nothing to remember");
}

/// The price of the index: two operations for a sign-in or a renewal, one for a logout, and one before
/// an extension that moves the end by a tenth of the idle timeout.
#[tokio::test]
async fn the_index_has_its_price() {
    let world = World::new();
    let mut browser = signed_in(&world, "ada").await;
    let mut costs = Vec::new();
    for step in ["read", "write", "write", "later write", "later read", "renew", "sign in", "log out"] {
        world.store.forget_calls();
        if step.starts_with("later") {
            world.clock.advance(IDLE / 2);
        }
        let request = browser.begin(&world.manager);
        let session = request.session().await.unwrap();
        match step {
            "write" | "later write" => session.write(|a| a.visits += 1).unwrap(),
            "renew" => session.renew().unwrap(),
            "sign in" => session.sign_in("ada", |_| ()).unwrap(),
            "log out" => session.destroy().await.unwrap(),
            _ => {}
        }
        browser.receive(&request.finish(200).await);
        costs.push((step, world.store.calls().join(", ")));
    }
    let costs: Vec<_> = costs.iter().map(|(step, calls)| (*step, calls.as_str())).collect();
    assert_eq!(
        costs,
        [
            ("read", "load"),
            ("write", "load, update"),
            ("write", "load, update"),
            ("later write", "load, extend, update"),
            ("later read", "load, extend, touch"),
            ("renew", "load, enter, rotate, confirm"),
            ("sign in", "load, enter, rotate, confirm"),
            ("log out", "load, delete, remove"),
        ]
    );
}

/// Without the index nothing is created, and a session that cannot be extended there is not extended.
#[tokio::test]
async fn no_session_outlives_what_the_index_knows() {
    let world = World::new();
    let mut browser = signed_in(&world, "ada").await;
    let key = browser.key(&world.manager).await;
    let ends = world.store.record(&key).await.unwrap().expires_at;
    world.clock.advance(IDLE / 2);
    let request = browser.begin(&world.manager);
    request.session().await.unwrap();
    world.store.go_down(true);
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none(), "a touch that fails never alters the response");
    let (_, failure) = sign_in(world.manager.clone(), "ada").await;
    assert!(matches!(failure, Some(Error::Unavailable { .. })));
    world.store.go_down(false);
    assert_eq!(world.store.record(&key).await.unwrap().expires_at, ends);
    assert_eq!(count(&world.manager, "ada").await, 1);
    browser.visit(&world.manager, |_| ()).await;
    assert!(world.store.record(&key).await.unwrap().expires_at > ends);
}

/// Whoever is revoked together with many others goes by itself.
#[tokio::test]
async fn one_of_many_revoked_sessions_goes_when_it_is_used() {
    let world = World::new();
    let mut browsers = Vec::new();
    for _ in 0..300 {
        browsers.push(signed_in(&world, "ada").await);
    }
    let ada = OwnerHash::of(&Owner::new("ada").unwrap());
    world.store.inner.revoke(ada, session_store::owners::Revocation::All).await.unwrap();
    world.clock.advance(IDLE / 2);
    let last = &mut browsers[299];
    let key = last.key(&world.manager).await;
    last.visit(&world.manager, |_| ()).await;
    assert!(world.store.record(&key).await.is_none());
}

/// A sign-in that cannot be confirmed fails, and leaves no session that nobody could end.
#[tokio::test]
async fn a_sign_in_that_is_not_confirmed_leaves_nothing() {
    let world = World::new();
    world.store.hold("confirm");
    let request = Browser::default().begin(&world.manager);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    let finishing = tokio::spawn(request.finish(200));
    world.store.called("confirm").await;
    world.store.fails_once("confirm");
    world.store.let_go();
    let actions = finishing.await.unwrap();
    assert!(matches!(actions.failure, Some(Error::Unavailable { .. })) && actions.set_cookie.is_none());
    assert_eq!(count(&world.manager, "ada").await, 0);
}

async fn entries(world: &World, owner: &str) -> usize {
    world.store.inner.list(OwnerHash::of(&Owner::new(owner).unwrap()), None).await.unwrap().entries.len()
}

/// A request that extends a session after it was logged out leaves no entry that would count.
#[tokio::test]
async fn what_is_extended_too_late_leaves_no_entry() {
    for operation in ["write", "read"] {
        let world = World::with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
        let browser = signed_in(&world, "ada").await;
        let late = browser.begin(&world.manager);
        let session = late.session().await.unwrap();
        browser.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
        world.clock.advance(IDLE / 2);
        if operation == "write" {
            session.write(|a| a.visits = 1).unwrap();
        }
        // After that time, nobody can tell a logout from a new id.
        assert_eq!(late.finish(200).await.failure.is_some(), operation == "write");
        assert_eq!(entries(&world, "ada").await, 0, "{operation}");
        assert!(sign_in(world.manager.clone(), "ada").await.1.is_none(), "there is room");
    }
}

/// Ended between its being stored and its being confirmed: no cookie, and nothing left behind.
#[tokio::test]
async fn what_ends_before_it_is_confirmed_gets_no_cookie() {
    let world = World::new();
    world.store.hold("confirm");
    let first = tokio::spawn(sign_in(world.manager.clone(), "ada"));
    world.store.called("confirm").await;
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 1);
    world.store.let_go();
    let (browser, failure) = first.await.unwrap();
    assert_eq!(conflict(failure.as_ref()), Some(Conflict::Ended));
    assert!(browser.cookie.is_none());
    assert_eq!((entries(&world, "ada").await, count(&world.manager, "ada").await), (0, 0));
}

/// A session that has to go for another one ends once that is stored; a sign-in that fails ends none.
#[tokio::test]
async fn a_sign_in_that_the_store_refuses_ends_no_other_session() {
    for failing in ["enter", "create", "confirm", "rotate"] {
        let world = World::with(|builder| builder.max_sessions_per_owner(1, Evict::Oldest));
        let (first, visitor) = (signed_in(&world, "ada").await, world.visitor(1).await);
        world.clock.advance(Duration::from_secs(1));
        world.store.fails_once(failing);
        let browser = if failing == "rotate" { visitor } else { Browser::default() };
        let request = browser.begin(&world.manager);
        request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
        assert!(request.finish(200).await.failure.is_some(), "{failing}");
        assert!(is_signed_in(&world, &first).await, "{failing}");
        let second = signed_in(&world, "ada").await;
        assert!(!is_signed_in(&world, &first).await && is_signed_in(&world, &second).await, "{failing}");
    }
}

/// Whoever ended all sessions did not come to deleting them, or to all of them: the next one who signs in, or
/// lists, does it, however many they are. What was signed in since stays.
#[tokio::test]
async fn what_was_left_by_a_crash_is_deleted_by_whoever_comes_next() {
    for next in ["sign in", "list"] {
        let world = World::new();
        for _ in 0..1_500 {
            signed_in(&world, "ada").await;
        }
        let ada = OwnerHash::of(&Owner::new("ada").unwrap());
        world.store.inner.revoke(ada, session_store::owners::Revocation::All).await.unwrap();
        let expected = match next {
            "sign in" => Some(signed_in(&world, "ada").await),
            _ => {
                assert_eq!(count(&world.manager, "ada").await, 0);
                None
            }
        };
        while !world.store.inner.revoked(ada).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let left = usize::from(expected.is_some());
        assert_eq!(count(&world.manager, "ada").await, left, "{next}");
        let page = world.store.inner.scan().unwrap().page(None, 10_000).await.unwrap();
        assert_eq!(page.sessions.len(), left, "{next}");
        if let Some(browser) = expected {
            assert!(is_signed_in(&world, &browser).await);
        }
    }
}

/// When its time is up, or the store fails, the call says how far it came. No session can be used for longer.
#[tokio::test]
async fn a_revocation_that_is_not_finished_says_so_and_is_finished_later() {
    let world = World::with(|builder| builder.revoke_within(Duration::ZERO));
    for _ in 0..3 {
        signed_in(&world, "ada").await;
    }
    let outcome = world.manager.revoke_all("ada").await;
    assert!(matches!(outcome, Err(Error::Unfinished { ended: 0, source: None })), "{outcome:?}");
    assert_eq!(outcome.unwrap_err().status(), 503);
    assert_eq!(entries(&world, "ada").await, 0, "all are marked");
    let ada = OwnerHash::of(&Owner::new("ada").unwrap());
    while !world.store.inner.revoked(ada).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 0, "a task has deleted them");

    let world = World::new();
    signed_in(&world, "ada").await;
    world.store.fails_once("delete");
    let outcome = world.manager.revoke_all("ada").await;
    assert!(matches!(outcome, Err(Error::Unfinished { ended: 0, source: Some(_) })), "{outcome:?}");
    world.store.fails_once("revoke");
    let undecided = world.manager.revoke_all("ada").await;
    assert!(matches!(undecided, Err(Error::Unavailable { .. })), "{undecided:?}");
}

/// A logout that still has the id from before a renewal ends the session, of whose entry it does not know.
#[tokio::test]
async fn an_entry_without_a_session_is_in_nobodys_way() {
    let world = World::with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
    let mut browser = signed_in(&world, "ada").await;
    let before = browser.clone();
    browser.visit(&world.manager, Session::renew).await.unwrap();
    before.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    assert!(!is_signed_in(&world, &browser).await);
    assert_eq!(entries(&world, "ada").await, 1);
    world.clock.advance(Duration::from_secs(90));
    assert!(sign_in(world.manager.clone(), "ada").await.1.is_none());
    assert_eq!(entries(&world, "ada").await, 1);
}

/// What protects a session that is given a new id is its old entry: that the new one could not be confirmed
/// is no reason to lose the session.
#[tokio::test]
async fn a_renewal_that_is_not_confirmed_stands() {
    let world = World::new();
    let mut browser = signed_in(&world, "ada").await;
    world.store.fails_once("confirm");
    browser.visit(&world.manager, Session::renew).await.unwrap();
    assert!(is_signed_in(&world, &browser).await);
    // By both of its entries, at the same time.
    assert!(world.manager.revoke_all("ada").await.unwrap() >= 1);
    assert!(!is_signed_in(&world, &browser).await);
}

/// What a user typed is no fault of the server.
#[tokio::test]
async fn a_name_or_label_that_cannot_be_used_is_invalid_input() {
    let world = World::new();
    let session = Browser::default().begin(&world.manager).session().await.unwrap();
    let long = "x".repeat(257);
    for refused in [
        session.sign_in("", |_| ()),
        session.sign_in(&long, |_| ()),
        session.set_owner(""),
        world.manager.revoke_all("").await.map(drop),
        world.manager.sessions_of(&long).await.map(drop),
        world.manager.page_of("ada", Some(&Cursor::new("made up"))).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error:?}");
        assert_eq!(error.status(), 400);
        assert!(!error.to_string().contains(&long));
    }
}

#[tokio::test]
async fn a_device_knows_whether_it_is_the_current_one() {
    let world = World::new();
    let (mut phone, mut laptop) = (Browser::default(), Browser::default());
    for device in [&mut phone, &mut laptop] {
        device.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    }
    let request = phone.begin(&world.manager);
    let session = request.session().await.unwrap();
    let current = |devices: &[SessionSummary]| {
        devices
            .iter()
            .filter(|device| device.is_current(&session))
            .map(|it| it.key.clone())
            .collect::<Vec<_>>()
    };
    let devices = world.manager.sessions_of("ada").await.unwrap();
    let before = session.key().unwrap();
    assert_eq!((devices.len(), current(&devices)), (2, vec![before]));
    // The list may be older than the session's id.
    session.renew().unwrap();
    session.save().await.unwrap();
    assert_eq!(current(&devices).len(), 1);
    assert_eq!(current(&world.manager.sessions_of("ada").await.unwrap()), [session.key().unwrap()]);
}
