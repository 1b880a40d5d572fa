//! When new sessions go to memory, and when no longer.

use session_store::{
    Clock as _, Created, Error, FallbackPolicy, Loaded, MemoryStore, Payload, SessionStore, SystemClock,
};

use crate::log;
use crate::primary::{Call, Mode, Primary};
use crate::sample::{HOUR, POLICIES, Session, World, assert_same, assert_unavailable, hour};
use FallbackPolicy::{AtStart, Never, WhileDown};

async fn create(world: &World) -> Result<Created, Error> {
    let session = Session::fresh();
    world.create(&session.key, &session.record, hour()).await
}

#[tokio::test(start_paused = true)]
async fn never_fails_closed() {
    let world = World::new(Never);
    world.primary.goes(Mode::Down);
    for _ in 0..5 {
        assert_unavailable(create(&world).await);
    }
    assert!(!world.status().open);
    assert_eq!(world.status().in_memory, 0);
    assert_eq!(FallbackPolicy::default(), Never);
}

#[tokio::test(start_paused = true)]
async fn at_start_ends_with_the_first_outage() {
    let world = World::new(AtStart);
    world.primary.goes(Mode::Down);
    let session = world.created().await;
    assert_eq!(world.load(&session.key).await.unwrap(), Loaded::Found(session.record.clone()));
    assert!(world.status().open);
    world.recovers().await;
    assert_same(world.primary.record(&session.key).await, &session);
    world.primary.goes(Mode::Down);
    for _ in 0..5 {
        assert_unavailable(create(&world).await);
    }
    assert!(!world.status().open);
}

#[tokio::test(start_paused = true)]
async fn at_start_ends_with_the_first_answer_even_a_refusal() {
    for mode in [Mode::Up, Mode::Refuses] {
        let world = World::new(AtStart);
        world.primary.goes(Mode::Down);
        let unavailable = world.load(&Session::fresh().key).await;
        assert_unavailable(unavailable);
        world.primary.goes(mode);
        let _ = world.load(&Session::fresh().key).await;
        world.primary.goes(Mode::Down);
        assert_unavailable(create(&world).await);
    }
}

/// The task has not looked yet, but a visitor has.
#[tokio::test(start_paused = true)]
async fn at_start_ends_with_the_first_answer_even_while_open() {
    let world = World::new(AtStart);
    world.primary.goes(Mode::Down);
    let session = world.created().await;
    world.primary.goes(Mode::Up);
    world.load(&Session::fresh().key).await.unwrap();
    assert!(world.status().open);
    world.primary.goes(Mode::Down);
    assert_unavailable(create(&world).await);
    // What is in memory is served from there nevertheless.
    assert_same(world.found(&session).await, &session);
}

#[tokio::test(start_paused = true)]
async fn while_down_serves_every_outage() {
    let world = World::new(WhileDown);
    world.created().await;
    for _ in 0..3 {
        world.primary.goes(Mode::Down);
        let session = world.created().await;
        assert_eq!(world.primary.record(&session.key).await, None);
        assert_same(world.found(&session).await, &session);
        world.recovers().await;
        assert_same(world.primary.record(&session.key).await, &session);
        assert_same(world.found(&session).await, &session);
    }
    assert_eq!(world.status().moved, 3);
}

#[tokio::test(start_paused = true)]
async fn one_create_that_was_certainly_not_sent_opens() {
    let world = World::while_down(Mode::Down);
    assert_eq!(world.status().since, None);
    world.created().await;
    assert!(world.status().open);
    assert!(SystemClock.now().saturating_since(world.status().since.unwrap()) < HOUR);
    world.primary.calls();
    world.created().await;
    assert_eq!(world.primary.calls(), [], "new sessions go straight to memory");
}

/// It may have been stored. Under another id the visitor gets another session, under this one nobody.
#[tokio::test(start_paused = true)]
async fn a_create_of_unknown_outcome_is_the_callers() {
    for mode in [Mode::Lost, Mode::Mute, Mode::Frozen] {
        let world = World::while_down(mode);
        for _ in 0..2 {
            assert!(create(&world).await.unwrap_err().outcome_unknown());
            assert!(!world.status().open);
            assert_eq!(world.status().in_memory, 0);
        }
        assert!(create(&world).await.unwrap_err().outcome_unknown());
        assert!(world.status().open, "it counts as a failure");
        assert_eq!(world.status().in_memory, 0);
        create(&world).await.unwrap();
        assert_eq!(world.status().in_memory, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_open_whatever_the_operation() {
    let world = World::new(WhileDown);
    let session = world.created().await;
    for _ in 0..3 {
        world.primary.goes(Mode::Down);
        assert_unavailable(world.load(&session.key).await);
        assert_unavailable(world.save(&session.edited("lost")).await);
        assert!(!world.status().open);
        world.primary.goes(Mode::Up);
        world.load(&session.key).await.unwrap();
    }
    world.primary.goes(Mode::Down);
    assert_unavailable(world.extend(&session, session.record.expires_at).await);
    assert_unavailable(world.try_rotate(&session, &session.renewed()).await);
    assert!(!world.status().open);
    assert_unavailable(world.load(&session.key).await);
    assert!(world.status().open);
    assert_eq!(world.status().in_memory, 0);
    world.recovers().await;
    assert_same(world.found(&session).await, &session);
}

#[tokio::test(start_paused = true)]
async fn policies_that_do_not_allow_memory_do_not_open() {
    for policy in [Never, AtStart] {
        let world = World::new(policy);
        world.created().await;
        world.primary.goes(Mode::Down);
        for _ in 0..10 {
            assert_unavailable(world.load(&Session::fresh().key).await);
        }
        assert!(!world.status().open, "{policy:?}");
    }
}

/// A refusal is an answer: memory would hide what somebody has to change.
#[tokio::test(start_paused = true)]
async fn refusals_do_not_open() {
    for policy in POLICIES {
        let world = World::new(policy);
        world.primary.goes(Mode::Refuses);
        for _ in 0..5 {
            assert!(matches!(create(&world).await, Err(Error::Refused { .. })), "{policy:?}");
        }
        assert!(!world.status().open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_memory_has_no_room_for_is_too_large() {
    let world = World::with_memory(MemoryStore::with_capacity(2000));
    let mut large = Session::fresh();
    large.record.data = Payload::new(1, vec![b' '; 2000]);
    world.create(&large.key, &large.record, hour()).await.unwrap();
    let edited = large.edited("small");
    world.primary.goes(Mode::Down);
    let small = world.created().await;
    let refused = world.create(&Session::fresh().key, &large.record, hour()).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    // The size of memory is no matter to the sessions of the primary.
    assert_unavailable(world.save(&Session { record: large.record.next(), ..large.clone() }).await);
    world.recovers().await;
    assert_same(world.found(&small).await, &small);
    world.save(&edited).await.unwrap();
}

/// Where a part of a cluster is down, one operation that succeeds proves little.
#[tokio::test(start_paused = true)]
async fn it_closes_when_sixteen_sessions_in_a_row_or_all_there_are_could_be_moved() {
    for (sessions, movable, closes) in [(5, 4, false), (5, 5, true), (40, 15, false), (40, 16, true)] {
        let world = World::while_down(Mode::Down);
        for _ in 0..sessions {
            world.created().await;
        }
        world.primary.goes(Mode::Up);
        let fates = [vec![Mode::Up; movable], vec![Mode::Lost; 1000]].concat();
        for fate in fates {
            world.primary.once(Call::Create, fate);
        }
        world.a_round().await;
        let status = world.status();
        assert_eq!(status.open, !closes, "{movable} of {sessions} sessions are movable: {status:?}");
        assert_eq!(status.moved, movable as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_is_one_warning_and_a_request_none() {
    log::collect();
    let count = |what: &str| log::text().lines().filter(|line| line.contains(what)).count();
    for policy in POLICIES {
        let world = World::new(policy);
        world.primary.goes(Mode::Down);
        let (opened, closed) = (
            count("fell back: new sessions are kept in memory from now on"),
            count("recovered: the session store answers again"),
        );
        let warnings = count("WARN");
        for _ in 0..20 {
            let _ = create(&world).await;
            let _ = world.load(&Session::fresh().key).await;
            let _ = world.delete(&Session::fresh().key).await;
            world.a_round().await;
        }
        let switches = usize::from(policy != Never);
        assert_eq!(
            count("fell back: new sessions are kept in memory from now on") - opened,
            switches,
            "{policy:?}"
        );
        assert_eq!(count("recovered: the session store answers again") - closed, 0, "{policy:?}");
        world.recovers().await;
        for _ in 0..20 {
            create(&world).await.unwrap();
        }
        assert_eq!(count("recovered: the session store answers again") - closed, switches, "{policy:?}");
        assert_eq!(count("WARN") - warnings, 2 * switches, "{policy:?}: {}", log::text());
    }
    assert!(log::text().contains("the primary is Down"), "the warning says why");
}

/// For dashboards, the rest is as the primary has it.
#[tokio::test(start_paused = true)]
async fn the_status_says_while_new_sessions_go_to_memory() {
    for policy in POLICIES {
        let world = World::new(policy);
        let status = || SessionStore::status(&world.store);
        let mut primary = status();
        primary.fallback = None;
        assert_eq!(primary, world.primary.status(), "{policy:?}");
        world.primary.goes(Mode::Down);
        let _ = create(&world).await;
        assert_eq!(status().uses_fallback(), policy != Never, "{policy:?}");
        world.recovers().await;
        assert!(!status().uses_fallback(), "{policy:?}");
    }
}

#[test]
fn debug_output_names_the_policy_and_holds_no_session() {
    let world = World { primary: Primary::default(), ..World::new(AtStart) };
    let shown = format!("{:?}", world.store);
    assert!(shown.contains("policy: AtStart") && shown.contains("engaged: false"), "{shown}");
}
