//! A session on a master that sentinels watch, until it is stopped: take the master away, and watch.
//!
//! ```sh
//! REDIS_URL=redis-sentinel://localhost:26379,localhost:26380,localhost:26381/mymaster \
//!     cargo run --example redis_sentinel --features redis
//! ```

use std::sync::Arc;
use std::time::Duration;

use session_store::{Error, KeyRing, Owner, RedisStore, SessionManager, SessionStore as _};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // All sentinels are asked, and the one that knows of the latest failover is believed.
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| {
        "redis-sentinel://localhost:26379,localhost:26380,localhost:26381/mymaster".to_owned()
    });
    let store = RedisStore::builder(url)
        .prefix("example:")
        // Signing in and out is done when one replica has it too. Without this, a master that is
        // lost takes the last few writes with it, and a session that was ended may come back.
        .wait_for_replicas(1, Duration::from_millis(100))
        .connect()
        .await?;
    let store = Arc::new(store);
    let manager = SessionManager::<u64>::builder(Arc::clone(&store), KeyRing::generate()).build()?;

    loop {
        match signed_in(&manager, &store).await {
            Ok(()) => println!("signed out"),
            Err(error) => println!("{error}; last trouble: {:?}", store.status().last_error),
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Signs in, visits twenty times, and signs out: what a framework's adapter does with these requests.
async fn signed_in(manager: &SessionManager<u64>, store: &RedisStore) -> Result<(), Error> {
    let request = manager.begin(None);
    request.session().await?.sign_in(Owner::new("ada")?, |_visits| ())?;
    let actions = request.finish(200).await;
    actions.failure.map_or(Ok(()), Err)?;
    println!("ada signed in");
    let cookie = actions.set_cookie.as_deref().and_then(|cookie| cookie.split(';').next());

    for _ in 0..20 {
        match visit(manager, cookie).await {
            Ok(visits) => println!("visit {visits}; connected: {}", store.status().connected),
            Err(error) => println!("{error}; last trouble: {:?}", store.status().last_error),
        }
        sleep(Duration::from_millis(500)).await;
    }
    manager.begin(cookie).session().await?.destroy().await
}

async fn visit(manager: &SessionManager<u64>, cookie: Option<&str>) -> Result<u64, Error> {
    let count = |visits: &mut u64| {
        *visits += 1;
        *visits
    };
    let request = manager.begin(cookie);
    let visits = request.session().await?.update(count).await?;
    request.finish(200).await.failure.map_or(Ok(visits), Err)
}
