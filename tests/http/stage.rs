//! What a case plays on: a host, and a backend that nobody else uses.

use crate::support::app::{App, Host};
#[cfg(feature = "redis")]
use crate::support::redis::Server;

/// What every application of this script signs its cookies with, unless a case says otherwise.
pub(crate) const SECRET: &str = "only-for-tests-oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
/// A secret that has nothing to do with it.
pub(crate) const OTHER_SECRET: &str = "another-one-for-tests-5sUZ8pYH3kqRgwAe1vNTh0xLJd7cWm2bXoFiQyCB";

/// Where sessions are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Memory,
    #[cfg(feature = "redis")]
    Redis,
}

pub(crate) struct Stage {
    pub(crate) host: Host,
    #[cfg(feature = "redis")]
    redis: Option<Server>,
}

impl Stage {
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async, reason = "a Redis takes time to start"))]
    pub(crate) async fn set(host: Host, backend: Backend) -> Self {
        match backend {
            Backend::Memory => Self {
                host,
                #[cfg(feature = "redis")]
                redis: None,
            },
            #[cfg(feature = "redis")]
            Backend::Redis => Self { host, redis: Some(Server::start().await) },
        }
    }

    /// The same with a Redis that keeps its data when it is killed.
    #[cfg(feature = "redis")]
    pub(crate) async fn durable(self) -> Self {
        let server = Server::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        Self { redis: Some(server), ..self }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn redis(&mut self) -> &mut Server {
        self.redis.as_mut().expect("this case is for Redis")
    }

    pub(crate) fn is_redis(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.redis.is_some();
        #[cfg(not(feature = "redis"))]
        return false;
    }

    /// The application with its cookie made for plain http: `id`.
    pub(crate) async fn app(&self) -> App {
        self.app_with(&[]).await
    }

    /// The same with further settings, which take precedence.
    pub(crate) async fn app_with(&self, settings: &[(&str, &str)]) -> App {
        self.start(&[&[("SESSION_COOKIE_SECURE", "false")], settings].concat()).await
    }

    /// The application with its default cookie: `__Host-Http-id`.
    pub(crate) async fn app_with_default_cookie(&self) -> App {
        self.start(&[]).await
    }

    /// The application, with all sessions of `app` lost.
    pub(crate) async fn forget_everything(&self, app: App) -> App {
        #[cfg(feature = "redis")]
        if let Some(server) = &self.redis {
            let () = redis::cmd("FLUSHALL").query_async(&mut server.client().await).await.unwrap();
            return app;
        }
        drop(app);
        self.app().await
    }

    async fn start(&self, settings: &[(&str, &str)]) -> App {
        let mut all = vec![("SESSION_SECRET", SECRET)];
        #[cfg(feature = "redis")]
        let url = self.redis.as_ref().map(Server::url);
        #[cfg(feature = "redis")]
        all.extend(url.as_deref().map(|url| ("REDIS_URL", url)));
        all.extend(settings);
        App::start(self.host, &all).await
    }
}
