//! What it takes to watch: a request to the engine while nobody listens, with a recorder of metrics, and
//! with a subscriber that formats spans and events. One request after the other, on one thread, since
//! recorder and subscriber are that thread's own.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use session_store::metrics::BUCKETS;
use session_store::{KeyRing, SessionManager, SessionStore};
use tokio::runtime;
use tracing_subscriber::filter::LevelFilter;

use crate::support::shopper::Shopper;
use crate::support::visitor::{manager, sign_up};

#[derive(Clone, Copy, Debug)]
enum Watcher {
    Nobody,
    Metrics,
    Log,
}

impl Watcher {
    const ALL: [Self; 3] = [Self::Nobody, Self::Metrics, Self::Log];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "by nobody",
            Self::Metrics => "by metrics",
            Self::Log => "by a log at debug",
        }
    }

    /// Does `work` while somebody watches, or nobody.
    fn during(self, work: impl FnOnce() -> Duration) -> Duration {
        match self {
            Self::Nobody => work(),
            Self::Metrics => {
                let mut builder = PrometheusBuilder::new();
                for (name, buckets) in BUCKETS {
                    let matcher = Matcher::Full(name.to_owned());
                    builder = builder.set_buckets_for_metric(matcher, buckets).expect("there are buckets");
                }
                let recorder = builder.build_recorder();
                let took = metrics::with_local_recorder(&recorder, work);
                black_box(recorder.handle().render());
                took
            }
            Self::Log => {
                let log = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_writer(io::sink);
                tracing::subscriber::with_default(log.finish(), work)
            }
        }
    }
}

pub(crate) fn requests(
    mut group: BenchmarkGroup<'_, WallTime>,
    memory: &Arc<impl SessionStore>,
    redis: &Arc<impl SessionStore>,
) {
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    let memory = ("memory", manager(Arc::clone(memory), KeyRing::generate()));
    let redis = ("redis", manager(Arc::clone(redis), KeyRing::generate()));
    for (store, manager) in [memory, redis] {
        for modifies in [false, true] {
            let request = if modifies { "modified" } else { "read" };
            for watcher in Watcher::ALL {
                let name = format!("{request} in {store}");
                group.bench_function(BenchmarkId::new(name, watcher.name()), |bencher| {
                    bencher.iter_custom(|steps| watcher.during(|| ask(&manager, modifies, steps)));
                });
            }
        }
    }
}

fn ask(manager: &SessionManager<Shopper>, modifies: bool, steps: u64) -> Duration {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the system has room for it").block_on(async {
        let cookie = sign_up(manager).await;
        let start = Instant::now();
        for _ in 0..steps {
            let request_session = manager.begin(Some(&cookie));
            let session = request_session.session().await.expect("the store answers");
            if modifies {
                session.write(|shopper| shopper.visits += 1).expect("the response is not on its way");
            } else {
                black_box(session.read(|shopper| shopper.visits));
            }
            assert!(request_session.finish(200).await.failure.is_none());
        }
        start.elapsed()
    })
}
