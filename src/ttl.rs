//! The time to live that stores get.

use std::time::Duration;

use crate::clock::millis_rounded_up;

/// The longest time to live: 400 days. Browsers cap a cookie's life at 400 days too (RFC 6265bis section 5.5), so
/// longer sessions would be of no use.
pub const MAX_TTL: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A time to live that a store can apply unchanged: whole milliseconds, at least 1, at most
/// [`MAX_TTL`]. So no key is ever without one.
///
/// ```
/// use session_store::{MAX_TTL, Ttl};
/// use std::time::Duration;
///
/// assert_eq!(Ttl::new(Duration::ZERO).as_millis(), 1);
/// assert_eq!(Ttl::new(Duration::from_micros(1500)).as_millis(), 2);
/// assert_eq!(Ttl::new(Duration::MAX).as_duration(), MAX_TTL);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    /// Makes one of `duration`, rounded up to a millisecond and clamped. See the [example](Self).
    pub fn new(duration: Duration) -> Self {
        Self(millis_rounded_up(duration).clamp(1, millis_rounded_up(MAX_TTL)))
    }

    /// Milliseconds, from 1 to 34,560,000,000. See the [example](Self).
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time to live as a duration. See the [example](Self).
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ttl_is_positive_bounded_and_never_shorter_than_asked(nanos in any::<u64>()) {
            let asked = Duration::from_nanos(nanos);
            let ttl = Ttl::new(asked);
            prop_assert!(ttl.as_millis() >= 1);
            prop_assert!(ttl.as_duration() >= asked.min(MAX_TTL));
            prop_assert!(ttl.as_duration() <= MAX_TTL);
        }
    }
}
