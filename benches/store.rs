//! How many operations a second each store does, beside the libraries beneath it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use session_store::{MemoryStore, RedisStore, SessionStore};
use support::floor::{Command, MokaReader, Raw, RawClient};
use support::operation::Operation;
use support::redis::{Cluster, Server};
use support::{TASKS, Worker, criterion, finish, run, runtime};
use tokio::runtime::Runtime;

/// Large enough that nothing is evicted.
const CAPACITY: usize = 4 << 30;
/// Each has a replica, which is not asked for anything.
const MASTERS: usize = 3;

fn main() {
    let mut criterion = criterion(Duration::from_secs(2));
    let runtime = runtime();
    memory(&mut criterion, &runtime);
    {
        let server = runtime.block_on(Server::start());
        redis(&mut criterion, &runtime, "redis", &server.url(), std::slice::from_ref(&server));
    }
    let cluster = runtime.block_on(Cluster::start());
    redis(&mut criterion, &runtime, "cluster", &cluster.url(), &cluster.nodes()[..MASTERS]);
    finish(&criterion);
}

fn memory(criterion: &mut Criterion, runtime: &Runtime) {
    let mut bench = Bench::new(criterion, runtime, "memory");
    for tasks in TASKS {
        bench.measure("moka get", tasks, async |_| MokaReader::all(tasks));
        bench.store(tasks, async || Arc::new(MemoryStore::with_capacity(CAPACITY)));
    }
}

fn redis(criterion: &mut Criterion, runtime: &Runtime, name: &str, url: &str, masters: &[Server]) {
    let raw = runtime.block_on(Raw::connect(masters));
    let store = Arc::new(runtime.block_on(RedisStore::connect(url)).expect("the servers answer"));
    let mut bench = Bench::new(criterion, runtime, name);
    for tasks in TASKS {
        for command in Command::ALL {
            bench.measure(command.name(), tasks, async |steps| {
                raw.empty().await;
                RawClient::all(&raw, command, tasks, steps).await
            });
        }
        bench.store(tasks, async || {
            raw.empty().await;
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
