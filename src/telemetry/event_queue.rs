//! The way of events to the application's listeners: a bounded queue, and a thread that calls them.
//!
//! The thread is the standard library's, since requests may be served by several runtimes, or by one whose workers
//! block. It begins with the first event, and ends when there were none for a while, so that a manager which hardly
//! tells anything costs no thread.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::session_events::{EventDetail, SessionEvent};

/// So many events wait at most: those of a second in which an owner with a thousand sessions is revoked.
const MOST_WAITING: usize = 1024;
/// How long the thread waits for another event, so that it begins at most that often.
const LINGERS: Duration = Duration::from_secs(10);

/// What the application does with an event, and how much it is told.
struct Listener {
    detail: EventDetail,
    call: Box<dyn Fn(&SessionEvent) + Send + Sync>,
}

/// The application's listeners, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Listeners(Vec<Listener>);

impl Listeners {
    pub(crate) fn add(&mut self, detail: EventDetail, call: impl Fn(&SessionEvent) + Send + Sync + 'static) {
        self.0.push(Listener { detail, call: Box::new(call) });
    }

    /// A queue to them; none if there are none.
    pub(crate) fn into_queue(self) -> Option<EventQueue> {
        self.queue(LINGERS)
    }

    fn queue(self, lingers: Duration) -> Option<EventQueue> {
        let detail = self.0.iter().map(|listener| listener.detail).reduce(EventDetail::or)?;
        let state = Mutex::new(State { waiting: VecDeque::new(), accepted: 0, thread: Thread::None });
        Some(EventQueue(Arc::new(Shared {
            listeners: self.0,
            detail,
            lingers,
            state,
            news: Condvar::new(),
            handled: watch::Sender::new(0),
            has_dropped: AtomicBool::new(false),
        })))
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.0.len())
    }
}

/// Events on their way to the listeners.
pub(crate) struct EventQueue(Arc<Shared>);

struct Shared {
    listeners: Vec<Listener>,
    /// What any of them is told.
    detail: EventDetail,
    /// How long the thread waits for another event.
    lingers: Duration,
    state: Mutex<State>,
    news: Condvar,
    /// The number of events that all listeners have heard of.
    handled: watch::Sender<u64>,
    has_dropped: AtomicBool,
}

struct State {
    waiting: VecDeque<SessionEvent>,
    /// The number of events that were ever put in.
    accepted: u64,
    thread: Thread,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    None,
    Runs,
    /// The manager is gone: it ends when nothing waits any more.
    IsToEnd,
}

impl EventQueue {
    /// What the listeners are told of people.
    pub(super) fn detail(&self) -> EventDetail {
        self.0.detail
    }

    /// Puts an event in, unless too many are waiting. Answers whether it did.
    pub(super) fn push(&self, event: SessionEvent) -> bool {
        let shared = &self.0;
        let begins = {
            let mut state = shared.state.lock();
            if state.waiting.len() >= MOST_WAITING {
                drop(state);
                self.warn_once();
                return false;
            }
            state.waiting.push_back(event);
            state.accepted += 1;
            let begins = state.thread == Thread::None;
            if begins {
                state.thread = Thread::Runs;
            }
            begins
        };
        if begins {
            self.begin_thread();
        } else {
            shared.news.notify_one();
        }
        true
    }

    fn begin_thread(&self) {
        let shared = Arc::clone(&self.0);
        let begun = thread::Builder::new().name("session-events".to_owned()).spawn(move || shared.work());
        if let Err(error) = begun {
            tracing::warn!(%error, "no thread could be started for the listeners of events; the next event tries again");
            self.0.state.lock().thread = Thread::None;
        }
    }

    fn warn_once(&self) {
        if !self.0.has_dropped.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a listener of events is too slow: {MOST_WAITING} are waiting, and more are dropped; \
                `Counts::events_dropped` counts them"
            );
        }
    }

    /// Waits until all events that were put in by now were handled.
    pub(super) async fn flushed(&self) {
        let accepted = self.0.state.lock().accepted;
        let mut handled = self.0.handled.subscribe();
        handled.wait_for(|handled| *handled >= accepted).await.expect("the sender is in the queue");
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.thread == Thread::Runs {
            state.thread = Thread::IsToEnd;
            self.0.news.notify_one();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(event) = self.next() {
            for listener in &self.listeners {
                self.call(listener, &event);
            }
            self.handled.send_modify(|handled| *handled += 1);
        }
    }

    /// The next event; `None` once the thread is to end.
    fn next(&self) -> Option<SessionEvent> {
        let mut state = self.state.lock();
        loop {
            if let Some(event) = state.waiting.pop_front() {
                return Some(event);
            }
            let is_to_end = state.thread == Thread::IsToEnd;
            let nothing_comes = is_to_end || self.news.wait_for(&mut state, self.lingers).timed_out();
            if nothing_comes && state.waiting.is_empty() {
                state.thread = Thread::None;
                return None;
            }
        }
    }

    fn call(&self, listener: &Listener, event: &SessionEvent) {
        let told = (listener.detail != self.detail).then(|| listener.detail.of(event));
        let call = AssertUnwindSafe(|| (listener.call)(told.as_ref().unwrap_or(event)));
        if let Err(panic) = catch_unwind(call) {
            tracing::error!(event = event.kind.name(), "a listener of events panicked");
            // To drop what a listener panics with could panic, too.
            std::mem::forget(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::clock::Timestamp;
    use crate::telemetry::session_events::{EventKind, Subject};

    fn event() -> SessionEvent {
        Subject::default().event(EventKind::Forged, Timestamp::from_millis(7), EventDetail::new())
    }

    #[tokio::test]
    async fn a_thread_ends_for_want_of_events_and_the_next_one_begins_another() {
        let heard = Arc::new(AtomicU64::new(0));
        let mut listeners = Listeners::default();
        let hears = Arc::clone(&heard);
        listeners.add(EventDetail::new(), move |_| _ = hears.fetch_add(1, Ordering::Relaxed));
        let queue = listeners.queue(Duration::ZERO).unwrap();
        for times in 1..=3 {
            assert!(queue.push(event()));
            queue.flushed().await;
            assert_eq!(heard.load(Ordering::Relaxed), times);
            while queue.0.state.lock().thread != Thread::None {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn without_listeners_there_is_no_queue() {
        assert!(Listeners::default().into_queue().is_none());
    }
}
