//! A little shop with sessions; `examples/README.md` says what each route does and how to run it.

use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use session_store::{Error, Expiry, Owner, Session, SessionLayer, SessionManager, Stats, Timestamp};
use tracing_subscriber::EnvFilter;

#[path = "failure/mod.rs"]
mod failure;
#[path = "operator/mod.rs"]
mod operator;
#[path = "pages/mod.rs"]
mod pages;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Shop {
    // Left out rather than `null`, for which a service in Node has no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    visits: u32,
    cart: Vec<String>,
}

async fn page(session: Session<Shop>) -> Result<Html<String>, Error> {
    session.update(|shop| shop.visits += 1).await?;
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let cart: String = cart.iter().map(|item| format!("<li>{}</li>", pages::escape(item))).collect();
    let fields = [("visits", &*visits.to_string()), ("cart", &cart)];
    Ok(Html(pages::fill(include_str!("pages/shop.html"), user.as_deref(), &fields)))
}

async fn me(session: Session<Shop>) -> Json<serde_json::Value> {
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let seconds = |time: Timestamp| time.as_millis() / 1000;
    Json(serde_json::json!({
        "user": user, "visits": visits, "cart": cart, "is_new": session.is_new(),
        "created_at": session.created_at().map(seconds), "expires_at": session.expires_at().map(seconds),
    }))
}

async fn login(session: Session<Shop>, request: Request) -> axum::response::Result<Response> {
    #[derive(Deserialize)]
    struct Login {
        user: String,
        remember: Option<serde_json::Value>,
    }
    let (is_form, Login { user, remember }) = content(request).await?;
    let owner = Owner::new(&user).map_err(|e| (StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    session.sign_in(&owner, |shop| shop.user = Some(user))?;
    if remember.is_some_and(|it| it == "on" || it == true) {
        session.set_expiry(Expiry::idle(30 * DAY).absolute(90 * DAY))?;
    }
    Ok(answer(is_form, session).await)
}

async fn buy(session: Session<Shop>, request: Request) -> axum::response::Result<Response> {
    #[derive(Deserialize)]
    struct Purchase {
        item: String,
    }
    let (is_form, Purchase { item }) = content(request).await?;
    session.update(|shop| shop.cart.push(item.clone())).await?;
    Ok(answer(is_form, session).await)
}

async fn logout(session: Session<Shop>, request: Request) -> Result<Response, Error> {
    session.destroy().await?;
    Ok(answer(!is_json(&request), session).await)
}

async fn answer(is_form: bool, session: Session<Shop>) -> Response {
    if is_form { Redirect::to("/").into_response() } else { me(session).await.into_response() }
}

async fn stats(
    State(manager): State<SessionManager<Shop>>,
    headers: HeaderMap,
) -> Result<Json<Stats>, StatusCode> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    operator::admit(authorization).map_err(|status| StatusCode::from_u16(status).expect("it is a status"))?;
    Ok(Json(manager.stats().await))
}

/// What a form, or JSON of the same shape, says; and whether it was a form.
async fn content<T: DeserializeOwned>(request: Request) -> axum::response::Result<(bool, T)> {
    if is_json(&request) {
        return Ok((false, Json::from_request(request, &()).await?.0));
    }
    Ok((true, Form::from_request(request, &()).await?.0))
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get("content-type");
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let manager = SessionManager::<Shop>::from_env().await?.build()?;
    let app = Router::new().route("/", get(page)).route("/me", get(me)).route("/login", post(login));
    let app = app.route("/cart", post(buy)).route("/logout", post(logout));
    let app = app.layer(SessionLayer::new(manager.clone()).on_error(failure::answer));
    let app = app.route("/api/session/stats", get(stats)).with_state(manager);
    // In a container: `0.0.0.0`.
    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind((&*host, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
