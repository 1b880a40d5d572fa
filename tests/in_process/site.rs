//! The site: notes that each visitor keeps in a session.

use std::collections::BTreeMap;

use axum::extract::{Path, Request};
use axum::middleware::{self, Next};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use session_store::{
    Error, KeyRing, Session, SessionCookie, SessionLayer, SessionManager, SessionManagerBuilder,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::browser::{Answer, Browser};
use super::gate::within;
use super::log;
use super::store::StagedStore;

/// What a session holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    pub(crate) text: String,
    pub(crate) count: u32,
    pub(crate) tags: BTreeMap<String, u32>,
}

impl Notes {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    pub(crate) fn with_text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// A site that listens, and the store of its sessions.
pub(crate) struct Site {
    pub(crate) store: StagedStore,
    url: String,
    running: watch::Receiver<usize>,
}

impl Site {
    /// The site with its own routes and `routes`, all inside one session layer.
    pub(crate) async fn open(routes: Router) -> Self {
        let store = StagedStore::default();
        let manager = manager(&store).build().expect("no contradiction");
        Self::open_with(store, routes.merge(notes()).layer(SessionLayer::new(manager))).await
    }

    /// A site of nothing but `routes`, which bring their layers.
    pub(crate) async fn open_with(store: StagedStore, routes: Router) -> Self {
        log::collect();
        let (running, receiver) = watch::channel(0);
        let app = routes.layer(middleware::from_fn(move |request: Request, next: Next| {
            let visit = Running::new(&running);
            async move {
                let response = next.run(request).await;
                drop(visit);
                response
            }
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { store, url, running: receiver }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A browser whose session holds this text.
    pub(crate) async fn browser_with_text(&self, text: &str) -> Browser {
        let mut browser = self.browser();
        browser.get(&format!("/text/{text}")).await.expect_status(200);
        self.store.calls();
        browser
    }

    /// Waits until every request has been answered or given up.
    pub(crate) async fn idle(&self) {
        let mut running = self.running.clone();
        within(running.wait_for(|count| *count == 0)).await.expect("the site is open");
    }
}

/// A manager of notes in `store` with its cookie for plain http: `id`.
pub(crate) fn manager(store: &StagedStore) -> SessionManagerBuilder<Notes> {
    SessionManager::builder(store.clone(), KeyRing::generate()).cookie(cookie("id"))
}

pub(crate) fn cookie(name: &str) -> SessionCookie {
    SessionCookie::new().name(name).secure(false)
}

/// Routes that read and change notes in the ways that most tests need.
pub(crate) fn notes() -> Router {
    Router::new()
        .route("/read", get(async |session: Session<Notes>| Json(session.read(Notes::clone))))
        .route(
            "/text/{text}",
            get(async |session: Session<Notes>, Path(text): Path<String>| {
                session.write(|notes| notes.text = text)
            }),
        )
        .route(
            "/sign_in/{user}",
            get(async |session: Session<Notes>, Path(user): Path<String>| session.sign_in(user, |_| ())),
        )
        .route("/log_out", get(log_out))
}

async fn log_out(session: Session<Notes>) -> Result<(), Error> {
    session.destroy().await
}

/// Counts a request for as long as its service runs.
struct Running(watch::Sender<usize>);

impl Running {
    fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(counter.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
