//! An application's own answers where sessions fail, and layers that contradict each other.

use std::sync::Arc;

use session_store::{
    Error, FailureResponse, KeyRing, MemoryStore, Session, SessionCookie, SessionData, SessionManager,
};

use crate::store::{Call, StagedStore};

fn manager<T: SessionData>(store: &StagedStore) -> SessionManager<T> {
    SessionManager::builder(store.clone(), KeyRing::generate())
        .cookie(SessionCookie::new().name("id").secure(false))
        .max_payload(100)
        .build()
        .expect("no contradiction")
}

fn store() -> StagedStore {
    StagedStore::above(Arc::new(MemoryStore::new()))
}

fn failed(error: &Error, accept: Option<&str>) -> FailureResponse {
    let told = format!("{} for {}", error.status(), accept.unwrap_or("anybody"));
    FailureResponse::json(418, &serde_json::json!({ "failed": told }))
}

/// The session is there, its data is too large: told at the response, or to the handler if it asks.
async fn handle(session: Session<String>, saves: bool) -> Result<&'static str, Error> {
    session.write(|text| *text = "x".repeat(200))?;
    if saves {
        session.save().await?;
    }
    Ok("done")
}

/// What an application answers with, whatever its types.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    content_type: String,
    vary: String,
    body: String,
}

fn expected(error: u16) -> Answer {
    Answer {
        status: 418,
        content_type: "application/json".into(),
        vary: "Cookie".into(),
        body: format!(r#"{{"failed":"{error} for application/json"}}"#),
    }
}

#[cfg(feature = "tower")]
mod on_http_1 {
    use bytes::Bytes;
    use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE, VARY};
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use session_store::SessionLayer;
    use tower::{Layer as _, Service, ServiceExt as _, service_fn};

    use super::*;

    type BoxError = Box<dyn std::error::Error + Send + Sync>;

    async fn get<S, R>(service: &S, path: &str, cookie: &str) -> Answer
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: std::fmt::Debug,
        R: http_body::Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let request = Request::get(path).header(ACCEPT, "application/json").header(COOKIE, cookie);
        let response = service.clone().oneshot(request.body(Full::default()).unwrap()).await.unwrap();
        let text = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(text(SET_COOKIE), "");
        let (status, content_type, vary) = (response.status().as_u16(), text(CONTENT_TYPE), text(VARY));
        let body = response.into_body().collect().await.map_err(Into::<BoxError>::into).unwrap().to_bytes();
        Answer { status, content_type, vary, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// A cookie of a session that is stored.
    async fn cookie(manager: &SessionManager<String>) -> String {
        let request_session = manager.begin(None);
        request_session.session().await.unwrap().write(|text| *text = "small".into()).unwrap();
        request_session.finish(200).await.set_cookie.unwrap().split(';').next().unwrap().to_owned()
    }

    async fn check<S, R>(store: &StagedStore, cookie: String, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: std::fmt::Debug,
        R: http_body::Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        assert_eq!(get(&service, "/commits", "").await, expected(500));
        assert_eq!(get(&service, "/saves", "").await, expected(500));
        store.fail(Call::Load);
        assert_eq!(get(&service, "/commits", &cookie).await.body, expected(503).body);
        store.recover();
        store.fail(Call::Update);
        assert_eq!(get(&service, "/commits", &cookie).await, expected(500));
    }

    #[tokio::test]
    async fn a_tower_service_answers_failures_in_its_own_way() {
        let store = store();
        let manager = manager(&store);
        let cookie = cookie(&manager).await;
        let service = service_fn(|request: Request<Full<Bytes>>| async move {
            let saves = request.uri().path() == "/saves";
            let answer = async { handle(Session::from_extensions(request.extensions()).await?, saves).await };
            let response = answer.await.map(|text| Response::new(Full::<Bytes>::from(text)));
            Ok::<_, std::convert::Infallible>(response.unwrap_or_else(Response::from))
        });
        check(&store, cookie, SessionLayer::new(manager).on_error(failed).layer(service)).await;
    }

    #[cfg(feature = "axum")]
    #[tokio::test]
    async fn an_axum_application_answers_failures_in_its_own_way() {
        use axum::{Router, routing::get};
        let store = store();
        let manager = manager(&store);
        let cookie = cookie(&manager).await;
        let app = Router::new()
            .route("/commits", get(async |session: Session<String>| handle(session, false).await))
            .route("/saves", get(async |session: Session<String>| handle(session, true).await))
            .layer(SessionLayer::new(manager).on_error(failed));
        let service = app.map_request(|request: Request<Full<Bytes>>| request.map(axum::body::Body::new));
        check(&store, cookie, service).await;
    }

    #[cfg(feature = "warp")]
    #[tokio::test]
    async fn a_warp_application_answers_failures_in_its_own_way() {
        use warp::Filter as _;
        let store = store();
        let manager = manager(&store);
        let cookie = cookie(&manager).await;
        let commits = warp::path("commits").and(Session::filter()).then(|session| handle(session, false));
        let saves = warp::path("saves").and(Session::filter()).then(|session| handle(session, true));
        let service = SessionLayer::new(manager).on_error(failed).around(commits.or(saves));
        check(&store, cookie, service).await;
    }

    #[cfg(feature = "axum")]
    #[tokio::test]
    async fn axum_takes_a_layer_that_is_optional() {
        use axum::{Router, routing::get};
        use tower::util::option_layer;
        let count = async |session: Result<Session<String>, Error>| match session {
            Ok(session) => session.write(|text| text.push('x')).map_or("refused", |()| "written"),
            Err(_) => "none",
        };
        for (layer, body, cookies) in
            [(Some(SessionLayer::new(manager::<String>(&store()))), "written", 1), (None, "none", 0)]
        {
            let app: Router = Router::new().route("/", get(count)).layer(option_layer(layer));
            let response = app.oneshot(Request::new(axum::body::Body::empty())).await.unwrap();
            assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), cookies);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
        }
    }

    #[cfg(feature = "axum")]
    #[tokio::test]
    async fn two_managers_of_one_cookie_are_refused_whatever_their_types() {
        use axum::{Router, routing::get};
        let log = crate::support::log::Log::begin();
        let one = manager::<String>(&store());
        let text = || {
            Router::new().route("/text", get(async |session: Session<String>| handle(session, false).await))
        };
        let number = || Router::new().route("/number", get(async |_: Session<u32>| "number"));
        let inside = || text().merge(number()).route("/static", get("static"));
        let body = |request: Request<Full<Bytes>>| request.map(axum::body::Body::new);

        let same_type = inside().layer(SessionLayer::new(manager::<String>(&store())));
        let other_type = inside().layer(SessionLayer::new(manager::<u32>(&store())));
        for (app, path) in [(same_type, "/text"), (other_type.clone(), "/text"), (other_type, "/number")] {
            let app = app.layer(SessionLayer::new(one.clone())).map_request(body);
            assert_eq!(get_status(&app, path).await, 500, "{path}");
            assert_eq!(get_status(&app, "/static").await, 200);
            let log = log.text();
            assert!(log.contains("ERROR") && log.contains("mount clones of one manager"), "{log}");
        }
        // Clones are one manager.
        let app = text().layer(SessionLayer::new(one.clone())).layer(SessionLayer::new(one));
        assert_eq!(get_status(&app.route("/static", get("static")).map_request(body), "/static").await, 200);
    }

    #[cfg(feature = "axum")]
    async fn get_status<S, R>(service: &S, path: &str) -> u16
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: std::fmt::Debug,
        R: http_body::Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        get(service, path, "").await.status
    }
}

#[cfg(feature = "actix-web")]
#[test]
fn an_actix_application_answers_failures_in_its_own_way() {
    actix_web::rt::System::new().block_on(answer_failures_in_actix());
}

#[cfg(feature = "actix-web")]
async fn answer_failures_in_actix() {
    use actix_web::http::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE, VARY};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use session_store::SessionMiddleware;

    let store = store();
    let manager = manager::<String>(&store);
    let request_session = manager.begin(None);
    request_session.session().await.unwrap().write(|text| *text = "small".into()).unwrap();
    let stored = request_session.finish(200).await.set_cookie.unwrap().split(';').next().unwrap().to_owned();

    let app = App::new()
        .route("/commits", web::get().to(|session: Session<String>| handle(session, false)))
        .route("/saves", web::get().to(|session: Session<String>| handle(session, true)))
        .wrap(SessionMiddleware::new(manager).on_error(failed));
    let app = init_service(app).await;
    for (path, cookie, failing, status) in [
        ("/commits", "", None, 500),
        ("/saves", "", None, 500),
        ("/commits", &*stored, Some(Call::Load), 503),
        ("/saves", &*stored, None, 500),
    ] {
        store.recover();
        if let Some(call) = failing {
            store.fail(call);
        }
        let request = TestRequest::get().uri(path).insert_header((ACCEPT, "application/json"));
        let response = call_service(&app, request.insert_header((COOKIE, cookie)).to_request()).await;
        assert!(response.headers().get(SET_COOKIE).is_none());
        let text = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (code, content_type, vary) = (response.status().as_u16(), text(CONTENT_TYPE), text(VARY));
        let body = String::from_utf8(read_body(response).await.to_vec()).unwrap();
        let vary = if status == 503 { "Cookie".into() } else { vary };
        assert_eq!(Answer { status: code, content_type, vary, body }, expected(status), "{path}");
    }
}
