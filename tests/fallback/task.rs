//! The background task: there is one while there is something to do, and none else.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_store::{Created, Error, FallbackPolicy, Loaded, SessionStore as _};
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::Barrier;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::log;
use crate::primary::{Call, Mode};
use crate::sample::{POLICIES, Session, World, assert_same, assert_unavailable, hour};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn engaged(world: &World) -> bool {
    format!("{:?}", world.store).contains("engaged: true")
}

fn complaints() -> usize {
    log::text().lines().filter(|line| line.contains("refuses the changes that it missed")).count()
}

fn runtime() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn there_is_none_while_all_is_well() {
    for policy in POLICIES {
        let world = World::new(policy);
        let session = world.created().await;
        assert!(world.delete(&session.key).await.unwrap());
        assert!(!engaged(&world) && tasks() == 0);
        // A failure or two are no outage.
        world.primary.goes(Mode::Down);
        assert_unavailable(world.load(&session.key).await);
        assert_unavailable(world.load(&session.key).await);
        assert!(!engaged(&world) && tasks() == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nothing_is_left() {
    for policy in POLICIES {
        let world = World::new(policy);
        let session = world.created().await;
        world.primary.goes(Mode::Down);
        assert_unavailable(world.delete(&session.key).await);
        let _ = world.create(&Session::fresh().key, &session.record, hour()).await;
        assert!(engaged(&world) && tasks() == 1);
        world.recovers().await;
        world.a_round().await;
        assert!(!engaged(&world) && tasks() == 0, "{policy:?}");
        world.primary.calls();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(world.primary.calls(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn it_asks_ever_less_often_down_to_once_a_second() {
    let world = World::while_down(Mode::Down);
    world.created().await;
    world.primary.calls();
    sleep(Duration::from_millis(24)).await;
    assert_eq!(world.primary.calls(), [], "not before 25 ms have passed");
    sleep(Duration::from_millis(27)).await;
    assert_eq!(world.primary.calls(), [Call::Load], "within 50 ms");
    // 100, 200, 400 and 800 ms, or as little as half of each.
    sleep(Duration::from_millis(750)).await;
    let calls = world.primary.calls().len();
    assert!((3..=4).contains(&calls), "{calls}");
    sleep(Duration::from_secs(1)).await;
    world.primary.calls();
    sleep(Duration::from_secs(1000)).await;
    let calls = world.primary.calls().len();
    assert!((1200..1500).contains(&calls), "every 0.75 s on the average: {calls}");
}

#[tokio::test(start_paused = true)]
async fn it_is_one_however_many_callers_fail() {
    let world = Arc::new(World::while_down(Mode::Down));
    for _ in 0..100 {
        world.created().await;
        let _ = world.load(&Session::fresh().key).await;
        let _ = world.delete(&Session::fresh().key).await;
    }
    assert_eq!(tasks(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_one_even_if_callers_fail_at_once() {
    for _ in 0..40 {
        until(|| tasks() == 0).await;
        let (world, start) = (Arc::new(World::while_down(Mode::Down)), Arc::new(Barrier::new(4)));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (world, start) = (Arc::clone(&world), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    world.created().await;
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        until(|| tasks() <= 1).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..5000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("not within five seconds");
}

#[tokio::test(start_paused = true)]
async fn a_later_outage_begins_anew() {
    let world = World::while_down(Mode::Down);
    for _ in 0..3 {
        world.primary.goes(Mode::Down);
        world.created().await;
        sleep(Duration::from_secs(60)).await;
        world.recovers().await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(tasks(), 0);
        world.primary.calls();
        world.primary.goes(Mode::Down);
        world.created().await;
        world.primary.goes(Mode::Up);
        sleep(Duration::from_millis(51)).await;
        assert_eq!(world.status().in_memory, 0, "the first attempt follows within 50 ms");
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_store() {
    let world = World::while_down(Mode::Down);
    world.created().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(tasks(), 1);
    drop(world);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(tasks(), 0);
}

#[test]
fn it_is_started_again_when_its_runtime_ended() {
    let world = World::while_down(Mode::Down);
    let first = runtime();
    let session = first.block_on(world.created());
    drop(first);
    world.primary.goes(Mode::Up);
    runtime().block_on(async {
        assert_eq!(tasks(), 0);
        assert_same(world.found(&session).await, &session);
        assert_eq!(tasks(), 1);
        world.settled().await;
        assert_same(world.primary.record(&session.key).await, &session);
    });
}

/// As in a `LazyLock`: no runtime is there when the store is made.
#[test]
fn it_runs_where_the_store_was_used_first() {
    let world = World::new(FallbackPolicy::WhileDown);
    let (home, worker) = (runtime(), runtime());
    home.block_on(world.created());
    world.primary.goes(Mode::Down);
    let session = worker.block_on(async {
        let session = world.created().await;
        assert_eq!(tasks(), 0);
        session
    });
    drop(worker);
    world.primary.goes(Mode::Up);
    home.block_on(async {
        yield_now().await;
        assert_eq!(tasks(), 1);
        world.settled().await;
        assert_same(world.primary.record(&session.key).await, &session);
    });
}

/// So it is when all that is known is that the primary was away.
#[test]
fn it_is_started_again_by_whatever_operation() {
    type Operation = fn(&World, &Session) -> Runtime;
    let run = |world: &World, session: &Session, operation: Operation| {
        let ended = operation(world, session);
        drop(ended);
    };
    let operations: [Operation; 2] = [
        |world, session| {
            let runtime = runtime();
            runtime.block_on(async {
                let _ = world.delete(&session.key).await;
                assert_eq!(tasks(), 1);
            });
            runtime
        },
        |world, _| {
            let runtime = runtime();
            runtime.block_on(async {
                world.created().await;
                assert_eq!(tasks(), 1);
            });
            runtime
        },
    ];
    for operation in operations {
        let world = World::while_down(Mode::Down);
        drop({
            let first = runtime();
            first.block_on(world.created());
            first
        });
        run(&world, &Session::fresh(), operation);
    }
}

/// No runtime, no task: a store of memory alone needs none, and the next caller may have one.
#[test]
fn operations_work_outside_a_runtime() {
    fn now<F: Future>(future: F) -> F::Output {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    }
    let world = World::while_down(Mode::Down);
    let session = Session::fresh();
    assert_eq!(now(world.create(&session.key, &session.record, hour())).unwrap(), Created::Created);
    assert_eq!(now(world.load(&session.key)).unwrap(), Loaded::Found(session.record.clone()));
    assert_unavailable(now(world.delete(&Session::fresh().key)));
    world.primary.goes(Mode::Up);
    runtime().block_on(async {
        assert_same(world.found(&session).await, &session);
        world.settled().await;
    });
}

/// A primary that is full is not to be stormed, and what it takes it gets.
#[tokio::test(start_paused = true)]
async fn what_the_primary_refuses_waits_and_holds_nobody_up() {
    log::collect();
    let world = World::while_down(Mode::Down);
    let session = world.created().await;
    world.primary.goes(Mode::Refuses);
    world.a_round().await;
    assert!(!world.status().open, "it answers");
    let refused = world.create(&Session::fresh().key, &session.record, hour()).await;
    assert!(matches!(refused, Err(Error::Refused { .. })));
    assert_same(world.found(&session).await, &session);
    world.primary.calls();
    sleep(Duration::from_secs(100)).await;
    let calls = world.primary.calls().into_iter().filter(|call| *call == Call::Create).count();
    assert!((100..=200).contains(&calls), "{calls} in 100 seconds");
    assert_eq!(complaints(), 1);
    assert!(log::text().contains("OOM"), "the warning has the server's words");
    world.recovers().await;
    assert_same(world.found(&session).await, &session);
}

#[tokio::test(start_paused = true)]
async fn deletions_that_the_primary_refuses_wait_and_hold_nobody_up() {
    log::collect();
    let world = World::new(FallbackPolicy::WhileDown);
    world.primary.goes(Mode::Down);
    for _ in 0..10 {
        assert_unavailable(world.delete(&Session::fresh().key).await);
    }
    let session = world.created().await;
    (0..300).for_each(|_| world.primary.once(Call::Delete, Mode::Refuses));
    world.primary.goes(Mode::Up);
    sleep(Duration::from_secs(100)).await;
    let calls = world.primary.calls().into_iter().filter(|call| *call == Call::Delete).count();
    assert!((110..=210).contains(&calls), "{calls}");
    assert_eq!(world.status().owed_deletions, 10);
    assert_same(world.primary.record(&session.key).await, &session);
    assert!(!world.status().open);
    assert_eq!(complaints(), 1);
    world.settled().await;
}

/// The one that is refused is not always the first.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_always_refused_does_not_keep_the_others() {
    let world = World::while_down(Mode::Down);
    for _ in 0..30 {
        world.created().await;
    }
    world.primary.goes(Mode::Up);
    // Every third create is refused, whosever it is.
    for _ in 0..1000 {
        world.primary.once(Call::Create, Mode::Up);
        world.primary.once(Call::Create, Mode::Up);
        world.primary.once(Call::Create, Mode::Refuses);
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!((world.status().in_memory, world.status().moved), (0, 30));
}
