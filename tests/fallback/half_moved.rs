//! A session is in both stores for as long as its move takes, or nobody knows whether it is. Whatever
//! ends it then ends it in both.

use std::thread;
use std::time::Duration;

use session_store::{Loaded, MemoryStore, SessionStore as _, Ttl, Update, Updated};
use tokio::runtime;
use tokio::time::sleep;

use crate::gate::Gate;
use crate::primary::{Call, Mode};
use crate::sample::{HOUR, Session, World, assert_same, assert_unavailable, in_one_hour};

/// A minute after the primary answers, nothing is late any more.
const A_MINUTE: Duration = Duration::from_secs(61);

/// A session of memory of which the primary was sent this version, without an answer; the primary is
/// away again.
async fn half_moved(attempt: Mode) -> (World, Session) {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    interrupt(&world, attempt).await;
    (world, session)
}

/// The primary answers just long enough for one attempt to move a session.
pub(crate) async fn interrupt(world: &World, attempt: Mode) {
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.once(Call::Create, attempt);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    before.open();
    after.arrival().await;
    world.primary.goes(Mode::Down);
    after.open();
    sleep(Duration::from_millis(10)).await;
}

/// A session whose create is on its way to the primary: gates before and after its effect.
async fn moving() -> (World, Session, Gate, Gate) {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    (world, session, before, after)
}

#[tokio::test(start_paused = true)]
async fn our_own_earlier_attempt_is_brought_up_to_date() {
    for attempt in [Mode::Mute, Mode::Lost, Mode::Frozen] {
        let (world, session) = half_moved(attempt).await;
        assert_same(world.found(&session).await, &session);
        let edited = world.edit(&session, "edited").await;
        let edited = world.edit(&edited, "edited twice").await;
        world.primary.thaw().await;
        world.recovers().await;
        assert_same(world.primary.record(&session.key).await, &edited);
        assert_same(world.found(&session).await, &edited);
        assert_eq!((world.status().moved, world.status().dropped), (1, 0), "{attempt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_succeeded_unheard_is_recognised() {
    let (world, session) = half_moved(Mode::Mute).await;
    world.recovers().await;
    assert_same(world.found(&session).await, &session);
    assert_eq!((world.status().moved, world.status().dropped), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_touch_since_an_earlier_attempt_is_moved_too() {
    let (world, mut session) = half_moved(Mode::Mute).await;
    session.record.expires_at = in_one_hour().saturating_add(HOUR);
    assert!(world.extend(&session, session.record.expires_at).await.unwrap());
    world.recovers().await;
    assert_same(world.primary.record(&session.key).await, &session);
}

#[tokio::test(start_paused = true)]
async fn so_is_an_update_that_succeeded_unheard() {
    for attempt in [Mode::Mute, Mode::Lost] {
        let (world, session) = half_moved(Mode::Mute).await;
        let edited = world.edit(&session, "edited").await;
        world.primary.once(Call::Update, attempt);
        let (before, after) = world.primary.hold(Call::Update);
        world.primary.goes(Mode::Up);
        before.arrival().await;
        before.open();
        after.arrival().await;
        let edited = world.edit(&edited, "edited again").await;
        after.open();
        world.settled().await;
        assert_same(world.primary.record(&session.key).await, &edited);
        assert_eq!((world.status().moved, world.status().dropped), (1, 0), "{attempt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_never_was_a_create() {
    let (world, session, before, after) = moving().await;
    let edited = world.edit(&session, "edited").await;
    world.primary.once(Call::Update, Mode::Mute);
    let (updating, updated) = world.primary.hold(Call::Update);
    before.open();
    after.open();
    updating.arrival().await;
    updating.open();
    updated.arrival().await;
    let edited = world.edit(&edited, "edited again").await;
    updated.open();
    world.settled().await;
    assert_same(world.primary.record(&session.key).await, &edited);
    assert_eq!((world.status().moved, world.status().dropped), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_logout_during_a_move_waits_for_it_and_ends_the_session_in_both() {
    for late in [false, true] {
        let (world, session, before, after) = moving().await;
        if late {
            before.open();
            after.arrival().await;
        }
        let deleting = world.delete(&session.key);
        let going_on = async {
            sleep(Duration::from_secs(1)).await;
            assert_unavailable(world.load(&session.key).await);
            assert_unavailable(world.save(&session.edited("late")).await);
            before.open();
            after.open();
        };
        let (deleted, ()) = tokio::join!(biased; deleting, going_on);
        assert!(deleted.unwrap());
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
        assert_eq!(world.primary.record(&session.key).await, None);
        world.settled().await;
        assert_eq!(world.status().moved, 0);
        assert_eq!(world.primary.record(&session.key).await, None);
    }
}

/// Whoever logged out is told that it is not certain, and is logged out.
#[tokio::test(start_paused = true)]
async fn a_logout_between_two_attempts_is_owed() {
    for attempt in [Mode::Mute, Mode::Lost, Mode::Frozen] {
        let (world, session) = half_moved(attempt).await;
        assert_unavailable(world.delete(&session.key).await);
        assert_eq!(world.status().owed_deletions, 1);
        assert_unavailable(world.load(&session.key).await);
        world.primary.goes(Mode::Up);
        world.primary.thaw().await;
        assert_unavailable(world.load(&session.key).await);
        world.settled().await;
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
        assert_eq!(world.primary.record(&session.key).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_arrives_after_the_deletion_brings_nothing_back() {
    let (world, session) = half_moved(Mode::Frozen).await;
    assert_unavailable(world.delete(&session.key).await);
    world.primary.goes(Mode::Up);
    world.primary.calls();
    sleep(Duration::from_secs(30)).await;
    world.primary.thaw().await;
    assert_same(world.primary.record(&session.key).await, &session);
    assert_unavailable(world.load(&session.key).await);
    assert_unavailable(world.save(&session.edited("late")).await);
    sleep(A_MINUTE).await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.primary.record(&session.key).await, None);
    world.settled().await;
    let deletions = world.primary.calls().into_iter().filter(|call| *call == Call::Delete).count();
    assert_eq!(deletions, 2, "at once, and when nothing is late any more");
}

/// The visitor is faster than the task.
#[tokio::test(start_paused = true)]
async fn nor_does_one_that_arrives_after_a_logout_in_the_first_moment() {
    let (world, session) = half_moved(Mode::Frozen).await;
    world.primary.goes(Mode::Up);
    assert!(world.delete(&session.key).await.unwrap());
    world.primary.thaw().await;
    assert_same(world.primary.record(&session.key).await, &session);
    assert_unavailable(world.load(&session.key).await);
    sleep(A_MINUTE + Duration::from_secs(2)).await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.primary.record(&session.key).await, None);
}

/// The minute begins when the primary answers, not when it was sent.
#[tokio::test(start_paused = true)]
async fn however_long_the_primary_was_away() {
    let (world, session) = half_moved(Mode::Frozen).await;
    assert_unavailable(world.delete(&session.key).await);
    sleep(HOUR).await;
    world.primary.goes(Mode::Up);
    sleep(Duration::from_secs(10)).await;
    world.primary.thaw().await;
    sleep(A_MINUTE).await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.primary.record(&session.key).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_arrives_after_a_later_attempt_and_a_logout_brings_nothing_back() {
    let (world, session) = half_moved(Mode::Frozen).await;
    world.primary.goes(Mode::Up);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.status().moved, 1);
    assert!(world.delete(&session.key).await.unwrap(), "the primary deleted it");
    world.primary.thaw().await;
    assert_same(world.primary.record(&session.key).await, &session);
    assert_unavailable(world.load(&session.key).await);
    sleep(A_MINUTE).await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.primary.record(&session.key).await, None);
    world.settled().await;
}

/// In the primary that was a session like any other, until its move was forgotten.
#[tokio::test(start_paused = true)]
async fn a_session_that_moved_at_the_second_attempt_lives_on() {
    let (world, session) = half_moved(Mode::Lost).await;
    world.primary.goes(Mode::Up);
    sleep(Duration::from_secs(3)).await;
    let edited = world.edit(&session, "edited").await;
    sleep(A_MINUTE * 2).await;
    assert_same(world.found(&session).await, &edited);
    assert_eq!(world.status().owed_deletions, 0);
    let renewed = world.renew(&edited).await;
    sleep(A_MINUTE * 2).await;
    assert_same(world.found(&renewed).await, &renewed);
    assert!(format!("{:?}", world.store).contains("engaged: false"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_during_a_move_leaves_nothing_under_the_old_key() {
    for late in [false, true] {
        let (world, session, before, after) = moving().await;
        if late {
            before.open();
            after.arrival().await;
        }
        let renewed = world.renew(&session).await;
        before.open();
        after.open();
        world.settled().await;
        assert_eq!(world.primary.record(&session.key).await, None);
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Moved);
        assert_same(world.primary.record(&renewed.key).await, &renewed);
        assert_same(world.found(&renewed).await, &renewed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_between_two_attempts_leaves_nothing_under_the_old_key() {
    for attempt in [Mode::Mute, Mode::Lost, Mode::Frozen] {
        let (world, session) = half_moved(attempt).await;
        let renewed = world.renew(&session).await;
        world.primary.goes(Mode::Up);
        sleep(Duration::from_secs(10)).await;
        world.primary.thaw().await;
        sleep(A_MINUTE).await;
        assert_eq!(world.primary.record(&session.key).await, None, "{attempt:?}");
        assert_same(world.found(&renewed).await, &renewed);
    }
}

/// Memory holds the marker, and the primary holds the session under the old key as well.
#[tokio::test(start_paused = true)]
async fn a_logout_with_the_old_id_ends_all_of_a_half_moved_rotation() {
    let (world, session) = half_moved(Mode::Mute).await;
    let renewed = world.renew(&session).await;
    assert_unavailable(world.delete(&session.key).await);
    assert_unavailable(world.load(&renewed.key).await);
    assert_unavailable(world.load(&session.key).await);
    world.recovers().await;
    for ended in [&session, &renewed] {
        assert_eq!(world.load(&ended.key).await.unwrap(), Loaded::Absent);
        assert_eq!(world.primary.record(&ended.key).await, None);
    }
}

/// An older version would come back.
#[tokio::test(start_paused = true)]
async fn a_session_that_expires_half_moved_is_over() {
    let (world, session) = half_moved(Mode::Mute).await;
    let shorter = session.edited("shorter");
    let ttl = Ttl::new(Duration::from_millis(30));
    let updated = world.update(Update::new(&session.key, &shorter.record, ttl)).await;
    assert_eq!(updated.unwrap(), Updated::Updated);
    thread::sleep(Duration::from_millis(60));
    world.primary.goes(Mode::Up);
    world.a_round().await;
    world.settled().await;
    assert_eq!(world.primary.record(&session.key).await, None);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_pushed_out_of_memory_half_moved_is_over() {
    let world = World::with_memory(MemoryStore::with_capacity(20_000));
    world.primary.goes(Mode::Down);
    let session = world.created().await;
    interrupt(&world, Mode::Mute).await;
    world.edit(&session, "edited").await;
    while world.found(&session).await.is_some() {
        // Recency is what keeps a session: this load counts as a use, so push hard.
        for _ in 0..200 {
            world.created().await;
        }
    }
    world.primary.goes(Mode::Up);
    world.a_round().await;
    world.settled().await;
    assert_eq!(world.primary.record(&session.key).await, None);
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
}

/// Nothing was sent, so nothing is in doubt: the logout is memory's affair.
#[tokio::test(start_paused = true)]
async fn an_attempt_without_effect_leaves_no_doubt() {
    for attempt in [Mode::Down, Mode::Refuses] {
        let (world, session) = half_moved(attempt).await;
        world.primary.calls();
        assert!(world.delete(&session.key).await.unwrap());
        assert_eq!(world.primary.calls(), [], "{attempt:?}");
        assert_eq!(world.status().owed_deletions, 0);
    }
}

/// Whatever becomes of the second attempt, the first one may have succeeded.
#[tokio::test(start_paused = true)]
async fn a_later_attempt_without_effect_leaves_the_doubt_of_the_first() {
    for attempt in [Mode::Down, Mode::Refuses] {
        let (world, session) = half_moved(Mode::Mute).await;
        interrupt(&world, attempt).await;
        assert_unavailable(world.delete(&session.key).await);
        assert_unavailable(world.load(&session.key).await);
        world.recovers().await;
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent, "{attempt:?}");
    }
}

/// It had its answers, and nothing of it can arrive late: it is over when it has moved.
#[tokio::test(start_paused = true)]
async fn an_update_without_effect_does_not_prolong_a_move() {
    let (world, session, before, after) = moving().await;
    let edited = world.edit(&session, "edited").await;
    world.primary.once(Call::Update, Mode::Down);
    world.primary.once(Call::Create, Mode::Down);
    before.open();
    after.open();
    sleep(Duration::from_secs(3)).await;
    assert_same(world.primary.record(&session.key).await, &edited);
    assert!(format!("{:?}", world.store).contains("engaged: false"));
}

/// The runtime that the task was on ended in the middle of an attempt.
#[test]
fn an_attempt_that_was_cut_off_is_in_doubt() {
    let runtime = || runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = World::while_down(Mode::Down);
    let first = runtime();
    let (session, _gates) = first.block_on(async {
        let session = world.created().await;
        let (before, after) = world.primary.hold(Call::Create);
        world.primary.goes(Mode::Up);
        before.arrival().await;
        before.open();
        after.arrival().await;
        (session, (before, after))
    });
    drop(first);
    world.primary.goes(Mode::Down);
    runtime().block_on(async {
        assert_same(world.found(&session).await, &session);
        assert_unavailable(world.delete(&session.key).await);
        world.recovers().await;
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    });
}
