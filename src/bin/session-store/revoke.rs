//! `revoke` and `revoke-all`: the end of some sessions, or of all of an owner's.

use std::process::ExitCode;

use serde_json::json;

use crate::Outcome;
use crate::arguments::RevokeAll;
use crate::failure::Failure;
use crate::keys;
use crate::opening::Open;
use crate::output::Output;
use crate::progress::Progress;

pub(crate) async fn some(open: &Open, output: &Output, texts: &[String]) -> Outcome {
    let found = keys::find(open, texts).await?;
    let (mut missing, mut ended, mut failed) = (0, Vec::new(), None);
    for key in found {
        let Some(key) = key else {
            missing += 1;
            continue;
        };
        match open.manager.revoke(&key).await {
            Ok(true) => ended.push(keys::name(&key, &open.naming)),
            Ok(false) => missing += 1,
            // What was done until then is said first.
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if output.json {
        output.json(&json!({ "revoked": ended, "notThere": missing }))?;
    } else {
        for name in &ended {
            output.line(&format!("ended {name}"))?;
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    match missing {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(Failure::Missing("1 of these sessions is not there (any more)".to_owned())),
        many => Err(Failure::Missing(format!("{many} of these sessions are not there (any more)"))),
    }
}

pub(crate) async fn all(open: &Open, output: &Output, options: &RevokeAll) -> Outcome {
    let count = if options.thorough {
        let progress = Progress::new("searching");
        open.manager.revoke_all_thoroughly(&options.owner).on_progress(progress.callback()).await?
    } else {
        open.manager.revoke_all(&options.owner).await?
    };
    if output.json {
        output.json(&json!({ "revoked": count }))?;
    } else {
        output.line(&format!("ended {count} sessions"))?;
    }
    Ok(ExitCode::SUCCESS)
}
