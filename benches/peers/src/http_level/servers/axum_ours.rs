//! session-store on axum, with its default policy: idle for a day, touched in tenths of it.

use std::error::Error;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use session_store::{Codec, SessionLayer};

use super::{Outcome, on_axum, ours};
use crate::payload::{Shopper, greeting};

type Session = session_store::Session<Shopper>;

async fn sign_in(session: Session) -> Result<&'static str, session_store::Error> {
    session.write(|shopper| *shopper = Shopper::ada())?;
    Ok("in")
}

async fn read(session: Session) -> Result<String, StatusCode> {
    session.read(greeting).ok_or(StatusCode::UNAUTHORIZED)
}

async fn count(session: Session) -> Result<Result<String, StatusCode>, session_store::Error> {
    let answer = session.write(|shopper| {
        shopper.visits += 1;
        greeting(shopper)
    })?;
    Ok(answer.ok_or(StatusCode::UNAUTHORIZED))
}

pub fn serve(mode: &str, redis: &str) -> Outcome {
    on_axum::run(async { router(mode, redis).await })
}

async fn router(mode: &str, redis: &str) -> Result<Router, Box<dyn Error>> {
    let manager = ours::manager(mode, redis, Codec::Json).await?;
    let router = Router::new().route("/sign_in", get(sign_in)).route("/read", get(read));
    Ok(router.route("/count", get(count)).layer(SessionLayer::new(manager)))
}
