//! A WebSocket that ends with the session of whoever opened it; `examples/README.md` says how to run it.

use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use session_store::{Error, Owner, Session, SessionLayer, SessionManager};
use tracing_subscriber::EnvFilter;
use warp::http::StatusCode;
use warp::reply::Response;
use warp::ws::{Message, WebSocket, Ws};
use warp::{Filter, Reply as _};

mod end;
#[path = "../pages/mod.rs"]
mod pages;

type Account = ();

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(Login { user }: Login, session: Session<Account>) -> Result<StatusCode, Error> {
    session.sign_in(Owner::new(user)?, |()| ())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn logout(session: Session<Account>) -> Result<StatusCode, Error> {
    session.destroy().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The cookie is `SameSite=Lax`, so that a page of another site opens no socket in a visitor's name. A page of a subdomain can:
/// where others have those, compare `Origin` with `Host`.
fn socket(upgrade: Ws, session: Session<Account>) -> Response {
    match session.owner() {
        Some(owner) => upgrade.on_upgrade(move |socket| serve(socket, session, owner)).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn serve(mut socket: WebSocket, session: Session<Account>, owner: Owner) {
    let mut ended = pin!(session.ended());
    loop {
        tokio::select! {
            end = &mut ended => {
                let (code, reason) = end::close_code(&end);
                let _gone_already = socket.send(Message::close_with(code, reason)).await;
                return;
            }
            message = socket.next() => match message {
                Some(Ok(message)) if message.is_text() => {
                    // Who talks uses the session.
                    if let Err(error) = session.touch().await {
                        tracing::warn!(%error, "the session is not extended");
                    }
                    let text = message.to_str().unwrap_or_default();
                    if socket.send(Message::text(format!("{}: {text}", owner.as_str()))).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let manager = SessionManager::<Account>::from_env().await?.build()?;
    let (get, post, session) = (warp::get, warp::post, Session::filter);
    let form = warp::body::content_length_limit(1024).and(warp::body::form());
    let page = || warp::reply::html(pages::fill(include_str!("../pages/live.html"), None, &[]));
    let routes = warp::path::end().and(get()).map(page);
    let routes = routes.or(warp::path!("login").and(post()).and(form).and(session()).then(login));
    let routes = routes.or(warp::path!("logout").and(post()).and(session()).then(logout));
    let routes = routes.or(warp::path!("socket").and(warp::ws()).and(session()).map(socket));
    let service = SessionLayer::new(manager).around(routes);
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many are open: some will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            server.serve_connection_with_upgrades(TokioIo::new(stream), service).await
        });
    }
}
