//! The service in warp.

use std::time::Duration;

use session_store::{Error, Session, SessionLayer};
use warp::Filter as _;

use crate::hosts::{self, Client, Manager};
use crate::support::shopper::Shopper;

pub(crate) fn serve(manager: Option<Manager>, client: &Client, steps: u64) -> Duration {
    let untouched = warp::path("untouched").map(|| "done");
    let read = warp::path("read").and(Session::filter()).map(|session: Session<Shopper>| {
        hosts::read(&session);
        "done"
    });
    let modified = warp::path("modified").and(Session::filter()).then(modified);
    let routes = untouched.or(read).or(modified);
    match manager {
        None => client.ask(warp::service(routes), steps),
        Some(manager) => client.ask(SessionLayer::new(manager).around(routes), steps),
    }
}

async fn modified(session: Session<Shopper>) -> Result<&'static str, Error> {
    hosts::modify(&session)?;
    Ok("done")
}
