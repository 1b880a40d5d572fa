//! Measures session-store beside other session libraries. `README.md` says how to run it and how to
//! read what it prints.

use std::error::Error;
use std::time::Duration;

mod bytes_level;
mod http_level;
mod machine;
mod payload;
mod report;
mod results;
mod statistics;
mod store_level;
mod support;

use http_level::Setup;
use results::{Results, StoreRow};
use support::floor::Raw;
use support::redis::Server;

const USAGE: &str = "measure [--quick | SCENE] | report | serve SERVER MODE REDIS_URL | load ORDER";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["measure"] => report::write(&measure(false)),
        ["measure", "--quick"] => report::write(&measure(true)),
        // What was measured before of other kinds of requests stays.
        ["measure", scene] => report::write(&measure_scenes(scene, report::read()?)),
        // Again from what was measured before, such as after a change of the chart.
        ["report"] => report::write(&report::read()?),
        ["serve", server, mode, redis] => http_level::serve(server, mode, redis),
        ["load", order] => http_level::load::run(&serde_json::from_str(order)?),
        _ => Err(USAGE.into()),
    }
}

fn measure(quick: bool) -> Results {
    support::runtime().block_on(async {
        let redis = Server::start().await;
        let valkey = start_valkey().await;
        let url = redis.url();
        let raw = Raw::connect(std::slice::from_ref(&redis)).await;
        eprintln!("bytes");
        let bytes = bytes_level::measure(&url, &raw, |text| express_writes(text, &url)).await;
        eprintln!("stores in memory");
        let cells = store_level::memory_cells(&url).await;
        let memory = store_level::measure(&cells, store_extent(quick), || async {}).await;
        drop(cells);
        raw.empty().await;
        eprintln!("stores on Redis");
        // The connections of these cells go before the servers come.
        let cells = store_level::redis_cells(&redis, &raw).await;
        let store = store_level::measure(&cells, store_extent(quick), || raw.empty()).await;
        drop(cells);
        raw.empty().await;
        let on_valkey = match &valkey {
            Some(valkey) => measure_saves(valkey, store_extent(quick)).await,
            None => Vec::new(),
        };
        let http = http_level::measure(&redis, valkey.as_ref(), http_extent(quick), "").await;
        let (when, machine, versions) = machine::describe();
        Results { when, machine, quick, versions, store, valkey: on_valkey, memory, http, bytes }
    })
}

/// The kinds of requests over HTTP whose names hold this, in the place of what they measured before.
fn measure_scenes(part: &str, before: Results) -> Results {
    let measured = support::runtime().block_on(async {
        let (redis, valkey) = (Server::start().await, start_valkey().await);
        http_level::measure(&redis, valkey.as_ref(), http_extent(false), part).await
    });
    assert!(!measured.is_empty(), "no scene is called {part:?}");
    let mut http: Vec<_> = before.http.into_iter().filter(|row| !row.scene.contains(part)).collect();
    http.extend(measured);
    Results { http, ..before }
}

/// A second server, which compares by itself, if the environment names one.
async fn start_valkey() -> Option<Server> {
    let valkey = Server::start_program(&machine::valkey()?).await;
    assert!(valkey.sets_if_equal().await, "VALKEY_SERVER has to be Valkey 8.1 or later");
    Some(valkey)
}

async fn measure_saves(valkey: &Server, extent: store_level::Extent) -> Vec<StoreRow> {
    eprintln!("stores on Valkey");
    let raw = Raw::connect(std::slice::from_ref(valkey)).await;
    let cells = store_level::saving_cells(valkey, &raw).await;
    let rows = store_level::measure(&cells, extent, || raw.empty()).await;
    raw.empty().await;
    rows
}

fn store_extent(quick: bool) -> store_level::Extent {
    let (rounds, slice) =
        if quick { (1, Duration::from_millis(10)) } else { (11, Duration::from_millis(100)) };
    store_level::Extent { rounds, slice }
}

fn http_extent(quick: bool) -> http_level::Extent {
    let (rounds, warm_up, measured) = if quick { (1, 50, 200) } else { (7, 300, 1000) };
    let [warm_up, measured] = [warm_up, measured].map(Duration::from_millis);
    http_level::Extent { rounds, warm_up, measured }
}

/// Waits in place: nothing else is to be done meanwhile.
fn express_writes(text: Option<usize>, redis: &str) {
    let path = text.map_or("/sign_in".to_owned(), |bytes| format!("/sign_in?text={bytes}"));
    http_level::once(Setup::Node { mode: "read", workers: 0 }, redis, &path);
}
