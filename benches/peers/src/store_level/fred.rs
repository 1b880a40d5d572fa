//! fred, the client under tower-sessions' Redis store, doing the least that it can with the same bytes.

use std::hint::black_box;

use session_store::SessionId;
use tower_sessions_redis_store::fred::prelude::{
    ClientLike as _, Config, Expiration, KeysInterface as _, Pool,
};

use super::{Contender, Operation};
use crate::payload::DAY;
use crate::support::Worker;
use crate::support::operation::record;

/// As in the examples of tower-sessions' store.
const POOL: usize = 6;

pub async fn connect(url: &str) -> Pool {
    let config = Config::from_url(url).expect("the URL is one");
    let pool = Pool::new(config, None, None, None, POOL).expect("the settings agree");
    pool.connect();
    pool.wait_for_connect().await.expect("the server answers");
    pool
}

#[derive(Clone, Debug)]
pub struct Fred {
    pool: Pool,
}

impl Fred {
    pub fn new(pool: &Pool) -> Self {
        Self { pool: pool.clone() }
    }
}

impl Contender for Fred {
    type Visitor = Visitor;

    async fn visitor(&self, operation: Operation) -> Visitor {
        let name = format!("session:{}", SessionId::generate().key().storage_name());
        let visitor = Visitor { pool: self.pool.clone(), operation, name, value: record().to_bytes() };
        visitor.set().await;
        visitor
    }
}

pub struct Visitor {
    pool: Pool,
    operation: Operation,
    name: String,
    value: Vec<u8>,
}

impl Visitor {
    async fn set(&self) {
        let expire = Expiration::EX(i64::try_from(DAY.as_secs()).expect("a day is not long"));
        let set = self.pool.set(&self.name, &self.value[..], Some(expire), None, false).await;
        let () = set.expect("the server answers");
    }
}

impl Worker for Visitor {
    async fn step(&mut self) {
        match self.operation {
            Operation::LoadBytes => {
                let value: Option<Vec<u8>> = self.pool.get(&self.name).await.expect("the server answers");
                black_box(value.expect("it was stored"));
            }
            _ => self.set().await,
        }
    }
}
