//! The service in actix-web.

use std::hint::black_box;
use std::time::{Duration, Instant};

use actix_web::App;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE, SET_COOKIE};
use actix_web::rt::System;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::{ServiceConfig, get};
use session_store::{Error, Session, SessionMiddleware};

use crate::hosts::{self, Client, Manager};
use crate::support::shopper::Shopper;

pub(crate) fn serve(manager: Option<Manager>, client: &Client, steps: u64) -> Duration {
    let request = || {
        let request = TestRequest::with_uri(client.path());
        match client.cookie() {
            Some(cookie) => request.insert_header((COOKIE, cookie)).to_request(),
            None => request.to_request(),
        }
    };
    System::new().block_on(async {
        match manager {
            None => ask(init_service(App::new().configure(routes)).await, request, steps).await,
            Some(manager) => {
                let app = App::new().wrap(SessionMiddleware::new(manager)).configure(routes);
                ask(init_service(app).await, request, steps).await
            }
        }
    })
}

async fn ask<S, R, B>(service: S, request: impl Fn() -> R, steps: u64) -> Duration
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    let start = Instant::now();
    for _ in 0..steps {
        let response = call_service(&service, request()).await;
        assert!(response.status() == 200 && !response.headers().contains_key(SET_COOKIE));
        black_box(response);
    }
    start.elapsed()
}

fn routes(config: &mut ServiceConfig) {
    config
        .route("/untouched", get().to(untouched))
        .route("/read", get().to(read))
        .route("/modified", get().to(modified));
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
