//! `ttl`: when a session ends.

use std::process::ExitCode;

use serde_json::json;
use session_store::SessionSummary;

use crate::Outcome;
use crate::keys;
use crate::moments;
use crate::opening::Open;
use crate::output::Output;
use crate::summary;

pub(crate) async fn run(open: &Open, output: &Output, key: &str) -> Outcome {
    let key = keys::find_one(open, key).await?;
    let session = SessionSummary::new(key.clone(), &summary::load(open, &key).await?);
    let (end, now) = (summary::end(&session), moments::now());
    if output.json {
        output.json(&json!({
            "key": keys::name(&key, &open.naming),
            "expiresAt": moments::utc(end),
            "expiresInSeconds": end.saturating_since(now).as_secs(),
            "absoluteDeadline": session.absolute_deadline.map(moments::utc),
            "absoluteDeadlineInSeconds":
                session.absolute_deadline.map(|deadline| deadline.saturating_since(now).as_secs()),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let none = || "never, as long as it is used".to_owned();
    let latest =
        session.absolute_deadline.map_or_else(none, |at| moments::both(&moments::ahead(at, now), at));
    output.facts(&[
        ("ends unless it is used", moments::both(&moments::ahead(end, now), end)),
        ("ends at the latest", latest),
    ])?;
    Ok(ExitCode::SUCCESS)
}
