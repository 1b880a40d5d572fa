//! What a request takes whose session is sealed, beside the same without. On a runtime of two threads, with one task in
//! memory, and 64 in Redis, so that it is not the way there that counts.

use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use session_store::{KeyRing, Sealing, SessionManager, SessionManagerBuilder, SessionStore};
use tokio::runtime::Runtime;

use crate::support::shopper::Shopper;
use crate::support::visitor::sign_up;
use crate::support::{Worker, run};

type Form = fn(SessionManagerBuilder<Shopper>) -> SessionManagerBuilder<Shopper>;

const PLAIN: (&str, Form) = ("plain", |builder| builder);
const SEALED: (&str, Form) = ("sealed", |builder| builder.seal(sealing()));
const SEALED_BY_ID: (&str, Form) = ("sealed with the id", |builder| builder.seal(sealing().and_id()));

fn sealing() -> Sealing {
    Sealing::new(&KeyRing::generate()).expect("keys of our own")
}

pub(crate) fn requests(
    mut group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: &Arc<impl SessionStore>,
    tasks: usize,
) {
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    for (form, set) in [PLAIN, SEALED, SEALED_BY_ID] {
        let builder = SessionManager::builder(Arc::clone(store), KeyRing::generate());
        let manager = set(builder).build().expect("the settings agree");
        for (request, writes) in [("read", false), ("modified", true)] {
            group.bench_function(BenchmarkId::new(request, form), |bencher| {
                bencher.to_async(runtime).iter_custom(|steps| {
                    let manager = &manager;
                    async move {
                        let mut visitors = Vec::new();
                        for _ in 0..tasks {
                            let cookie = sign_up(manager).await;
                            visitors.push(Visitor { manager: manager.clone(), cookie, writes });
                        }
                        run(visitors, steps).await.0
                    }
                });
            });
        }
    }
}

struct Visitor {
    manager: SessionManager<Shopper>,
    cookie: String,
    writes: bool,
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
