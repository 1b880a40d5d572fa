//! `watch`: how the servers are, line by line.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::CellAlignment::{Left, Right};
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};
use session_store::Error;
use session_store::checkup::ServerInfo;
use tokio::time::{MissedTickBehavior, interval};

use crate::Outcome;
use crate::arguments::Watch;
use crate::interrupt::interrupted;
use crate::moments;
use crate::opening::Open;
use crate::output::{Column, Output, rows};
use crate::stats::{hit_ratio, whole};

/// A sample of sessions is taken once in so many lines: it is some 5,000 keys of each server.
const SAMPLE_EVERY: u64 = 30;
/// Of so many last answers it is told how long all but the slowest hundredth took.
const REMEMBERED: usize = 100;
/// The names of the columns come again after so many lines.
const SCREEN: u64 = 20;

pub(crate) async fn run(open: &Open, output: &Output, options: &Watch) -> Outcome {
    let mut ticks = interval(Duration::from_secs_f64(options.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = VecDeque::new();
    let mut share_of_sessions = None;
    let mut before: Option<(Instant, Counters)> = None;
    let mut interrupt = pin!(interrupted());
    for line in 0..options.count.unwrap_or(u64::MAX) {
        tokio::select! {
            _ = ticks.tick() => {}
            () = &mut interrupt => break,
        }
        let servers = tokio::select! {
            servers = open.store.servers() => servers,
            () = &mut interrupt => break,
        };
        let servers = match servers {
            Ok(servers) => servers,
            // Whoever watches wants to see when it is over.
            Err(error @ Error::Unavailable { .. }) => {
                unavailable(output, &error)?;
                before = None;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let now = Counters::of(&servers);
        let asked_at = Instant::now();
        if (share_of_sessions.is_none() || line % SAMPLE_EVERY == 0)
            && let Ok(sampled) = open.manager.usage().await
        {
            share_of_sessions = (now.keys > 0.0).then(|| (sampled.sessions / now.keys).min(1.0));
        }
        remember(&mut pings, &servers);
        let reading = Reading {
            rates: before.map(|(at, before)| now.since(before, asked_at - at)),
            sessions: share_of_sessions.map_or(0, |share| whole(share * now.keys)),
            now,
            ping: pings.back().copied().unwrap_or_default(),
            slow_ping: slowest_but_a_hundredth(&pings),
        };
        if output.json {
            output.json(&reading.value())?;
        } else {
            output.line(&rows(&COLUMNS, &[reading.cells()], line % SCREEN == 0))?;
        }
        before = Some((asked_at, now));
    }
    Ok(ExitCode::SUCCESS)
}

fn unavailable(output: &Output, error: &Error) -> io::Result<()> {
    let time = moments::utc(moments::now());
    if output.json {
        output.json(&json!({ "time": time, "error": error.to_string() }))
    } else {
        output.line(&format!("{time}  {error}"))
    }
}

/// How long the slowest of the servers took.
fn remember(pings: &mut VecDeque<Duration>, servers: &[ServerInfo]) {
    pings.extend(servers.iter().map(|server| server.round_trip).max());
    if pings.len() > REMEMBERED {
        pings.pop_front();
    }
}

fn slowest_but_a_hundredth(pings: &VecDeque<Duration>) -> Duration {
    let mut sorted: Vec<_> = pings.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// Sums over all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    keys: f64,
    commands: f64,
    expired: f64,
    evicted: f64,
    hits: f64,
    misses: f64,
    clients: f64,
    /// Connections that are told of changes.
    feeds: f64,
    used: f64,
}

impl Counters {
    #[expect(clippy::cast_precision_loss, reason = "rates are shown to a tenth")]
    fn of(servers: &[ServerInfo]) -> Self {
        let sum = |name| servers.iter().filter_map(|server| server.number(name)).sum::<u64>() as f64;
        Self {
            keys: servers.iter().map(ServerInfo::keys).sum::<u64>() as f64,
            commands: sum("total_commands_processed"),
            expired: sum("expired_keys"),
            evicted: sum("evicted_keys"),
            hits: sum("keyspace_hits"),
            misses: sum("keyspace_misses"),
            clients: sum("connected_clients"),
            feeds: sum("tracking_clients"),
            used: sum("used_memory"),
        }
    }

    /// A second's worth of what came in between; of a server that was started again, nothing.
    fn since(self, before: Self, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = |now: f64, before: f64| ((now - before) / seconds).max(0.0);
        Self {
            keys: (self.keys - before.keys) / seconds,
            commands: rate(self.commands, before.commands),
            expired: rate(self.expired, before.expired),
            evicted: rate(self.evicted, before.evicted),
            hits: (self.hits - before.hits).max(0.0),
            misses: (self.misses - before.misses).max(0.0),
            ..self
        }
    }
}

struct Reading {
    now: Counters,
    /// Nothing in the first line.
    rates: Option<Counters>,
    sessions: u64,
    ping: Duration,
    slow_ping: Duration,
}

const COLUMNS: [Column; 12] = [
    Column("TIME", 20, Left),
    Column("SESSIONS", 11, Right),
    Column("KEYS +-/S", 10, Right),
    Column("EXPIRED/S", 9, Right),
    Column("EVICTED/S", 9, Right),
    Column("COMMANDS/S", 10, Right),
    Column("HITS", 5, Right),
    Column("CLIENTS", 7, Right),
    Column("FEEDS", 5, Right),
    Column("MEMORY", 10, Right),
    Column("PING", 8, Right),
    Column("P99", 8, Right),
];

impl Reading {
    fn cells(&self) -> Vec<String> {
        let rate = |of: fn(&Counters) -> f64| {
            self.rates.as_ref().map_or("-".to_owned(), |it| format!("{:.1}", of(it)))
        };
        let hits = self.hit_ratio().map_or("-".to_owned(), |hits| format!("{hits} %"));
        let millis = |ping: Duration| format!("{:.1} ms", ping.as_secs_f64() * 1000.0);
        vec![
            moments::utc(moments::now()),
            HumanCount(self.sessions).to_string(),
            self.rates.map_or("-".to_owned(), |it| format!("{:+.1}", it.keys)),
            rate(|it| it.expired),
            rate(|it| it.evicted),
            rate(|it| it.commands),
            hits,
            HumanCount(whole(self.now.clients)).to_string(),
            HumanCount(whole(self.now.feeds)).to_string(),
            BinaryBytes(whole(self.now.used)).to_string(),
            millis(self.ping),
            millis(self.slow_ping),
        ]
    }

    fn value(&self) -> Value {
        json!({
            "time": moments::utc(moments::now()),
            "sessions": self.sessions,
            "keys": whole(self.now.keys),
            "keys_change_per_second": self.rates.map(|it| it.keys),
            "expired_per_second": self.rates.map(|it| it.expired),
            "evicted_per_second": self.rates.map(|it| it.evicted),
            "commands_per_second": self.rates.map(|it| it.commands),
            "hit_percent": self.hit_ratio(),
            "clients": whole(self.now.clients),
            "feeds": whole(self.now.feeds),
            "used_bytes": whole(self.now.used),
            "ping_millis": self.ping.as_secs_f64() * 1000.0,
            "ping_p99_millis": self.slow_ping.as_secs_f64() * 1000.0,
        })
    }

    fn hit_ratio(&self) -> Option<u64> {
        let rates = self.rates.as_ref()?;
        hit_ratio(whole(rates.hits), whole(rates.misses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_a_second() {
        let before = Counters { keys: 100.0, commands: 50.0, expired: 7.0, ..Counters::default() };
        let now = Counters { keys: 90.0, commands: 80.0, expired: 0.0, clients: 4.0, ..Counters::default() };
        let rates = now.since(before, Duration::from_secs(2));
        let expected = Counters { keys: -5.0, commands: 15.0, clients: 4.0, ..Counters::default() };
        assert_eq!(rates, expected, "the server was started again, and counts from 0");
    }

    #[test]
    fn the_slowest_hundredth_does_not_count() {
        let pings: VecDeque<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(slowest_but_a_hundredth(&pings), Duration::from_millis(99));
        assert_eq!(
            slowest_but_a_hundredth(&pings.iter().copied().take(1).collect()),
            Duration::from_millis(1)
        );
        assert_eq!(slowest_but_a_hundredth(&VecDeque::new()), Duration::ZERO);
    }
}
