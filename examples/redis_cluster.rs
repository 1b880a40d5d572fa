//! A session on Redis Cluster that counts visits until it is stopped: take nodes away, and watch.
//!
//! ```sh
//! REDIS_URL=redis-cluster://localhost:7001,localhost:7002,localhost:7003 \
//!     cargo run --example redis_cluster --features redis
//! ```

use std::sync::Arc;
use std::time::Duration;

use session_store::{Error, KeyRing, RedisStore, SessionManager, SessionStore as _};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Some of the nodes are enough: they tell about the others, and about those to come.
    let url = std::env::var("REDIS_URL")
        .unwrap_or_else(|_| "redis-cluster://localhost:7001,localhost:7002,localhost:7003".to_owned());
    let store = RedisStore::builder(url)
        .prefix("example:")
        // No request waits for longer than this, whatever happens to the cluster.
        .timeout(Duration::from_millis(500))
        .connect()
        .await?;
    let store = Arc::new(store);
    let manager = SessionManager::builder(Arc::clone(&store), KeyRing::generate()).build()?;

    let mut cookie = None;
    loop {
        let status = store.status();
        match visit(&manager, &mut cookie).await {
            Ok(visits) => println!("visit {visits}; connected: {}", status.connected),
            Err(error) => println!("{error}; last trouble: {:?}", status.last_error),
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What a framework's adapter does with a request.
async fn visit(manager: &SessionManager<u64>, cookie: &mut Option<String>) -> Result<u64, Error> {
    let request = manager.begin(cookie.as_deref());
    let count = |visits: &mut u64| {
        *visits += 1;
        *visits
    };
    let visits = request.session().await?.update(count).await?;
    if let Some(set_cookie) = request.finish(200).await.set_cookie {
        *cookie = set_cookie.split(';').next().map(str::to_owned);
    }
    Ok(visits)
}
