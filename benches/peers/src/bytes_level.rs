//! What a session takes in Redis, name included.

use std::sync::Arc;

use ::axum_session::DatabasePool as _;
use redis::cmd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use session_store::{Codec, ExpressLayout, KeyRing, RedisLayout, RedisStore, SessionCookie, SessionManager};

use crate::payload::{DAY, KEY, Shopper, Text};
use crate::results::BytesRow;
use crate::results::contender::{
    ACTIX_SESSION, AXUM_SESSION, EXPRESS, OURS, OURS_COMPACT, OURS_EXPRESS, TOWER_SESSIONS,
};
use crate::store_level::{axum_session, fred};
use crate::support::floor::Raw;

/// Of the text in the session, in bytes.
pub const SIZES: [usize; 5] = [0, 100, 300, 1000, 10_000];

/// The payload of the other measurements.
pub const COMMON: &str = "shopper";

pub fn text(size: usize) -> String {
    format!("{size} B of text")
}

/// Measures all that this process can write. `node` has Express write a session: with a text of so
/// many bytes or, for `None`, the shopper.
pub async fn measure(url: &str, raw: &Raw, node: impl Fn(Option<usize>)) -> Vec<BytesRow> {
    let scale = Scale { url: url.to_owned(), raw: raw.clone() };
    let mut rows = Vec::new();
    for size in SIZES {
        rows.extend(scale.rust(&text(size), &Text::of(size)).await);
        scale.empty().await;
        node(Some(size));
        rows.push(scale.weigh(EXPRESS, &text(size)).await);
    }
    rows.extend(scale.rust(COMMON, &Shopper::ada()).await);
    scale.empty().await;
    node(None);
    rows.push(scale.weigh(EXPRESS, COMMON).await);
    rows
}

struct Scale {
    url: String,
    raw: Raw,
}

impl Scale {
    async fn rust<T>(&self, payload: &str, data: &T) -> Vec<BytesRow>
    where
        T: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let mut rows = Vec::new();
        for (name, codec) in [(OURS, Codec::Json), (OURS_COMPACT, Codec::MessagePack)] {
            self.empty().await;
            let store = RedisStore::connect(&self.url).await.expect("the server answers");
            let manager = SessionManager::builder(store, KeyRing::generate()).codec(codec);
            store_ours(&manager.build().expect("the settings agree"), data).await;
            rows.push(self.weigh(name, payload).await);
        }
        self.empty().await;
        let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
        let store = RedisStore::builder(&self.url).layout(RedisLayout::express(layout)).connect().await;
        let keys = KeyRing::express("a secret of the Express service").expect("it is long enough");
        let manager = SessionManager::builder(store.expect("the server answers"), keys);
        store_ours(&manager.build().expect("the settings agree"), data).await;
        rows.push(self.weigh(OURS_EXPRESS, payload).await);

        self.empty().await;
        self.store_tower_sessions(data).await;
        rows.push(self.weigh(TOWER_SESSIONS, payload).await);

        self.empty().await;
        self.store_actix_session(data).await;
        rows.push(self.weigh(ACTIX_SESSION, payload).await);

        self.empty().await;
        self.store_axum_session(data).await;
        rows.push(self.weigh(AXUM_SESSION, payload).await);
        rows
    }

    async fn store_tower_sessions<T: Serialize>(&self, data: &T) {
        let store = tower_sessions_redis_store::RedisStore::new(fred::connect(&self.url).await);
        let day = time::Duration::try_from(DAY).expect("a day is not long");
        let expiry = tower_sessions::Expiry::OnInactivity(day);
        let session = tower_sessions::Session::new(None, Arc::new(store), Some(expiry));
        session.insert(KEY, data).await.expect("it has a JSON form");
        session.save().await.expect("the server answers");
    }

    async fn store_actix_session<T: Serialize>(&self, data: &T) {
        use actix_session::storage::{RedisSessionStore, SessionStore as _};
        let store = RedisSessionStore::new(&*self.url).await.expect("the server answers");
        let state = [(KEY.to_owned(), json(data))].into();
        let day = time::Duration::try_from(DAY).expect("a day is not long");
        store.save(state, &day).await.expect("the server answers");
    }

    async fn store_axum_session<T: Serialize>(&self, data: &T) {
        let id = uuid::Uuid::new_v4().to_string();
        let stored = serde_json::json!({ "data": { KEY: json(data) }, "longterm": false }).to_string();
        let expires = (time::OffsetDateTime::now_utc() + DAY).unix_timestamp();
        let pool = axum_session::pool(&self.url);
        pool.store(&id, &stored, expires, "sessions").await.expect("the server answers");
    }

    async fn empty(&self) {
        self.raw.empty().await;
    }

    /// The only key there is.
    async fn weigh(&self, contender: &str, payload: &str) -> BytesRow {
        let mut raw = self.raw.first();
        let keys: u64 = cmd("DBSIZE").query_async(&mut raw).await.expect("the server answers");
        assert_eq!(keys, 1, "{contender} stores a session under one name");
        let name: String = cmd("RANDOMKEY").query_async(&mut raw).await.expect("there is a key");
        let value = cmd("STRLEN").arg(&name).query_async(&mut raw).await.expect("of a string");
        let mut usage = cmd("MEMORY");
        let memory = usage.arg("USAGE").arg(&name).query_async(&mut raw).await.expect("it is there");
        let (contender, payload) = (contender.to_owned(), payload.to_owned());
        BytesRow { contender, payload, memory, value, key: name.len() as u64 }
    }
}

async fn store_ours<T>(manager: &SessionManager<T>, data: &T)
where
    T: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let request = manager.begin(None);
    let session = request.session().await.expect("nothing is asked for yet");
    session.write(|value| *value = data.clone()).expect("the response is not on its way");
    assert!(request.finish(200).await.failure.is_none());
}

fn json<T: Serialize>(data: &T) -> String {
    serde_json::to_string(data).expect("it has a JSON form")
}
