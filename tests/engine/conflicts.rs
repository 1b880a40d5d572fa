//! Requests of one session that run at the same time.

use std::sync::Arc;

use session_store::{Conflict, ConflictPolicy, Error, SessionManager};

use crate::world::{Account, Browser, World};

/// Two requests that loaded the same version and each changed it.
async fn race(
    manager: &SessionManager<Account>,
    visitor: &Browser,
    first: impl FnOnce(&mut Account),
    second: impl FnOnce(&mut Account),
) -> Option<Error> {
    let (one, two) = (visitor.begin(manager), visitor.begin(manager));
    one.session().await.unwrap().write(first).unwrap();
    two.session().await.unwrap().write(second).unwrap();
    assert!(one.finish(200).await.failure.is_none());
    two.finish(200).await.failure
}

#[tokio::test]
async fn changes_of_different_fields_are_both_kept() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let failure = race(&world.manager, &visitor, |a| a.name = "Ada".into(), |a| a.visits = 2).await;
    assert!(failure.is_none());
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.visits), ("Ada", 2));
    assert_eq!(world.manager.counts().conflicts, 0);
}

#[tokio::test]
async fn a_merge_costs_one_round_trip_more() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    race(&world.manager, &visitor, |a| a.name = "Ada".into(), |a| a.visits = 2).await;
    assert_eq!(world.store.calls(), ["load", "load", "update", "update", "update"]);
}

#[tokio::test]
async fn appends_to_one_list_are_both_kept() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let failure =
        race(&world.manager, &visitor, |a| a.cart.push("tea".into()), |a| a.cart.push("milk".into())).await;
    assert!(failure.is_none());
    assert_eq!(visitor.sees(&world.manager).await.cart, ["tea", "milk"]);
}

#[tokio::test]
async fn a_contradiction_is_refused_and_nothing_is_overwritten() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.cart = vec!["tea".into()])).await.unwrap();
    let failure = race(&world.manager, &visitor, |a| a.cart.clear(), |a| a.cart.push("milk".into())).await;
    assert!(matches!(failure, Some(Error::Conflict(Conflict::Fields))));
    assert!(visitor.sees(&world.manager).await.cart.is_empty());
    assert_eq!(world.manager.counts().conflicts, 1);
}

#[tokio::test]
async fn the_policy_decides() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let strict = world.instance(|builder| builder.on_conflict(ConflictPolicy::Reject));
    let failure = race(&strict, &visitor, |a| a.name = "Ada".into(), |a| a.visits = 2).await;
    assert!(matches!(failure, Some(Error::Conflict(Conflict::Fields))));

    let adding = world.instance(|builder| {
        builder.on_conflict(ConflictPolicy::with(|base: &Account, ours: &Account, theirs: &Account| {
            Some(Account { visits: theirs.visits + ours.visits - base.visits, ..theirs.clone() })
        }))
    });
    let failure = race(&adding, &visitor, |a| a.visits += 10, |a| a.visits += 100).await;
    assert!(failure.is_none());
    assert_eq!(visitor.sees(&world.manager).await.visits, 111);
}

#[tokio::test]
async fn a_renewal_takes_along_what_another_request_stored_meanwhile() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let (renewing, writing) = (visitor.begin(&world.manager), visitor.begin(&world.manager));
    renewing.session().await.unwrap().sign_in("ada", |a| a.name = "Ada".into()).unwrap();
    writing.session().await.unwrap().write(|a| a.visits = 2).unwrap();
    assert!(writing.finish(200).await.failure.is_none());
    visitor.receive(&renewing.finish(200).await);
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.visits), ("Ada", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_of_many_at_once_is_lost() {
    let world = Arc::new(World::new());
    let visitor = world.visitor(1).await;
    let requests: Vec<_> = (0..50)
        .map(|n| {
            let (world, visitor) = (Arc::clone(&world), visitor.clone());
            tokio::spawn(async move {
                let exchange = visitor.begin(&world.manager);
                let session = exchange.session().await.unwrap();
                session.update(|a| a.cart.push(n.to_string())).await.unwrap();
                session.update(|a| a.visits += 1).await.unwrap();
                assert!(exchange.finish(200).await.failure.is_none());
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.visits, account.cart.len()), (51, 50));
}

#[tokio::test]
async fn an_update_runs_on_what_is_stored_and_shows_it() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let (one, two) = (visitor.begin(&world.manager), visitor.begin(&world.manager));
    let (first, second) = (one.session().await.unwrap(), two.session().await.unwrap());
    second.update(|a| a.visits += 10).await.unwrap();
    first.write(|a| a.name = "Ada".into()).unwrap();
    assert_eq!(
        first.update(|a| a.visits += 1).await.map(|()| first.read(Account::clone).visits).unwrap(),
        12
    );
    assert_eq!(visitor.sees(&world.manager).await, first.read(Account::clone));
}

#[tokio::test]
async fn writes_during_a_save_of_the_same_request_are_not_lost() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let exchange = visitor.begin(&world.manager);
    let session = exchange.session().await.unwrap();
    let clone = session.clone();
    let writing = session.update(|a| {
        // Another task of the request writes while the update is on its way.
        if a.name.is_empty() {
            clone.write(|a| a.cart.push("tea".into())).unwrap();
        }
        a.name = "Ada".into();
    });
    writing.await.unwrap();
    assert!(exchange.finish(200).await.failure.is_none());
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.cart), ("Ada", vec!["tea".to_owned()]));
}

#[tokio::test]
async fn reload_sees_what_others_stored_and_drops_what_was_pending() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let exchange = visitor.begin(&world.manager);
    let session = exchange.session().await.unwrap();
    session.write(|a| a.name = "dropped".into()).unwrap();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 7)).await.unwrap();
    session.reload().await.unwrap();
    assert_eq!(session.read(|a| (a.name.clone(), a.visits)), (String::new(), 7));
    world.store.forget_calls();
    assert!(exchange.finish(200).await.failure.is_none());
    assert!(world.store.calls().is_empty());
}

#[tokio::test]
async fn after_the_response_a_session_may_be_updated_but_not_created_or_renewed() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let exchange = visitor.begin(&world.manager);
    let session = exchange.session().await.unwrap();
    assert!(exchange.finish(200).await.failure.is_none());
    let too_late = |outcome| matches!(outcome, Err(Error::Conflict(Conflict::Committed)));
    assert!(too_late(session.write(|a| a.visits = 9)));
    assert!(too_late(session.renew()));
    assert!(too_late(session.sign_in("ada", |_| ())));
    session.update(|a| a.visits += 1).await.unwrap();
    session.save().await.unwrap();
    assert_eq!(visitor.sees(&world.manager).await.visits, 2);

    let exchange = Browser::default().begin(&world.manager);
    let session = exchange.session().await.unwrap();
    assert!(exchange.finish(200).await.failure.is_none());
    assert!(too_late(session.update(|a| a.visits += 1).await));
}

#[tokio::test]
#[should_panic(expected = "inside a closure of its own")]
async fn a_handle_used_inside_its_own_closure_panics_instead_of_waiting_for_ever() {
    let world = World::new();
    let session = Browser::default().begin(&world.manager).session().await.unwrap();
    session.write(|_| session.read(|a| a.visits)).ok();
}
