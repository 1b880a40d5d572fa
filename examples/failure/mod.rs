//! What the shop answers where a session fails, in its own words: a page for browsers, JSON for everybody else.

use session_store::{Error, FailureResponse};

/// The layer has logged the error. Clients are not told its cause.
pub(crate) fn answer(error: &Error, accept: Option<&str>) -> FailureResponse {
    let status = error.status();
    let text = match status {
        409 => "Somebody changed this at the same time. Try again.",
        503 => "Try again in a moment.",
        _ => "That did not work.",
    };
    if accept.is_some_and(|types| types.contains("text/html")) {
        let page = format!("<!doctype html><title>Shop</title><p>{text}</p>");
        return FailureResponse::new(status, "text/html; charset=utf-8", page);
    }
    FailureResponse::json(status, &serde_json::json!({ "error": text }))
}
