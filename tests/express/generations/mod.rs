//! The same sessions with the packages of Node that services run, old and new: each row of the table is a service on
//! Express with the packages of one folder, and has to pass all checks.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use session_store::{
    Error, Expiry, ExpressLayout, RedisLayout, RedisStore, ResponseActions, Session, SessionManager,
    SessionManagerBuilder, Values,
};

use super::stage::{self, SECRET};
use crate::support::app::App;
use crate::support::node;
use crate::support::redis::{Cluster, Server};
use crate::visitor::Visitor;

/// `maxAge` in the services.
const HOUR: Duration = Duration::from_secs(3600);

/// Runs checks one after the other, and says at the end which of them failed with these packages.
macro_rules! run {
    ($pair:expr; $($check:path),* $(,)?) => {{
        let pair = $pair;
        let mut failed = Vec::new();
        $(if super::fails($check(&pair)).await {
            failed.push(stringify!($check));
        })*
        assert!(failed.is_empty(), "with the packages of {} failed: {failed:#?}", pair.folder);
    }};
}

// After the macro that they use.
mod checks;
mod passport;

/// A test for each row. Its name begins with its folder's, by which `tests/node_versions.sh` finds it.
macro_rules! table {
    ($($(#[$by_script:meta])? $name:ident: $folder:literal, $redis:path, $checks:path;)*) => {
        $(#[tokio::test] $(#[$by_script])? async fn $name() {
            $checks(Pair::start("express.mjs", $folder, $redis).await).await;
        })*
    };
}

table! {
    express_migration: "examples/express_migration", Topology::Server, checks::all;
    connect_redis_7: "tests/node/connect-redis-7", Topology::Server, checks::all;
    connect_redis_8_ioredis_5: "tests/node/connect-redis-8-ioredis-5", Topology::Server, checks::all;

    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_6: "tests/node/connect-redis-6", Topology::Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_7_ioredis_4: "tests/node/connect-redis-7-ioredis-4", Topology::Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_10: "tests/node/connect-redis-10", Topology::Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    express_migration_in_a_cluster: "examples/express_migration", Topology::Cluster, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_8_ioredis_5_in_a_cluster: "tests/node/connect-redis-8-ioredis-5", Topology::Cluster, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    passport_0_6: "tests/node/passport-0.6", Topology::Server, passport::all;
    #[ignore = "tests/node_versions.sh runs it"]
    passport_0_7: "tests/node/passport-0.7", Topology::Server, passport::all;
}

#[derive(Clone, Copy)]
enum Topology {
    Server,
    Cluster,
}

async fn fails(check: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(check).catch_unwind().await.is_err()
}

/// What has to be kept while the services run.
#[allow(dead_code)]
enum Redis {
    Server(Server),
    Cluster(Cluster),
}

/// A service of Node and this crate, on the same sessions.
struct Pair {
    folder: &'static str,
    node: App,
    here: SessionManager<Values>,
    _redis: Redis,
}

impl Pair {
    async fn start(service: &str, folder: &'static str, topology: Topology) -> Self {
        let (redis, url) = match topology {
            Topology::Server => {
                let server = Server::start().await;
                let url = server.url();
                (Redis::Server(server), url)
            }
            Topology::Cluster => {
                let cluster = Cluster::start().await;
                let url = cluster.url();
                (Redis::Cluster(cluster), url)
            }
        };
        let node = node::service(service, folder, &[("REDIS_URL", &url), ("SESSION_SECRET", SECRET)]).await;
        let cookie = stage::cookie().persistent(true);
        let layout = RedisLayout::express(ExpressLayout::new(cookie.clone()));
        let settings =
            |manager: SessionManagerBuilder<Values>| manager.cookie(cookie).expiry(Expiry::idle(HOUR));
        let here = stage::manager(RedisStore::builder(url).layout(layout), settings).await;
        Self { folder, node, here, _redis: redis }
    }

    /// A browser with a session that Node made.
    async fn made_by_node(&self) -> Visitor {
        let mut visitor = Visitor::new(&self.node);
        tell_node(&mut visitor, "/session", json!({ "user": "ada", "cart": ["tea"] })).await;
        visitor
    }

    /// A browser with a session that was made here.
    async fn made_here(&self, change: impl AsyncFnOnce(Session<Values>) -> Result<(), Error>) -> Visitor {
        let mut visitor = Visitor::new(&self.node);
        self.ask(&mut visitor, change).await;
        visitor
    }

    /// A request of the browser to this crate.
    async fn ask<R>(
        &self,
        visitor: &mut Visitor,
        handle: impl AsyncFnOnce(Session<Values>) -> Result<R, Error>,
    ) -> R {
        let request = self.here.begin(visitor.has_cookie().then(|| visitor.cookie()));
        let answer = handle(request.session().await.unwrap()).await.unwrap();
        self.take(visitor, &request.finish(200).await);
        answer
    }

    /// Lets the browser take the cookie that was set here.
    fn take(&self, visitor: &mut Visitor, actions: &ResponseActions) {
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        if let Some(cookie) = &actions.set_cookie {
            let cookie = cookie.split(';').next().unwrap();
            *visitor = match cookie.ends_with('=') {
                true => Visitor::new(&self.node),
                false => Visitor::with_cookie(&self.node, cookie),
            };
        }
    }

    /// A member as this crate sees it, with the cookie that the browser has.
    async fn member(&self, visitor: &Visitor, name: &str) -> Option<Value> {
        self.ask(&mut visitor.clone(), async |session| Ok(session.read(|values| values.get(name)))).await
    }

    async fn insert(&self, visitor: &mut Visitor, name: &str, value: impl serde::Serialize) {
        self.ask(visitor, async |session| session.write(|values| values.insert(name, value))?).await;
    }
}

/// Posts to Node's service: what it makes of the session, as JSON.
async fn tell_node(visitor: &mut Visitor, path: &str, body: Value) -> Value {
    let answer = visitor.post_json(path, &body).await.expect_status(200);
    serde_json::from_str(&answer.body).unwrap()
}

/// The session as Node sees it with the cookie that the browser has.
async fn in_node(visitor: &Visitor) -> Value {
    let answer = visitor.clone().get("/session").await.expect_status(200);
    serde_json::from_str(&answer.body).unwrap()
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}
