//! `report`: what happened to all owners' sessions, in numbers.

mod tally;

use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use self::tally::{Day, ENDS, Tally};
use crate::Outcome;
use crate::arguments::Report;
use crate::moments;
use crate::opening::Open;
use crate::output::{Column, Fit, Output};
use crate::progress::Progress;

pub(crate) async fn run(open: &Open, output: &Output, options: &Report) -> Outcome {
    let until = moments::now();
    let mut tally = Tally::new(until, options.since);
    let progress = Progress::of("histories", "reading");
    let mut histories = open.manager.histories().on_progress(progress.callback());
    while let Some(history) = histories.try_next().await? {
        tally.add(&history.entries);
    }
    drop(progress);
    if output.json {
        output.json(&value(&mut tally))?;
    } else {
        print(output, &mut tally)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn value(tally: &mut Tally) -> Value {
    let ends = |counts: &[u64]| {
        let named = ENDS.iter().zip(counts).map(|(end, count)| (end.as_str().to_owned(), json!(count)));
        named.collect::<Map<_, _>>()
    };
    let day = |day: &Day| json!({ "day": day.name(), "signedIn": day.sign_ins, "ends": ends(&day.ends) });
    json!({
        "since": moments::utc(tally.since),
        "until": moments::utc(tally.until),
        "owners": tally.owners,
        "signedIn": tally.sign_ins(),
        "ends": ends(&tally.ends()),
        "sessionDurations": {
            "count": tally.lengths.len(),
            "p50Seconds": tally.quantile(50).map(|it| it.as_secs()),
            "p90Seconds": tally.quantile(90).map(|it| it.as_secs()),
        },
        "newDevices": tally.new_devices,
        "returningDevices": tally.returning_devices,
        "unnamedDevices": tally.unnamed_devices,
        "days": tally.days().map(day).collect::<Vec<_>>(),
    })
}

fn print(output: &Output, tally: &mut Tally) -> std::io::Result<()> {
    let count = |count: u64| HumanCount(count).to_string();
    let none = || "-".to_owned();
    let length = |tally: &mut Tally, share| tally.quantile(share).map_or_else(none, moments::span);
    let ends = ENDS.iter().zip(tally.ends()).filter(|(_, count)| *count > 0);
    let ends: Vec<_> = ends.map(|(end, number)| format!("{} {end}", count(number))).collect();
    let unnamed = match tally.unnamed_devices {
        0 => String::new(),
        unnamed => format!(", {} without a label", count(unnamed)),
    };
    output.facts(&[
        ("since", moments::utc(tally.since)),
        ("owners", count(tally.owners)),
        ("sign-ins", count(tally.sign_ins())),
        ("ends", if ends.is_empty() { "0".to_owned() } else { ends.join(", ") }),
        (
            "sessions lasted",
            format!("{} (half of them at most), {} (90 %)", length(tally, 50), length(tally, 90)),
        ),
        (
            "devices",
            format!(
                "{} new, {} returning{unnamed}",
                count(tally.new_devices),
                count(tally.returning_devices)
            ),
        ),
    ])?;
    output.line("")?;
    let cells =
        |day: &Day| [day.name(), count(day.sign_ins)].into_iter().chain(day.ends.map(count)).collect();
    let rows: Vec<Vec<String>> = tally.days().map(cells).collect();
    output.rows(&COLUMNS, &rows, true)
}

const COLUMNS: [Column; 7] = [
    Column("DAY", Some(10), 10, Fit::Left),
    Column("SIGN-INS", Some(11), 11, Fit::Right),
    Column("SIGNED OUT", Some(10), 10, Fit::Right),
    Column("REPLACED", Some(8), 10, Fit::Right),
    Column("REVOKED", Some(8), 10, Fit::Right),
    Column("EVICTED", Some(8), 10, Fit::Right),
    Column("EXPIRED", Some(10), 10, Fit::Right),
];

const _: () = assert!(COLUMNS.len() == 2 + ENDS.len());
