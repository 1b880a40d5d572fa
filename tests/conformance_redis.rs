//! `RedisStore` keeps every promise on a real `redis-server`, a fresh one for each test.
#![cfg(all(feature = "conformance", feature = "redis"))]

mod support;

use session_store::RedisStore;
use support::redis::Server;

session_store::conformance_tests! {
    let server = Server::start().await;
    RedisStore::connect(server.url()).await.expect("the server answers")
}
