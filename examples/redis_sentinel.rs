//! Sign-in and logout on a master that sentinels watch: both survive the loss of that master.
//!
//! ```sh
//! REDIS_URL=redis-sentinel://localhost:26379,localhost:26380,localhost:26381/mymaster \
//!     cargo run --example redis_sentinel --features redis
//! ```

use std::sync::Arc;
use std::time::Duration;

use session_store::{Error, KeyRing, Owner, RedisStore, SessionManager, SessionStore as _};

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
    let manager = SessionManager::<String>::builder(Arc::clone(&store), KeyRing::generate()).build()?;

    // What a framework's adapter does with a request: here that of a sign-in form …
    let request = manager.begin(None);
    let ada = Owner::new("ada")?;
    request.session().await?.sign_in(&ada, |name| name.push_str("Ada"))?;
    let actions = request.finish(200).await;
    let Some(set_cookie) = actions.set_cookie else {
        println!("not signed in: {:?}", actions.failure);
        return Ok(());
    };
    println!("signed in");

    // … and, with the cookie that it was answered with, that of a logout button.
    let request = manager.begin(set_cookie.split(';').next());
    let session = request.session().await?;
    println!("{} signs out", session.read(String::clone));
    session.destroy().await?;
    println!("signed out, and it stays so: {:#?}", store.status());
    Ok(())
}
