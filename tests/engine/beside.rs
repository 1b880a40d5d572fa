//! Operations of one request beside each other, and what becomes of them when nobody waits.

use std::cell::Cell;

use session_store::{Error, Expiry, RequestSession, ResponseActions};

use crate::world::{Account, Browser, IDLE, World, codecs};

/// Runs `operation`, and `meanwhile` while its `call` to the store is on its way.
async fn beside<R>(
    world: &World,
    call: &'static str,
    operation: impl Future<Output = R>,
    meanwhile: impl FnOnce(),
) -> R {
    world.store.hold(call);
    let (answer, ()) = tokio::join!(biased; operation, async {
        world.store.called(call).await;
        meanwhile();
        world.store.let_go();
    });
    answer
}

/// Answers the request while a `call` of it to the store is on its way.
async fn finish_during(
    world: &World,
    call: &'static str,
    request: RequestSession<Account>,
) -> ResponseActions {
    world.store.called(call).await;
    request.finish(200).await
}

/// Drops `operation` while its `call` to the store is on its way.
async fn cut_short(world: &World, call: &'static str, operation: impl Future<Output = Result<(), Error>>) {
    world.store.hold(call);
    tokio::select! {
        biased;
        done = operation => panic!("done before the store was: {done:?}"),
        () = world.store.called(call) => {}
    }
    world.store.let_go();
}

/// SECURITY 5: a client that hangs up must not leave the sign-in under the old id.
#[tokio::test]
async fn a_save_that_is_dropped_still_gives_a_sign_in_its_new_id() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |a| a.name = "Ada".into()).unwrap();
    cut_short(&world, "rotate", session.save()).await;

    visitor.receive(&request.finish(200).await);
    assert_ne!(visitor.cookie, before.cookie);
    assert_eq!(visitor.sees(&world.manager).await.name, "Ada");
    assert_eq!(before.sees(&world.manager).await, Account::default());
}

/// The new id of a renewal that took effect must not be lost with the update that it came before.
#[tokio::test]
async fn an_update_that_is_dropped_still_gives_a_renewal_its_new_id() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.renew().unwrap();
    cut_short(&world, "rotate", session.update(|a| a.visits += 1)).await;
    visitor.receive(&request.finish(200).await);
    assert_eq!(world.store.calls(), ["rotate"]);
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
}

#[tokio::test]
async fn what_is_asked_during_a_save_is_not_taken_for_granted() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.visits = 2).unwrap();
    beside(&world, "update", session.save(), || session.renew().unwrap()).await.unwrap();
    visitor.receive(&request.finish(200).await);
    assert_ne!(visitor.cookie, before.cookie);
    assert_eq!(visitor.sees(&world.manager).await.visits, 2);
}

/// SECURITY 12.
#[tokio::test]
async fn a_destroy_that_is_dropped_still_deletes() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let session = visitor.begin(&world.manager).session().await.unwrap();
    cut_short(&world, "delete", session.destroy()).await;
    session.destroy().await.unwrap();
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
}

/// SECURITY 5.
#[tokio::test]
async fn a_save_that_fails_keeps_its_sign_in_whatever_is_asked_meanwhile() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |a| a.name = "Ada".into()).unwrap();
    let saved = beside(&world, "rotate", session.save(), || {
        session.set_expiry(Expiry::idle(IDLE * 2)).unwrap();
        world.store.go_down(true);
    });
    assert!(saved.await.is_err());
    world.store.go_down(false);

    visitor.receive(&request.finish(200).await);
    let session = visitor.begin(&world.manager).session().await.unwrap();
    assert_eq!(session.owner().unwrap().as_str(), "ada");
    assert_eq!(before.sees(&world.manager).await, Account::default());
    world.clock.advance(IDLE);
    assert_eq!(visitor.sees(&world.manager).await.name, "Ada");
}

#[tokio::test]
async fn a_response_waits_for_the_session_that_an_update_is_creating() {
    let world = World::new();
    let mut visitor = Browser::default();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    let answering = finish_during(&world, "create", request);
    let both = async { tokio::join!(biased; session.update(|a| a.visits += 1), answering) };
    let (updated, actions) = beside(&world, "create", both, || ()).await;
    updated.unwrap();
    visitor.receive(&actions);
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
}

#[tokio::test]
async fn a_response_waits_for_the_id_that_a_save_is_changing() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let before = visitor.clone();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.renew().unwrap();
    let answering = finish_during(&world, "rotate", request);
    let both = async { tokio::join!(biased; session.save(), answering) };
    let (saved, actions) = beside(&world, "rotate", both, || ()).await;
    saved.unwrap();
    visitor.receive(&actions);
    assert_ne!(visitor.cookie, before.cookie);
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
}

#[tokio::test]
async fn a_write_during_an_update_is_stored_too() {
    for codec in codecs() {
        let world = World::with(|builder| builder.codec(codec));
        let visitor = world.visitor(1).await;
        let request = visitor.begin(&world.manager);
        let session = request.session().await.unwrap();
        let write = || session.write(|a| a.name = "Ada".into()).unwrap();
        beside(&world, "update", session.update(|a| a.visits += 10), write).await.unwrap();
        assert!(request.finish(200).await.failure.is_none());
        let account = visitor.sees(&world.manager).await;
        assert_eq!((account.name.as_str(), account.visits), ("Ada", 11), "{codec:?}");
    }
}

/// What the write began from is not what is stored any more: it must not be laid over the other.
#[tokio::test]
async fn appends_by_a_write_during_an_update_or_a_merge_are_kept_beside_the_others() {
    for codec in codecs() {
        let world = World::with(|builder| builder.codec(codec));
        let mut visitor = world.visitor(1).await;
        let append = |item: &'static str| move |a: &mut Account| a.cart.push(item.into());

        let request = visitor.begin(&world.manager);
        let session = request.session().await.unwrap();
        let write = || session.write(append("milk")).unwrap();
        beside(&world, "update", session.update(append("tea")), write).await.unwrap();
        assert_eq!(session.read(|a| a.cart.clone()), ["tea", "milk"], "{codec:?}");
        assert!(request.finish(200).await.failure.is_none());
        assert_eq!(visitor.sees(&world.manager).await.cart, ["tea", "milk"], "{codec:?}");

        let request = visitor.begin(&world.manager);
        let session = request.session().await.unwrap();
        session.write(|a| a.visits = 2).unwrap();
        visitor.visit(&world.manager, |session| session.write(append("rye"))).await.unwrap();
        let write = || session.write(append("oats")).unwrap();
        beside(&world, "update", session.save(), write).await.unwrap();
        assert!(request.finish(200).await.failure.is_none());
        let account = visitor.sees(&world.manager).await;
        assert_eq!(account.cart, ["tea", "milk", "rye", "oats"], "{codec:?}");
        assert_eq!(account.visits, 2);
    }
}

#[tokio::test]
async fn a_write_during_an_update_that_stores_nothing_stays_pending() {
    let world = World::new();
    let mut visitor = Browser::default();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.update(|_| session.write(|a| a.visits = 1).unwrap()).await.unwrap();
    visitor.receive(&request.finish(200).await);
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
}

#[tokio::test]
async fn a_write_while_updates_wait_for_their_turn_is_stored_too() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    let both =
        async { tokio::join!(session.update(|a| a.visits += 10), session.update(|a| a.visits += 100)) };
    let both = Box::pin(both);
    let write = || session.write(|a| a.name = "Ada".into()).unwrap();
    let (first, second) = beside(&world, "update", both, write).await;
    first.and(second).unwrap();
    assert!(request.finish(200).await.failure.is_none());
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.visits), ("Ada", 111));
}

/// The second update stores what was written during the first, before its own change; a write in that
/// moment is one that it has not stored.
#[tokio::test]
async fn a_write_while_an_update_stores_an_earlier_one_is_stored_too() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    let first_is_done = Cell::new(false);
    let first = async {
        session.update(|a| a.visits += 10).await.unwrap();
        world.store.hold("update");
        first_is_done.set(true);
    };
    let meanwhile = async {
        world.store.called("update").await;
        session.write(|a| a.name = "Ada".into()).unwrap();
        world.store.let_go();
        while !first_is_done.get() {
            tokio::task::yield_now().await;
        }
        world.store.called("update").await;
        session.write(|a| a.cart.push("tea".into())).unwrap();
        world.store.let_go();
    };
    world.store.hold("update");
    let second = async { session.update(|a| a.visits += 100).await.unwrap() };
    tokio::join!(biased; first, second, meanwhile);

    assert!(request.finish(200).await.failure.is_none());
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.visits), ("Ada", 111));
    assert_eq!(account.cart, ["tea"]);
}

#[tokio::test]
async fn a_write_during_a_merge_undoes_nothing_that_the_other_request_stored() {
    for codec in codecs() {
        let world = World::with(|builder| builder.codec(codec));
        let mut visitor = world.visitor(1).await;
        let request = visitor.begin(&world.manager);
        let session = request.session().await.unwrap();
        session.write(|a| a.name = "Ada".into()).unwrap();
        visitor.visit(&world.manager, |session| session.write(|a| a.visits = 7)).await.unwrap();
        let write = || session.write(|a| a.balance = 2.0).unwrap();
        beside(&world, "update", session.save(), write).await.unwrap();
        assert!(request.finish(200).await.failure.is_none());
        let expected = Account { name: "Ada".into(), visits: 7, balance: 2.0, cart: vec![] };
        assert_eq!(visitor.sees(&world.manager).await, expected, "{codec:?}");
    }
}
