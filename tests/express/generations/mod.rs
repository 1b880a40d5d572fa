//! Sessions are shared with all the packages of Node that services run, old and new. Each row of the table is a service
//! with the packages of one folder.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use session_store::{
    Error, Expiry, ExpressLayout, RedisLayout, RedisStore, ResponseActions, Session, SessionManager, Values,
};

use super::stage::{self, SECRET};
use crate::support::app::App;
use crate::support::node;
use crate::support::redis::{Cluster, Server};
use crate::visitor::Visitor;

/// `maxAge` in the services.
const HOUR: Duration = Duration::from_secs(3600);

/// Runs all of these checks, and says at the end which of them failed with which packages.
macro_rules! run {
    ($pair:expr; $($check:path),* $(,)?) => {{
        let pair = $pair;
        let mut failed = Vec::new();
        $(
            if super::fails($check(&pair)).await {
                failed.push(stringify!($check));
            }
        )*
        assert!(failed.is_empty(), "with the packages of {} failed: {failed:#?}", pair.folder);
    }};
}

// Below the macro that they use.
mod checks;
mod fastify;
mod passport;

/// A test for each row. Its name begins with its folder's, by which `tests/node_versions.sh` finds it.
macro_rules! table {
    ($($(#[$by_script:meta])? $name:ident: $service:literal with $folder:literal on $redis:ident, $checks:path;)*) => {
        $(
            #[tokio::test]
            $(#[$by_script])?
            async fn $name() {
                $checks(Pair::start($service, $folder, Redis::$redis($redis::start().await)).await).await;
            }
        )*
    };
}

table! {
    express_migration: "express.mjs" with "examples/express_migration" on Server, checks::all;
    connect_redis_7: "express.mjs" with "tests/node/connect-redis-7" on Server, checks::all;
    connect_redis_8_ioredis_5: "express.mjs" with "tests/node/connect-redis-8-ioredis-5" on Server, checks::all;

    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_6: "express.mjs" with "tests/node/connect-redis-6" on Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_7_ioredis_4: "express.mjs" with "tests/node/connect-redis-7-ioredis-4" on Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_10: "express.mjs" with "tests/node/connect-redis-10" on Server, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    express_migration_in_a_cluster: "express.mjs" with "examples/express_migration" on Cluster, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    connect_redis_8_ioredis_5_in_a_cluster:
        "express.mjs" with "tests/node/connect-redis-8-ioredis-5" on Cluster, checks::all;
    #[ignore = "tests/node_versions.sh runs it"]
    passport_0_6: "express.mjs" with "tests/node/passport-0.6" on Server, passport::all;
    #[ignore = "tests/node_versions.sh runs it"]
    passport_0_7: "express.mjs" with "tests/node/passport-0.7" on Server, passport::all;
    #[ignore = "tests/node_versions.sh runs it"]
    fastify_5: "fastify.mjs" with "tests/node/fastify-5" on Server, fastify::all;
}

async fn fails(check: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(check).catch_unwind().await.is_err()
}

enum Redis {
    Server(Server),
    Cluster(Cluster),
}

impl Redis {
    fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Stores a value for an hour.
    async fn put(&self, sid: &str, value: &Value) {
        let set = format!("SET sess:{sid} {value} EX 3600");
        match self {
            Self::Server(server) => server.ask::<()>(&set).await.unwrap(),
            Self::Cluster(cluster) => {
                let stored =
                    stream::iter(cluster.nodes()).any(async |node| node.ask::<()>(&set).await.is_ok());
                assert!(stored.await, "one of the nodes has its slot");
            }
        }
    }
}

/// A service of Node and this crate, on the same sessions.
struct Pair {
    folder: &'static str,
    node: App,
    here: SessionManager<Values>,
    redis: Redis,
}

impl Pair {
    async fn start(service: &str, folder: &'static str, redis: Redis) -> Self {
        let settings = [("REDIS_URL", &*redis.url()), ("SESSION_SECRET", SECRET)];
        let node = node::service(service, folder, &settings).await;
        let cookie = stage::cookie().persistent(true);
        let layout = RedisLayout::express(ExpressLayout::new(cookie.clone()));
        let store = RedisStore::builder(redis.url()).layout(layout);
        let here = stage::manager(store, |manager| manager.cookie(cookie).expiry(Expiry::idle(HOUR))).await;
        Self { folder, node, here, redis }
    }

    /// A browser with a session that Node made.
    async fn made_by_node(&self) -> Visitor {
        let mut visitor = Visitor::new(&self.node);
        tell_node(&mut visitor, "/session", json!({ "user": "ada", "cart": ["tea"] })).await;
        visitor
    }

    /// A browser with a session that was made here.
    async fn made_here(&self) -> Visitor {
        let mut visitor = Visitor::new(&self.node);
        self.insert(&mut visitor, "user", "ada").await;
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
            *visitor = if cookie.ends_with('=') {
                Visitor::new(&self.node)
            } else {
                Visitor::with_cookie(&self.node, cookie)
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

/// The id in the browser's cookie, which express-session escapes, and Fastify does not.
fn sid(visitor: &Visitor) -> String {
    let value = visitor.cookie().strip_prefix("connect.sid=").unwrap().replacen("s%3A", "s:", 1);
    value.strip_prefix("s:").unwrap().split('.').next().unwrap().to_owned()
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}
