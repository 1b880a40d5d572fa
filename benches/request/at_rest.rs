//! What a request takes whose session is sealed, compressed or both, beside the same without: the shopper in memory and
//! in Redis, and longer sessions in Redis. On a runtime of two threads, with one task in memory, and 64 in Redis, so that
//! it is not the way there that counts.

use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use session_store::{KeyRing, Sealing, SessionManager, SessionManagerBuilder, SessionStore};
use tokio::runtime::Runtime;

use crate::support::shopper::Shopper;
use crate::support::visitor::sent_back;
use crate::support::{Worker, run};

const LONG: [usize; 3] = [1_000, 10_000, 100_000];

type Form = fn(SessionManagerBuilder<Shopper>) -> SessionManagerBuilder<Shopper>;

const PLAIN: (&str, Form) = ("plain", |builder| builder);
const SEALED: (&str, Form) = ("sealed", |builder| builder.seal(sealing()));
const SEALED_BY_ID: (&str, Form) = ("sealed by id", |builder| builder.seal(sealing().and_id()));
const COMPRESSED: (&str, Form) = ("compressed", |builder| builder.compress(512));
const BOTH: (&str, Form) = ("compressed, sealed", |builder| builder.compress(512).seal(sealing()));

fn sealing() -> Sealing {
    Sealing::new(&KeyRing::generate()).expect("keys of our own")
}

/// The shopper's sessions.
pub(crate) fn requests(
    group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: Arc<impl SessionStore>,
    tasks: usize,
) {
    measure(group, runtime, (store, tasks), &[PLAIN, SEALED, SEALED_BY_ID], &[Shopper::ada()]);
}

/// Sessions of 1, 10 and 100 kB.
pub(crate) fn long_requests(
    group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: Arc<impl SessionStore>,
    tasks: usize,
) {
    let long = LONG.map(Shopper::with_cart_of);
    measure(group, runtime, (store, tasks), &[PLAIN, COMPRESSED, BOTH], &long);
}

fn measure(
    mut group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    (store, tasks): (Arc<impl SessionStore>, usize),
    forms: &[(&str, Form)],
    shoppers: &[Shopper],
) {
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    for shopper in shoppers {
        let size = shopper.to_json().len();
        for (form, set) in forms {
            let builder = SessionManager::builder(Arc::clone(&store), KeyRing::generate());
            let manager = set(builder).build().expect("the settings agree");
            for (request, writes) in [("read", false), ("modified", true)] {
                group.bench_function(BenchmarkId::new(format!("{request}, {form}"), size), |bencher| {
                    bencher.to_async(runtime).iter_custom(|steps| {
                        let (manager, shopper) = (&manager, &shopper);
                        async move {
                            let mut visitors = Vec::new();
                            for _ in 0..tasks {
                                visitors
                                    .push(Visitor::arrive(manager.clone(), (*shopper).clone(), writes).await);
                            }
                            run(visitors, steps).await.0
                        }
                    });
                });
            }
        }
    }
}

struct Visitor {
    manager: SessionManager<Shopper>,
    cookie: String,
    writes: bool,
}

impl Visitor {
    async fn arrive(manager: SessionManager<Shopper>, shopper: Shopper, writes: bool) -> Self {
        let request = manager.begin(None);
        let session = request.session().await.expect("nothing is asked for yet");
        session.write(|kept| *kept = shopper).expect("the response is not on its way");
        let cookie =
            sent_back(&request.finish(200).await.set_cookie.expect("there is something to remember"));
        Self { manager, cookie, writes }
    }
}

impl Worker for Visitor {
    async fn step(&mut self) {
        let request = self.manager.begin(Some(&self.cookie));
        let session = request.session().await.expect("the store answers");
        if self.writes {
            session.write(|shopper| shopper.visits += 1).expect("the response is not on its way");
        } else {
            assert!(black_box(session.read(|shopper| shopper.visits)) >= 17);
        }
        assert!(request.finish(200).await.failure.is_none());
    }
}
