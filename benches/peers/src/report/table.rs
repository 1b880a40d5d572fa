//! The tables, as one Markdown document.

use std::fmt::Write as _;

use super::lookup::floor_of;
use super::targets::{self, Bound, Figure};
use crate::http_level::framework::AXUM;
use crate::results::contender::OURS;
use crate::results::{HttpRow, Results, StoreRow};
use crate::statistics::Spread;

pub fn document(results: &Results) -> String {
    let mut out = String::new();
    write_all(&mut out, results).expect("a string can be written to");
    out
}

fn write_all(out: &mut String, results: &Results) -> std::fmt::Result {
    let rounds = |count: usize| if count == 1 { "one round".to_owned() } else { format!("{count} rounds") };
    let stores = results.store.first().map_or(0, |row| row.rounds.len());
    let http = results.http.first().map_or(0, |row| row.rounds.len());
    writeln!(out, "# Peers side by side\n")?;
    writeln!(out, "{}, {}.", results.when, results.machine)?;
    if results.quick {
        writeln!(out, "**A smoke run: it shows that everything runs, and its figures say nothing.**")?;
    }
    let versions = results.versions.iter().map(|it| format!("{} {}", it.what, it.version));
    writeln!(out, "{}.\n", versions.collect::<Vec<_>>().join(", "))?;
    writeln!(
        out,
        "Medians of {} for stores and {} over HTTP, (lowest–highest) of them; a ratio is taken within \
         each round. A target is met by its median. `README.md` says what the words mean.\n",
        rounds(stores),
        rounds(http)
    )?;
    writeln!(out, "## Targets\n")?;
    write_targets(out, results)?;
    writeln!(out, "\n## HTTP\n")?;
    write_http(out, results)?;
    writeln!(out, "\n## Stores on Redis\n")?;
    write_stores(out, &results.store)?;
    if !results.valkey.is_empty() {
        writeln!(out, "\n## Stores on Valkey\n")?;
        write_stores(out, &results.valkey)?;
    }
    writeln!(out, "\n## Stores in memory\n")?;
    write_stores(out, &results.memory)?;
    writeln!(out, "\n## Bytes in Redis\n")?;
    write_bytes(out, results)
}

fn write_targets(out: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(out, "| what | target | measured | |\n|---|--:|---|---|")?;
    for target in targets::all(results) {
        let (sign, bound) = match target.bound {
            Bound::AtLeast(bound) => ('≥', bound),
            Bound::AtMost(bound) => ('≤', bound),
        };
        let figure = |(of, figure): &Figure| match &**of {
            "" => spread(*figure),
            of => format!("{of}: {}", spread(*figure)),
        };
        let figures: Vec<_> = target.measured.iter().map(figure).collect();
        let met = if target.is_met() { "met" } else { "**not met**" };
        writeln!(out, "| {} | {sign} {bound} | {} | {met} |", target.what, figures.join("; "))?;
    }
    Ok(())
}

fn write_http(out: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(
        out,
        "| request | framework | sessions | requests/s | ours ÷ it | p50 µs | p99 µs | server's CPU µs \
         | Redis' CPU µs | commands | what differs |"
    )?;
    writeln!(out, "|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|")?;
    for row in &results.http {
        let HttpRow { scene, framework, contender, does, .. } = row;
        // Of ours on the same framework or, beside Express, on axum.
        let ours = results.over_http(scene, framework, OURS).or_else(|| results.over_http(scene, AXUM, OURS));
        let ours = ours.filter(|ours| !std::ptr::eq(*ours, row));
        let ratio = ours.map_or_else(String::new, |ours| spread(ours.ratio(row)));
        let [p50, p99] = [row.spread(|slice| slice.p50_micros), row.spread(|slice| slice.p99_micros)];
        let cpu = [row.spread(|slice| slice.cpu_micros), row.spread(|slice| slice.redis_cpu_micros)];
        let [cpu, redis] = cpu.map(spread);
        let commands = row.spread(|slice| slice.commands).median;
        writeln!(
            out,
            "| {scene} | {framework} | {contender} | {} | {ratio} | {} | {} | {cpu} | {redis} \
             | {commands:.1} | {does} |",
            spread(row.per_second()),
            spread(p50),
            spread(p99)
        )?;
    }
    Ok(())
}

fn write_stores(out: &mut String, rows: &[StoreRow]) -> std::fmt::Result {
    writeln!(out, "| tasks | operation | contender | operations/s | ÷ floor | p50 µs | ÷ | p99 µs | ÷ |")?;
    writeln!(out, "|--:|---|---|--:|--:|--:|--:|--:|--:|")?;
    let mut sorted: Vec<_> = rows.iter().collect();
    let order = |row: &StoreRow| rows.iter().position(|other| other.operation == row.operation);
    sorted.sort_by_key(|row| (order(row), row.tasks));
    for row in &sorted {
        let StoreRow { tasks, operation, contender, .. } = row;
        let Some(floor) = floor_of(rows, row) else { continue };
        let [p50, p99] = [row.spread(|slice| slice.p50_micros), row.spread(|slice| slice.p99_micros)];
        writeln!(
            out,
            "| {tasks} | {operation} | {contender} | {} | {} | {} | {} | {} | {} |",
            spread(row.per_second()),
            spread(row.ratio(floor, |slice| slice.per_second)),
            spread(p50),
            spread(row.ratio(floor, |slice| slice.p50_micros)),
            spread(p99),
            spread(row.ratio(floor, |slice| slice.p99_micros)),
        )?;
    }
    writeln!(out, "\n| operation | contender | what it does | the floor |\n|---|---|---|---|")?;
    for row in sorted.iter().filter(|row| row.tasks == 1) {
        writeln!(out, "| {} | {} | {} | {} |", row.operation, row.contender, row.does, row.floor)?;
    }
    Ok(())
}

/// A row for each contender, a column for each payload.
fn write_bytes(out: &mut String, results: &Results) -> std::fmt::Result {
    let mut payloads: Vec<&str> = Vec::new();
    let mut contenders: Vec<&str> = Vec::new();
    for row in &results.bytes {
        for (seen, name) in [(&mut payloads, &row.payload), (&mut contenders, &row.contender)] {
            if !seen.contains(&&**name) {
                seen.push(name);
            }
        }
    }
    writeln!(out, "`MEMORY USAGE`, and (name + value) as they are.\n")?;
    writeln!(out, "| | {} |", payloads.join(" | "))?;
    writeln!(out, "|---|{}", "--:|".repeat(payloads.len()))?;
    for contender in contenders {
        write!(out, "| {contender} |")?;
        for payload in &payloads {
            let is_it =
                |row: &&crate::results::BytesRow| row.contender == contender && row.payload == *payload;
            match results.bytes.iter().find(is_it) {
                Some(row) => write!(out, " {} ({} + {}) |", row.memory, row.key, row.value)?,
                None => write!(out, " |")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The median, and what else there was.
fn spread(of: Spread) -> String {
    let [median, lowest, highest] = [of.median, of.lowest, of.highest].map(short);
    if lowest == highest { median } else { format!("{median} ({lowest}–{highest})") }
}

/// Three digits, so that small and large figures say as much.
fn short(figure: f64) -> String {
    match figure {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}
