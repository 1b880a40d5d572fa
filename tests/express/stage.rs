//! A Redis, a store in the layout of Express, and requests to play with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use session_store::{
    Error, ExpressLayout, KeyRing, RedisLayout, RedisStore, RedisStoreBuilder, RequestSession,
    ResponseActions, Session, SessionCookie, SessionManager, SessionManagerBuilder, Values,
};

use crate::support::redis::Server;

pub(crate) const SECRET: &str = "keyboard cat";

pub(crate) fn cookie() -> SessionCookie {
    SessionCookie::new().name("connect.sid").secure(false)
}

pub(crate) fn layout() -> ExpressLayout {
    ExpressLayout::new(cookie())
}

pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
    pub(crate) manager: SessionManager<Values>,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(|store| store.layout(RedisLayout::express(layout())), |manager| manager).await
    }

    pub(crate) async fn set_with(
        store: impl FnOnce(RedisStoreBuilder) -> RedisStoreBuilder,
        settings: impl FnOnce(SessionManagerBuilder<Values>) -> SessionManagerBuilder<Values>,
    ) -> Self {
        let server = Server::start().await;
        let manager = manager(store(RedisStore::builder(server.url())), settings).await;
        Self { redis: server.client().await, server, manager }
    }

    /// Stores a value as connect-redis does.
    pub(crate) async fn put(&mut self, sid: &str, value: impl AsRef<[u8]>) {
        let mut set = redis::cmd("SET");
        set.arg(format!("sess:{sid}")).arg(value.as_ref()).arg("EX").arg(3600);
        let () = set.query_async(&mut self.redis).await.unwrap();
    }

    pub(crate) async fn raw(&mut self, sid: &str) -> Option<Vec<u8>> {
        redis::cmd("GET").arg(format!("sess:{sid}")).query_async(&mut self.redis).await.unwrap()
    }

    /// What Node would make of the session.
    pub(crate) async fn value(&mut self, sid: &str) -> Value {
        serde_json::from_slice(&self.raw(sid).await.expect("it is stored")).unwrap()
    }

    /// Does what a Node request does that stores the session after `change`.
    pub(crate) async fn node_stores(&mut self, sid: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.value(sid).await;
        change(&mut value);
        self.put(sid, value.to_string()).await;
    }

    /// Milliseconds.
    pub(crate) async fn time_to_live(&mut self, sid: &str) -> i64 {
        redis::cmd("PTTL").arg(format!("sess:{sid}")).query_async(&mut self.redis).await.unwrap()
    }

    pub(crate) async fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut self.redis).await.unwrap();
        keys.sort();
        keys
    }

    pub(crate) fn begin(&self, sid: &str) -> RequestSession<Values> {
        self.manager.begin(Some(&cookie_of(sid)))
    }

    /// A request that comes with the cookie of `sid`, and is answered by 200.
    pub(crate) async fn request<R>(
        &self,
        sid: &str,
        handle: impl AsyncFnOnce(Session<Values>) -> Result<R, Error>,
    ) -> (R, ResponseActions) {
        let request = self.begin(sid);
        let answer = handle(request.session().await.unwrap()).await.unwrap();
        (answer, request.finish(200).await)
    }

    /// The value of one name in a session.
    pub(crate) async fn read(&self, sid: &str, name: &str) -> Option<Value> {
        self.request(sid, async |session| Ok(session.read(|values| values.get(name)))).await.0
    }

    pub(crate) async fn write(&self, sid: &str, name: &str, value: impl serde::Serialize) -> ResponseActions {
        self.request(sid, async |session| session.write(|values| values.insert(name, value))?).await.1
    }

    /// A new session, made here: its id.
    pub(crate) async fn create(&self) -> String {
        let request = self.manager.begin(None);
        request.session().await.unwrap().write(|values| values.insert("user", "ada")).unwrap().unwrap();
        sid_in(&request.finish(200).await)
    }
}

pub(crate) async fn manager(
    store: RedisStoreBuilder,
    settings: impl FnOnce(SessionManagerBuilder<Values>) -> SessionManagerBuilder<Values>,
) -> SessionManager<Values> {
    let keys = KeyRing::express(SECRET).unwrap();
    let builder = SessionManager::builder(store.connect().await.unwrap(), keys).cookie(cookie());
    settings(builder).build().unwrap()
}

/// The `Cookie` header that Express makes browsers send for `sid`.
pub(crate) fn cookie_of(sid: &str) -> String {
    signed(sid, SECRET)
}

pub(crate) fn signed(sid: &str, secret: &str) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(sid);
    let signature = STANDARD_NO_PAD.encode(mac.finalize().into_bytes());
    let escaped = signature.replace('+', "%2B").replace('/', "%2F");
    format!("connect.sid=s%3A{sid}.{escaped}")
}

/// The id in a `Set-Cookie` header.
pub(crate) fn sid_in(actions: &ResponseActions) -> String {
    let cookie = actions.set_cookie.as_deref().expect("a cookie is set");
    let value = cookie.strip_prefix("connect.sid=s%3A").expect("a cookie of Express");
    let sid = value.split('.').next().expect("there is a first part").to_owned();
    assert!(cookie.starts_with(&cookie_of(&sid)), "{cookie}");
    sid
}
