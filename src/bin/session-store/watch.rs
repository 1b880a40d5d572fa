//! `watch`: how the servers are, as a dashboard or line by line.

mod dashboard;
mod reading;
mod screen;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::json;
use session_store::checkup::ServerInfo;
use session_store::{Error, SessionStore as _, Topology};
use tokio::time::{MissedTickBehavior, interval};

use self::dashboard::Dashboard;
use self::reading::{Counters, Reading, columns};
use self::screen::Screen;
use crate::Outcome;
use crate::arguments::Watch;
use crate::interrupt::interrupted;
use crate::moments;
use crate::opening::Open;
use crate::output::Output;
use crate::stats::whole;

/// A sample of sessions is taken once in so many readings: it is some 5,000 keys of each server.
const SAMPLE_EVERY: u64 = 30;
/// Of so many last answers it is told how long all but the slowest hundredth took.
const REMEMBERED: usize = 100;
/// The names of the columns come again after so many lines.
const PAGE: u64 = 20;

pub(crate) async fn run(open: &Open, output: &Output, options: &Watch) -> Outcome {
    let mut interrupt = pin!(interrupted());
    // From now on Ctrl-C ends the loop and not the process, which would leave the screen as it is.
    if interrupt.as_mut().now_or_never().is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut show = Show::new(open, output, options)?;
    let mut ticks = interval(Duration::from_secs_f64(options.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = VecDeque::new();
    let mut share_of_sessions = None;
    let mut before: Option<(Instant, Counters)> = None;
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
                show.unavailable(&error)?;
                before = None;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let now = Counters::of(&servers);
        let asked_at = Instant::now();
        if line.is_multiple_of(SAMPLE_EVERY) || share_of_sessions.is_none() && now.keys > 0.0 {
            let sampled = tokio::select! {
                sampled = open.manager.usage() => sampled,
                () = &mut interrupt => break,
            };
            // A user that may not scan sees the rest.
            share_of_sessions = sampled.ok().map(|sampled| (sampled.sessions / now.keys.max(1.0)).min(1.0));
        }
        remember(&mut pings, &servers);
        let reading = Reading {
            rates: before.map(|(at, before)| now.since(before, asked_at - at)),
            sessions: share_of_sessions.map(|share| whole(share * now.keys)),
            now,
            ping: pings.back().copied().unwrap_or_default(),
            slow_ping: slowest_but_a_hundredth(&pings),
        };
        show.reading(reading, line)?;
        before = Some((asked_at, now));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether readings are shown on a screen of their own; whoever counts lines wants lines.
pub(crate) fn is_dashboard(output: &Output, options: &Watch) -> bool {
    !output.json && options.count.is_none() && screen::is_there()
}

/// How readings are shown.
enum Show<'a> {
    Json(&'a Output),
    Lines(&'a Output),
    Dashboard(Dashboard),
}

impl<'a> Show<'a> {
    fn new(open: &Open, output: &'a Output, options: &Watch) -> io::Result<Self> {
        if output.json {
            return Ok(Self::Json(output));
        }
        Ok(match is_dashboard(output, options).then(Screen::open).transpose()? {
            Some(screen) => {
                let topology = open.store.status().topology.map_or("none", Topology::as_str);
                let subject = format!("{topology}, prefix {}", open.naming.in_words());
                Self::Dashboard(Dashboard::new(screen, subject))
            }
            None => Self::Lines(output),
        })
    }

    fn reading(&mut self, reading: Reading, line: u64) -> io::Result<()> {
        match self {
            Self::Json(output) => output.json(&reading.value()),
            Self::Lines(output) => output.rows(&columns(), &[reading.cells()], line.is_multiple_of(PAGE)),
            Self::Dashboard(dashboard) => dashboard.add(Ok(reading)),
        }
    }

    fn unavailable(&mut self, error: &Error) -> io::Result<()> {
        let time = moments::utc(moments::now());
        match self {
            Self::Json(output) => output.json(&json!({ "time": time, "error": error.to_string() })),
            Self::Lines(output) => output.line(&format!("{time}  {error}")),
            Self::Dashboard(dashboard) => dashboard.add(Err(error)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
