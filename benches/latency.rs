//! How long a store's operations take, in the median and at the 99th percentile, beside the raw
//! client's; and how many bytes a session takes in Redis. Prints Markdown.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::cmd;
use session_store::{Codec, KeyRing, RedisStore, SessionManager, Ttl};
use support::floor::{Command, Raw, RawClient};
use support::operation::{DAY, Operation};
use support::redis::{Certificates, Server};
use support::shopper::Shopper;
use support::visitor::sign_up;
use support::{Extent, TASKS, Worker, run, runtime};

/// What is measured, each store operation after the command that it is compared with.
const CELLS: [Cell; 9] = [
    Cell::Raw(Command::Get),
    Cell::Store(Operation::Load),
    Cell::OverTls(Operation::Load),
    Cell::Raw(Command::SetNew),
    Cell::Store(Operation::Create),
    Cell::Raw(Command::Set),
    Cell::Store(Operation::Update),
    Cell::OverTls(Operation::Update),
    Cell::Store(Operation::Touch),
];

#[derive(Clone, Copy, Debug)]
enum Cell {
    Raw(Command),
    Store(Operation),
    OverTls(Operation),
}

impl Cell {
    fn name(self) -> String {
        match self {
            Self::Raw(command) => command.name().to_owned(),
            Self::Store(operation) => operation.name().to_owned(),
            Self::OverTls(operation) => format!("{}, TLS", operation.name()),
        }
    }
}

fn main() {
    let (rounds, millis) = match Extent::wanted() {
        Extent::Test => (1, 10),
        Extent::Short => (5, 50),
        Extent::Long => (9, 200),
    };
    let slice = Duration::from_millis(millis);
    runtime().block_on(async {
        let server = Server::start().await;
        let certificates = Certificates::generate();
        let encrypted = Server::start_tls(&certificates, &[]).await;
        let trusted = certificates.authority.certificate.path().display();
        let over_tls = RedisStore::connect(format!("{}?cacert={trusted}", encrypted.url())).await;
        let stage = Stage {
            raw: Raw::connect(std::slice::from_ref(&server)).await,
            store: Arc::new(RedisStore::connect(server.url()).await.expect("the server answers")),
            over_tls: Arc::new(over_tls.expect("the server answers")),
        };
        stage.print_latencies(rounds, slice).await;
        stage.print_sizes().await;
    });
}

struct Stage {
    raw: Raw,
    store: Arc<RedisStore>,
    /// On a server of its own.
    over_tls: Arc<RedisStore>,
}

impl Stage {
    /// Measures everything in turn, over and over, so that a noisy moment falls on all alike.
    async fn print_latencies(&self, rounds: usize, slice: Duration) {
        println!("Medians of {rounds} rounds; × is the median of the ratios to the raw command above.\n");
        println!("| tasks | operation | ops/s | × | p50 µs | × | p99 µs | × |");
        println!("|--:|---|--:|--:|--:|--:|--:|--:|");
        let mut rows = Vec::new();
        for tasks in TASKS {
            for cell in CELLS {
                let steps = self.steps_within(slice, cell, tasks).await;
                rows.push(Row { tasks, cell, steps, slices: Vec::new() });
            }
        }
        for _ in 0..rounds {
            for row in &mut rows {
                row.slices.push(self.measure(row.cell, row.tasks, row.steps).await);
            }
        }
        let mut raw = &rows[0];
        for row in &rows {
            if let Cell::Raw(_) = row.cell {
                raw = row;
            }
            row.print(raw);
        }
    }

    /// How many steps take about as long as `slice`.
    async fn steps_within(&self, slice: Duration, cell: Cell, tasks: u64) -> u64 {
        let mut steps = 50 * tasks;
        // The second guess is made with warm caches.
        for _ in 0..2 {
            let pace = self.measure(cell, tasks, steps).await.pace;
            steps = u64::try_from(slice.as_nanos() / pace.as_nanos()).expect("slices are short");
        }
        steps
    }

    async fn measure(&self, cell: Cell, tasks: u64, steps: u64) -> Slice {
        self.raw.empty().await;
        match cell {
            Cell::Raw(command) => {
                Slice::of(RawClient::all(&self.raw, command, tasks, steps).await, steps).await
            }
            Cell::Store(operation) => {
                Slice::of(operation.callers(&self.store, tasks, steps).await, steps).await
            }
            Cell::OverTls(operation) => {
                Slice::of(operation.callers(&self.over_tls, tasks, steps).await, steps).await
            }
        }
    }

    /// A session is stored by the engine, without an owner; the raw value under a name as long.
    async fn print_sizes(&self) {
        println!("\n| stored | value | MEMORY USAGE |");
        println!("|---|--:|--:|");
        let name = "session:{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK";
        for (what, codec) in [("JSON", Codec::Json), ("MessagePack", Codec::MessagePack)] {
            self.raw.empty().await;
            let payload = codec.encode(&Shopper::ada()).expect("it has this form").bytes().clone();
            let mut set = cmd("SET");
            set.arg(name).arg(&payload[..]).arg("PX").arg(Ttl::new(DAY).as_millis());
            set.exec_async(&mut self.raw.first()).await.expect("the server answers");
            self.print_size(&format!("the {what} alone, by `SET`")).await;

            self.raw.empty().await;
            let manager = SessionManager::builder(Arc::clone(&self.store), KeyRing::generate());
            sign_up(&manager.codec(codec).build().expect("the settings agree")).await;
            self.print_size(&format!("a session as {what}")).await;
        }
    }

    /// Of the only key there is.
    async fn print_size(&self, what: &str) {
        let mut raw = self.raw.first();
        let name: String = cmd("RANDOMKEY").query_async(&mut raw).await.expect("there is a key");
        let length: u64 = cmd("STRLEN").arg(&name).query_async(&mut raw).await.expect("of a string");
        let mut usage = cmd("MEMORY");
        let usage: u64 = usage.arg("USAGE").arg(&name).query_async(&mut raw).await.expect("it is there");
        println!("| {what} | {length} | {usage} |");
    }
}

/// What one operation took in all rounds.
struct Row {
    tasks: u64,
    cell: Cell,
    steps: u64,
    slices: Vec<Slice>,
}

impl Row {
    fn print(&self, raw: &Self) {
        let per_second = 1.0 / median(self.slices.iter().map(|slice| slice.pace.as_secs_f64()));
        print!("| {} | {} | {per_second:.0} | ", self.tasks, self.cell.name());
        // Throughput is the inverse of pace, and so is its ratio.
        print!("{:.2} ", 1.0 / self.ratio(raw, |slice| slice.pace));
        let percentiles: [fn(&Slice) -> Duration; 2] = [|slice| slice.p50, |slice| slice.p99];
        for percentile in percentiles {
            let micros = median(self.slices.iter().map(|slice| percentile(slice).as_secs_f64() * 1e6));
            print!("| {micros:.0} | {:.2} ", self.ratio(raw, percentile));
        }
        println!("|");
    }

    fn ratio(&self, raw: &Self, of: impl Fn(&Slice) -> Duration) -> f64 {
        let rounds = self.slices.iter().zip(&raw.slices);
        median(rounds.map(|(ours, raw)| of(ours).div_duration_f64(of(raw))))
    }
}

/// What one operation took in one round.
struct Slice {
    /// The time that passed for each step of all tasks together.
    pace: Duration,
    p50: Duration,
    p99: Duration,
}

impl Slice {
    async fn of<W: Worker>(workers: Vec<W>, steps: u64) -> Self {
        let workers = workers.into_iter().map(|worker| Timed { worker, taken: Vec::new() }).collect();
        let (elapsed, workers) = run(workers, steps).await;
        let mut taken: Vec<_> = workers.into_iter().flat_map(|worker| worker.taken).collect();
        taken.sort_unstable();
        let pace = elapsed / u32::try_from(taken.len()).expect("slices are short");
        Self { pace, p50: taken[taken.len() / 2], p99: taken[taken.len() * 99 / 100] }
    }
}

/// Notes how long each step takes.
struct Timed<W> {
    worker: W,
    taken: Vec<Duration>,
}

impl<W: Worker> Worker for Timed<W> {
    async fn step(&mut self) {
        let start = Instant::now();
        self.worker.step().await;
        self.taken.push(start.elapsed());
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
