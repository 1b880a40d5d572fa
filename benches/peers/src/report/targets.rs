//! What session-store is meant to reach, beside what it reached.

use crate::bytes_level::COMMON;
use crate::http_level::{framework, scene};
use crate::results::contender::{
    ACTIX_SESSION, AXUM_SESSION, AXUM_SESSION_CACHED, BARE, EXPRESS, EXPRESS_CLUSTER, OURS, OURS_COMPACT,
    OURS_COPIES, OURS_EXPRESS, RAW_GET, RAW_MOKA, RAW_SET, TOWER_CACHED, TOWER_MOKA, TOWER_SESSIONS,
};
use crate::results::{Results, StoreSlice};
use crate::statistics::Spread;
use crate::store_level::Operation;
use crate::support::TASKS;

const PEERS: [&str; 3] = [TOWER_SESSIONS, ACTIX_SESSION, AXUM_SESSION];

/// What must hold for each of the figures.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What it is about, such as the number of tasks, and the figure.
pub type Figure = (String, Spread);

#[derive(Debug)]
pub struct Target {
    pub what: &'static str,
    pub bound: Bound,
    pub measured: Vec<Figure>,
}

impl Target {
    pub fn is_met(&self) -> bool {
        let meets = |(_, figure): &Figure| match self.bound {
            Bound::AtLeast(bound) => figure.median >= bound,
            Bound::AtMost(bound) => figure.median <= bound,
        };
        !self.measured.is_empty() && self.measured.iter().all(meets)
    }
}

pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = on_redis(results);
    targets.extend(on_valkey(results));
    targets.extend(in_memory(results));
    targets.extend(over_http(results));
    targets.extend(bytes(results));
    targets
}

fn on_redis(results: &Results) -> Vec<Target> {
    use Operation::{Load, LoadBytes, Roll, Save, SaveBytes};
    let floor = |operation, contender, floor_of, floor, of: fn(&StoreSlice) -> f64| {
        let ratio = |tasks| {
            let floor = results.on_redis(tasks, floor_of, floor);
            results.on_redis(tasks, operation, contender).ratio(floor, of)
        };
        by_tasks(ratio)
    };
    let best = |operation, tasks: &[u64]| {
        let ratio = |&tasks: &u64| {
            let peer = results.best_on_redis(tasks, operation, &PEERS);
            let figure = results.on_redis(tasks, operation, OURS).ratio(peer, pace);
            (format!("{}, {}", of_tasks(tasks), peer.contender), figure)
        };
        tasks.iter().map(ratio).collect()
    };
    vec![
        at_least("Redis: load, undecoded ÷ raw GET", 0.95, floor(LoadBytes, OURS, LoadBytes, RAW_GET, pace)),
        at_most("Redis: its p99 ÷ that of raw GET", 1.1, floor(LoadBytes, OURS, LoadBytes, RAW_GET, p99)),
        at_least("Redis: load, typed, JSON ÷ best Rust peer", 1.15, best(Load, &TASKS)),
        at_least(
            "Redis: load, typed, MessagePack ÷ raw GET",
            0.7,
            floor(Load, OURS_COMPACT, LoadBytes, RAW_GET, pace),
        ),
        at_least(
            "Redis, Express' layout: load, undecoded ÷ raw GET",
            0.7,
            floor(LoadBytes, OURS_EXPRESS, LoadBytes, RAW_GET, pace),
        ),
        at_least("Redis: rolling read ÷ best Rust peer", 1.8, best(Roll, &TASKS)),
        at_least("Redis: update ÷ raw SET", 0.65, floor(SaveBytes, OURS, SaveBytes, RAW_SET, pace)),
        // What differs by less is level.
        at_least("Redis: update, encoded ÷ best Rust peer's blind save", 0.95, best(Save, &TASKS[1..])),
    ]
}

/// None, if there was no such server.
fn on_valkey(results: &Results) -> Vec<Target> {
    use Operation::SaveBytes;
    if results.valkey.is_empty() {
        return Vec::new();
    }
    let update = |tasks| {
        let floor = results.on_valkey(tasks, SaveBytes, RAW_SET);
        results.on_valkey(tasks, SaveBytes, OURS).ratio(floor, pace)
    };
    let counter = |contender| results.over_http(scene::COUNTER_VALKEY, framework::ACTIX, contender);
    let counter = counter(OURS).zip(counter(ACTIX_SESSION));
    let counter = counter.map(|(ours, peer)| (String::new(), ours.ratio(peer)));
    vec![
        at_least("Valkey: update ÷ raw SET", 0.85, by_tasks(update)),
        at_least("Valkey, actix-web: counter ÷ actix-session", 1.15, counter.into_iter().collect()),
    ]
}

fn in_memory(results: &Results) -> Vec<Target> {
    use Operation::{Load, LoadBytes};
    let read = |operation, other| {
        let ratio = |tasks| {
            let other = results.in_memory(tasks, operation, other);
            results.in_memory(tasks, Load, OURS).ratio(other, pace)
        };
        by_tasks(ratio)
    };
    let copy = |tasks| {
        let rounds = &results.in_memory(tasks, Load, OURS_COPIES).rounds;
        Spread::of(rounds.iter().map(|slice| slice.p50_micros))
    };
    vec![
        at_least("memory: load, typed ÷ moka's raw get", 0.6, read(LoadBytes, RAW_MOKA)),
        at_least("memory: load, typed ÷ tower-sessions' moka store", 3.0, read(Load, TOWER_MOKA)),
        at_most("near cache: load of a copy, typed, p50 in µs", 2.0, by_tasks(copy)),
    ]
}

fn over_http(results: &Results) -> Vec<Target> {
    use framework::{ACTIX, AXUM, EXPRESS as NODE, WARP};
    use scene::{BARE as BARE_ROUTE, COPIES, COPIES_ROLLING, COUNTER, MEMORY, READ, ROLLING};
    let ratio = |ours: (&str, &str), other: (&str, &str, &str)| {
        let ours = results.over_http(ours.0, ours.1, OURS)?;
        Some(ours.ratio(results.over_http(other.0, other.1, other.2)?))
    };
    let one = |ours, other| ratio(ours, other).map(|figure| (String::new(), figure)).into_iter().collect();
    let express = [READ, ROLLING, COUNTER].into_iter().flat_map(|scene| {
        let versus = move |peer: &str, label: &str| {
            Some((format!("{scene}, {label}"), ratio((scene, AXUM), (scene, NODE, peer))?))
        };
        [versus(EXPRESS, "one process"), versus(EXPRESS_CLUSTER, "cluster of 2")]
    });
    let bare = [AXUM, ACTIX, WARP].into_iter().filter_map(|framework| {
        Some((framework.to_owned(), ratio((MEMORY, framework), (BARE_ROUTE, framework, BARE))?))
    });
    let copies = [COPIES, COPIES_ROLLING].into_iter().flat_map(|scene| {
        [AXUM, ACTIX].into_iter().filter_map(move |framework| {
            let bare = ratio((scene, framework), (BARE_ROUTE, framework, BARE))?;
            Some((format!("{scene}, {framework}"), bare))
        })
    });
    let cached = [COPIES, COPIES_ROLLING].into_iter().flat_map(|scene| {
        [AXUM_SESSION_CACHED, TOWER_CACHED].into_iter().filter_map(move |peer| {
            Some((format!("{scene}, {peer}"), ratio((scene, AXUM), (scene, AXUM, peer))?))
        })
    });
    vec![
        at_least("near cache ÷ the bare route", 0.8, copies.collect()),
        at_least("near cache ÷ peers' caches", 1.0, cached.collect()),
        at_least("axum: read-only ÷ tower-sessions", 1.3, one((READ, AXUM), (READ, AXUM, TOWER_SESSIONS))),
        at_least(
            "axum: rolling ÷ tower-sessions",
            2.3,
            one((ROLLING, AXUM), (ROLLING, AXUM, TOWER_SESSIONS)),
        ),
        at_least("axum: rolling ÷ actix-session", 1.4, one((ROLLING, AXUM), (ROLLING, ACTIX, ACTIX_SESSION))),
        at_least(
            "axum: counter ÷ tower-sessions",
            1.2,
            one((COUNTER, AXUM), (COUNTER, AXUM, TOWER_SESSIONS)),
        ),
        at_least(
            "actix-web: read-only ÷ actix-session",
            1.1,
            one((READ, ACTIX), (READ, ACTIX, ACTIX_SESSION)),
        ),
        at_least(
            "actix-web: counter ÷ actix-session",
            1.1,
            one((COUNTER, ACTIX), (COUNTER, ACTIX, ACTIX_SESSION)),
        ),
        at_least("memory, read-only ÷ the bare route", 0.8, bare.collect()),
        at_least("axum ÷ Express", 12.0, express.flatten().collect()),
    ]
}

fn bytes(results: &Results) -> Vec<Target> {
    let usage = |contender| {
        let usage = results.memory_usage(contender, COMMON).and_then(|bytes| u32::try_from(bytes).ok());
        usage.map(|bytes| (String::new(), Spread::of([f64::from(bytes)]))).into_iter().collect()
    };
    vec![
        at_most("MEMORY USAGE of the shopper, MessagePack", 416.0, usage(OURS_COMPACT)),
        at_most("MEMORY USAGE of the shopper, JSON", 480.0, usage(OURS)),
        at_most("MEMORY USAGE of the shopper, Express' layout", 620.0, usage(OURS_EXPRESS)),
    ]
}

fn at_least(what: &'static str, bound: f64, measured: Vec<Figure>) -> Target {
    Target { what, bound: Bound::AtLeast(bound), measured }
}

fn at_most(what: &'static str, bound: f64, measured: Vec<Figure>) -> Target {
    Target { what, bound: Bound::AtMost(bound), measured }
}

fn by_tasks(ratio: impl Fn(u64) -> Spread) -> Vec<Figure> {
    TASKS.iter().map(|&tasks| (of_tasks(tasks), ratio(tasks))).collect()
}

fn of_tasks(tasks: u64) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
}

fn pace(slice: &StoreSlice) -> f64 {
    slice.per_second
}

fn p99(slice: &StoreSlice) -> f64 {
    slice.p99_micros
}
