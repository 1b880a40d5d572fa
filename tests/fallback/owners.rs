//! Whose sessions there are, while the primary is away and once it is back.

use std::time::Duration;

use session_store::owners::{Entry, IndexInsert, OwnerIndex as _, Revocation, Stage, Verdict};
use session_store::{Clock as _, Loaded};
use session_store::{Owner, OwnerHash, SessionStore as _, SystemClock};
use tokio::time::sleep;

use crate::primary::{Call, Mode};
use crate::sample::{HOUR, Session, World, hour};

fn ada() -> OwnerHash {
    OwnerHash::of(&owner())
}

fn owner() -> Owner {
    Owner::new("ada").unwrap()
}

/// A sign-in as the engine makes it.
async fn signed_in(world: &World) -> Session {
    let mut session = Session::fresh();
    session.record.owner = Some(owner());
    let entry = entry(&session);
    let entered = world.insert(ada(), IndexInsert::new(&entry, HOUR, Stage::Before)).await.unwrap();
    assert_eq!(entered.verdict, Verdict::Inserted);
    world.create(&session.key, &session.record, hour()).await.unwrap();
    let confirmed = world.insert(ada(), IndexInsert::new(&entry, HOUR, Stage::After)).await.unwrap();
    assert_eq!(confirmed.verdict, Verdict::Inserted);
    session
}

fn entry(session: &Session) -> Entry {
    Entry::of(session.key.clone(), &session.record)
}

/// Waits until memory has nothing left to move.
async fn settled(world: &World) {
    while world.status().in_memory > 0 || world.status().open {
        sleep(Duration::from_millis(10)).await;
    }
}

async fn is_known_there(world: &World, session: &Session) -> bool {
    world.primary.sessions.list(ada(), None).await.unwrap().entries.contains(&entry(session))
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_of_an_outage_is_in_the_index_of_the_primary_once_it_has_moved() {
    let world = World::while_down(Mode::Down);
    let session = signed_in(&world).await;
    assert!(!is_known_there(&world, &session).await);
    world.primary.goes(Mode::Up);
    settled(&world).await;
    assert!(is_known_there(&world, &session).await);
    assert_eq!(world.primary.record(&session.key).await, Some(session.record.clone()));
    assert_eq!(world.list(ada(), None).await.unwrap().entries, [entry(&session)]);
}

/// SECURITY 12: another instance, which reached the primary, ended all sessions of the owner.
#[tokio::test(start_paused = true)]
async fn what_was_ended_during_an_outage_does_not_move() {
    let world = World::while_down(Mode::Down);
    let session = signed_in(&world).await;
    world.primary.sessions.revoke(ada(), Revocation::All).await.unwrap();
    world.primary.goes(Mode::Up);
    settled(&world).await;
    assert_eq!(world.primary.record(&session.key).await, None);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert!(!is_known_there(&world, &session).await);
    assert_eq!(world.status().dropped, 1);
}

/// And it isn't served either from the moment on that the primary answers, before the task comes to it.
#[tokio::test(start_paused = true)]
async fn what_was_ended_during_an_outage_is_not_served_once_the_primary_answers() {
    let world = World::while_down(Mode::Down);
    let (ended, other) = (signed_in(&world).await, world.created().await);
    assert_eq!(world.found(&ended).await, Some(ended.record.clone()), "nobody can be asked");
    world.primary.sessions.revoke(ada(), Revocation::All).await.unwrap();
    assert_eq!(world.found(&ended).await, Some(ended.record.clone()), "nobody can be asked");
    world.primary.goes(Mode::Up);
    assert_eq!(world.load(&ended.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.found(&other).await, Some(other.record.clone()));
    let status = world.status();
    assert_eq!((status.moved, status.dropped, status.in_memory), (0, 1, 1), "the task was not there yet");
    settled(&world).await;
    assert_eq!(world.primary.record(&ended.key).await, None);
    assert_eq!(world.load(&ended.key).await.unwrap(), Loaded::Absent);
}

/// Whoever is asked and has nothing against it, or nothing to say, leaves the session where it is.
#[tokio::test(start_paused = true)]
async fn what_was_not_ended_is_served_before_it_moves() {
    for mode in [Mode::Up, Mode::Refuses, Mode::Down, Mode::Lost] {
        let world = World::while_down(Mode::Down);
        let session = signed_in(&world).await;
        world.primary.once(Call::Index, mode);
        assert_eq!(world.found(&session).await, Some(session.record.clone()), "{mode:?}");
        world.primary.goes(Mode::Up);
        settled(&world).await;
        assert_eq!(world.primary.record(&session.key).await, Some(session.record.clone()), "{mode:?}");
    }
}

/// Nor does it move where the primary is away again in the middle of the question.
#[tokio::test(start_paused = true)]
async fn what_was_ended_does_not_move_at_the_second_attempt_either() {
    for answers in 0..3 {
        let world = World::while_down(Mode::Down);
        let session = signed_in(&world).await;
        world.primary.sessions.revoke(ada(), Revocation::All).await.unwrap();
        for _ in 0..answers {
            world.primary.once(Call::Index, Mode::Up);
        }
        world.primary.once(Call::Index, Mode::Down);
        world.primary.goes(Mode::Up);
        settled(&world).await;
        assert_eq!(world.primary.record(&session.key).await, None, "after {answers} answers");
        assert!(!is_known_there(&world, &session).await, "after {answers} answers");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_signed_in_after_that_moves() {
    let world = World::while_down(Mode::Down);
    world.primary.sessions.revoke(ada(), Revocation::All).await.unwrap();
    let mut session = Session::fresh();
    session.record.owner = Some(owner());
    session.record.created_at = SystemClock.now().saturating_add(Duration::from_secs(60));
    world.create(&session.key, &session.record, hour()).await.unwrap();
    world.primary.goes(Mode::Up);
    settled(&world).await;
    assert!(world.primary.record(&session.key).await.is_some());
    assert!(is_known_there(&world, &session).await);
}

/// Where the primary does not answer, it cannot be said that all were ended; those of memory are.
#[tokio::test(start_paused = true)]
async fn ending_all_sessions_needs_the_primary() {
    let world = World::while_down(Mode::Down);
    let session = signed_in(&world).await;
    world.revoke(ada(), Revocation::All).await.unwrap_err();
    world.list(ada(), None).await.unwrap_err();
    let entered = world.insert(ada(), IndexInsert::new(&entry(&session), HOUR, Stage::Later)).await.unwrap();
    assert_eq!(entered.verdict, Verdict::Revoked);
    world.primary.goes(Mode::Up);
    settled(&world).await;
    assert_eq!(world.primary.record(&session.key).await, None, "it did not move");
}

#[tokio::test(start_paused = true)]
async fn the_session_that_ends_all_others_moves() {
    let world = World::while_down(Mode::Down);
    let (spared, other) = (signed_in(&world).await, signed_in(&world).await);
    world.primary.goes(Mode::Up);
    // Before the task comes to it.
    world.revoke(ada(), Revocation::AllBut(&entry(&spared))).await.unwrap();
    assert_eq!(world.revoked(ada()).await.unwrap(), [entry(&other)]);
    settled(&world).await;
    assert!(world.primary.record(&spared.key).await.is_some());
    assert!(world.primary.record(&other.key).await.is_none());
}

/// What is entered in memory, and then created in the primary since that came back, is not missed there.
#[tokio::test(start_paused = true)]
async fn a_session_is_entered_where_it_goes() {
    let world = World::while_down(Mode::Down);
    let bystander = world.created().await;
    let mut session = Session::fresh();
    session.record.owner = Some(owner());
    world.insert(ada(), IndexInsert::new(&entry(&session), HOUR, Stage::Before)).await.unwrap();
    world.primary.goes(Mode::Up);
    while world.status().open {
        sleep(Duration::from_millis(1)).await;
    }
    world.create(&session.key, &session.record, hour()).await.unwrap();
    assert!(world.primary.record(&session.key).await.is_some(), "it went to the primary");
    assert!(is_known_there(&world, &session).await);
    drop(bystander);
}
