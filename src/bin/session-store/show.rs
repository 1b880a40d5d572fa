//! `show`: what is known of a session, and its data.

use std::process::ExitCode;

use indicatif::BinaryBytes;
use serde_json::Value;
use session_store::SessionSummary;

use crate::Outcome;
use crate::arguments::Show;
use crate::keys;
use crate::moments;
use crate::opening::Open;
use crate::output::{Output, plain};
use crate::summary;

pub(crate) async fn run(open: &Open, output: &Output, options: &Show) -> Outcome {
    let key = keys::find_one(open, &options.key).await?;
    let record = summary::load(open, &key).await?;
    let is_unopened = record.data.is_sealed();
    let data = if options.no_data { None } else { Some(record.data.to_json()) };
    let session = SessionSummary::new(key, &record);
    let now = moments::now();
    if output.json {
        let mut value = summary::value(&session, &open.naming, now);
        if let (Value::Object(members), Some(data)) = (&mut value, data) {
            members.insert("dataIsReadable".to_owned(), data.is_some().into());
            members.insert("data".to_owned(), data.unwrap_or_default());
        }
        output.json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    let none = || "-".to_owned();
    let codec = summary::codec(session.codec);
    output.facts(&[
        ("key", keys::name(&session.key, &open.naming)),
        ("owner", session.owner.as_ref().map_or_else(none, |owner| owner.as_str().to_owned())),
        ("label", session.label.as_ref().map_or_else(none, |label| label.as_str().to_owned())),
        ("created", moments::both(&moments::ago(session.created_at, now), session.created_at)),
        (
            "last seen",
            session.last_seen().map_or_else(none, |seen| moments::both(&moments::ago(seen, now), seen)),
        ),
        ("ends", moments::both(&moments::ahead(summary::end(&session), now), summary::end(&session))),
        ("idle timeout", session.idle_timeout.map_or_else(none, moments::span)),
        (
            "ends at the latest",
            session.absolute_deadline.map_or_else(none, |at| moments::both(&moments::ahead(at, now), at)),
        ),
        (
            "data",
            format!(
                "{}, {}{}{}",
                BinaryBytes(session.data_bytes as u64),
                codec.as_str().unwrap_or("unknown codec"),
                if session.compressed { ", compressed" } else { "" },
                if session.sealed { ", sealed" } else { "" },
            ),
        ),
    ])?;
    match data {
        None => {}
        Some(Some(data)) => {
            let text = serde_json::to_string_pretty(&data).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(plain).collect();
            output.line(&lines.join("\n"))?;
        }
        Some(None) if is_unopened => {
            output.line(
                "its data is sealed: give the service's SESSION_SEAL_KEY; what is sealed with the visitor's id too \
                 opens for nobody else",
            )?;
        }
        Some(None) => {
            output.line("its data cannot be shown: the codec does not name its parts, or is not known")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
