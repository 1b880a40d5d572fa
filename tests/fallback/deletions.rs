//! A deletion that the primary could not be asked for is owed, and what it is about is not served.

use std::time::Duration;

use session_store::{FallbackPolicy, Loaded, SessionStore as _};
use tokio::time::sleep;

use crate::half_moved::interrupt;
use crate::log;
use crate::primary::{Call, Mode};
use crate::sample::{POLICIES, Session, World, assert_same, assert_unavailable, hour, in_one_hour};

#[tokio::test(start_paused = true)]
async fn a_logout_during_an_outage_fails_and_takes_effect_afterwards() {
    for policy in POLICIES {
        for mode in [Mode::Down, Mode::Lost, Mode::Mute, Mode::Frozen, Mode::Refuses] {
            let world = World::new(policy);
            let (session, bystander) = (world.created().await, world.created().await);
            world.primary.goes(mode);
            world.delete(&session.key).await.unwrap_err();
            assert_eq!(world.status().owed_deletions, 1, "{policy:?}, {mode:?}");

            world.primary.goes(Mode::Up);
            assert_same(world.found(&bystander).await, &bystander);
            assert_unavailable(world.load(&session.key).await);
            assert_unavailable(world.save(&session.edited("late")).await);
            assert_unavailable(world.extend(&session, in_one_hour()).await);
            assert_unavailable(world.try_rotate(&session, &session.renewed()).await);
            let rival = Session::fresh().record;
            assert_unavailable(world.create(&session.key, &rival, hour()).await);

            world.settled().await;
            assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
            assert_same(world.found(&bystander).await, &bystander);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_follows_the_rotations_of_the_primary() {
    let world = World::new(FallbackPolicy::Never);
    let session = world.created().await;
    let renewed = world.renew(&session).await;
    world.primary.goes(Mode::Down);
    assert_unavailable(world.delete(&session.key).await);
    world.recovers().await;
    assert_eq!(world.load(&renewed.key).await.unwrap(), Loaded::Absent);
}

/// The successor moved; the marker is in memory, and the logout that bears the old id comes when the
/// primary is away again.
#[tokio::test(start_paused = true)]
async fn it_follows_a_marker_in_memory_into_the_primary() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let renewed = world.renew(&session).await;
    world.recovers().await;
    world.primary.goes(Mode::Down);
    assert_unavailable(world.delete(&session.key).await);
    assert_unavailable(world.load(&renewed.key).await);
    world.recovers().await;
    assert_eq!(world.load(&renewed.key).await.unwrap(), Loaded::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_second_logout_that_succeeds_pays_the_debt() {
    let world = World::new(FallbackPolicy::Never);
    let session = world.created().await;
    world.primary.goes(Mode::Down);
    assert_unavailable(world.delete(&session.key).await);
    assert_unavailable(world.delete(&session.key).await);
    assert_eq!(world.status().owed_deletions, 1);
    world.primary.goes(Mode::Up);
    assert!(world.delete(&session.key).await.unwrap());
    assert_eq!(world.status().owed_deletions, 0);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
}

#[tokio::test(start_paused = true)]
async fn debts_are_paid_before_sessions_move() {
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    world.primary.goes(Mode::Down);
    world.created().await;
    assert_unavailable(world.delete(&session.key).await);
    world.primary.calls();
    world.recovers().await;
    assert_eq!(world.primary.calls()[..3], [Call::Load, Call::Delete, Call::Create]);
}

/// The round was past the deletions, and ends with nothing else left to do.
#[tokio::test(start_paused = true)]
async fn a_debt_of_the_last_moment_is_not_forgotten() {
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    world.primary.goes(Mode::Down);
    world.created().await;
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    world.primary.once(Call::Delete, Mode::Down);
    assert_unavailable(world.delete(&session.key).await);
    before.open();
    after.open();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.status().in_memory, 0);
    assert_unavailable(world.load(&session.key).await);
    world.settled().await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
}

/// As long as deletions can't be made, nothing else is done.
#[tokio::test(start_paused = true)]
async fn sessions_wait_until_debts_are_paid() {
    let world = World::new(FallbackPolicy::WhileDown);
    let session = world.created().await;
    world.primary.goes(Mode::Down);
    world.created().await;
    assert_unavailable(world.delete(&session.key).await);
    (0..1000).for_each(|_| world.primary.once(Call::Delete, Mode::Lost));
    world.primary.goes(Mode::Up);
    sleep(Duration::from_secs(20)).await;
    let status = world.status();
    assert!(status.open && status.in_memory == 1 && status.owed_deletions == 1, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_hundred_thousand_are_remembered() {
    log::collect();
    let world = World::new(FallbackPolicy::WhileDown);
    let sessions = [world.created().await, world.created().await];
    world.primary.goes(Mode::Down);
    let half_moved = world.created().await;
    interrupt(&world, Mode::Mute).await;
    assert_unavailable(world.delete(&sessions[0].key).await);
    for _ in 1..100_000 {
        assert_unavailable(world.delete(&Session::fresh().key).await);
    }
    assert_eq!((world.status().owed_deletions, world.status().forgotten_deletions), (100_000, 0));
    for _ in 0..5 {
        assert_unavailable(world.delete(&sessions[1].key).await);
        assert_unavailable(world.delete(&sessions[0].key).await);
    }
    world.renew(&half_moved).await;
    assert_eq!((world.status().owed_deletions, world.status().forgotten_deletions), (100_000, 6));
    let told = log::text().lines().filter(|line| line.contains("further ones are not remembered")).count();
    assert_eq!(told, 1);
    world.recovers().await;
    assert_eq!(world.load(&sessions[0].key).await.unwrap(), Loaded::Absent);
    assert_same(world.found(&sessions[1]).await, &sessions[1]);
    sleep(Duration::from_secs(70)).await;
    assert_eq!(world.primary.record(&half_moved.key).await, None, "there is room for it now");
}
