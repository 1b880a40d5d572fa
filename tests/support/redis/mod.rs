//! Redis in every topology: real processes on free ports of the loopback interface, started in
//! seconds and gone with the value that started them. The folder depends on nothing else of this
//! package, so other projects can take it as it is.
//!
//! - [`Server`]: one server. [`Traffic`] tells what it did.
//! - [`Cluster`]: three masters with a replica each, and the steps of moving a slot.
//! - [`Sentinels`]: a master with two replicas, watched by three sentinels.
//! - [`Certificates`]: an authority, and what it signed, for any of these with TLS.
//! - [`Proxy`]: a link that can be cut, closed, or left without replies.
//! - [`Place`]: a port and a directory, for another server beside these.
//!
//! Options are those of `redis-server`'s command line, such as `&["--requirepass", "secret"]`.
//! Many tests and many test processes can do this at the same time. What waits panics at its
//! deadline and says what it waited for; what misses a program panics, since a test that skipped
//! itself would prove nothing.
//!
//! Needed: `redis-server` 6.0 or later (7.0 for clusters and sentinels; with TLS, for that), or another
//! program that `REDIS_SERVER` names; `openssl` 3.0 or later (for TLS), `kill`.

use std::time::{Duration, Instant};

use tokio::time::sleep;

mod certificates;
mod cluster;
mod place;
mod proxy;
mod sentinel;
mod server;
mod traffic;

// Each test binary uses its own part.
#[allow(unused_imports)]
pub use self::{
    certificates::{Certificates, Identity, Pem},
    cluster::Cluster,
    place::Place,
    proxy::Proxy,
    sentinel::Sentinels,
    server::Server,
    traffic::Traffic,
};

/// Long enough for a failover on a machine that does much else.
const WITHIN: Duration = Duration::from_secs(30);

/// Asks again and again until it is so, and answers how long that took.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) -> Duration {
    let begun = Instant::now();
    let attempt = || {
        let so = so();
        async { so.await.then_some(()) }
    };
    let () = wait_for(what, attempt).await;
    begun.elapsed()
}

/// Asks again and again until there is an answer.
async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(answer) = attempt().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {WITHIN:?} until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
