//! When a session ends whose id changed while a request ran, and what becomes of writes after that.

use std::time::Duration;

use session_store::owners::{Entry, OwnerIndex as _};
use session_store::{
    Conflict, Expiry, Moved, OwnerHash, Session, SessionId, SessionKey, SessionStore as _, Ttl,
};

use crate::following::{Move, WAYS, Way, conflict, moved};
use crate::world::{Account, Browser, IDLE, World};

/// The key that a browser's cookie names, whatever is stored there.
fn key_of(browser: &Browser) -> SessionKey {
    let (_, value) = browser.cookie.as_deref().unwrap().split_once('=').unwrap();
    SessionId::parse(value.split_once('.').unwrap().0).unwrap().key()
}

/// SECURITY 9: only a request under the new id puts the session's end off.
#[tokio::test]
async fn a_write_that_follows_moves_no_end() {
    let world = World::new();
    let (visitor, _, late) = moved(&world, Move::SameSignIn).await;
    let key = visitor.key(&world.manager).await;
    let before = world.store.record(&key).await.unwrap();
    world.clock.advance(Duration::from_secs(50));
    Way::Write.put(late, |a| a.visits += 1).await.0.unwrap();
    let after = world.store.record(&key).await.unwrap();
    assert_eq!(after.expires_at, before.expires_at);
    assert_eq!((after.created_at, &after.owner), (before.created_at, &before.owner));
    assert_eq!(after.absolute_deadline, before.absolute_deadline);
    // The index of owners has the session once, under its new id.
    let owned = world.store.inner.list(OwnerHash::of(before.owner.as_ref().unwrap()), None).await.unwrap();
    assert_eq!(owned.entries, [Entry::of(key, &before)]);
}

/// It counts as having come before: a renewal keeps it, a sign-in drops it, and a later one replaces it.
#[tokio::test]
async fn an_expiry_follows_a_renewal_and_no_sign_in() {
    let month = Expiry::idle(IDLE * 30);
    for (how, follows) in
        [(Move::Renew, true), (Move::FirstSignIn, false), (Move::SameSignIn, false), (Move::SetOwner, false)]
    {
        let world = World::new();
        let (mut visitor, _, late) = moved(&world, how).await;
        late.session().await.unwrap().set_expiry(month).unwrap();
        let actions = late.finish(200).await;
        assert!(actions.failure.is_none() && actions.set_cookie.is_none());
        let record = world.store.record(&visitor.key(&world.manager).await).await.unwrap();
        assert_eq!(record.own_expiry, follows, "{how:?}");
        // The next request puts the end off.
        world.clock.advance(IDLE / 2);
        visitor.visit(&world.manager, |_| ()).await;
        world.clock.advance(IDLE);
        assert_eq!(visitor.sees(&world.manager).await.visits == 3, follows, "{how:?}");
    }

    // A shorter one holds at once.
    let world = World::new();
    let (visitor, _, late) = moved(&world, Move::Renew).await;
    late.session().await.unwrap().set_expiry(Expiry::idle(IDLE / 10)).unwrap();
    assert!(late.finish(200).await.failure.is_none());
    world.clock.advance(IDLE / 10);
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());

    let world = World::new();
    let mut visitor = world.visitor(3).await;
    let late = visitor.begin(&world.manager);
    late.session().await.unwrap().set_expiry(month).unwrap();
    let sets_another = |session: &Session<Account>| {
        session.renew().unwrap();
        session.set_expiry(Expiry::idle(IDLE * 2)).unwrap();
    };
    visitor.visit(&world.manager, sets_another).await;
    assert!(late.finish(200).await.failure.is_none());
    let record = world.store.record(&visitor.key(&world.manager).await).await.unwrap();
    assert_eq!(record.idle_timeout, Some(IDLE * 2));
}

/// A write counts as having come before a logout; but after a minute, the session may have got a new id
/// and there is nothing left that says so.
#[tokio::test]
async fn a_write_to_a_session_that_is_gone_is_refused_where_that_may_be_a_new_id() {
    let short = Moved::MAX_LIFE / 2;
    for (idle, after, refused) in [
        (IDLE, Duration::ZERO, false),
        (IDLE, Moved::MAX_LIFE - Duration::from_millis(1), false),
        (IDLE, Moved::MAX_LIFE, true),
        (short, short - Duration::from_millis(1), false),
        (short, short, true),
    ] {
        for stored_before in [false, true] {
            let world = World::with(|builder| builder.expiry(Expiry::idle(idle)));
            let visitor = world.visitor(3).await;
            let late = visitor.begin(&world.manager);
            let session = late.session().await.unwrap();
            if stored_before {
                // What it stores itself is a proof that the session has its id still.
                world.clock.advance(idle.min(Moved::MAX_LIFE) / 2);
                session.update(|a| a.visits += 1).await.unwrap();
            }
            visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
            world.clock.advance(after);
            session.write(|a| a.visits = 9).unwrap();
            let actions = late.finish(200).await;
            assert!(actions.set_cookie.is_none());
            let expected = refused.then_some(Conflict::Ended);
            assert_eq!(conflict(actions.failure.as_ref()), expected, "{idle:?} {after:?}");
        }
    }
}

/// The marker of a new id is gone after a minute: a write that comes later might miss it in silence.
#[tokio::test]
async fn a_write_is_refused_where_nothing_tells_any_more_that_there_is_a_new_id() {
    for way in WAYS {
        for followed_before in [false, true] {
            let world = World::new();
            let (visitor, before, late) = moved(&world, Move::Renew).await;
            let session = late.session().await.unwrap();
            if followed_before {
                session.update(|a| a.cart.push("tea".into())).await.unwrap();
            }
            let key = visitor.key(&world.manager).await;
            let kept = world.store.record(&key).await.unwrap();
            world.store.inner.delete(&key_of(&before)).await.unwrap();
            world.store.inner.create(&key, &kept, Ttl::new(IDLE)).await.unwrap();
            world.clock.advance(Moved::MAX_LIFE);

            let (written, actions) = way.put(late, |a| a.visits += 1).await;
            assert_eq!(written.unwrap_err().status(), 409, "{way:?}");
            assert!(actions.set_cookie.is_none());
            assert_eq!(world.store.record(&key).await, Some(kept), "{way:?}");
        }
    }
}

/// A sign-in starts the absolute timeout again; a request that began before it knows the older one.
#[tokio::test]
async fn a_request_beyond_its_absolute_timeout_ends_no_session_that_was_signed_in_since() {
    for how in [Move::FirstSignIn, Move::SameSignIn, Move::OtherSignIn] {
        for writes in [false, true] {
            let world = World::with(|builder| builder.expiry(Expiry::idle(IDLE).absolute(IDLE)));
            let mut visitor = world.visitor(3).await;
            if how != Move::FirstSignIn {
                visitor.visit(&world.manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
            }
            let late = visitor.begin(&world.manager);
            let session = late.session().await.unwrap();
            world.clock.advance(IDLE - Duration::from_secs(1));
            let owner = if how == Move::OtherSignIn { "bob" } else { "ada" };
            visitor.visit(&world.manager, |session| session.sign_in(owner, |a| a.visits = 3)).await.unwrap();
            world.clock.advance(Duration::from_secs(2));
            if writes {
                session.write(|a| a.cart.push("tea".into())).unwrap();
            }
            let actions = late.finish(200).await;
            assert!(actions.set_cookie.is_none());
            let refused = (writes && how == Move::OtherSignIn).then_some(Conflict::Owner);
            assert_eq!(conflict(actions.failure.as_ref()), refused, "{how:?}");
            let account = visitor.sees(&world.manager).await;
            assert_eq!(account.visits, 3, "{how:?}: the session goes on");
            assert_eq!(account.cart.is_empty(), !writes || refused.is_some(), "{how:?}");
        }
    }
}

#[tokio::test]
async fn what_is_written_after_reloading_a_session_that_moved_is_refused() {
    for reloads in [1, 2] {
        let world = World::new();
        let (_, before, late) = moved(&world, Move::Renew).await;
        let session = late.session().await.unwrap();
        for reload in 0..reloads {
            if reload + 1 == reloads {
                world.store.inner.delete(&key_of(&before)).await.unwrap();
                world.clock.advance(Moved::MAX_LIFE);
            }
            session.reload().await.unwrap();
        }
        session.write(|a| a.visits = 9).unwrap();
        let actions = late.finish(200).await;
        assert_eq!(conflict(actions.failure.as_ref()), Some(Conflict::Moved), "{reloads}");
        assert!(actions.set_cookie.is_none());
    }
}
