//! session-store on warp, with its default policy.

use session_store::SessionLayer;
use warp::Filter as _;

use super::ours::{self, Session, count, read, sign_in};
use super::{Outcome, on_hyper};
use crate::support::runtime;

pub fn serve(mode: &str, redis: &str) -> Outcome {
    runtime().block_on(async {
        let manager = ours::manager(mode, redis).await?;
        let routes = warp::path("sign_in").and(Session::filter()).then(sign_in);
        let routes = routes.or(warp::path("read").and(Session::filter()).then(read));
        let routes = routes.or(warp::path("count").and(Session::filter()).then(count));
        on_hyper::run(SessionLayer::new(manager).around(routes)).await
    })
}
