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

/// On the connections of another store.
mod beside_another {
    use super::{RedisStore, Server};

    session_store::conformance_tests! {
        let server = Server::start().await;
        RedisStore::connect(server.url())
            .await
            .expect("the server answers")
            .with_prefix("session:tenant:")
            .expect("it has no braces")
    }
}

/// With copies in the process, which are used from the first step of each test on.
#[cfg(feature = "memory")]
mod with_copies {
    use session_store::{NearCache, SessionId, SessionStore as _};

    use super::support::redis::wait_until;
    use super::{RedisStore, Server};

    async fn connect(server: &Server) -> RedisStore {
        let builder = RedisStore::builder(server.url()).near_cache(NearCache::new(1 << 20));
        trusted(builder.connect().await.expect("the server answers")).await
    }

    async fn trusted(store: RedisStore) -> RedisStore {
        wait_until("copies are used", || async {
            store.load(&SessionId::generate().key()).await.unwrap();
            store.status().near_cache.is_some_and(|near_cache| near_cache.trusted)
        })
        .await;
        store
    }

    session_store::conformance_tests! {
        let server = Server::start().await;
        connect(&server).await
    }

    mod beside_another {
        use super::{Server, connect, trusted};

        session_store::conformance_tests! {
            let server = Server::start().await;
            trusted(connect(&server).await.with_prefix("session:tenant:").expect("it has no braces")).await
        }
    }
}
