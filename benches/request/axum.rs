//! The service in axum.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use session_store::{Error, Session, SessionLayer};

use crate::hosts::{self, Client, Manager};
use crate::support::shopper::Shopper;

pub(crate) fn serve(manager: Option<Manager>, client: &Client, steps: u64) -> Duration {
    let routes = Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/modified", get(modified));
    match manager {
        None => client.ask(routes, steps),
        Some(manager) => client.ask(routes.layer(SessionLayer::new(manager)), steps),
    }
}

async fn untouched() -> &'static str {
    "done"
}

async fn read(session: Session<Shopper>) -> &'static str {
    hosts::read(&session);
    "done"
}

async fn modified(session: Session<Shopper>) -> Result<&'static str, Error> {
    hosts::modify(&session)?;
    Ok("done")
}
