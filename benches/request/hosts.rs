//! Requests to a service in process: no connection and no parsing of HTTP, only what the host and the
//! session's adapter do. One request after the other, on a runtime of one thread.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tower::{Service, ServiceExt as _};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response, Uri};
use session_store::{Error, KeyRing, Session, SessionManager, SessionStore};
use tokio::runtime::{self, Runtime};

use super::{actix_web, axum, tower, warp};
use crate::support::shopper::Shopper;
use crate::support::visitor::{manager, sign_up};

pub(crate) type Manager = SessionManager<Shopper>;

pub(crate) struct Host {
    pub(crate) name: &'static str,
    /// Lets a client ask the service so many times; the service has sessions where there is a manager.
    /// Answers how long that took, without making the service.
    serve: fn(Option<Manager>, &Client, u64) -> Duration,
    visits: &'static [Visit],
}

pub(crate) const ALL: [Host; 5] = [
    Host { name: "engine", serve: engine, visits: &WITH_SESSIONS },
    Host { name: "tower", serve: tower::serve, visits: &VISITS },
    Host { name: "axum", serve: axum::serve, visits: &VISITS },
    Host { name: "warp", serve: warp::serve, visits: &VISITS },
    Host { name: "actix-web", serve: actix_web::serve, visits: &VISITS },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// To the service without sessions: the floor.
    Bare,
    /// Comes with a session, and the handler does not use it.
    Untouched,
    /// Comes without a cookie; the handler reads.
    Anonymous,
    /// Comes with a session; the handler reads.
    Read,
    /// The handler writes; the change is stored at the end.
    Modified,
}

const VISITS: [Visit; 5] = [Visit::Bare, Visit::Untouched, Visit::Anonymous, Visit::Read, Visit::Modified];
/// Without sessions the engine does nothing.
const WITH_SESSIONS: [Visit; 4] = [Visit::Untouched, Visit::Anonymous, Visit::Read, Visit::Modified];
/// Those for which the store matters.
const STORED: [Visit; 2] = [Visit::Read, Visit::Modified];

impl Visit {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "without sessions",
            Self::Untouched => "untouched",
            Self::Anonymous => "anonymous",
            Self::Read => "read",
            Self::Modified => "modified",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Bare | Self::Untouched => "/untouched",
            Self::Anonymous | Self::Read => "/read",
            Self::Modified => "/modified",
        }
    }
}

/// All requests with sessions in memory, and those that ask the store in Redis too.
pub(crate) fn requests(
    mut group: BenchmarkGroup<'_, WallTime>,
    host: &Host,
    runtime: &Runtime,
    memory: &Arc<impl SessionStore>,
    redis: &Arc<impl SessionStore>,
) {
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    let memory = ("memory", manager(Arc::clone(memory), KeyRing::generate()), host.visits);
    let redis = ("redis", manager(Arc::clone(redis), KeyRing::generate()), &STORED[..]);
    for (store, manager, visits) in [memory, redis] {
        for visit in visits {
            group.bench_function(BenchmarkId::new(visit.name(), store), |bencher| {
                bencher.iter_custom(|steps| {
                    let cookie = runtime.block_on(sign_up(&manager));
                    let client = Client::new(*visit, cookie);
                    (host.serve)((*visit != Visit::Bare).then(|| manager.clone()), &client, steps)
                });
            });
        }
    }
}

/// A browser that sends the same request over and over.
pub(crate) struct Client {
    visit: Visit,
    uri: Uri,
    cookie: Option<String>,
    header: Option<HeaderValue>,
}

impl Client {
    fn new(visit: Visit, cookie: String) -> Self {
        let cookie = Some(cookie).filter(|_| visit != Visit::Anonymous);
        let header = cookie.as_deref().map(|cookie| cookie.parse().expect("a cookie is a header's value"));
        Self { visit, uri: Uri::from_static(visit.path()), cookie, header }
    }

    pub(crate) fn path(&self) -> &'static str {
        self.visit.path()
    }

    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    fn request(&self) -> Request<String> {
        let mut request = Request::new(String::new());
        *request.uri_mut() = self.uri.clone();
        if let Some(cookie) = &self.header {
            request.headers_mut().insert(COOKIE, cookie.clone());
        }
        request
    }

    /// Asks a tower service.
    pub(crate) fn ask<S, B>(&self, mut service: S, steps: u64) -> Duration
    where
        S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    {
        one_thread().block_on(async {
            let start = Instant::now();
            for _ in 0..steps {
                let ready = service.ready().await.expect("it is infallible");
                let response = ready.call(self.request()).await.expect("it is infallible");
                assert!(response.status() == 200 && !response.headers().contains_key(SET_COOKIE));
                black_box(response);
            }
            start.elapsed()
        })
    }
}

/// What every handler that reads does.
pub(crate) fn read(session: &Session<Shopper>) {
    black_box(session.read(|shopper| shopper.visits));
}

/// What every handler that writes does.
pub(crate) fn modify(session: &Session<Shopper>) -> Result<(), Error> {
    session.write(|shopper| shopper.visits += 1)
}

/// What the adapters stand around: no service at all.
fn engine(manager: Option<Manager>, client: &Client, steps: u64) -> Duration {
    one_thread().block_on(async move {
        let start = Instant::now();
        for _ in 0..steps {
            let Some(manager) = &manager else { continue };
            let request_session = manager.begin(client.cookie());
            match client.visit {
                Visit::Bare | Visit::Untouched => {}
                Visit::Anonymous | Visit::Read => {
                    read(&request_session.session().await.expect("the store answers"));
                }
                Visit::Modified => {
                    let session = request_session.session().await.expect("the store answers");
                    modify(&session).expect("the response is not on its way");
                }
            }
            let actions = request_session.finish(200).await;
            assert!(actions.failure.is_none() && actions.set_cookie.is_none());
        }
        start.elapsed()
    })
}

pub(crate) fn one_thread() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("the system has room for it")
}
