//! A session that is made fresh: what has become of it since the request loaded it.

use session_store::{Conflict, Error};

use crate::following::{Move, moved};
use crate::world::World;

/// What was loaded is what is there: one read, and nothing else.
#[tokio::test]
async fn a_fresh_session_that_nobody_changed_costs_a_read() {
    let world = World::new();
    let visitor = world.visitor(3).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|account| account.visits += 1).unwrap();
    world.store.forget_calls();
    session.fresh().await.unwrap();
    assert_eq!(world.store.calls(), ["load"]);
    assert_eq!(session.read(|account| account.visits), 4, "what was written stands");
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

/// A stranger has nothing that could be out of date.
#[tokio::test]
async fn a_stranger_is_fresh_without_a_read() {
    let world = World::new();
    let request = world.manager.begin(None);
    let session = request.session().await.unwrap();
    world.store.forget_calls();
    session.fresh().await.unwrap();
    assert_eq!(world.store.calls(), [""; 0]);
}

/// Without a write the request sees nothing of a session that has another id; with one it is told.
#[tokio::test]
async fn a_session_that_moved_is_empty_or_a_conflict() {
    for writes in [false, true] {
        let world = World::new();
        let (_, _, late) = moved(&world, Move::SameSignIn).await;
        let session = late.session().await.unwrap();
        if writes {
            session.write(|account| account.visits += 1).unwrap();
            let refusal = session.fresh().await.unwrap_err();
            assert!(matches!(refusal, Error::Conflict(Conflict::Moved)), "{refusal}");
        } else {
            session.fresh().await.unwrap();
            assert_eq!(session.read(|account| account.visits), 0);
        }
        assert_eq!(session.owner(), None);
    }
}

/// Also where a write of this request has followed it to its new id.
#[tokio::test]
async fn a_session_that_was_followed_is_not_taken_for_fresh() {
    let world = World::new();
    let (_, _, late) = moved(&world, Move::Renew).await;
    let session = late.session().await.unwrap();
    session.update(|account| account.visits += 1).await.unwrap();
    session.fresh().await.unwrap();
    assert_eq!((session.owner(), session.read(|account| account.visits)), (None, 0));
}
