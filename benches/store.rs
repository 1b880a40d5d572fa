//! How many operations a second each store does, beside the libraries beneath it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use session_store::{MemoryStore, RedisStore, SessionStore};
use support::floor::{self, Command, MokaReader, RawClient};
use support::operation::Operation;
use support::redis::Server;
use support::{TASKS, Worker, run, runtime};
use tokio::runtime::Runtime;

/// Large enough that nothing is evicted.
const CAPACITY: usize = 4 << 30;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = runtime();
    memory(&mut criterion, &runtime);
    redis(&mut criterion, &runtime);
    criterion.final_summary();
}

fn memory(criterion: &mut Criterion, runtime: &Runtime) {
    let mut bench = Bench::new(criterion, runtime, "memory");
    for tasks in TASKS {
        bench.measure("moka get", tasks, async |_| MokaReader::all(tasks));
        bench.store(tasks, async || Arc::new(MemoryStore::with_capacity(CAPACITY)));
    }
}

fn redis(criterion: &mut Criterion, runtime: &Runtime) {
    let server = runtime.block_on(Server::start());
    let raw = runtime.block_on(floor::connect(&server.url()));
    let store = runtime.block_on(RedisStore::connect(server.url())).expect("the server answers");
    let store = Arc::new(store);
    let mut bench = Bench::new(criterion, runtime, "redis");
    for tasks in TASKS {
        for command in Command::ALL {
            bench.measure(command.name(), tasks, async |steps| {
                floor::empty(&raw).await;
                RawClient::all(&raw, command, tasks, steps).await
            });
        }
        bench.store(tasks, async || {
            floor::empty(&raw).await;
            Arc::clone(&store)
        });
    }
}

struct Bench<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    runtime: &'a Runtime,
}

impl<'a> Bench<'a> {
    fn new(criterion: &'a mut Criterion, runtime: &'a Runtime, name: &str) -> Self {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
        Self { group, runtime }
    }

    /// Every operation of a store, which is an empty one for each sample.
    fn store<S: SessionStore>(&mut self, tasks: u64, empty: impl AsyncFn() -> Arc<S>) {
        for operation in Operation::ALL {
            self.measure(operation.name(), tasks, async |steps| {
                operation.callers(&empty().await, tasks, steps).await
            });
        }
    }

    /// What `workers`, made for a number of steps, need for it.
    fn measure<W: Worker>(&mut self, name: &str, tasks: u64, workers: impl AsyncFn(u64) -> Vec<W>) {
        let workers = &workers;
        self.group.bench_function(BenchmarkId::new(name, tasks), |bencher| {
            bencher
                .to_async(self.runtime)
                .iter_custom(|steps| async move { run(workers(steps).await, steps).await.0 });
        });
    }
}
