//! An account page: users see where they are signed in, end one of these sessions, or all others.
//! `examples/README.md` says how to run it.

use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use session_store::{
    Ended, Error, Evict, Label, Owner, Session, SessionLayer, SessionManager, SessionSummary,
};

/// Nothing but whose session it is.
type Account = ();
type Manager = SessionManager<Account>;

async fn page(State(manager): State<Manager>, session: Session<Account>) -> Result<Html<String>, Error> {
    let Some(owner) = session.owner() else {
        let form = r#"<form method="post" action="/login"><input name="user" required><button>Sign in</button></form>"#;
        return Ok(Html(format!("<!doctype html><title>Sign in</title><h1>Sign in</h1>{form}")));
    };
    let rows: String =
        manager.sessions_of(&owner).await?.iter().map(|device| row(device, &session)).collect();
    let live = "<script>new EventSource('/events').addEventListener('ended', end => { \
                alert(end.data); location.reload() })</script>";
    Ok(Html(format!(
        "<!doctype html><title>Your devices</title><h1>{}, you are signed in here</h1><table>{rows}</table>\
         <form method=\"post\" action=\"/sign-out-others\"><button>Sign out everywhere else</button></form>\
         <form method=\"post\" action=\"/logout\"><button>Sign out</button></form>{live}",
        escape(owner.as_str())
    )))
}

/// Tells an open page when its session is over, wherever it was ended.
async fn events(session: Session<Account>) -> Sse<impl Stream<Item = Result<Event, Error>>> {
    let end = stream::once(async move {
        let reason = match session.ended().await? {
            Ended::Expired => "Your session has expired.",
            _ => "You were signed out.",
        };
        Ok(Event::default().event("ended").data(reason))
    });
    Sse::new(end).keep_alive(KeepAlive::default())
}

fn row(device: &SessionSummary, session: &Session<Account>) -> String {
    let label = escape(device.label.as_ref().map_or("an unknown device", Label::as_str));
    if device.is_current(session) {
        return format!("<tr><td>{label}<td>this one");
    }
    let seconds =
        device.last_seen().map_or(0, |seen| seen.to_system_time().elapsed().unwrap_or_default().as_secs());
    let key = device.key.storage_name();
    format!(
        "<tr><td>{label}<td>{} minutes ago<td><form method=\"post\" action=\"/end\">\
         <input type=\"hidden\" name=\"device\" value=\"{key}\"><button>Sign out</button></form>",
        seconds / 60
    )
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(
    session: Session<Account>,
    headers: HeaderMap,
    Form(Login { user }): Form<Login>,
) -> axum::response::Result<Redirect> {
    let owner = Owner::new(user).map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    session.sign_in(&owner, |()| ())?;
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    // What the list calls this device.
    session.set_label(agent)?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Device {
    device: String,
}

/// The key comes from the owner's own list, so nobody ends somebody else's session.
async fn end(
    State(manager): State<Manager>,
    session: Session<Account>,
    Form(Device { device }): Form<Device>,
) -> axum::response::Result<Redirect> {
    let owner = session.owner().ok_or(StatusCode::UNAUTHORIZED)?;
    let devices = manager.sessions_of(&owner).await?;
    let found = devices.iter().find(|known| known.key.storage_name() == device);
    manager.revoke(&found.ok_or(StatusCode::NOT_FOUND)?.key).await?;
    Ok(Redirect::to("/"))
}

async fn sign_out_others(
    State(manager): State<Manager>,
    session: Session<Account>,
) -> Result<Redirect, Error> {
    manager.revoke_others(&session).await?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session<Account>) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let manager = Manager::from_env().await?.max_sessions_per_owner(5, Evict::Oldest).build()?;
    let app = Router::new().route("/", get(page)).route("/login", post(login)).route("/end", post(end));
    let app = app.route("/sign-out-others", post(sign_out_others)).route("/logout", post(logout));
    let app = app.route("/events", get(events));
    let app = app.layer(SessionLayer::new(manager.clone())).with_state(manager);
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
