//! `tidy`: rewrites sessions that are stored in an old form, and removes index entries of those that are gone.

use std::future::IntoFuture as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::HumanCount;
use session_store::{Cursor, Tidied};

use crate::Outcome;
use crate::arguments::Tidy;
use crate::failure::Failure;
use crate::interrupt::{INTERRUPTED, interrupted};
use crate::opening::Open;
use crate::output::Output;
use crate::progress::Progress;

pub(crate) async fn run(open: &Open, output: &Output, options: &Tidy) -> Outcome {
    let progress = Progress::new(if options.yes { "tidying" } else { "looking" });
    let so_far = Arc::new(Mutex::new(Tidied::default()));
    let mut tidying = open.manager.tidy();
    if !options.yes {
        tidying = tidying.dry_run();
    }
    if let Some(cursor) = &options.resume {
        tidying = tidying.resume(Cursor::new(cursor.as_str()));
    }
    let (mut show, kept) = (progress.callback(), Arc::clone(&so_far));
    let tidying = tidying.on_progress(move |tidied| {
        show(tidied.seen, tidied.share);
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = tidied.clone();
    });
    let (tidied, code) = tokio::select! {
        tidied = tidying.into_future() => (tidied?, ExitCode::SUCCESS),
        () = interrupted() => {
            let so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (so_far, ExitCode::from(INTERRUPTED))
        }
    };
    drop(progress);
    report(output, options, &tidied)?;
    if let Some(cursor) = &tidied.next {
        eprintln!("session-store: there may be more: --resume '{cursor}'");
    }
    Ok(code)
}

fn report(output: &Output, options: &Tidy, tidied: &Tidied) -> Result<(), Failure> {
    if output.json {
        let mut value = serde_json::json!(tidied);
        value["dryRun"] = (!options.yes).into();
        return Ok(output.json(&value)?);
    }
    let count = |count| HumanCount(count).to_string();
    output.facts(&[
        ("sessions seen", count(tidied.seen)),
        (if options.yes { "rewritten" } else { "to be rewritten" }, count(tidied.rewritten)),
        ("left for later", count(tidied.left_for_later)),
        ("need the id", count(tidied.need_the_id)),
        ("not opened", count(tidied.unopened)),
        ("owners seen", count(tidied.owners)),
        (
            if options.yes { "entries removed" } else { "entries to be removed" },
            count(tidied.entries_removed),
        ),
    ])?;
    if !options.yes {
        output.line("nothing was done: add --yes if that is what you want")?;
    }
    Ok(())
}
