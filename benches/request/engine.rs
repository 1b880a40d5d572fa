//! What the engine takes for a request: begin, the session, what a handler does with it, finish. On a
//! runtime of two threads.

use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use session_store::{Key, KeyRing, SessionManager, SessionStore};
use tokio::runtime::Runtime;

use crate::support::shopper::Shopper;
use crate::support::visitor::{forge, manager, sign_up};
use crate::support::{Worker, run};

const TASKS: [u64; 2] = [1, 64];

pub(crate) fn requests(
    mut group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: Arc<impl SessionStore>,
) {
    let (old, new) = (Key::generate(), Key::generate());
    let today = manager(Arc::clone(&store), KeyRing::new(old.clone()));
    let tomorrow = manager(store, KeyRing::new(new).with_previous(old));

    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    for tasks in TASKS {
        for request in Request::ALL {
            let serving = if request == Request::SignedAgain { &tomorrow } else { &today };
            let signed_by = &today;
            group.bench_function(BenchmarkId::new(request.name(), tasks), |bencher| {
                bencher.to_async(runtime).iter_custom(|steps| async move {
                    let mut visitors = Vec::new();
                    for _ in 0..tasks {
                        let cookie = request.cookie(signed_by).await;
                        visitors.push(Visitor { manager: serving.clone(), request, cookie });
                    }
                    run(visitors, steps).await.0
                });
            });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// Comes with a session, and the handler does not use it.
    Untouched,
    /// Comes without a cookie; the handler reads.
    Anonymous,
    /// Comes with a cookie that no key signed; the handler reads.
    Forged,
    /// Comes with a session; the handler reads.
    Read,
    /// The same, with a cookie of a retiring key, which is signed again.
    SignedAgain,
    /// The handler writes; the change is stored at the end.
    Modified,
    /// The handler awaits `update`.
    Updated,
    /// Comes without a cookie, and gets a session.
    New,
}

impl Request {
    const ALL: [Self; 8] = [
        Self::Untouched,
        Self::Anonymous,
        Self::Forged,
        Self::Read,
        Self::SignedAgain,
        Self::Modified,
        Self::Updated,
        Self::New,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Anonymous => "anonymous",
            Self::Forged => "forged",
            Self::Read => "read",
            Self::SignedAgain => "read, signed again",
            Self::Modified => "modified",
            Self::Updated => "update()",
            Self::New => "new",
        }
    }

    async fn cookie(self, manager: &SessionManager<Shopper>) -> Option<String> {
        match self {
            Self::Anonymous | Self::New => None,
            Self::Forged => Some(forge(&sign_up(manager).await)),
            _ => Some(sign_up(manager).await),
        }
    }

    fn sets_a_cookie(self) -> bool {
        matches!(self, Self::New | Self::SignedAgain)
    }
}

/// A browser that sends the same request over and over.
struct Visitor {
    manager: SessionManager<Shopper>,
    request: Request,
    cookie: Option<String>,
}

impl Worker for Visitor {
    async fn step(&mut self) {
        let request_session = self.manager.begin(self.cookie.as_deref());
        let session = match self.request {
            Request::Untouched => None,
            _ => Some(request_session.session().await.expect("the store answers")),
        };
        if let Some(session) = session {
            match self.request {
                Request::Modified => session.write(|shopper| shopper.visits += 1),
                Request::Updated => session.update(|shopper| shopper.visits += 1).await,
                Request::New => session.write(|shopper| *shopper = Shopper::ada()),
                _ => {
                    black_box(session.read(|shopper| shopper.visits));
                    Ok(())
                }
            }
            .expect("the session is stored");
        }
        let actions = request_session.finish(200).await;
        assert!(actions.failure.is_none() && actions.set_cookie.is_some() == self.request.sets_a_cookie());
    }
}
