//! A service whose tenants are told by the host, as the page `tenants` has it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{COOKIE, HOST, SET_COOKIE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, http::StatusCode, routing::get};
use session_store::{Session, SessionLayer};
use tower::{Layer as _, ServiceExt as _};

use crate::stage::{Manager, connect, tenants};
use crate::support::redis::Server;

type Managers = Arc<HashMap<&'static str, Manager>>;

async fn with_sessions(State(managers): State<Managers>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match managers.get(host) {
        Some(manager) => SessionLayer::new(manager.clone())
            .layer(next)
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {}),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn sign_in(session: Session) -> &'static str {
    session.sign_in("ada", |_| ()).unwrap();
    "signed in"
}

async fn home(session: Session) -> String {
    session.owner().map_or("nobody".to_owned(), |owner| owner.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_each_tenant_goes_around_the_same_routes() {
    let server = Server::start().await;
    let tenants = tenants(&connect(server.url()).await, ["tenant:acme:", "tenant:umbrella:"]);
    let hosts = ["acme.example", "umbrella.example"];
    let managers: Managers = Arc::new(hosts.into_iter().zip(tenants.into_iter().map(|it| it.1)).collect());
    let app = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in))
        .layer(middleware::from_fn_with_state(Arc::clone(&managers), with_sessions));
    let ask = async |host: &str, path: &str, cookie: &str| {
        let request =
            Request::get(path).header(HOST, host).header(COOKIE, cookie).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (status, cookie) = (response.status(), response.headers().get(SET_COOKIE).cloned());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let cookie = cookie.map(|it| it.to_str().unwrap().split(';').next().unwrap().to_owned());
        (status, String::from_utf8(body.to_vec()).unwrap(), cookie)
    };
    let (_, _, cookie) = ask("acme.example", "/sign-in", "").await;
    let cookie = cookie.expect("a session began");
    assert_eq!(ask("acme.example", "/", &cookie).await, (StatusCode::OK, "ada".to_owned(), None));
    assert_eq!(ask("umbrella.example", "/", &cookie).await, (StatusCode::OK, "nobody".to_owned(), None));
    assert_eq!(ask("made.up", "/", &cookie).await.0, StatusCode::NOT_FOUND);
    assert_eq!(managers["acme.example"].counts().created, 1);
    assert_eq!(managers["umbrella.example"].counts().unknown, 1);
}
