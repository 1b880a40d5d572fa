//! The stores in this process: what each does for one operation, by its public interface.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::results::{StoreRow, StoreSlice};
use crate::statistics::rotated;
use crate::support::{TASKS, Worker, run};

pub mod actix_session;
pub mod axum_session;
pub mod fred;
mod in_memory;
mod in_redis;
pub mod ours;
pub mod tower_sessions;

pub use in_memory::cells as memory_cells;
pub use in_redis::{cells as redis_cells, saving_cells};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The stored bytes, as they are.
    LoadBytes,
    /// The shopper as a struct.
    Load,
    /// What a request costs that only keeps an active session alive, the shopper as a struct included.
    Roll,
    /// The same, if it were prolonged with each request.
    RollAlways,
    /// Bytes that are encoded already, over an existing session.
    SaveBytes,
    /// The shopper, encoded from the struct, over an existing session.
    Save,
    /// The shopper as a new session.
    Create,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadBytes => "load, undecoded",
            Self::Load => "load, typed",
            Self::Roll => "rolling read",
            Self::RollAlways => "rolling read, always prolonged",
            Self::SaveBytes => "save existing, encoded before",
            Self::Save => "save existing",
            Self::Create => "create",
        }
    }
}

/// A library with a store of its own.
pub trait Contender: Clone + Send + Sync + 'static {
    type Visitor: Worker;

    /// Somebody with a session that is stored already, who does `operation` over and over.
    fn visitor(&self, operation: Operation) -> impl Future<Output = Self::Visitor> + Send;
}

/// One operation of one contender.
pub struct Cell {
    operation: Operation,
    contender: &'static str,
    does: &'static str,
    floor: &'static str,
    /// Steps that are timed as one: what takes hardly longer than reading the clock has to be.
    together: u64,
    measure: Box<dyn Fn(u64, u64) -> Measuring>,
}

type Measuring = Pin<Box<dyn Future<Output = StoreSlice>>>;

/// How much there is to measure, and how finely.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub rounds: usize,
    pub slice: Duration,
}

impl Cell {
    /// `names` are the contender's, and that of the one that its ratios are to; `does` says what goes
    /// to the store. `together` so many steps are timed as one.
    pub fn of<C: Contender>(
        operation: Operation,
        names: (&'static str, &'static str),
        does: &'static str,
        contender: &C,
        together: u64,
    ) -> Self {
        let contender = contender.clone();
        let prepare = move |tasks, _steps| {
            let contender = contender.clone();
            async move {
                let mut visitors = Vec::new();
                for _ in 0..tasks {
                    visitors.push(contender.visitor(operation).await);
                }
                visitors
            }
        };
        Self::of_workers(operation, names, does, prepare, together)
    }

    /// The same, with workers that know how many steps they take together.
    pub fn of_workers<W: Worker, F>(
        operation: Operation,
        (contender, floor): (&'static str, &'static str),
        does: &'static str,
        prepare: impl Fn(u64, u64) -> F + 'static,
        together: u64,
    ) -> Self
    where
        F: Future<Output = Vec<W>> + 'static,
    {
        let measure = Box::new(move |tasks: u64, steps: u64| -> Measuring {
            // So that the share of each task is a whole number of samples.
            let samples = (steps / together).max(tasks);
            let workers = prepare(tasks, samples * together);
            Box::pin(async move { measured(workers.await, samples, together).await })
        });
        Self { operation, contender, does, floor, together, measure }
    }

    /// Without anything measured yet.
    fn row(&self, tasks: u64) -> StoreRow {
        let Self { operation, contender, does, floor, .. } = self;
        let [operation, contender, does, floor] =
            [operation.name(), contender, does, floor].map(str::to_owned);
        StoreRow { tasks, operation, contender, does, floor, rounds: Vec::new() }
    }
}

/// Measures all cells in turn, over and over, those with as many tasks one after the other. `clean`
/// runs before each slice.
pub async fn measure<F: Future<Output = ()>>(
    cells: &[Cell],
    extent: Extent,
    clean: impl Fn() -> F,
) -> Vec<StoreRow> {
    let mut groups = Vec::new();
    for tasks in TASKS {
        let mut group = Vec::new();
        for cell in cells {
            clean().await;
            let steps = steps_within(extent, cell, tasks).await;
            group.push((cell, steps, cell.row(tasks)));
        }
        groups.push(group);
    }
    for round in 0..extent.rounds {
        for group in &mut groups {
            for index in rotated(group.len(), round) {
                let (cell, steps, row) = &mut group[index];
                clean().await;
                row.rounds.push((cell.measure)(row.tasks, *steps).await);
            }
        }
    }
    groups.into_iter().flatten().map(|(.., row)| row).collect()
}

/// How many steps take about as long as a slice.
async fn steps_within(extent: Extent, cell: &Cell, tasks: u64) -> u64 {
    let mut steps = 20 * tasks * cell.together;
    // The second guess is made with warm caches.
    for _ in 0..2 {
        let pace = (cell.measure)(tasks, steps).await.per_second;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let guess = (extent.slice.as_secs_f64() * pace) as u64;
        steps = guess.max(tasks * cell.together);
    }
    steps
}

async fn measured<W: Worker>(workers: Vec<W>, samples: u64, together: u64) -> StoreSlice {
    let timed = |worker| Timed { worker, together, taken: Vec::new() };
    let workers = workers.into_iter().map(timed).collect();
    let (elapsed, workers) = run(workers, samples).await;
    let mut taken: Vec<_> = workers.into_iter().flat_map(|worker| worker.taken).collect();
    taken.sort_unstable();
    let micros = |sample: Duration| sample.as_secs_f64() * 1e6 / steps(together);
    StoreSlice {
        per_second: steps(samples * together) / elapsed.as_secs_f64(),
        p50_micros: micros(taken[taken.len() / 2]),
        p99_micros: micros(taken[taken.len() * 99 / 100]),
    }
}

/// Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn steps(count: u64) -> f64 {
    count as f64
}

/// Notes how long its steps take.
struct Timed<W> {
    worker: W,
    together: u64,
    taken: Vec<Duration>,
}

impl<W: Worker> Worker for Timed<W> {
    async fn step(&mut self) {
        let start = Instant::now();
        for _ in 0..self.together {
            self.worker.step().await;
        }
        self.taken.push(start.elapsed());
    }
}
