//! A little shop with sessions; `examples/README.md` says what each route does and how to run it.

use std::time::Duration;

use actix_web::error::{ErrorUnprocessableEntity, InternalError};
use actix_web::http::{StatusCode, header::AUTHORIZATION};
use actix_web::web::{Data, Form, Html, Json, Redirect, get, post};
use actix_web::{App, Either, HttpMessage, HttpRequest, HttpServer};
use serde::{Deserialize, Serialize};
use session_store::{Error, Expiry, Owner, Session, SessionManager, SessionMiddleware, Stats, Timestamp};
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

/// What a form, or JSON of the same shape, says.
type Content<T> = Either<Form<T>, Json<T>>;
type Answer = Either<Redirect, Json<serde_json::Value>>;

async fn page(session: Session<Shop>) -> Result<Html, Error> {
    session.update(|shop| shop.visits += 1).await?;
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let cart: String = cart.iter().map(|item| format!("<li>{}</li>", pages::escape(item))).collect();
    let fields = [("visits", &*visits.to_string()), ("cart", &cart)];
    Ok(Html::new(pages::fill(include_str!("pages/shop.html"), user.as_deref(), &fields)))
}

async fn me(session: Session<Shop>) -> Json<serde_json::Value> {
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let seconds = |time: Timestamp| time.as_millis() / 1000;
    Json(serde_json::json!({
        "user": user, "visits": visits, "cart": cart, "is_new": session.is_new(),
        "created_at": session.created_at().map(seconds), "expires_at": session.expires_at().map(seconds),
    }))
}

#[derive(Deserialize)]
struct Login {
    user: String,
    remember: Option<serde_json::Value>,
}

async fn login(session: Session<Shop>, content: Content<Login>) -> actix_web::Result<Answer> {
    let (is_form, Login { user, remember }) = read(content);
    let owner = Owner::new(&user).map_err(ErrorUnprocessableEntity)?;
    session.sign_in(&owner, |shop| shop.user = Some(user))?;
    if remember.is_some_and(|it| it == "on" || it == true) {
        session.set_expiry(Expiry::idle(30 * DAY).absolute(90 * DAY))?;
    }
    Ok(answer(is_form, session).await)
}

#[derive(Deserialize)]
struct Purchase {
    item: String,
}

async fn buy(session: Session<Shop>, content: Content<Purchase>) -> Result<Answer, Error> {
    let (is_form, Purchase { item }) = read(content);
    session.update(|shop| shop.cart.push(item.clone())).await?;
    Ok(answer(is_form, session).await)
}

async fn logout(session: Session<Shop>, request: HttpRequest) -> Result<Answer, Error> {
    session.destroy().await?;
    Ok(answer(request.content_type() != "application/json", session).await)
}

async fn answer(is_form: bool, session: Session<Shop>) -> Answer {
    if is_form { Either::Left(Redirect::to("/").see_other()) } else { Either::Right(me(session).await) }
}

async fn stats(manager: Data<SessionManager<Shop>>, request: HttpRequest) -> actix_web::Result<Json<Stats>> {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    operator::admit(authorization).map_err(|status| {
        InternalError::new("for operators", StatusCode::from_u16(status).expect("it is a status"))
    })?;
    Ok(Json(manager.stats().await))
}

/// What was sent; and whether it was a form.
fn read<T>(content: Content<T>) -> (bool, T) {
    match content {
        Either::Left(Form(content)) => (true, content),
        Either::Right(Json(content)) => (false, content),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let manager = SessionManager::<Shop>::from_env().await?.build()?;
    let app = move || {
        let app = App::new().route("/", get().to(page)).route("/me", get().to(me));
        let app = app.route("/login", post().to(login)).route("/cart", post().to(buy));
        let app = app.route("/logout", post().to(logout)).route("/api/session/stats", get().to(stats));
        let sessions = SessionMiddleware::new(manager.clone()).on_error(failure::answer);
        app.app_data(Data::new(manager.clone())).wrap(sessions)
    };
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let server = HttpServer::new(app).bind(("127.0.0.1", port))?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}
