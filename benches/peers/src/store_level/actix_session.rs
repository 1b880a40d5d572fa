//! actix-session's Redis store, called as its middleware does; values are decoded as its `Session` does.

use std::collections::HashMap;
use std::hint::black_box;

use actix_session::storage::{RedisSessionStore, SessionKey, SessionStore as _};
use time::Duration;

use super::{Contender, Operation};
use crate::payload::{DAY, KEY, Shopper};
use crate::support::Worker;

#[derive(Clone)]
pub struct ActixSession {
    store: RedisSessionStore,
}

impl ActixSession {
    pub async fn connect(url: &str) -> Self {
        Self { store: RedisSessionStore::new(url).await.expect("the server answers") }
    }
}

impl Contender for ActixSession {
    type Visitor = Visitor;

    async fn visitor(&self, operation: Operation) -> Visitor {
        let ttl = Duration::try_from(DAY).expect("a day is not long");
        let store = self.store.clone();
        let key = store.save(state(&Shopper::ada()), &ttl).await.expect("the server answers");
        Visitor { store, operation, ttl, key: Some(key), shopper: Shopper::ada() }
    }
}

pub struct Visitor {
    store: RedisSessionStore,
    operation: Operation,
    ttl: Duration,
    /// An update takes it and gives it back.
    key: Option<SessionKey>,
    shopper: Shopper,
}

impl Visitor {
    fn key(&self) -> &SessionKey {
        self.key.as_ref().expect("it was given back")
    }

    async fn read(&self) {
        let state = self.store.load(self.key()).await.expect("the server answers");
        let state = state.expect("it was stored");
        let shopper: Shopper = serde_json::from_str(&state[KEY]).expect("it was encoded so");
        black_box(shopper.visits);
    }
}

impl Worker for Visitor {
    async fn step(&mut self) {
        match self.operation {
            Operation::Load => self.read().await,
            // What `TtlExtensionPolicy::OnEveryRequest` has the middleware do after the handler.
            Operation::Roll => {
                self.read().await;
                self.store.update_ttl(self.key(), &self.ttl).await.expect("the server answers");
            }
            Operation::Save => {
                self.shopper.visits += 1;
                let key = self.key.take().expect("it was given back");
                let updated = self.store.update(key, state(&self.shopper), &self.ttl).await;
                self.key = Some(updated.expect("the server answers"));
            }
            Operation::Create => {
                let saved = self.store.save(state(&Shopper::ada()), &self.ttl).await;
                self.key = Some(saved.expect("the server answers"));
            }
            other => unreachable!("actix-session has no {other:?}"),
        }
    }
}

/// As `Session::insert` leaves it: JSON in a map, which the store makes JSON of once more.
fn state(shopper: &Shopper) -> HashMap<String, String> {
    let json = serde_json::to_string(shopper).expect("it has a JSON form");
    HashMap::from([(KEY.to_owned(), json)])
}
