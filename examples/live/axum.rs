//! A WebSocket that ends with the session of whoever opened it; `examples/README.md` says how to run it.

use std::pin::pin;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Form, Router};
use serde::Deserialize;
use session_store::{Error, Owner, Session, SessionLayer, SessionManager};
use tracing_subscriber::EnvFilter;

mod end;
#[path = "../pages/mod.rs"]
mod pages;

type Account = ();

async fn page() -> Html<String> {
    Html(pages::fill(include_str!("../pages/live.html"), None, &[]))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(session: Session<Account>, Form(Login { user }): Form<Login>) -> Result<StatusCode, Error> {
    session.sign_in(Owner::new(user)?, |()| ())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn logout(session: Session<Account>) -> Result<StatusCode, Error> {
    session.destroy().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The cookie is `SameSite=Lax`, so that a page of another site opens no socket in a visitor's name. A page of a subdomain can:
/// where others have those, compare `Origin` with `Host`.
async fn socket(session: Session<Account>, upgrade: WebSocketUpgrade) -> Response {
    match session.owner() {
        Some(owner) => upgrade.on_upgrade(move |socket| serve(socket, session, owner)),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn serve(mut socket: WebSocket, session: Session<Account>, owner: Owner) {
    let mut ended = pin!(session.ended());
    loop {
        tokio::select! {
            end = &mut ended => {
                let (code, reason) = end::close_code(&end);
                let _gone_already = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // Who talks uses the session.
                    if let Err(error) = session.touch().await {
                        tracing::warn!(%error, "the session is not extended");
                    }
                    if socket.send(Message::Text(format!("{}: {text}", owner.as_str()).into())).await.is_err() {
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
    let app = Router::new().route("/", get(page)).route("/login", post(login)).route("/logout", post(logout));
    let app = app.route("/socket", any(socket)).layer(SessionLayer::new(manager));
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
