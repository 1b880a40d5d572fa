//! A WebSocket that ends with the session of whoever opened it; `examples/README.md` says how to run it.

use std::pin::pin;

use actix_web::web::{Form, Html, Payload, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use actix_ws::{CloseReason, Message, MessageStream};
use serde::Deserialize;
use session_store::{Error, Owner, Session, SessionManager, SessionMiddleware};
use tracing_subscriber::EnvFilter;

mod end;
#[path = "../pages/mod.rs"]
mod pages;

type Account = ();

async fn page() -> Html {
    Html::new(pages::fill(include_str!("../pages/live.html"), None, &[]))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(session: Session<Account>, form: Form<Login>) -> Result<HttpResponse, Error> {
    session.sign_in(Owner::new(&form.user)?, |()| ())?;
    Ok(HttpResponse::NoContent().finish())
}

async fn logout(session: Session<Account>) -> Result<HttpResponse, Error> {
    session.destroy().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The cookie is `SameSite=Lax`, so that a page of another site opens no socket in a visitor's name. A page of a subdomain can:
/// where others have those, compare `Origin` with `Host`.
async fn socket(
    request: HttpRequest,
    body: Payload,
    session: Session<Account>,
) -> actix_web::Result<HttpResponse> {
    let Some(owner) = session.owner() else { return Ok(HttpResponse::Unauthorized().finish()) };
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(serve(socket, messages, session, owner));
    Ok(response)
}

async fn serve(
    mut socket: actix_ws::Session,
    mut messages: MessageStream,
    session: Session<Account>,
    owner: Owner,
) {
    let mut ended = pin!(session.ended());
    loop {
        tokio::select! {
            end = &mut ended => {
                let (code, reason) = end::close_code(&end);
                let reason = CloseReason { code: code.into(), description: Some(reason.to_owned()) };
                let _gone_already = socket.close(Some(reason)).await;
                return;
            }
            message = messages.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // Who talks uses the session.
                    if let Err(error) = session.touch().await {
                        tracing::warn!(%error, "the session is not extended");
                    }
                    if socket.text(format!("{}: {text}", owner.as_str())).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Ping(bytes))) => {
                    if socket.pong(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(reason))) => {
                    let _gone_already = socket.close(reason).await;
                    return;
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
    let app = move || {
        let app = App::new().route("/", get().to(page)).route("/login", post().to(login));
        let app = app.route("/logout", post().to(logout)).route("/socket", get().to(socket));
        app.wrap(SessionMiddleware::new(manager.clone()))
    };
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let server = HttpServer::new(app).bind(("127.0.0.1", port))?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}
