//! `stats`: how many sessions there are, what they take, and how the servers are.

use std::process::ExitCode;

use comfy_table::CellAlignment::{Left, Right};
use futures_util::TryStreamExt as _;
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};
use session_store::checkup::ServerInfo;
use session_store::{SessionStore as _, Topology, Usage};

use crate::Outcome;
use crate::arguments::Stats;
use crate::opening::Open;
use crate::output::{Column, Output, rows};
use crate::progress::Progress;

pub(crate) async fn run(open: &Open, output: &Output, options: &Stats) -> Outcome {
    let mut usage = open.manager.usage().await?;
    if options.exact {
        let progress = Progress::new("counting");
        let mut sessions = open.manager.sessions().on_progress(progress.callback());
        let mut count = 0;
        while sessions.try_next().await?.is_some() {
            count += 1;
        }
        (usage.sessions, usage.error) = (f64::from(count), 0.0);
    }
    let servers = open.store.servers().await?;
    let topology = open.store.status().topology.map_or("none", Topology::as_str);
    if output.json {
        output.json(&json!({
            "sessions": whole(usage.sessions),
            "sessions_error": whole(usage.error),
            "bytes_per_session": usage.bytes_per_session.map(whole),
            "used_bytes": usage.used_bytes,
            "limit_bytes": usage.limit_bytes,
            "topology": topology,
            "prefixes": open.naming.prefixes,
            "servers": servers.iter().map(server).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let none = || "-".to_owned();
    let memory = usage.used_bytes.map_or_else(none, |used| match usage.limit_bytes {
        Some(limit) => format!("{} of {}", BinaryBytes(used), BinaryBytes(limit)),
        None => format!("{}, without a limit", BinaryBytes(used)),
    });
    output.facts(&[
        ("sessions", sessions(&usage)),
        (
            "a session takes",
            usage.bytes_per_session.map_or_else(none, |bytes| format!("about {}", BinaryBytes(whole(bytes)))),
        ),
        ("memory in use", memory),
        ("topology", format!("{topology}, {} server(s) with sessions", servers.len())),
        ("prefix", open.naming.in_words()),
    ])?;
    output.line("")?;
    let cells: Vec<_> = servers.iter().map(cells).collect();
    output.line(&rows(&COLUMNS, &cells, true))?;
    Ok(ExitCode::SUCCESS)
}

/// How many there are, in words.
pub(crate) fn sessions(usage: &Usage) -> String {
    let count = HumanCount(whole(usage.sessions));
    match whole(usage.error) {
        0 => format!("{count} sessions"),
        error => format!("about {count} sessions (give or take {})", HumanCount(error)),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is not negative")]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Which share of lookups found their key, in hundredths; `None` without lookups.
pub(crate) fn hit_ratio(hits: u64, misses: u64) -> Option<u64> {
    hits.saturating_mul(100).checked_div(hits.saturating_add(misses))
}

const COLUMNS: [Column; 12] = [
    Column("SERVER", 24, Left),
    Column("SOFTWARE", 13, Left),
    Column("KEYS", 11, Right),
    Column("MEMORY", 11, Right),
    Column("MAXIMUM", 11, Right),
    Column("EVICTION", 15, Left),
    Column("CLIENTS", 7, Right),
    Column("FEEDS", 5, Right),
    Column("OPS/S", 7, Right),
    Column("HITS", 5, Right),
    Column("REPLICAS", 8, Right),
    Column("PING", 8, Right),
];

fn cells(server: &ServerInfo) -> Vec<String> {
    let none = || "-".to_owned();
    let text = |name| server.field(name).map_or_else(none, str::to_owned);
    let number = |name| server.number(name);
    let bytes = |number: Option<u64>| number.map_or_else(none, |bytes| BinaryBytes(bytes).to_string());
    let hits = hit_ratio(number("keyspace_hits").unwrap_or(0), number("keyspace_misses").unwrap_or(0));
    vec![
        server.address.clone(),
        format!("{} {}", server.software(), server.version().unwrap_or("-")),
        HumanCount(server.keys()).to_string(),
        bytes(number("used_memory")),
        bytes(number("maxmemory").filter(|limit| *limit > 0)),
        text("maxmemory_policy"),
        text("connected_clients"),
        text("tracking_clients"),
        text("instantaneous_ops_per_sec"),
        hits.map_or_else(none, |hits| format!("{hits} %")),
        server.online_replicas().to_string(),
        format!("{:.1} ms", server.round_trip.as_secs_f64() * 1000.0),
    ]
}

fn server(server: &ServerInfo) -> Value {
    json!({
        "server": server.address,
        "software": server.software(),
        "version": server.version(),
        "role": server.field("role"),
        "keys": server.keys(),
        "used_bytes": server.number("used_memory"),
        "limit_bytes": server.number("maxmemory").filter(|limit| *limit > 0),
        "eviction": server.field("maxmemory_policy"),
        "clients": server.number("connected_clients"),
        "feeds": server.number("tracking_clients"),
        "commands_per_second": server.number("instantaneous_ops_per_sec"),
        "keyspace_hits": server.number("keyspace_hits"),
        "keyspace_misses": server.number("keyspace_misses"),
        "evicted_keys": server.number("evicted_keys"),
        "expired_keys": server.number("expired_keys"),
        "replicas": server.online_replicas(),
        "ping_millis": server.round_trip.as_secs_f64() * 1000.0,
    })
}
