//! `axum_session`'s Redis pool. Its sessions can be had from a request only, so what its middleware makes
//! of the stored text is done here in the same way.

use std::collections::HashMap;
use std::hint::black_box;

use axum_session::DatabasePool as _;
use axum_session_redispool::SessionRedisPool;
use redis_pool::RedisPool;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Contender, Operation};
use crate::payload::{DAY, KEY, Shopper};
use crate::support::Worker;

/// Its default.
const TABLE: &str = "sessions";

/// So many idle connections are kept. By default it is 16, and who finds none of them opens a new one.
const POOL: usize = 64;
const LIMIT: usize = 512;

/// A pool with a connection for each task, so that what is measured is not how fast they are opened.
pub fn pool(url: &str) -> SessionRedisPool {
    let client = redis::Client::open(url).expect("the URL is one");
    RedisPool::new(client, POOL, Some(LIMIT)).into()
}

#[derive(Clone, Debug)]
pub struct AxumSession {
    pool: SessionRedisPool,
}

impl AxumSession {
    pub fn new(url: &str) -> Self {
        Self { pool: pool(url) }
    }
}

/// A stored session, in its JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    data: HashMap<String, String>,
    longterm: bool,
}

impl Contender for AxumSession {
    type Visitor = Visitor;

    async fn visitor(&self, operation: Operation) -> Visitor {
        let id = Uuid::new_v4().to_string();
        let mut visitor = Visitor { pool: self.pool.clone(), operation, id, shopper: Shopper::ada() };
        visitor.create().await;
        visitor
    }
}

pub struct Visitor {
    pool: SessionRedisPool,
    operation: Operation,
    id: String,
    shopper: Shopper,
}

impl Visitor {
    async fn read(&self) -> Stored {
        let text = self.pool.load(&self.id, TABLE).await.expect("the server answers");
        let stored: Stored = serde_json::from_str(&text.expect("it was stored")).expect("it was encoded so");
        let shopper: Shopper = serde_json::from_str(&stored.data[KEY]).expect("it was encoded so");
        black_box(shopper.visits);
        stored
    }

    async fn store(&self, stored: &Stored) {
        let text = serde_json::to_string(stored).expect("it has a JSON form");
        let expires = (OffsetDateTime::now_utc() + DAY).unix_timestamp();
        self.pool.store(&self.id, &text, expires, TABLE).await.expect("the server answers");
    }

    fn stored(&self) -> Stored {
        let json = serde_json::to_string(&self.shopper).expect("it has a JSON form");
        Stored { data: HashMap::from([(KEY.to_owned(), json)]), longterm: false }
    }

    async fn create(&mut self) {
        self.id = Uuid::new_v4().to_string();
        assert!(!self.pool.exists(&self.id, TABLE).await.expect("the server answers"));
        self.store(&self.stored()).await;
    }
}

impl Worker for Visitor {
    async fn step(&mut self) {
        match self.operation {
            Operation::Load => {
                self.read().await;
            }
            // What its middleware does for each request that finds the session in the database.
            Operation::Roll => {
                let stored = self.read().await;
                self.store(&stored).await;
            }
            Operation::Save => {
                self.shopper.visits += 1;
                self.store(&self.stored()).await;
            }
            Operation::Create => self.create().await,
            other => unreachable!("axum_session has no {other:?}"),
        }
    }
}
