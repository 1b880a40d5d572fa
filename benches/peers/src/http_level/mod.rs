//! Whole servers, each a process, under the load of another process.

use std::net::SocketAddr;
use std::time::Duration;

use crate::results::{HttpRow, HttpSlice};
use crate::statistics::rotated;
use crate::support::redis::{Server, Traffic};

pub mod load;
mod process;
mod response;
mod scenes;
mod servers;

use load::{Order, Report};
use process::{LoadProcess, ServerProcess, processor_time};
use scenes::Entry;
pub use scenes::{Setup, framework, scene};
pub use servers::serve;

const CONNECTIONS: usize = 32;

#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub rounds: usize,
    pub warm_up: Duration,
    pub measured: Duration,
}

/// Starts every server, and asks each in turn, over and over: those whose scene's name holds `part`.
pub async fn measure(redis: &Server, valkey: Option<&Server>, extent: Extent, part: &str) -> Vec<HttpRow> {
    let entries = |of: fn() -> Vec<Entry>, database| of().into_iter().map(move |entry| (entry, database));
    let mut asked: Vec<_> = entries(scenes::on_redis, redis).collect();
    asked.extend(valkey.into_iter().flat_map(|valkey| entries(scenes::on_valkey, valkey)));
    asked.retain(|(entry, _)| entry.scene.contains(part));
    let servers = Servers::start(&asked);
    let mut rows: Vec<_> = asked.into_iter().map(|(entry, database)| (entry, database, Vec::new())).collect();
    for round in 0..extent.rounds {
        for index in rotated(rows.len(), round) {
            let (entry, database, slices) = &mut rows[index];
            let server = servers.of(entry.setup, database);
            let order = order(server.address, entry.path, extent);
            slices.push(slice(&order, server, database).await);
        }
        eprintln!("round {} of {} over HTTP", round + 1, extent.rounds);
    }
    let row = |(entry, _, rounds): (Entry, _, _)| HttpRow {
        scene: entry.scene.to_owned(),
        framework: entry.framework.to_owned(),
        contender: entry.contender.to_owned(),
        does: entry.does.to_owned(),
        rounds,
    };
    rows.into_iter().map(row).collect()
}

/// A request to a server from a browser without cookies, and then the same with those it got.
pub fn once(setup: Setup, redis: &str, path: &str) {
    let server = setup.start(redis);
    let order = Order {
        server: server.address,
        path: path.to_owned(),
        connections: 1,
        warm_up: Duration::ZERO,
        measured: Duration::ZERO,
        sign_in: false,
    };
    LoadProcess::ready(&order.to_json()).report();
}

/// One for each setup and the database's URL.
struct Servers(Vec<(Setup, String, ServerProcess)>);

impl Servers {
    fn start(asked: &[(Entry, &Server)]) -> Self {
        let mut servers = Self(Vec::new());
        for (Entry { setup, .. }, database) in asked {
            if servers.find(*setup, database).is_none() {
                servers.0.push((*setup, database.url(), setup.start(&database.url())));
            }
        }
        servers
    }

    fn of(&self, setup: Setup, database: &Server) -> &ServerProcess {
        self.find(setup, database).expect("every entry's server was started")
    }

    fn find(&self, setup: Setup, database: &Server) -> Option<&ServerProcess> {
        let is_it = |(other, url, _): &&(Setup, String, _)| *other == setup && *url == database.url();
        self.0.iter().find(is_it).map(|(.., server)| server)
    }
}

fn order(server: SocketAddr, path: &str, extent: Extent) -> Order {
    let Extent { warm_up, measured, .. } = extent;
    Order { server, path: path.to_owned(), connections: CONNECTIONS, warm_up, measured, sign_in: true }
}

async fn slice(order: &Order, server: &ServerProcess, database: &Server) -> HttpSlice {
    let mut client = database.client().await;
    let load = LoadProcess::ready(&order.to_json());
    let pids = [server.pid(), database.pid()];
    let (calls, before) = (Traffic::of(&mut client).await, pids.map(processor_time));
    let report = load.report();
    let after = pids.map(processor_time);
    let calls = Traffic::of(&mut client).await.since(&calls);
    let report: Report = serde_json::from_str(&report).expect("the load prints its report");
    let requests = count(report.requests);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let [cpu_micros, redis_cpu_micros] = [0, 1].map(|of| (after[of] - before[of]) * 1e6 / requests);
    // Those that clients sent, and those that scripts ran.
    let commands = count(calls.calls.values().sum()) / requests;
    HttpSlice {
        per_second: requests / report.elapsed.as_secs_f64(),
        p50_micros: micros(report.p50),
        p99_micros: micros(report.p99),
        cpu_micros,
        redis_cpu_micros,
        commands,
    }
}

/// Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn count(count: u64) -> f64 {
    count as f64
}
