//! `stats`: how many sessions there are, what they take, and how the servers are.

use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};
use session_store::checkup::ServerInfo;
use session_store::{SessionStore as _, Topology, Usage};

use crate::Outcome;
use crate::arguments::Stats;
use crate::opening::Open;
use crate::output::{Column, Fit, Output};
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
            "totalSessions": whole(usage.sessions),
            "totalSessionsError": whole(usage.error.ceil()),
            "bytesPerSession": usage.bytes_per_session,
            "memoryUsedBytes": usage.used_bytes,
            "memoryLimitBytes": usage.limit_bytes,
            "topology": open.store.status().topology,
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
    output.rows(&COLUMNS, &cells, true)?;
    Ok(ExitCode::SUCCESS)
}

/// How many there are, in words.
pub(crate) fn sessions(usage: &Usage) -> String {
    let count = HumanCount(whole(usage.sessions));
    match whole(usage.error.ceil()) {
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
    Column("SERVER", Some(21), 24, Fit::Elastic),
    Column("SOFTWARE", None, 13, Fit::Left),
    Column("KEYS", Some(11), 11, Fit::Right),
    Column("MEMORY", Some(10), 10, Fit::Right),
    Column("MAXIMUM", Some(10), 10, Fit::Right),
    Column("EVICTION", None, 15, Fit::Left),
    Column("CLIENTS", None, 7, Fit::Right),
    Column("FEEDS", None, 5, Fit::Right),
    Column("OPS/S", Some(7), 7, Fit::Right),
    Column("HITS", None, 5, Fit::Right),
    Column("REPLICAS", None, 8, Fit::Right),
    Column("PING", Some(8), 8, Fit::Right),
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
        "memoryUsedBytes": server.number("used_memory"),
        "memoryLimitBytes": server.number("maxmemory").filter(|limit| *limit > 0),
        "eviction": server.field("maxmemory_policy"),
        "clients": server.number("connected_clients"),
        "feeds": server.number("tracking_clients"),
        "commandsPerSecond": server.number("instantaneous_ops_per_sec"),
        "keyspaceHits": server.number("keyspace_hits"),
        "keyspaceMisses": server.number("keyspace_misses"),
        "evictedKeys": server.number("evicted_keys"),
        "expiredKeys": server.number("expired_keys"),
        "replicas": server.online_replicas(),
        "pingSeconds": server.round_trip.as_secs_f64(),
    })
}
