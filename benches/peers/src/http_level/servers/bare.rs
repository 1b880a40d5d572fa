//! The frameworks without sessions: what the rest is held against.

use actix_web::{App, HttpServer, web};
use axum::Router;
use axum::routing::get;
use warp::Filter as _;

use super::{Outcome, WORKERS, on_axum, on_hyper};
use crate::payload::{Shopper, greeting};
use crate::support::runtime;

/// The same text from the same struct; only that nobody had to load it.
async fn read() -> String {
    greeting(&Shopper::ada()).unwrap_or_default()
}

async fn sign_in() -> &'static str {
    "in"
}

pub fn axum() -> Outcome {
    on_axum::run(async { Ok(Router::new().route("/sign_in", get(sign_in)).route("/read", get(read))) })
}

pub fn actix() -> Outcome {
    actix_web::rt::System::new().block_on(async {
        let app = || App::new().route("/sign_in", web::get().to(sign_in)).route("/read", web::get().to(read));
        let server = HttpServer::new(app).workers(WORKERS).bind(("127.0.0.1", 0))?;
        println!("listening on http://{}", server.addrs()[0]);
        Ok(server.run().await?)
    })
}

pub fn warp() -> Outcome {
    let routes = warp::path("sign_in").then(sign_in).or(warp::path("read").then(read));
    runtime().block_on(on_hyper::run(warp::service(routes)))
}
