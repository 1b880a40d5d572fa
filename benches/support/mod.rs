//! What the benchmarks share: the data, the tasks that do things over and over, and what they do.

// Each benchmark compiles this module and uses its own part of it.
#![allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)]

use std::time::{Duration, Instant};

use criterion::Criterion;
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "redis")]
pub mod floor;
pub mod operation;
pub mod shopper;
pub mod signing;
pub mod visitor;

// The tests' launcher. The package has neither tests nor benchmarks, so nothing is missing from it.
#[cfg(feature = "redis")]
#[path = "../../tests/support/redis/mod.rs"]
pub mod redis;

/// How many tasks work at the same time.
pub const TASKS: [u64; 3] = [1, 16, 64];

/// What one task does over and over.
pub trait Worker: Send + 'static {
    fn step(&mut self) -> impl Future<Output = ()> + Send;
}

/// The runtime of a small service, the same on every machine.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be started")
}

/// Criterion, with as much time for each benchmark and as many samples as their number allows.
pub fn criterion(time: Duration) -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(time)
        .configure_from_args()
}

/// What comes out of something that has nothing to wait for, such as a store in memory: no runtime's
/// time is measured with it.
pub fn at_once<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("there is nothing to wait for")
}

/// Has each worker take its share of `steps` in a task of its own, all at the same time. Answers
/// how long they took together, and gives the workers back.
pub async fn run<W: Worker>(workers: Vec<W>, steps: u64) -> (Duration, Vec<W>) {
    let tasks = workers.len() as u64;
    let start = Instant::now();
    let spawn = |(number, mut worker): (u64, W)| {
        tokio::spawn(async move {
            for _ in 0..share(steps, tasks, number) {
                worker.step().await;
            }
            worker
        })
    };
    let running: Vec<_> = (0..).zip(workers).map(spawn).collect();
    let mut workers = Vec::with_capacity(running.len());
    for task in running {
        workers.push(task.await.expect("no step fails"));
    }
    (start.elapsed(), workers)
}

/// How many of `steps` the task `number` takes: the first ones take what does not divide.
pub fn share(steps: u64, tasks: u64, number: u64) -> u64 {
    steps / tasks + u64::from(number < steps % tasks)
}
