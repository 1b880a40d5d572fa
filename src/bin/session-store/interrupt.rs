//! Ctrl-C, and SIGTERM.

use std::future::pending;

/// The exit code of what was interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// Waits for Ctrl-C or SIGTERM, from when it is first polled; for ever where they can't be waited for, and then they end
/// the process. One that is polled again and again misses none.
pub(crate) async fn interrupted() {
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
        else => pending().await,
    }
}

#[cfg(unix)]
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}
