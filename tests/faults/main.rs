//! What breaks in production, done to real servers under load: nobody waits longer than the timeout,
//! nothing comes back that was deleted, nothing is lost, and all is well again soon.
//!
//! `cargo test --all-features --test faults -- --nocapture` prints a row for each fault. Times are
//! printed; what is asserted of them is far above what they are, since machines are busy.
#![cfg(feature = "tls")]

#[path = "../support/mod.rs"]
mod support;

mod anywhere;
mod cluster;
mod load;
mod sentinel;
mod standalone;

use std::sync::Arc;
use std::time::{Duration, Instant};

use load::{Account, Load};
use session_store::{Error, RedisStore, SessionStore as _};
use support::redis::wait_until;
use tokio::time::sleep;

/// Before the fault, and after all seems well again.
const CALM: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = RedisStore::DEFAULT_TIMEOUT;
/// For a machine that runs other tests at the same time.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs `fault` under load; it answers from when on all should be well.
async fn endure(what: &str, store: RedisStore, fault: impl AsyncFnOnce(&RedisStore) -> Instant) -> Account {
    let store = Arc::new(store);
    let load = Load::on(&store).await;
    sleep(CALM).await;
    let over = fault(&store).await;
    wait_until("the store is connected", async || store.status().connected).await;
    sleep(2 * CALM).await;
    let account = load.stop().await;

    let recovery = account.unhealthy_after(over);
    println!("| {what} | {} | {account} |", recovery.as_millis());
    assert_eq!(account.resurrected, 0, "{what}: {account}");
    assert!(account.longest_wait < TIMEOUT + PATIENCE, "{what}: {account}");
    assert!(recovery < PATIENCE, "{what}: well again after {recovery:?}");
    account
}

impl Account {
    /// For faults in which Redis itself keeps what it acknowledged.
    fn nothing_lost(self) -> Self {
        assert_eq!((self.lost_writes, self.lost_sessions), (0, 0), "{self}");
        self
    }
}

/// Waits until a store that is not connected is; answers how long that took.
async fn healthy(store: &RedisStore) -> Duration {
    let begun = Instant::now();
    wait_until("the store is connected", async || store.status().connected).await;
    let key = session_store::SessionId::generate().key();
    wait_until("the store answers", async || store.load(&key).await.is_ok()).await;
    begun.elapsed()
}

fn reason(error: &Error) -> String {
    assert!(matches!(error, Error::Unavailable { .. } | Error::Refused { .. }), "{error:?}");
    error.to_string()
}
