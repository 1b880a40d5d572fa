//! Tasks that do something over and over, and how long they take.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

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
