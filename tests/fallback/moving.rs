//! Sessions that were born in an outage move to the primary when it is back, while they are in use.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use session_store::{
    Created, FallbackPolicy, Loaded, Moved, Record, Rotation, SessionStore as _, Ttl, Update, Updated,
};
use tokio::time::sleep;

use crate::primary::{Call, Mode};
use crate::sample::{HOUR, Session, World, assert_same, hour, in_one_hour};

#[tokio::test(start_paused = true)]
async fn sessions_arrive_as_they_were_with_what_is_left_of_their_time() {
    let world = World::while_down(Mode::Down);
    let sessions = [world.created().await, world.created().await];
    let edited = world.edit(&sessions[0], "edited").await;
    // The memory's clock is a real one.
    thread::sleep(Duration::from_millis(40));
    world.primary.ttls();
    world.recovers().await;
    for session in [&edited, &sessions[1]] {
        assert_eq!(world.primary.record(&session.key).await.as_ref(), Some(&session.record));
    }
    let ttls = world.primary.ttls();
    assert_eq!(ttls.len(), 2);
    for ttl in ttls {
        let spent = HOUR - ttl.as_duration();
        assert!(spent >= Duration::from_millis(40) && spent < Duration::from_secs(20), "{spent:?}");
    }
    let status = world.status();
    assert_eq!((status.moved, status.dropped, status.in_memory), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expired_meanwhile_is_not_moved() {
    let world = World::while_down(Mode::Down);
    let session = Session::fresh();
    world.create(&session.key, &session.record, Ttl::new(Duration::from_millis(20))).await.unwrap();
    thread::sleep(Duration::from_millis(40));
    world.primary.calls();
    world.recovers().await;
    assert!(!world.primary.calls().contains(&Call::Create));
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!(world.status().moved, 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_primary_holds_is_never_overwritten() {
    let world = World::while_down(Mode::Down);
    let [taken, rotated, bystander] = [world.created().await, world.created().await, world.created().await];
    let other = Session { record: Session::fresh().record, ..taken.clone() };
    world.primary.sessions.create(&other.key, &other.record, hour()).await.unwrap();
    let elsewhere = Session { record: Session::fresh().record, ..rotated.clone() };
    world.primary.sessions.create(&elsewhere.key, &elsewhere.record, hour()).await.unwrap();
    let renewed = elsewhere.renewed();
    let rotation = Rotation::new(&elsewhere.key, &renewed.key, &renewed.record, hour());
    world.primary.sessions.rotate(rotation).await.unwrap();

    world.recovers().await;
    sleep(Duration::from_secs(120)).await;
    let status = world.status();
    assert_eq!((status.moved, status.dropped), (1, 2));
    assert_eq!(world.load(&taken.key).await.unwrap(), Loaded::Found(other.record));
    assert_eq!(world.load(&rotated.key).await.unwrap(), Loaded::Moved);
    assert_same(world.found(&renewed).await, &renewed);
    assert_same(world.found(&bystander).await, &bystander);
}

/// Another instance got hold of it half-way.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_newer_than_our_attempt_is_not_overwritten() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    world.primary.once(Call::Create, Mode::Mute);
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    before.open();
    after.arrival().await;
    let newer = session.edited("newer");
    let updated = world.primary.sessions.update(Update::new(&newer.key, &newer.record, hour()));
    assert_eq!(updated.await.unwrap(), Updated::Updated);
    let newest = newer.edited("newest");
    let updated = world.primary.sessions.update(Update::new(&newer.key, &newest.record, hour()));
    assert_eq!(updated.await.unwrap(), Updated::Updated);
    world.edit(&session, "ours").await;
    after.open();
    world.settled().await;
    sleep(Duration::from_secs(120)).await;
    assert_same(world.found(&session).await, &newest);
    assert_eq!((world.status().moved, world.status().dropped), (0, 1));
}

/// It came while our update was on its way.
#[tokio::test(start_paused = true)]
async fn nor_is_one_that_is_newer_than_our_update() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let (create, created) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    create.arrival().await;
    world.edit(&session, "ours").await;
    let (update, updated) = world.primary.hold(Call::Update);
    create.open();
    created.open();
    update.arrival().await;
    let newer = session.edited("newer");
    let theirs = world.primary.sessions.update(Update::new(&newer.key, &newer.record, hour()));
    assert_eq!(theirs.await.unwrap(), Updated::Updated);
    update.open();
    updated.open();
    world.settled().await;
    sleep(Duration::from_secs(120)).await;
    assert_same(world.found(&session).await, &newer);
    assert_eq!((world.status().moved, world.status().dropped), (0, 1));
}

/// What somebody ended there, while our update was on its way, does not come back by a second create.
#[tokio::test(start_paused = true)]
async fn a_session_that_ended_in_the_primary_meanwhile_does_not_come_back() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let (create, created) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    create.arrival().await;
    world.edit(&session, "edited").await;
    let (update, updated) = world.primary.hold(Call::Update);
    create.open();
    created.open();
    update.arrival().await;
    world.primary.sessions.delete(&session.key).await.unwrap();
    update.open();
    updated.open();
    world.settled().await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert_eq!((world.status().moved, world.status().dropped), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn writes_during_a_move_are_moved_too() {
    for late in [false, true] {
        let world = World::while_down(Mode::Down);
        let session = world.created().await;
        let (before, after) = world.primary.hold(Call::Create);
        world.primary.goes(Mode::Up);
        before.arrival().await;
        if late {
            before.open();
            after.arrival().await;
        }
        let edited = world.edit(&session, "edited").await;
        let mut edited = world.edit(&edited, "edited twice").await;
        edited.record.expires_at = in_one_hour().saturating_add(HOUR);
        assert!(world.extend(&edited, edited.record.expires_at).await.unwrap());
        before.open();
        after.open();
        world.settled().await;
        assert_same(world.primary.record(&session.key).await, &edited);
        assert_eq!((world.status().moved, world.status().dropped), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_touch_during_a_move_is_moved_too() {
    let world = World::while_down(Mode::Down);
    let mut session = world.created().await;
    let (before, after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    session.record.expires_at = in_one_hour().saturating_add(HOUR);
    assert!(world.extend(&session, session.record.expires_at).await.unwrap());
    before.open();
    after.open();
    world.settled().await;
    assert_same(world.primary.record(&session.key).await, &session);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_neither_for_the_move_of_their_session_nor_of_another() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let (before, _after) = world.primary.hold(Call::Create);
    world.primary.goes(Mode::Up);
    before.arrival().await;
    let other = Session::fresh();
    world.primary.sessions.create(&other.key, &other.record, hour()).await.unwrap();
    let started = tokio::time::Instant::now();
    let edited = world.edit(&session, "edited").await;
    let renewed = world.renew(&edited).await;
    assert_same(world.found(&renewed).await, &renewed);
    assert!(world.delete(&renewed.key).await.unwrap());
    assert_same(world.found(&other).await, &other);
    assert!(world.delete(&other.key).await.unwrap());
    world.created().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// Four count up in one session, from before the primary is back until after it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_by_a_move() {
    const EACH: usize = 300;
    for round in 0..6 {
        let world = Arc::new(World::while_down(Mode::Down));
        let session = world.created().await;
        let counters: Vec<_> = (0..4)
            .map(|counter| {
                let (world, session) = (Arc::clone(&world), session.clone());
                tokio::spawn(count_up(world, session, EACH, Duration::from_micros(counter * 53)))
            })
            .collect();
        sleep(Duration::from_millis(round)).await;
        world.primary.goes(Mode::Up);
        for counter in counters {
            counter.await.unwrap();
        }
        world.settled().await;
        let record = world.primary.record(&session.key).await.unwrap();
        assert_eq!(record.data.bytes().len(), session.record.data.bytes().len() + 4 * EACH);
        assert_eq!((world.status().moved, world.status().dropped), (1, 0));
    }
}

async fn count_up(world: Arc<World>, mut session: Session, times: usize, pause: Duration) {
    for _ in 0..times {
        loop {
            let next = session.edited(vec![b' '; session.record.data.bytes().len() + 1]);
            match world.save(&next).await.unwrap() {
                Updated::Updated => {
                    session = next;
                    break;
                }
                Updated::Stale(record) => session.record = record,
                ended => panic!("the session is there: {ended:?}"),
            }
        }
        sleep(pause).await;
    }
}

/// Of many sessions that are changed, given new ids and logged out all the while they move.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_logged_out_during_moves_is_gone_and_the_rest_is_there() {
    for round in 0..4 {
        let world = Arc::new(World::while_down(Mode::Down));
        let mut users = Vec::new();
        for n in 0..400 {
            let (world, mut session) = (Arc::clone(&world), world.created().await);
            users.push(tokio::spawn(async move {
                sleep(Duration::from_micros(50_000 + n * 17)).await;
                let mut ids = vec![session.key.clone()];
                session = world.edit(&session, "edited").await;
                if n % 2 == 0 {
                    session = world.renew(&session).await;
                    ids.push(session.key.clone());
                }
                session = world.edit(&session, "edited again").await;
                let deleted = n % 3 == 0;
                if deleted {
                    world.delete(&ids[usize::try_from(n).unwrap() / 3 % ids.len()]).await.unwrap();
                    for _ in 0..10 {
                        assert_eq!(world.found(&session).await, None, "it is back in round {round}");
                        sleep(Duration::from_micros(500)).await;
                    }
                }
                (session, ids, deleted)
            }));
        }
        sleep(Duration::from_millis(round)).await;
        world.primary.goes(Mode::Up);
        let mut known = Vec::new();
        for user in users {
            known.push(user.await.unwrap());
        }
        world.settled().await;
        for (session, ids, deleted) in known {
            let (last, former) = ids.split_last().unwrap();
            for key in former {
                assert_eq!(world.primary.record(key).await, None, "an old id in round {round}");
            }
            if deleted {
                assert_eq!(world.load(last).await.unwrap(), Loaded::Absent, "round {round}");
            } else {
                assert_same(world.primary.record(last).await, &session);
            }
        }
        assert_eq!(world.status().dropped, 0);
    }
}

/// The marker of a rotation in memory is not moved: there is nothing to be moved, it ends within a minute.
#[tokio::test(start_paused = true)]
async fn markers_stay_until_they_end() {
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    let renewed = session.renewed();
    let rotation =
        Rotation::new(&session.key, &renewed.key, &renewed.record, Ttl::new(Duration::from_secs(1)));
    assert_eq!(world.rotate(rotation).await.unwrap(), Updated::Updated);
    assert!(Moved::ttl(hour()) <= Ttl::new(Moved::MAX_LIFE));
    world.recovers().await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Moved);
    world.primary.calls();
    sleep(Duration::from_secs(100)).await;
    let calls = world.primary.calls().len();
    assert!((100..=200).contains(&calls), "{calls} in 100 seconds that only the paused clock has seen");
    thread::sleep(Duration::from_millis(1100));
    world.a_round().await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Absent);
    assert!(format!("{:?}", world.store).contains("engaged: false"));
}

#[tokio::test(start_paused = true)]
async fn new_sessions_of_the_first_moments_after_recovery_move_too() {
    let world = World::new(FallbackPolicy::WhileDown);
    world.primary.goes(Mode::Down);
    let mut sessions = vec![world.created().await];
    world.primary.goes(Mode::Up);
    let (before, after) = world.primary.hold(Call::Create);
    before.arrival().await;
    for _ in 0..10 {
        let session = Session::fresh();
        let created = world.create(&session.key, &session.record, hour()).await.unwrap();
        assert_eq!(created, Created::Created);
        sessions.push(session);
    }
    assert_eq!(world.status().in_memory, 11);
    before.open();
    after.open();
    world.settled().await;
    for session in sessions {
        assert_same(world.primary.record(&session.key).await, &session);
    }
}

/// The marker stays in memory, and the session behind it goes to the primary.
#[tokio::test(start_paused = true)]
async fn a_write_follows_a_session_that_was_moved_after_it_got_a_new_id() {
    for edits_before in [false, true] {
        let world = World::while_down(Mode::Down);
        let session = world.created().await;
        let mut renewed = world.renew(&session).await;
        let follow = async |record: &Record| {
            world.update(Update::new(&session.key, record, hour()).following()).await.unwrap()
        };
        if edits_before {
            let edited = renewed.edited("in memory");
            assert_eq!(follow(&edited.record).await, Updated::Updated);
            renewed = edited;
        }
        world.recovers().await;
        assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Moved);
        assert_eq!(follow(&renewed.record).await, Updated::Updated, "sent twice");

        let stale = follow(&session.edited("stale").record).await;
        assert!(matches!(stale, Updated::Stale(there) if there.revision == renewed.record.revision));
        let edited = renewed.edited("in the primary");
        assert_eq!(follow(&edited.record).await, Updated::Updated);
        assert_same(world.primary.record(&renewed.key).await, &edited);

        world.delete(&renewed.key).await.unwrap();
        assert_eq!(follow(&edited.edited("late").record).await, Updated::Missing);
        assert_eq!(world.primary.record(&renewed.key).await, None);
    }
}
