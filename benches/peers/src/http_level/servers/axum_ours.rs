//! session-store on axum, with its default policy: idle for a day, touched in tenths of it.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use session_store::SessionLayer;

use super::ours::{self, count, read, sign_in};
use super::{Outcome, on_axum};

pub fn serve(mode: &str, redis: &str) -> Outcome {
    on_axum::run(async { router(mode, redis).await })
}

async fn router(mode: &str, redis: &str) -> Result<Router, Box<dyn Error>> {
    let manager = ours::manager(mode, redis).await?;
    let router = Router::new().route("/sign_in", get(sign_in)).route("/read", get(read));
    Ok(router.route("/count", get(count)).layer(SessionLayer::new(manager)))
}
