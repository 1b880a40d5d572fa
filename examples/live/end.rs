//! How a socket says why it closes.

use session_store::{Ended, Error};

/// Close codes from 4000 to 4999 are an application's own (RFC 6455, section 7.4.2). With them a page tells a logout from a
/// connection that broke, and does not connect again.
pub(crate) fn close_code(end: &Result<Ended, Error>) -> (u16, &'static str) {
    match end {
        Ok(Ended::Expired) => (4002, "Your session has expired."),
        Ok(_) => (4001, "You were signed out."),
        // The server's fault.
        Err(_) => (1011, "Try again later."),
    }
}
