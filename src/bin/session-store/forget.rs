//! `forget`: the end of all sessions of an owner, and of what is kept about them.

use std::process::ExitCode;

use indicatif::HumanCount;
use serde_json::json;

use crate::Outcome;
use crate::arguments::Forget;
use crate::opening::Open;
use crate::output::Output;

pub(crate) async fn run(open: &Open, output: &Output, options: &Forget) -> Outcome {
    let Forget { owner, yes } = options;
    let (sessions, entries) = if *yes {
        let forgotten = open.manager.forget(owner).await?;
        (forgotten.sessions, forgotten.entries)
    } else {
        let history = open.manager.history_of(owner).await?;
        (open.manager.sessions_of(owner).await?.len() as u64, history.len() as u64)
    };
    if output.json {
        output.json(&json!({ "sessions": sessions, "entries": entries, "dryRun": !yes }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let [ended, erased] = if *yes {
        ["sessions ended", "entries of the history erased"]
    } else {
        ["sessions to be ended", "entries of the history to be erased"]
    };
    let count = |count| HumanCount(count).to_string();
    output.facts(&[(ended, count(sessions)), (erased, count(entries))])?;
    if !yes {
        output.line("nothing was done: add --yes if that is what you want")?;
    }
    Ok(ExitCode::SUCCESS)
}
