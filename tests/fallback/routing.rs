//! A session is served by the store that it was born in.

use session_store::{Created, FallbackPolicy, Loaded, SessionStore as _, Updated};

use crate::primary::{Call, Mode};
use crate::sample::{HOUR, Session, World, assert_same, assert_unavailable, hour, in_one_hour};

#[tokio::test(start_paused = true)]
async fn what_memory_does_not_hold_is_unavailable_and_not_absent() {
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    for mode in [Mode::Down, Mode::Lost] {
        world.primary.goes(mode);
        while !world.status().open {
            let _ = world.load(&session.key).await;
        }
        assert_unavailable(world.load(&session.key).await);
        assert_eq!(world.save(&session.edited("lost")).await.unwrap_err().status(), 503);
        assert_eq!(world.extend(&session, in_one_hour()).await.unwrap_err().status(), 503);
        assert_eq!(world.try_rotate(&session, &session.renewed()).await.unwrap_err().status(), 503);
        world.recovers().await;
        assert_same(world.found(&session).await, &session);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_memory_is_served_there_alone() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    world.primary.calls();

    let mut edited = world.edit(&session, "edited").await;
    edited.record.expires_at = in_one_hour().saturating_add(HOUR);
    assert!(world.extend(&edited, edited.record.expires_at).await.unwrap());
    assert_same(world.found(&edited).await, &edited);
    assert!(!world.extend(&session, in_one_hour()).await.unwrap(), "another revision");
    let stale = world.save(&session.edited("stale")).await.unwrap();
    assert_eq!(stale, Updated::Stale(edited.record.clone()));
    let renewed = world.renew(&edited).await;
    assert_same(world.found(&renewed).await, &renewed);
    assert_eq!(world.load(&edited.key).await.unwrap(), Loaded::Moved);
    assert_eq!(world.save(&edited.edited("late")).await.unwrap(), Updated::Moved);
    assert!(world.delete(&renewed.key).await.unwrap());
    assert_eq!(world.primary.calls(), []);
    assert_unavailable(world.load(&renewed.key).await);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_being_served_by_memory_until_it_has_moved() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    world.primary.calls();
    assert_same(world.found(&session).await, &session);
    let edited = world.edit(&session, "edited").await;
    assert_eq!(world.primary.calls(), []);
    before.open();
    after.open();
    world.settled().await;
    assert_same(world.primary.record(&edited.key).await, &edited);
    world.primary.calls();
    assert_same(world.found(&edited).await, &edited);
    assert_eq!(world.primary.calls(), [Call::Load]);
}

#[tokio::test(start_paused = true)]
async fn other_sessions_are_served_by_the_primary_meanwhile() {
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    world.primary.goes(Mode::Down);
    world.created().await;
    world.primary.goes(Mode::Up);
    assert!(world.status().open);
    let edited = world.edit(&session, "edited").await;
    assert!(world.extend(&edited, in_one_hour()).await.unwrap());
    let renewed = world.renew(&edited).await;
    assert!(world.found(&renewed).await.is_some());
    assert!(world.delete(&renewed.key).await.unwrap());
    assert_eq!(world.load(&renewed.key).await.unwrap(), Loaded::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_create_sent_twice_and_a_taken_key_are_known_wherever_the_session_is() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let rival = Session { record: Session::fresh().record, ..session.clone() };
    for recovered in [false, true] {
        if recovered {
            world.recovers().await;
        }
        let again = world.create(&session.key, &session.record, hour()).await.unwrap();
        assert_eq!(again, Created::Created);
        assert_eq!(world.create(&rival.key, &rival.record, hour()).await.unwrap(), Created::Taken);
        assert_same(world.found(&session).await, &session);
    }
    assert_eq!(world.status().moved, 1);
}

/// The primary does not know of it yet.
#[tokio::test(start_paused = true)]
async fn a_key_in_memory_is_taken_even_when_new_sessions_go_to_the_primary() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    world.primary.goes(Mode::Refuses);
    world.a_round().await;
    assert!(!world.status().open);
    world.primary.goes(Mode::Up);
    let rival = Session::fresh();
    assert_eq!(world.create(&session.key, &rival.record, hour()).await.unwrap(), Created::Taken);
    assert_eq!(world.status().in_memory, 1);
    world.settled().await;
    assert_same(world.found(&session).await, &session);
}

#[tokio::test(start_paused = true)]
async fn an_old_id_leads_to_the_successor_for_a_logout_only() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let renewed = world.renew(&session).await;
    world.recovers().await;
    assert_same(world.primary.record(&renewed.key).await, &renewed);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Moved, "the marker stayed in memory");
    assert_eq!(world.save(&session.edited("late")).await.unwrap(), Updated::Moved);

    let again = world.renew(&renewed).await;
    assert!(world.delete(&session.key).await.unwrap());
    assert_eq!(world.primary.record(&again.key).await, None);
    assert_eq!(world.load(&again.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent, "the marker went too");
}

#[tokio::test(start_paused = true)]
async fn a_logout_follows_a_chain_of_rotations_through_both_stores() {
    for logged_out in 0..4 {
        let world = World::while_down(Mode::Down);
        let mut chain = vec![world.created().await];
        for rotation in 0..3 {
            if rotation == 2 {
                world.recovers().await;
            }
            chain.push(world.renew(&chain[rotation]).await);
        }
        assert!(world.delete(&chain[logged_out].key).await.unwrap());
        for session in &chain[logged_out..] {
            assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent, "by id {logged_out}");
            assert_eq!(world.primary.record(&session.key).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_primary_is_asked_once_an_operation() {
    use Call::{Create, Delete, Load, Rotate, Touch, Update};
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    world.load(&session.key).await.unwrap();
    let edited = world.edit(&session, "edited").await;
    assert!(world.extend(&edited, in_one_hour()).await.unwrap());
    let renewed = world.renew(&edited).await;
    assert!(world.delete(&renewed.key).await.unwrap());
    assert_eq!(world.primary.calls(), [Create, Load, Update, Touch, Rotate, Delete]);
}
