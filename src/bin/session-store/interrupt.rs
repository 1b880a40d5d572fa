//! Ctrl-C.

use std::future::pending;

/// Waits for Ctrl-C, from when it is first polled; for ever where that can't be waited for, and then it ends the
/// process. One that is polled again and again misses none.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}
