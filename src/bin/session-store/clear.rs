//! `clear`: the end of all sessions.

use std::process::ExitCode;

use indicatif::HumanCount;
use serde_json::json;

use crate::Outcome;
use crate::failure::Failure;
use crate::opening::Open;
use crate::output::Output;
use crate::progress::Progress;
use crate::stats;

pub(crate) async fn run(open: &Open, output: &Output, yes: bool) -> Outcome {
    let prefixes = open.naming.in_words();
    if !yes {
        let usage = open.manager.usage().await?;
        let words = format!(
            "this would end {}, which are all under the prefix {prefixes}; nothing was done: add --yes if that is \
             what you want",
            stats::sessions(&usage)
        );
        return Err(Failure::Usage(words));
    }
    let progress = Progress::new("ending");
    let ended = open.manager.revoke_everyone().on_progress(progress.callback()).await?;
    drop(progress);
    if output.json {
        output.json(&json!({ "ended": ended }))?;
    } else {
        output.line(&format!("ended {} sessions under the prefix {prefixes}", HumanCount(ended)))?;
    }
    Ok(ExitCode::SUCCESS)
}
