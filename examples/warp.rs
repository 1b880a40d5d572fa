//! A little shop with sessions; `examples/README.md` says what each route does and how to run it.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use session_store::{Error, Expiry, Owner, Session, SessionLayer, SessionManager, Timestamp};
use tracing_subscriber::EnvFilter;
use warp::http::{StatusCode, Uri};
use warp::reply::{Json, Response};
use warp::{Filter, Rejection, Reply};

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

async fn page(session: Session<Shop>) -> Result<impl Reply, Error> {
    session.update(|shop| shop.visits += 1).await?;
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let cart: String = cart.iter().map(|item| format!("<li>{}</li>", pages::escape(item))).collect();
    let fields = [("visits", &*visits.to_string()), ("cart", &cart)];
    Ok(warp::reply::html(pages::fill(include_str!("pages/shop.html"), user.as_deref(), &fields)))
}

fn me(session: &Session<Shop>) -> Json {
    let Shop { user, visits, cart } = session.read(Shop::clone);
    let seconds = |time: Timestamp| time.as_millis() / 1000;
    warp::reply::json(&serde_json::json!({
        "user": user, "visits": visits, "cart": cart, "is_new": session.is_new(),
        "created_at": session.created_at().map(seconds), "expires_at": session.expires_at().map(seconds),
    }))
}

#[derive(Deserialize)]
struct Login {
    user: String,
    remember: Option<serde_json::Value>,
}

async fn login(is_form: bool, login: Login, session: Session<Shop>) -> Result<Response, Error> {
    let Login { user, remember } = login;
    let Ok(owner) = Owner::new(&user) else {
        return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    };
    session.sign_in(&owner, |shop| shop.user = Some(user))?;
    if remember.is_some_and(|it| it == "on" || it == true) {
        session.set_expiry(Expiry::idle(30 * DAY).absolute(90 * DAY))?;
    }
    Ok(answer(is_form, &session))
}

#[derive(Deserialize)]
struct Purchase {
    item: String,
}

async fn buy(is_form: bool, purchase: Purchase, session: Session<Shop>) -> Result<Response, Error> {
    session.update(|shop| shop.cart.push(purchase.item.clone())).await?;
    Ok(answer(is_form, &session))
}

async fn logout(is_form: bool, session: Session<Shop>) -> Result<Response, Error> {
    session.destroy().await?;
    Ok(answer(is_form, &session))
}

fn answer(is_form: bool, session: &Session<Shop>) -> Response {
    if is_form {
        warp::redirect::see_other(Uri::from_static("/")).into_response()
    } else {
        me(session).into_response()
    }
}

async fn stats(authorization: Option<String>, manager: SessionManager<Shop>) -> Response {
    match operator::admit(authorization.as_deref()) {
        Ok(()) => warp::reply::json(&manager.stats().await).into_response(),
        Err(status) => StatusCode::from_u16(status).expect("it is a status").into_response(),
    }
}

/// Whether the body is a form, and what it says, in a form or in JSON of the same shape.
fn content<T: DeserializeOwned + Send>() -> impl Filter<Extract = (bool, T), Error = Rejection> + Copy {
    let json = warp::body::json().map(|content| (false, content));
    let form = warp::body::form().map(|content| (true, content));
    warp::body::content_length_limit(64 * 1024).and(json.or(form).unify()).untuple_one()
}

/// Whether the body is a form, or missing.
fn is_form() -> impl Filter<Extract = (bool,), Error = Rejection> + Copy {
    let content_type = warp::header::optional("content-type");
    content_type.map(|it: Option<String>| it.is_none_or(|it| !it.starts_with("application/json")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let manager = SessionManager::<Shop>::from_env().await?.build()?;
    let (get, post, session) = (warp::get, warp::post, Session::filter);
    let routes = warp::path::end().and(get()).and(session()).then(page);
    let routes = routes.or(warp::path!("me").and(get()).and(session()).map(|session| me(&session)));
    let routes = routes.or(warp::path!("login").and(post()).and(content()).and(session()).then(login));
    let routes = routes.or(warp::path!("cart").and(post()).and(content()).and(session()).then(buy));
    let routes = routes.or(warp::path!("logout").and(post()).and(is_form()).and(session()).then(logout));
    let asked =
        warp::path!("api" / "session" / "stats").and(get()).and(warp::header::optional("authorization"));
    let observed = manager.clone();
    let routes = routes.or(asked.then(move |authorization| stats(authorization, observed.clone())));
    let service = SessionLayer::new(manager).on_error(failure::answer).around(routes);
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
