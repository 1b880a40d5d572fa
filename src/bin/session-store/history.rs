//! `history`: what happened to the sessions of an owner.

use std::process::ExitCode;

use serde_json::json;
use session_store::{HistoryEntry, Label, Timestamp};

use crate::Outcome;
use crate::keys;
use crate::moments;
use crate::opening::{Naming, Open};
use crate::output::{Column, Fit, Output};

/// So many characters of a digest tell an owner's sessions apart, and find one.
const SHORT: usize = 8;

pub(crate) async fn run(open: &Open, output: &Output, owner: &str) -> Outcome {
    let history = open.manager.history_of(owner).await?;
    if output.json {
        for entry in &history {
            output.json(&json!({
                "at": moments::utc(entry.at),
                "what": entry.what.as_str(),
                "label": label(entry, &history),
                "session": keys::name(&entry.session, &open.naming),
                "began": moments::utc(entry.began),
            }))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if history.is_empty() {
        eprintln!("session-store: there is no history of this owner");
        return Ok(ExitCode::SUCCESS);
    }
    let now = moments::now();
    let cells: Vec<_> =
        history.iter().map(|entry| cells(entry, &history, &open.naming, output.wide, now)).collect();
    output.rows(&COLUMNS, &cells, true)?;
    Ok(ExitCode::SUCCESS)
}

const COLUMNS: [Column; 5] = [
    Column("WHEN", Some(8), 20, Fit::Left),
    Column("WHAT", Some(14), 14, Fit::Left),
    Column("DEVICE", Some(20), 20, Fit::Elastic),
    Column("SESSION", Some(8), 35, Fit::Left),
    Column("BEGAN", None, 20, Fit::Left),
];

fn cells(
    entry: &HistoryEntry,
    history: &[HistoryEntry],
    naming: &Naming,
    wide: bool,
    now: Timestamp,
) -> Vec<String> {
    // The key that it had last, so that a sign-in and its end look alike.
    let last = history.iter().find(|other| other.is_of_same_session(entry)).unwrap_or(entry);
    vec![
        if wide { moments::utc(entry.at) } else { moments::ago(entry.at, now) },
        entry.what.to_string(),
        label(entry, history).unwrap_or("-").to_owned(),
        if wide {
            keys::name(&last.session, naming)
        } else {
            last.session.to_string().chars().take(SHORT).collect()
        },
        moments::utc(entry.began),
    ]
}

/// The session's label; an end may not know it, and its sign-in does.
fn label<'e>(entry: &'e HistoryEntry, history: &'e [HistoryEntry]) -> Option<&'e str> {
    let mut same = history.iter().filter(|other| other.is_of_same_session(entry));
    let label = entry.label.as_ref().or_else(|| same.find_map(|other| other.label.as_ref()));
    label.map(Label::as_str)
}
