//! Writes of a request whose session got another id while it ran.

use std::time::Duration;

use session_store::{
    Conflict, ConflictPolicy, Error, Expiry, KeyRing, RequestSession, ResponseActions, Session,
};

use crate::world::{Account, Browser, IDLE, SECRET, World, codecs};

pub(crate) fn conflict(error: Option<&Error>) -> Option<Conflict> {
    match error {
        Some(Error::Conflict(conflict)) => Some(*conflict),
        _ => None,
    }
}

fn name(name: &str) -> impl FnOnce(&mut Account) + use<'_> {
    move |account| name.clone_into(&mut account.name)
}

/// How a request writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Write,
    Save,
    Update,
}

pub(crate) const WAYS: [Way; 3] = [Way::Write, Way::Save, Way::Update];

impl Way {
    /// Writes, and answers with what became of it.
    pub(crate) async fn put(
        self,
        request: RequestSession<Account>,
        change: impl Fn(&mut Account),
    ) -> (Result<(), Error>, ResponseActions) {
        let session = request.session().await.unwrap();
        let at_once = match self {
            Self::Write => session.write(&change),
            Self::Save => {
                session.write(&change).unwrap();
                session.save().await
            }
            Self::Update => session.update(&change).await,
        };
        let mut actions = request.finish(200).await;
        let outcome = match actions.failure.take() {
            Some(error) => at_once.and(Err(error)),
            None => at_once,
        };
        (outcome, actions)
    }
}

/// What gives the session another id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Move {
    Renew,
    FirstSignIn,
    SameSignIn,
    SetOwner,
    OtherSignIn,
}

/// A browser with a session, a request that has loaded it, and then the session under another id.
pub(crate) async fn moved(world: &World, how: Move) -> (Browser, Browser, RequestSession<Account>) {
    let mut visitor = world.visitor(3).await;
    if matches!(how, Move::SameSignIn | Move::OtherSignIn) {
        visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
    }
    let (before, late) = (visitor.clone(), visitor.begin(&world.manager));
    late.session().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let give_new_id = |session: &Session<Account>| match how {
        Move::Renew => session.renew().and_then(|()| session.write(name("Ada"))),
        Move::SetOwner => session.set_owner("ada").and_then(|()| session.write(name("Ada"))),
        Move::FirstSignIn | Move::SameSignIn => session.sign_in("ada", name("Ada")),
        Move::OtherSignIn => session.sign_in("bob", name("Bob")),
    };
    visitor.visit(&world.manager, give_new_id).await.unwrap();
    world.store.forget_calls();
    (visitor, before, late)
}

/// SECURITY 31.
#[tokio::test]
async fn a_write_follows_its_session_to_its_new_id() {
    for codec in codecs() {
        for how in [Move::Renew, Move::FirstSignIn, Move::SameSignIn, Move::SetOwner] {
            for way in WAYS {
                let world = World::with(|builder| builder.codec(codec));
                let (visitor, before, late) = moved(&world, how).await;
                let (written, actions) = way.put(late, |a| a.visits += 1).await;
                written.unwrap();
                assert!(actions.set_cookie.is_none() && !actions.no_store, "{how:?} {way:?}");
                assert_eq!(world.store.calls(), ["update", "update", "update"], "{how:?} {way:?}");

                let account = visitor.sees(&world.manager).await;
                assert_eq!((account.name.as_str(), account.visits), ("Ada", 4), "{codec:?} {how:?} {way:?}");
                assert!(before.begin(&world.manager).session().await.unwrap().is_new());
            }
        }
    }
}

#[tokio::test]
async fn a_write_does_not_follow_to_another_owner() {
    for way in WAYS {
        let world = World::new();
        let (visitor, _, late) = moved(&world, Move::OtherSignIn).await;
        let (written, actions) = way.put(late, |a| a.visits += 1).await;
        assert_eq!(conflict(written.err().as_ref()), Some(Conflict::Owner), "{way:?}");
        assert!(actions.set_cookie.is_none());
        let account = visitor.sees(&world.manager).await;
        assert_eq!((account.name.as_str(), account.visits), ("Bob", 0), "{way:?}");
    }
}

#[tokio::test]
async fn a_write_follows_one_new_id_and_not_two() {
    for way in WAYS {
        let world = World::new();
        let (mut visitor, _, late) = moved(&world, Move::Renew).await;
        visitor.visit(&world.manager, Session::renew).await.unwrap();
        let (written, actions) = way.put(late, |a| a.visits += 1).await;
        assert_eq!(conflict(written.err().as_ref()), Some(Conflict::Moved), "{way:?}");
        assert!(actions.set_cookie.is_none());
        assert_eq!(visitor.sees(&world.manager).await.visits, 3, "{way:?}");
    }
}

/// SECURITY 12.
#[tokio::test]
async fn a_write_that_follows_creates_nothing() {
    for way in WAYS {
        let world = World::new();
        let (visitor, before, late) = moved(&world, Move::Renew).await;
        let key = visitor.key(&world.manager).await;
        visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
        let (written, actions) = way.put(late, |a| a.visits += 1).await;
        assert_eq!(conflict(written.err().as_ref()), Some(Conflict::Moved), "{way:?}");
        assert!(actions.set_cookie.is_none());
        assert!(world.store.record(&key).await.is_none());
        for browser in [visitor, before] {
            assert!(browser.begin(&world.manager).session().await.unwrap().is_new());
        }
    }
}

/// SECURITY 5 and 7: whoever began with the old id sees nothing of what is stored under the new one.
#[tokio::test]
async fn a_request_that_follows_is_shown_nothing() {
    for how in [Move::Renew, Move::FirstSignIn, Move::SameSignIn] {
        for way in WAYS {
            let world = World::new();
            let (mut visitor, _, late) = moved(&world, how).await;
            visitor.visit(&world.manager, |s| s.write(|a| a.cart.push("secret".into()))).await.unwrap();
            let session = late.session().await.unwrap();
            let owner = session.owner();
            let add = |a: &mut Account| {
                assert_eq!((a.name.as_str(), a.cart.len()), ("", 0));
                a.visits += 1;
            };
            let (written, _) = way.put(late, add).await;
            written.unwrap();
            assert_eq!(session.read(|a| (a.name.clone(), a.cart.len(), a.visits)), (String::new(), 0, 4));
            assert_eq!((session.owner(), session.key()), (owner, None), "{how:?} {way:?}");
            let account = visitor.sees(&world.manager).await;
            assert_eq!((account.name.as_str(), account.cart.len(), account.visits), ("Ada", 1, 4));
        }
    }
}

/// Each of them follows again, also after the response.
#[tokio::test]
async fn a_request_that_followed_may_go_on_writing() {
    for how in [Move::Renew, Move::FirstSignIn, Move::SameSignIn] {
        let world = World::new();
        let (mut visitor, _, late) = moved(&world, how).await;
        let session = late.session().await.unwrap();
        let push = |item: &'static str| move |a: &mut Account| a.cart.push(item.to_owned());
        session.write(push("saved")).unwrap();
        session.save().await.unwrap();
        visitor.visit(&world.manager, |session| session.write(push("theirs"))).await.unwrap();
        session.update(push("updated")).await.unwrap();
        session.update(|a| a.visits += 1).await.unwrap();
        session.write(push("written")).unwrap();
        session.set_label("a late request").unwrap();
        let actions = late.finish(200).await;
        assert!(actions.failure.is_none() && actions.set_cookie.is_none(), "{:?}", actions.failure);
        session.update(push("afterwards")).await.unwrap();
        session.save().await.unwrap();

        let own = ["saved", "updated", "written", "afterwards"];
        assert_eq!(session.read(|a| a.cart.clone()), own);
        let seen = visitor.begin(&world.manager).session().await.unwrap();
        let (mut cart, visits) = seen.read(|a| (a.cart.clone(), a.visits));
        cart.retain(|item| item != "theirs");
        assert_eq!((cart, visits), (own.map(String::from).to_vec(), 4), "{how:?}");
        assert_eq!(seen.read(|a| a.cart.len()), 5);
        assert_eq!(seen.label().unwrap().as_str(), "a late request");
    }
}

/// A browser's second cookie, signed by a key that retires, would push out the one of the new id.
#[tokio::test]
async fn no_cookie_of_the_old_id_goes_out() {
    let rotated = KeyRing::parse(&format!("{},{SECRET}", SECRET.replace("secret", "newer key"))).unwrap();
    for way in WAYS {
        let world = World::new();
        let mut visitor = world.visitor(3).await;
        let instance = world.instance_with(rotated.clone(), |builder| builder);
        let late = visitor.begin(&instance);
        late.session().await.unwrap().set_expiry(Expiry::idle(IDLE)).unwrap();
        visitor.visit(&world.manager, Session::renew).await.unwrap();
        let (written, actions) = way.put(late, |a| a.visits += 1).await;
        written.unwrap();
        assert!(actions.set_cookie.is_none() && !actions.no_store, "{way:?}");
        assert_eq!(visitor.sees(&world.manager).await.visits, 4, "{way:?}");
    }
}

/// The marker names the session for a deletion, and for nothing else but writes.
#[tokio::test]
async fn what_does_not_follow() {
    let world = World::new();
    let (visitor, _, late) = moved(&world, Move::SameSignIn).await;
    let session = late.session().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    session.renew().unwrap();
    let actions = late.finish(200).await;
    assert_eq!(conflict(actions.failure.as_ref()), Some(Conflict::Moved));
    assert!(actions.set_cookie.is_none());
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);

    // A sign-in gets a session of its own, and nothing of what somebody left behind.
    let (visitor, _, late) = moved(&world, Move::SameSignIn).await;
    let mut other = Browser::default();
    let session = late.session().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    session.sign_in("bob", |a| a.cart.push("tea".into())).unwrap();
    other.receive(&late.finish(200).await);
    assert_eq!(other.sees(&world.manager).await, Account { cart: vec!["tea".into()], ..Account::default() });
    assert_eq!(visitor.sees(&world.manager).await.name, "Ada");

    // A request that comes with the old id when there is a new one has nothing to follow for.
    let (visitor, before, _) = moved(&world, Move::FirstSignIn).await;
    for way in WAYS {
        let (written, actions) = way.put(before.begin(&world.manager), |a| a.visits = 9).await;
        assert_eq!(conflict(written.err().as_ref()), Some(Conflict::Moved), "{way:?}");
        assert!(actions.set_cookie.is_none());
    }
    assert_eq!(visitor.sees(&world.manager).await.visits, 3);

    let (visitor, _, late) = moved(&world, Move::FirstSignIn).await;
    let session = late.session().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    session.reload().await.unwrap();
    assert_eq!(session.read(Account::clone), Account::default());
    assert!(matches!(session.update(|a| a.visits = 9).await, Err(Error::Conflict(Conflict::Moved))));
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

#[tokio::test]
async fn a_logout_of_a_request_that_followed_ends_the_session() {
    let world = World::new();
    let (visitor, _, late) = moved(&world, Move::FirstSignIn).await;
    let session = late.session().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    session.destroy().await.unwrap();
    assert!(late.finish(200).await.set_cookie.unwrap().contains("Max-Age=0"));
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
}

#[tokio::test]
async fn a_failed_request_that_followed_drops_what_it_wrote_since() {
    let world = World::new();
    let (visitor, _, late) = moved(&world, Move::Renew).await;
    let session = late.session().await.unwrap();
    session.update(|a| a.visits += 1).await.unwrap();
    session.write(|a| a.visits = 9).unwrap();
    let actions = late.finish(500).await;
    assert!(actions.failure.is_none() && actions.set_cookie.is_none());
    assert_eq!(session.read(|a| a.visits), 4);
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

/// It counts as the earlier of two.
#[tokio::test]
async fn what_was_stored_since_the_new_id_stands() {
    for how in [Move::Renew, Move::FirstSignIn] {
        let world = World::new();
        let (visitor, _, late) = moved(&world, how).await;
        let (written, _) = Way::Write.put(late, |a| a.name = "late".into()).await;
        written.unwrap();
        assert_eq!(visitor.sees(&world.manager).await.name, "Ada", "{how:?}");

        let (mut visitor, _, late) = moved(&world, how).await;
        visitor.visit(&world.manager, |s| s.write(|a| a.cart.push("theirs".into()))).await.unwrap();
        let (written, _) = Way::Write.put(late, |a| a.cart.push("late".into())).await;
        written.unwrap();
        assert_eq!(visitor.sees(&world.manager).await.cart, ["late", "theirs"], "{how:?}");
    }
}

/// An update may have counted: giving way would lose its count, and standing would lose the other's.
#[tokio::test]
async fn two_updates_of_one_field_are_not_merged() {
    for how in [Move::Renew, Move::FirstSignIn] {
        let world = World::new();
        let (visitor, _, late) = moved(&world, how).await;
        let other = visitor.begin(&world.manager);
        other.session().await.unwrap().update(|a| a.visits += 1).await.unwrap();
        let session = late.session().await.unwrap();
        let refused = session.update(|a| a.visits += 1).await;
        assert_eq!(conflict(refused.err().as_ref()), Some(Conflict::Fields), "{how:?}");
        session.update(|a| a.cart.push("tea".into())).await.unwrap();
        let account = visitor.sees(&world.manager).await;
        assert_eq!((account.visits, account.cart.len()), (4, 1), "{how:?}");
    }
}

#[tokio::test]
async fn the_policy_decides_on_what_follows() {
    for way in WAYS {
        let world = World::with(|builder| builder.on_conflict(ConflictPolicy::Reject));
        let (visitor, _, late) = moved(&world, Move::Renew).await;
        let (written, _) = way.put(late, |a| a.visits += 1).await;
        assert_eq!(conflict(written.err().as_ref()), Some(Conflict::Fields), "{way:?}");
        assert_eq!(visitor.sees(&world.manager).await.visits, 3);

        // A new id alone is no change of the data.
        let mut visitor = world.visitor(3).await;
        let late = visitor.begin(&world.manager);
        late.session().await.unwrap();
        visitor.visit(&world.manager, Session::renew).await.unwrap();
        way.put(late, |a| a.visits += 1).await.0.unwrap();
        assert_eq!(visitor.sees(&world.manager).await.visits, 4);

        let world = World::with(|builder| {
            builder.on_conflict(ConflictPolicy::with(|base: &Account, ours: &Account, theirs: &Account| {
                Some(Account { visits: theirs.visits + ours.visits - base.visits, ..theirs.clone() })
            }))
        });
        let (mut visitor, _, late) = moved(&world, Move::Renew).await;
        visitor.visit(&world.manager, |session| session.write(|a| a.visits += 100)).await.unwrap();
        way.put(late, |a| a.visits += 10).await.0.unwrap();
        let account = visitor.sees(&world.manager).await;
        assert_eq!((account.name.as_str(), account.visits), ("Ada", 113), "{way:?}");
    }
}

#[tokio::test]
async fn a_label_follows_unless_there_is_a_later_one() {
    for how in [Move::Renew, Move::FirstSignIn, Move::SameSignIn] {
        for later in [None, Some("later")] {
            let world = World::new();
            let (mut visitor, _, late) = moved(&world, how).await;
            if let Some(later) = later {
                visitor.visit(&world.manager, |session| session.set_label(later)).await.unwrap();
            }
            late.session().await.unwrap().set_label("late").unwrap();
            assert!(late.finish(200).await.failure.is_none());
            let session = visitor.begin(&world.manager).session().await.unwrap();
            assert_eq!(session.label().unwrap().as_str(), later.unwrap_or("late"), "{how:?}");
            assert_eq!(session.read(|a| a.name.clone()), "Ada");
        }
    }
}
