//! What is watched: one table says how each series is read, named and shown, in lines, JSON and the dashboard.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Map, Value};
use session_store::checkup::ServerInfo;

use crate::moments;
use crate::output::{Column, Fit};
use crate::stats::{hit_ratio, whole};

/// Sums over all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counters {
    pub(super) keys: f64,
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
    pub(super) fn of(servers: &[ServerInfo]) -> Self {
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

    /// What came in between: of keys, commands and ends a second's worth, of hits and misses all; of a server that was
    /// started again, nothing. The rest is as it is now.
    pub(super) fn since(self, before: Self, elapsed: Duration) -> Self {
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

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) now: Counters,
    /// Nothing at first.
    pub(super) rates: Option<Counters>,
    /// Nothing while no sample could be taken.
    pub(super) sessions: Option<u64>,
    pub(super) ping: Duration,
    pub(super) slow_ping: Duration,
}

pub(super) struct Series {
    pub(super) name: &'static str,
    /// In JSON.
    member: &'static str,
    is_narrow: bool,
    width: usize,
    pub(super) value: fn(&Reading) -> Option<f64>,
    /// Of a value.
    pub(super) text: fn(f64) -> String,
}

const fn series(
    (name, member): (&'static str, &'static str),
    (is_narrow, width): (bool, usize),
    value: fn(&Reading) -> Option<f64>,
    text: fn(f64) -> String,
) -> Series {
    Series { name, member, is_narrow, width, value, text }
}

#[rustfmt::skip]
#[expect(clippy::cast_precision_loss, reason = "sessions and hundredths are far fewer")]
pub(super) const SERIES: [Series; 12] = [
    series(("sessions", "totalSessions"), (true, 11), |it| Some(it.sessions? as f64), count),
    series(("keys", "keys"), (false, 11), |it| Some(it.now.keys), count),
    series(("keys +-/s", "keysPerSecond"), (true, 10), |it| Some(it.rates?.keys), |rate| format!("{rate:+.1}")),
    series(("expired/s", "expiredPerSecond"), (false, 9), |it| Some(it.rates?.expired), tenths),
    series(("evicted/s", "evictedPerSecond"), (false, 9), |it| Some(it.rates?.evicted), tenths),
    series(("commands/s", "commandsPerSecond"), (true, 10), |it| Some(it.rates?.commands), tenths),
    series(("hits", "hitPercent"), (false, 5), |it| Some(it.hit_ratio()? as f64), |hits| format!("{hits} %")),
    series(("clients", "clients"), (false, 7), |it| Some(it.now.clients), count),
    series(("feeds", "feeds"), (false, 5), |it| Some(it.now.feeds), count),
    series(("memory", "memoryUsedBytes"), (true, 10), |it| Some(it.now.used), |used| BinaryBytes(whole(used)).to_string()),
    series(("ping", "pingSeconds"), (false, 8), |it| Some(it.ping.as_secs_f64()), millis),
    series(("ping p99", "pingP99Seconds"), (true, 8), |it| Some(it.slow_ping.as_secs_f64()), millis),
];

fn count(number: f64) -> String {
    HumanCount(whole(number)).to_string()
}

fn tenths(rate: f64) -> String {
    format!("{rate:.1}")
}

fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1000.0)
}

/// As `cells` has them.
pub(super) fn columns() -> Vec<Column> {
    let of_series = SERIES.iter().map(|series| {
        Column(series.name, series.is_narrow.then_some(series.width), series.width, Fit::Right)
    });
    [Column("TIME", Some(20), 20, Fit::Left)].into_iter().chain(of_series).collect()
}

impl Reading {
    pub(super) fn cells(&self) -> Vec<String> {
        let cell = |series: &Series| (series.value)(self).map_or("-".to_owned(), series.text);
        [moments::utc(moments::now())].into_iter().chain(SERIES.iter().map(cell)).collect()
    }

    pub(super) fn value(&self) -> Value {
        let mut members = Map::new();
        members.insert("time".to_owned(), moments::utc(moments::now()).into());
        for series in &SERIES {
            members.insert(series.member.to_owned(), (series.value)(self).map_or(Value::Null, number));
        }
        members.into()
    }

    fn hit_ratio(&self) -> Option<u64> {
        let rates = self.rates.as_ref()?;
        hit_ratio(whole(rates.hits), whole(rates.misses))
    }
}

/// A count without a decimal point.
fn number(value: f64) -> Value {
    if value >= 0.0 && value.fract() == 0.0 { whole(value).into() } else { value.into() }
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
}
