//! An account page: users see where they are signed in, end one of these sessions, or all others, and see what happened
//! to their sessions lately.
//! `examples/README.md` says how to run it.

use std::cmp::Reverse;
use std::time::Duration;

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
    Ended, Error, Evict, HistoryBounds, HistoryEntry, HistoryEvent, Label, Owner, Session, SessionLayer,
    SessionManager, SessionSummary,
};
use tracing_subscriber::EnvFilter;

#[path = "pages/mod.rs"]
mod pages;

/// Nothing but whose session it is.
type Account = ();
type Manager = SessionManager<Account>;

/// So much of the history fits the page.
const SHOWN: usize = 6;

async fn page(State(manager): State<Manager>, session: Session<Account>) -> Result<Html<String>, Error> {
    let owner = session.owner();
    let mut devices = match &owner {
        Some(owner) => manager.sessions_of(owner).await?,
        None => Vec::new(),
    };
    devices.sort_by_key(|device| Reverse((device.is_current(&session), device.last_seen())));
    let rows: String = devices.iter().map(|device| row(device, &session)).collect();
    let history = match &owner {
        Some(owner) => manager.history_of(owner).await?,
        None => Vec::new(),
    };
    let activity: String = history.iter().filter_map(|entry| happened(entry, &history)).take(SHOWN).collect();
    let user = owner.as_ref().map(Owner::as_str);
    let fields = [("devices", rows.as_str()), ("activity", activity.as_str())];
    Ok(Html(pages::fill(include_str!("pages/devices.html"), user, &fields)))
}

fn happened(entry: &HistoryEntry, history: &[HistoryEntry]) -> Option<String> {
    let what = match entry.what {
        HistoryEvent::SignedIn => "Signed in",
        HistoryEvent::SignedOut => "Signed out",
        HistoryEvent::Revoked => "Signed out from another device",
        HistoryEvent::Evicted => "Signed out, as you have too many devices",
        HistoryEvent::Expired => "Signed out after a while",
        _ => return None,
    };
    // The end of a session that somebody else ended may not know the device; its sign-in does.
    let label = history.iter().filter(|it| it.is_of_same_session(entry)).find_map(|it| it.label.as_ref());
    let device = pages::escape(label.map_or("An unknown device", Label::as_str));
    let seen = ago(entry.at.to_system_time().elapsed().unwrap_or_default());
    Some(format!(r#"<tr><td>{what}<td>{device}<td class="muted">{seen}"#))
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
    let label = pages::escape(device.label.as_ref().map_or("An unknown device", Label::as_str));
    if device.is_current(session) {
        return format!(r#"<tr><td>{label}<td><span class="badge">this device</span><td>"#);
    }
    let elapsed = device.last_seen().map(|seen| seen.to_system_time().elapsed().unwrap_or_default());
    let seen = elapsed.map_or_else(|| "unknown".to_owned(), ago);
    let key = device.key.storage_name();
    format!(
        r#"<tr><td>{label}<td class="muted">{seen}<td><form method="post" action="/end">
           <input type="hidden" name="device" value="{key}"><button class="quiet">Sign out</button></form>"#
    )
}

fn ago(elapsed: Duration) -> String {
    match elapsed.as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1440),
    }
}

/// What the list calls a device: "Chrome on Windows".
fn device_name(user_agent: &str) -> String {
    let Some(device) = woothee::parser::Parser::new().parse(user_agent) else {
        return "An unknown device".to_owned();
    };
    let system = match device.os {
        "Mac OSX" => "macOS",
        "iPhone" | "iPad" | "iPod" | "Android" | "Linux" | "ChromeOS" => device.os,
        // Windows 11 says that it is Windows 10.
        windows if windows.starts_with("Windows") => "Windows",
        _ => "an unknown system",
    };
    format!("{} on {system}", device.name)
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
    session.set_label(device_name(agent))?;
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let manager = Manager::from_env()
        .await?
        .max_sessions_per_owner(5, Evict::Oldest)
        .history(HistoryBounds::default())
        .build()?;
    let app = Router::new().route("/", get(page)).route("/login", post(login)).route("/end", post(end));
    let app = app.route("/sign-out-others", post(sign_out_others)).route("/logout", post(logout));
    let app = app.route("/events", get(events));
    let app = app.layer(SessionLayer::new(manager.clone())).with_state(manager);
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
