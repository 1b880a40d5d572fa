//! What each operation tells.

use std::time::Duration;

use session_store::owners::{Entry, Revocation};
use session_store::{
    AuthMethod, ConflictPolicy, Error, EventDetail, EventKind, Evict, KeyRing, Label, MemoryStore, Owner,
    OwnerHash, Payload, RevokedBy, Session, SessionManager, SessionManagerBuilder, SessionStore as _,
};

use crate::told::{Told, name};
use crate::world::{ABSOLUTE, Account, Browser, IDLE, World};

const NOTHING: [&str; 0] = [];

type Handler = fn(&Session<Account>) -> Result<(), Error>;

fn listening() -> (World, Told) {
    listening_with(|builder| builder)
}

fn listening_with(
    settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
) -> (World, Told) {
    let told = Told::default();
    (World::with(|builder| settings(told.listen(builder))), told)
}

async fn sign_in(world: &World, owner: &str) -> Browser {
    let mut browser = Browser::default();
    browser.visit(&world.manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
    browser
}

#[tokio::test]
async fn a_visitor_is_nobody_to_tell_of() {
    let (world, told) = listening();
    let mut visitor = world.visitor(3).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();
    world.clock.advance(IDLE / 2);
    visitor.visit(&world.manager, |session| session.set_label("a phone")).await.unwrap();
    visitor.begin(&world.manager).session().await.unwrap().update(|a| a.visits += 1).await.unwrap();
    assert_eq!(told.names(&world.manager).await, NOTHING);
}

#[tokio::test]
async fn a_sign_in_tells_who_where_and_when() {
    let (world, told) = listening();
    let mut visitor = world.visitor(3).await;
    let visitors_key = visitor.key(&world.manager).await;
    world.clock.advance(Duration::from_secs(60));
    let sign_in = |session: &Session<Account>| {
        session.sign_in("ada", |_| ())?;
        session.confirm([AuthMethod::Password])?;
        session.set_label("Firefox on Linux")
    };
    visitor.visit(&world.manager, sign_in).await.unwrap();
    let key = visitor.key(&world.manager).await;

    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!(event.kind, EventKind::SignedIn);
    assert_eq!((event.session, event.previous), (Some(key.clone()), Some(visitors_key)));
    let record = world.store.record(&key).await.unwrap();
    assert_eq!((event.at, event.began), (record.created_at, Some(record.created_at)));
    assert_eq!((event.owner, event.label), (record.owner, record.label));
    assert!(key.to_string().len() < key.storage_name().len());
}

#[tokio::test]
async fn a_session_is_followed_from_key_to_key_until_its_end() {
    let (world, told) = listening();
    let mut ada = sign_in(&world, "ada").await;
    let began = told.take(&world.manager).await[0].began;
    world.clock.advance(Duration::from_secs(60));
    let handlers: [(Handler, &str); 3] = [
        (Session::renew, "renewed"),
        (|session| session.confirm([AuthMethod::Otp]), "confirmed"),
        (
            |session| {
                session.renew()?;
                session.confirm([AuthMethod::Otp])
            },
            "confirmed",
        ),
    ];
    for (handler, expected) in handlers {
        let previous = ada.key(&world.manager).await;
        ada.visit(&world.manager, handler).await.unwrap();
        let key = ada.key(&world.manager).await;
        let [event] = told.take(&world.manager).await.try_into().unwrap();
        assert_eq!((event.kind.name(), event.began), (expected, began));
        assert_eq!((event.session, event.previous), (Some(key), Some(previous)));
        assert_eq!(event.owner.unwrap().as_str(), "ada");
    }
    let key = ada.key(&world.manager).await;
    ada.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::SignedOut, Some(key)));
    assert_eq!((event.began, event.owner.unwrap().as_str()), (began, "ada"));
    assert_eq!(event.at.saturating_since(began.unwrap()), Duration::from_secs(60));
}

#[tokio::test]
async fn who_signs_in_over_a_session_replaces_it() {
    for (owner, data_stays) in [("ada", true), ("bob", false)] {
        let (world, told) = listening();
        let mut browser = Browser::default();
        let first = |session: &Session<Account>| {
            session.set_label("a phone").unwrap();
            session.sign_in("ada", |a| a.visits = 7)
        };
        browser.visit(&world.manager, first).await.unwrap();
        let key = browser.key(&world.manager).await;
        told.take(&world.manager).await;

        browser.visit(&world.manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
        assert_eq!(browser.sees(&world.manager).await.visits == 7, data_stays);
        let [replaced, signed_in] = told.take(&world.manager).await.try_into().unwrap();
        assert_eq!((replaced.kind, replaced.session), (EventKind::Replaced, Some(key.clone())));
        assert_eq!(replaced.owner.unwrap().as_str(), "ada");
        assert_eq!(replaced.label.unwrap().as_str(), "a phone");
        assert_eq!((signed_in.kind, signed_in.previous), (EventKind::SignedIn, Some(key)));
        assert_eq!(signed_in.owner.unwrap().as_str(), owner);
    }
}

#[tokio::test]
async fn an_owner_who_signed_in_elsewhere_is_named() {
    let (world, told) = listening();
    let mut visitor = world.visitor(3).await;
    visitor.visit(&world.manager, |session| session.set_owner("ada")).await.unwrap();
    // It is known by now.
    visitor.visit(&world.manager, |session| session.set_owner("ada")).await.unwrap();
    let mut other = Browser::default();
    other.visit(&world.manager, |session| session.set_owner("bob")).await.unwrap();
    assert_eq!(told.names(&world.manager).await, ["owner_named", "owner_named"]);
}

#[tokio::test]
async fn a_logout_of_nothing_tells_nothing() {
    let (world, told) = listening();
    let ada = sign_in(&world, "ada").await;
    told.take(&world.manager).await;
    for expected in [&["signed_out"][..], &[], &[]] {
        let request = ada.begin(&world.manager);
        request.session().await.unwrap().destroy().await.unwrap();
        let _ = request.finish(200).await;
        assert_eq!(told.names(&world.manager).await, expected);
    }
    assert_eq!(world.manager.counts().destroyed, 1);
}

/// A browser may hold the cookies of two sessions.
#[tokio::test]
async fn a_logout_ends_and_tells_of_all_sessions_of_its_browser() {
    let (world, told) = listening();
    let (ada, bob) = (sign_in(&world, "ada").await, sign_in(&world, "bob").await);
    told.take(&world.manager).await;
    let both = Browser::with_cookies_of(&[&ada, &bob]);
    let keys = [ada.key(&world.manager).await, bob.key(&world.manager).await];
    both.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let events = told.take(&world.manager).await;
    assert!(events.iter().all(|event| event.kind == EventKind::SignedOut));
    assert!(events.iter().map(|event| event.session.clone().unwrap()).eq(keys));
    // The other one was not read.
    assert_eq!((events[0].owner.is_some(), events[1].owner.is_some()), (true, false));
}

#[tokio::test]
async fn revocations_tell_what_ended_each_session() {
    let (world, told) = listening();
    let (ada, _, _) =
        (sign_in(&world, "ada").await, sign_in(&world, "ada").await, sign_in(&world, "ada").await);
    let _bob = sign_in(&world, "bob").await;
    let session = ada.begin(&world.manager).session().await.unwrap();
    told.take(&world.manager).await;

    let sessions = world.manager.sessions_of("ada").await.unwrap();
    let other = sessions.iter().find(|other| !other.is_current(&session)).unwrap();
    world.store.overwrite(&other.key, |record| record.label = Label::truncated("a phone")).await;
    assert!(world.manager.revoke(&other.key).await.unwrap());
    assert!(!world.manager.revoke(&other.key).await.unwrap());
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!(event.kind, EventKind::Revoked { by: RevokedBy::One });
    assert_eq!(event.label.unwrap().as_str(), "a phone");
    assert_eq!((event.session.as_ref(), event.began), (Some(&other.key), Some(other.created_at)));
    assert_eq!(event.owner.unwrap().as_str(), "ada");

    assert_eq!(world.manager.revoke_others(&session).await.unwrap(), 1);
    assert_eq!(told.names(&world.manager).await, ["revoked by others"]);
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 0);
    assert_eq!(told.names(&world.manager).await, ["revoked by all"]);
}

#[tokio::test]
async fn the_end_of_everybody_is_told_of_each() {
    let told = Told::default();
    let builder = SessionManager::<Account>::builder(MemoryStore::new(), KeyRing::generate());
    let manager = told.listen(builder).build().unwrap();
    for owner in [Some("ada"), Some("bob"), None] {
        let session = manager.begin(None).session().await.unwrap();
        match owner {
            Some(owner) => session.sign_in(owner, |_| ()).unwrap(),
            None => session.write(|a| a.visits = 1).unwrap(),
        }
        session.start().await.unwrap();
    }
    told.take(&manager).await;
    assert_eq!(manager.revoke_everyone().await.unwrap(), 3);
    let mut events = told.take(&manager).await;
    assert!(events.iter().all(|event| event.kind == EventKind::Revoked { by: RevokedBy::Everyone }));
    assert!(events.iter().all(|event| event.began.is_some()));
    events.sort_by_key(|event| event.owner.clone());
    let owners = events.iter().map(|event| event.owner.as_ref().map(Owner::as_str));
    assert!(owners.eq([None, Some("ada"), Some("bob")]));

    // Also of those that only a scan finds.
    let session = manager.begin(None).session().await.unwrap();
    session.sign_in("ada", |_| ()).unwrap();
    session.save().await.unwrap();
    assert_eq!(manager.revoke_all_thoroughly("ada").await.unwrap(), 1);
    assert_eq!(told.names(&manager).await, ["signed_in", "revoked by all"]);
}

#[tokio::test]
async fn a_sign_in_too_many_evicts_or_is_refused() {
    let (world, told) = listening_with(|builder| builder.max_sessions_per_owner(1, Evict::Oldest));
    let phone = sign_in(&world, "ada").await.key(&world.manager).await;
    world.clock.advance(Duration::from_secs(60));
    told.take(&world.manager).await;
    let laptop = sign_in(&world, "ada").await.key(&world.manager).await;
    let [evicted, signed_in] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((evicted.kind, evicted.session), (EventKind::Evicted, Some(phone)));
    assert_eq!(evicted.at.saturating_since(evicted.began.unwrap()), Duration::from_secs(60));
    assert_eq!((signed_in.kind, signed_in.session), (EventKind::SignedIn, Some(laptop)));

    let (world, told) = listening_with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
    sign_in(&world, "ada").await;
    told.take(&world.manager).await;
    let request = Browser::default().begin(&world.manager);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    assert!(request.finish(200).await.failure.is_some());
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::SignInRefused, None));
    assert_eq!(event.owner.unwrap().as_str(), "ada");
}

/// The store keeps it, as its clock is another one.
#[tokio::test]
async fn who_comes_too_late_is_told_once() {
    let (world, told) = listening();
    let ada = sign_in(&world, "ada").await;
    let key = ada.key(&world.manager).await;
    let began = told.take(&world.manager).await[0].began;
    world.clock.advance(2 * IDLE);
    for _ in 0..3 {
        assert!(ada.begin(&world.manager).session().await.unwrap().is_new());
    }
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session, event.began), (EventKind::Expired, Some(key), began));
    assert_eq!(event.owner.unwrap().as_str(), "ada");
    // Nor is it ended once more.
    ada.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    assert_eq!(told.names(&world.manager).await, NOTHING);
    assert_eq!((world.manager.counts().expired, world.manager.counts().destroyed), (1, 0));
}

#[tokio::test]
async fn a_session_that_ends_under_a_request_is_told_once() {
    let (world, told) = listening();
    let ada = sign_in(&world, "ada").await;
    let requests = [ada.begin(&world.manager), ada.begin(&world.manager)];
    for request in &requests {
        request.session().await.unwrap().write(|a| a.visits += 1).unwrap();
    }
    world.clock.advance(ABSOLUTE);
    told.take(&world.manager).await;
    for request in requests {
        let _ = request.finish(200).await;
    }
    assert_eq!(told.names(&world.manager).await, ["expired", "conflict"]);
}

#[tokio::test]
async fn what_an_attacker_tries_is_told_once_a_request() {
    let (world, told) = listening();
    world.manager.begin(Some("id=forged; id=forged.too; theme=dark"));
    let mut ada = sign_in(&world, "ada").await;
    let before = ada.clone();
    let old_key = before.key(&world.manager).await;
    ada.visit(&world.manager, Session::renew).await.unwrap();
    told.take(&world.manager).await.drain(..1).for_each(|event| {
        assert_eq!((event.kind, event.session, event.owner), (EventKind::Forged, None, None));
    });

    let request = before.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.reload().await.unwrap();
    let _ = request.finish(200).await;
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::OldIdUsed, Some(old_key)));
    assert_eq!(world.manager.counts().old_id_used, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let (world, told) = listening();
    let ada = sign_in(&world, "ada").await;
    let key = ada.key(&world.manager).await;
    told.take(&world.manager).await;
    world.store.overwrite(&key, |record| record.data = Payload::new(1, "no JSON")).await;
    ada.begin(&world.manager).session().await.unwrap();
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::Unreadable, Some(key)));
}

#[tokio::test]
async fn a_contradiction_is_told_of_who_lost() {
    let (world, told) = listening_with(|builder| builder.on_conflict(ConflictPolicy::Reject));
    let ada = sign_in(&world, "ada").await;
    let key = ada.key(&world.manager).await;
    told.take(&world.manager).await;
    let requests = [ada.begin(&world.manager), ada.begin(&world.manager)];
    for request in &requests {
        request.session().await.unwrap().write(|a| a.visits += 1).unwrap();
    }
    for request in requests {
        let _ = request.finish(200).await;
    }
    let [event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::Conflict, Some(key.clone())));
    assert_eq!(event.owner.unwrap().as_str(), "ada");

    // In an `update`, too.
    let session = ada.begin(&world.manager).session().await.unwrap();
    world.manager.revoke(&key).await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap_err();
    let [revoked, event] = told.take(&world.manager).await.try_into().unwrap();
    assert_eq!(revoked.kind, EventKind::Revoked { by: RevokedBy::One });
    assert_eq!((event.kind, event.session), (EventKind::Conflict, Some(key)));
}

#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    let (world, told) = listening();
    let ada = sign_in(&world, "ada").await;
    told.take(&world.manager).await;
    for (status, call) in [(500, None), (408, None), (200, Some("create")), (200, Some("confirm"))] {
        let request = Browser::default().begin(&world.manager);
        request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
        call.inspect(|call| world.store.fails_once(call));
        let actions = request.finish(status).await;
        assert!(actions.set_cookie.is_none());
        assert_eq!(told.names(&world.manager).await, NOTHING, "{status} {call:?}");
    }
    for (status, call) in [(503, None), (200, Some("rotate"))] {
        let request = ada.begin(&world.manager);
        request.session().await.unwrap().renew().unwrap();
        call.inspect(|call| world.store.fails_once(call));
        let _ = request.finish(status).await;
        assert_eq!(told.names(&world.manager).await, NOTHING, "{status} {call:?}");
    }
    let session = ada.begin(&world.manager).session().await.unwrap();
    world.store.fails_once("delete");
    session.destroy().await.unwrap_err();
    assert_eq!(told.names(&world.manager).await, NOTHING);
    // The second attempt has its effect.
    session.destroy().await.unwrap();
    assert_eq!(told.names(&world.manager).await, ["signed_out"]);
}

/// It is stored, and the response brings the cookie.
#[tokio::test]
async fn what_was_saved_before_the_handler_failed_is_told() {
    let (world, told) = listening();
    let request = Browser::default().begin(&world.manager);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |_| ()).unwrap();
    session.save().await.unwrap();
    assert!(request.finish(500).await.set_cookie.is_some());
    assert_eq!(told.names(&world.manager).await, ["signed_in"]);
}

#[tokio::test]
async fn a_sign_in_that_is_merged_is_told_once() {
    let (world, told) = listening();
    let visitor = world.visitor(3).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().sign_in("ada", |a| a.cart.push("tea".to_owned())).unwrap();
    for _ in 0..3 {
        visitor.clone().visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();
    }
    world.store.forget_calls();
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(world.store.calls().iter().filter(|call| **call == "rotate").count(), 2);
    assert_eq!(told.names(&world.manager).await, ["signed_in"]);
}

/// The store breaks the first deletion off, and the rest is done in the background.
#[tokio::test]
async fn what_goes_on_in_the_background_is_told_as_what_it_goes_on_with() {
    let (world, told) = listening();
    let key = sign_in(&world, "ada").await.key(&world.manager).await;
    told.take(&world.manager).await;
    world.store.fails_once("delete");
    world.manager.revoke_all("ada").await.unwrap_err();
    while world.store.record(&key).await.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told.names(&world.manager).await, ["revoked by all"]);
}

/// An instance died between marking a session and deleting it.
#[tokio::test]
async fn what_was_left_behind_is_told_by_who_ends_it() {
    let (world, told) = listening();
    for ends_by_renewing in [false, true] {
        let mut ada = sign_in(&world, "ada").await;
        let key = ada.key(&world.manager).await;
        told.take(&world.manager).await;
        let entry = Entry::of(key.clone(), &world.store.record(&key).await.unwrap());
        let index = world.store.inner.owners().unwrap();
        index.revoke(OwnerHash::of(&Owner::new("ada").unwrap()), Revocation::One(&entry)).await.unwrap();
        if ends_by_renewing {
            let request = ada.begin(&world.manager);
            request.session().await.unwrap().renew().unwrap();
            assert!(request.finish(200).await.failure.is_some());
        } else {
            world.manager.sessions_of("ada").await.unwrap();
        }
        let events = told.take(&world.manager).await;
        assert_eq!(events[0].kind, EventKind::Revoked { by: RevokedBy::Earlier });
        assert_eq!((events[0].session.as_ref(), events[0].began), (Some(&key), Some(entry.created_at)));
        let rest: Vec<_> = events[1..].iter().map(name).collect();
        assert_eq!(rest, if ends_by_renewing { &["conflict"][..] } else { &[] });
        assert!(ada.visit(&world.manager, Session::is_new).await);
        assert_eq!(told.names(&world.manager).await, NOTHING);
    }
}

#[tokio::test]
async fn listeners_hear_of_people_what_they_ask_for() {
    let (nothing, owner, label) = (Told::default(), Told::default(), Told::default());
    let world = World::with(|builder| {
        let builder = nothing.listen_to(EventDetail::new(), builder);
        let builder = owner.listen_to(EventDetail::new().owner(), builder);
        label.listen_to(EventDetail::new().label(), builder)
    });
    let sign_in = |session: &Session<Account>| {
        session.set_label("a phone")?;
        session.sign_in("ada", |_| ())
    };
    Browser::default().visit(&world.manager, sign_in).await.unwrap();
    for (told, expected) in
        [(nothing, (None, None)), (owner, (Some("ada"), None)), (label, (None, Some("a phone")))]
    {
        let [event] = told.take(&world.manager).await.try_into().unwrap();
        let told = (event.owner.as_ref().map(Owner::as_str), event.label.as_ref().map(Label::as_str));
        assert_eq!(told, expected);
        let shown = format!("{event:?}");
        assert!(!shown.contains("ada") && !shown.contains("phone"), "{shown}");
    }
}

/// The page of the documentation has a row for each.
#[test]
fn no_kind_of_event_is_missing_from_the_page() {
    let source = include_str!("../../src/telemetry/session_events.rs");
    let (_, kinds) = source.split_once("\nkinds! {").unwrap();
    let (kinds, _) = kinds.split_once("\n}").unwrap();
    let kinds: Vec<_> =
        kinds.lines().filter_map(|line| line.trim().strip_suffix("\",")?.rsplit('"').next()).collect();
    assert!(kinds.len() > 10 && kinds.contains(&"signed_in"), "{kinds:?}");
    let page = include_str!("../../docs/events.md");
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ").map(|(kind, _)| kind));
    let rows: Vec<_> = rows.filter(|kind| !kind.contains('`') && *kind != "event").collect();
    assert_eq!(rows, kinds);
}
