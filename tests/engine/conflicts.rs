//! Requests of one session that run at the same time.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use session_store::{Conflict, ConflictPolicy, Error, SessionData, SessionManager};

use crate::world::{Account, Browser, World, codecs, codecs_that_evolve};

/// Two requests that loaded the same version and each changed it.
async fn race<T: SessionData>(
    manager: &SessionManager<T>,
    visitor: &Browser,
    first: impl FnOnce(&mut T),
    second: impl FnOnce(&mut T),
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

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Device {
    address: Option<IpAddr>,
    visits_by_hour: BTreeMap<u32, u32>,
    visits: u32,
    logins: u32,
}

/// An address has a form for people and another for programs, and JSON's keys are texts.
#[tokio::test]
async fn fields_merge_whatever_form_their_neighbours_take_in_a_codec() {
    let address = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
    for codec in codecs() {
        let world = World::new();
        let devices = world.version::<Device>(codec);
        let mut visitor = Browser::default();
        visitor.visit(&devices, |session| session.write(|d| d.visits = 1)).await.unwrap();
        let failure = race(&devices, &visitor, |d| d.visits = 5, |d| d.address = address).await;
        assert!(failure.is_none(), "{codec:?}");

        let hours = BTreeMap::from([(9, 4)]);
        visitor.visit(&devices, |session| session.write(|d| d.visits_by_hour = hours.clone())).await.unwrap();
        let failure = race(&devices, &visitor, |d| d.visits = 6, |d| d.logins = 2).await;
        assert!(failure.is_none(), "{codec:?}");
        let expected = Device { address, visits_by_hour: hours, visits: 6, logins: 2 };
        assert_eq!(visitor.sees(&devices).await, expected, "{codec:?}");
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Reader {
    pages: HashSet<u32>,
    visits: u32,
}

#[tokio::test]
async fn a_set_and_a_field_beside_it_merge_though_a_set_has_no_order() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let readers = world.version::<Reader>(codec);
        let mut visitor = Browser::default();
        visitor.visit(&readers, |session| session.write(|r| r.pages.extend(0..20))).await.unwrap();
        let failure = race(&readers, &visitor, |r| r.pages.extend([20]), |r| r.visits = 5).await;
        assert!(failure.is_none(), "{codec:?}");
        let expected = Reader { pages: (0..=20).collect(), visits: 5 };
        assert_eq!(visitor.sees(&readers).await, expected, "{codec:?}");
    }
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
async fn a_write_over_what_another_build_stored_with_a_codec_of_its_own_is_refused() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let key = visitor.key(&world.manager).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.visits = 9).unwrap();
    world
        .store
        .overwrite(&key, |record| record.data = session_store::Payload::new(9, record.data.bytes().clone()))
        .await;
    let theirs = world.store.record(&key).await;
    assert_eq!(request.finish(200).await.failure.map(|error| error.status()), Some(409));
    assert_eq!(world.store.record(&key).await, theirs);
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
                let request = visitor.begin(&world.manager);
                let session = request.session().await.unwrap();
                session.update(|a| a.cart.push(n.to_string())).await.unwrap();
                session.update(|a| a.visits += 1).await.unwrap();
                assert!(request.finish(200).await.failure.is_none());
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
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    let clone = session.clone();
    let writing = session.update(|a| {
        // Another task of the request writes while the update is on its way.
        if a.name.is_empty() {
            clone.write(|a| a.cart.push("tea".into())).unwrap();
        }
        a.name = "Ada".into();
    });
    writing.await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    let account = visitor.sees(&world.manager).await;
    assert_eq!((account.name.as_str(), account.cart), ("Ada", vec!["tea".to_owned()]));
}

#[tokio::test]
async fn reload_sees_what_others_stored_and_drops_what_was_pending() {
    let world = World::new();
    let mut visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.name = "dropped".into()).unwrap();
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 7)).await.unwrap();
    session.reload().await.unwrap();
    assert_eq!(session.read(|a| (a.name.clone(), a.visits)), (String::new(), 7));
    world.store.forget_calls();
    assert!(request.finish(200).await.failure.is_none());
    assert!(world.store.calls().is_empty());
}

#[tokio::test]
async fn after_the_response_a_session_may_be_updated_but_not_created_or_renewed() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    let too_late = |outcome| matches!(outcome, Err(Error::Conflict(Conflict::Committed)));
    assert!(too_late(session.write(|a| a.visits = 9)));
    assert!(too_late(session.renew()));
    assert!(too_late(session.sign_in("ada", |_| ())));
    session.update(|a| a.visits += 1).await.unwrap();
    session.save().await.unwrap();
    assert_eq!(visitor.sees(&world.manager).await.visits, 2);

    let request = Browser::default().begin(&world.manager);
    let session = request.session().await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert!(too_late(session.update(|a| a.visits += 1).await));
}

#[tokio::test]
async fn a_session_asked_for_after_the_response_refuses_writes() {
    let world = World::new();
    let request = world.visitor(1).await.begin(&world.manager);
    let late = request.clone();
    assert!(request.finish(200).await.failure.is_none());
    let session = late.session().await.unwrap();
    assert_eq!(session.read(|a| a.visits), 1);
    assert!(matches!(session.write(|a| a.visits = 9), Err(Error::Conflict(Conflict::Committed))));
}

#[tokio::test]
#[should_panic(expected = "used inside a closure of its own")]
async fn a_handle_used_inside_its_own_closure_panics_instead_of_waiting_for_ever() {
    let world = World::new();
    let session = Browser::default().begin(&world.manager).session().await.unwrap();
    session.write(|_| session.read(|a| a.visits)).ok();
}
