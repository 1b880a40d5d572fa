//! `RedisStore` keeps every promise on a real `redis-server`, a fresh one for each test.
#![cfg(all(feature = "conformance", feature = "redis"))]

mod support;

use session_store::RedisStore;
use support::redis::Server;

session_store::conformance_tests! {
    let server = Server::start().await;
    RedisStore::connect(server.url()).await.expect("the server answers")
}

/// On servers that compare by themselves, and would not need the script.
mod by_script {
    use super::{RedisStore, Server};

    session_store::conformance_tests! {
        let server = Server::start().await;
        RedisStore::builder(server.url()).compare_by_script().connect().await.expect("the server answers")
    }
}
