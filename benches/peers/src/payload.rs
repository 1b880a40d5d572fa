//! What the sessions hold, and what a handler makes of it.

use serde::{Deserialize, Serialize};

pub use crate::support::shopper::Shopper;

/// The name that peers, which keep a map of values, have the shopper under.
pub const KEY: &str = "shopper";

/// A session lives for a day after the last request.
pub const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What each handler answers, so that all have the same work with the whole payload. `None` if
/// nobody is signed in: the run must not measure visitors who were forgotten.
pub fn greeting(shopper: &Shopper) -> Option<String> {
    let Shopper { name, currency, cart, visits, .. } = shopper;
    if name.is_empty() {
        return None;
    }
    let items: u32 = cart.iter().map(|item| item.quantity).sum();
    let cents: u32 = cart.iter().map(|item| item.quantity * item.cents).sum();
    Some(format!("{name} has {items} items for {currency} {cents} and came {visits} times"))
}

/// A session of a chosen size: so many bytes of text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Text {
    /// There also if it is empty: a session like a new one would not be stored.
    pub text: Option<String>,
}

impl Text {
    pub fn of(bytes: usize) -> Self {
        Self { text: Some("x".repeat(bytes)) }
    }
}
