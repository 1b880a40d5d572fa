//! The service in tower, without a framework.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use session_store::{Error, Session, SessionLayer};
use tower::{Layer as _, service_fn};

use crate::hosts::{self, Client, Manager};

pub(crate) fn serve(manager: Option<Manager>, client: &Client, steps: u64) -> Duration {
    let service = service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(handle(request).await.unwrap_or_else(Response::from))
    });
    match manager {
        None => client.ask(service, steps),
        Some(manager) => client.ask(SessionLayer::new(manager).layer(service), steps),
    }
}

async fn handle(request: Request<String>) -> Result<Response<String>, Error> {
    match request.uri().path() {
        "/read" => hosts::read(&Session::from_extensions(request.extensions()).await?),
        "/modified" => hosts::modify(&Session::from_extensions(request.extensions()).await?)?,
        _ => {}
    }
    Ok(Response::new("done".to_owned()))
}
