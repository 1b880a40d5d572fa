//! `check`: whether the servers are fit to keep sessions.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use session_store::Error;
use session_store::checkup::{Finding, Verdict};

use crate::Outcome;
use crate::arguments::Connection;
use crate::failure::Failure;
use crate::opening::{Open, Recording};
use crate::output::{Output, plain};

pub(crate) async fn run(connection: &Connection, output: &Output) -> Outcome {
    let (verdict, lines) = match Open::connect(connection, Recording::Nothing).await {
        Ok(open) => {
            let checkup = open.store.checkup().await;
            (checkup.verdict(), checkup.findings.into_iter().map(Line::from).collect())
        }
        // No setting is wrong, so this is what the servers are like.
        Err(Failure::Store(error @ (Error::Unavailable { .. } | Error::Refused { .. }))) => {
            let line = Line {
                verdict: Verdict::Unsafe,
                subject: "reachable",
                server: None,
                detail: error.to_string(),
            };
            (Verdict::Unsafe, vec![line])
        }
        Err(failure) => return Err(failure),
    };
    if output.json {
        output.json(&json!({ "verdict": verdict, "findings": lines }))?;
    } else {
        for line in &lines {
            output.line(&line.text(output))?;
        }
    }
    Ok(match verdict {
        Verdict::Fine | Verdict::Unknown => ExitCode::SUCCESS,
        Verdict::Warning => ExitCode::from(1),
        _ => ExitCode::from(2),
    })
}

#[derive(Serialize)]
struct Line {
    verdict: Verdict,
    subject: &'static str,
    server: Option<String>,
    detail: String,
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Self {
        let Finding { verdict, subject, server, detail, .. } = finding;
        Self { verdict, subject, server, detail }
    }
}

impl Line {
    fn text(&self, output: &Output) -> String {
        let server = self.server.as_ref().map(|server| format!("{server}: ")).unwrap_or_default();
        format!("{}  {:<11}  {server}{}", output.verdict(self.verdict), self.subject, plain(&self.detail))
    }
}
