//! Listeners that are slow, that panic, and that come to their end.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use session_store::{EventKind, KeyRing, MemoryStore, SessionManager, SessionManagerBuilder};

use crate::support::log::Log;
use crate::told::Told;

/// As many as wait at most.
const MOST_WAITING: u64 = 1024;
/// Nothing here takes long; this turns a fault that would hang into one that fails.
const WITHIN: Duration = Duration::from_secs(10);

fn builder() -> SessionManagerBuilder<u64> {
    SessionManager::builder(MemoryStore::new(), KeyRing::generate())
}

#[tokio::test]
async fn a_listener_that_blocks_holds_nobody_up_and_what_is_too_much_is_dropped() {
    let log = Log::begin();
    let (open, gate) = mpsc::channel::<()>();
    let (arrive, arrived) = mpsc::channel();
    let gate = Mutex::new(gate);
    let told = Told::default();
    let blocks = builder().on_event(move |_| {
        arrive.send(()).unwrap();
        let _opened = gate.lock().unwrap().recv();
    });
    let manager = told.listen(blocks).build().unwrap();
    manager.begin(Some("__Host-Http-id=forged"));
    arrived.recv_timeout(WITHIN).unwrap();

    // All that follows waits behind it.
    for nth in 0..MOST_WAITING + 10 {
        let request = manager.begin(None);
        request.session().await.unwrap().sign_in(nth.to_string(), |_| ()).unwrap();
        assert!(request.finish(200).await.set_cookie.is_some());
    }
    assert_eq!(manager.counts().events_dropped, 10);
    let warnings = log.text().matches("a listener of events is too slow").count();
    assert_eq!(warnings, 1, "{}", log.text());
    let audited = log.text().lines().filter(|line| line.contains("session_store::audit: ")).count() as u64;
    assert_eq!(audited, 1 + MOST_WAITING + 10, "the audit log has all of them");

    drop(open);
    let names = told.names(&manager).await;
    assert_eq!(names.len() as u64, 1 + MOST_WAITING);
    // From now on there is room again.
    manager.begin(Some("__Host-Http-id=forged"));
    assert_eq!(told.names(&manager).await, ["forged"]);
    assert_eq!(manager.counts().events_dropped, 10);
}

#[tokio::test]
async fn a_listener_that_panics_ends_nothing() {
    let told = Told::default();
    let panics = builder().on_event(|event| {
        assert!(event.kind != EventKind::SignedIn, "of the listener");
    });
    let manager = told.listen(panics).build().unwrap();
    for owner in ["ada", "bob", "eve"] {
        let request = manager.begin(None);
        request.session().await.unwrap().sign_in(owner, |_| ()).unwrap();
        assert!(request.finish(200).await.failure.is_none());
    }
    assert_eq!(told.names(&manager).await, ["signed_in"; 3]);
    assert_eq!(manager.counts().events_dropped, 0);
}

/// As in a worker of actix-web, and in a program that has no runtime at all.
#[test]
fn events_are_told_whatever_runtimes_there_are() {
    let told = Told::default();
    let manager = told.listen(builder()).build().unwrap();
    manager.begin(Some("__Host-Http-id=forged"));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        for owner in ["ada", "bob"] {
            let manager = &manager;
            scope.spawn(move || {
                runtime().block_on(async {
                    let request = manager.begin(None);
                    request.session().await.unwrap().sign_in(owner, |_| ()).unwrap();
                    assert!(request.finish(200).await.failure.is_none());
                });
            });
        }
    });
    assert_eq!(runtime().block_on(told.names(&manager)), ["forged", "signed_in", "signed_in"]);
}

#[test]
fn when_the_manager_goes_its_listener_hears_the_rest_and_goes_too() {
    let (tell, told) = mpsc::channel();
    let manager = builder().on_event(move |event| tell.send(event.kind).unwrap()).build().unwrap();
    let clone = manager.clone();
    for _ in 0..3 {
        manager.begin(Some("__Host-Http-id=forged"));
    }
    drop(manager);
    clone.begin(Some("__Host-Http-id=forged"));
    drop(clone);
    for _ in 0..4 {
        assert_eq!(told.recv_timeout(WITHIN), Ok(EventKind::Forged));
    }
    // Not after the time for which its thread waits for more.
    assert_eq!(told.recv_timeout(WITHIN / 2), Err(RecvTimeoutError::Disconnected));
}

#[tokio::test]
async fn without_listeners_there_is_nothing_to_wait_for() {
    let manager = builder().build().unwrap();
    manager.begin(Some("__Host-Http-id=forged"));
    manager.flush_events().await;
    let told = Told::default();
    told.listen(builder()).build().unwrap().flush_events().await;
}

/// A listener that keeps a part of the service is told by all threads at once.
#[test]
fn events_of_many_threads_are_all_told() {
    let told = Told::default();
    let manager = Arc::new(told.listen(builder()).build().unwrap());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| drop(manager.begin(Some("__Host-Http-id=forged")))));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let names = runtime.block_on(told.names(&manager));
    assert_eq!(names.len() as u64 + manager.counts().events_dropped, 800);
    assert!(names.len() >= 100);
}
