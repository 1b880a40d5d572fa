//! What the engine takes for a request: begin, the session, what a handler does with it, finish.

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use session_store::{Key, KeyRing, MemoryStore, RedisStore, SessionManager, SessionStore};
use support::redis::Server;
use support::shopper::Shopper;
use support::{Worker, run, runtime};
use tokio::runtime::Runtime;

const TASKS: [u64; 2] = [1, 64];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = runtime();
    cookies(&mut criterion, &runtime);
    requests(criterion.benchmark_group("memory"), &runtime, MemoryStore::new());

    let server = runtime.block_on(Server::start());
    let store = runtime.block_on(RedisStore::connect(server.url())).expect("the server answers");
    requests(criterion.benchmark_group("redis"), &runtime, store);
    criterion.final_summary();
}

/// What a cookie takes by itself: finding it in the header, and an HMAC to verify it.
fn cookies(criterion: &mut Criterion, runtime: &Runtime) {
    let manager = manager(MemoryStore::new(), KeyRing::generate());
    let good = runtime.block_on(sign_up(&manager));
    let forged = forge(&good);
    let mut group = criterion.benchmark_group("cookie");
    for (name, header) in [("verified", &*good), ("forged", &forged), ("not ours", "theme=dark; lang=en")] {
        group.bench_function(name, |bencher| bencher.iter(|| manager.begin(Some(black_box(header)))));
    }
}

fn requests(mut group: BenchmarkGroup<'_, WallTime>, runtime: &Runtime, store: impl SessionStore) {
    let store = Arc::new(store);
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
        let exchange = self.manager.begin(self.cookie.as_deref());
        let session = match self.request {
            Request::Untouched => None,
            _ => Some(exchange.session().await.expect("the store answers")),
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
        let effects = exchange.finish(200).await;
        assert!(effects.failure.is_none() && effects.set_cookie.is_some() == self.request.sets_a_cookie());
    }
}

fn manager(store: impl SessionStore, keys: KeyRing) -> SessionManager<Shopper> {
    SessionManager::builder(store, keys).build().expect("the settings agree")
}

/// The cookie of a new session.
async fn sign_up(manager: &SessionManager<Shopper>) -> String {
    let exchange = manager.begin(None);
    let session = exchange.session().await.expect("nothing is asked for yet");
    session.write(|shopper| *shopper = Shopper::ada()).expect("the response is not on its way");
    let header = exchange.finish(200).await.set_cookie.expect("there is something to remember");
    header.split(';').next().unwrap_or_default().to_owned()
}

fn forge(cookie: &str) -> String {
    format!("{}AAAA", &cookie[..cookie.len() - 4])
}
