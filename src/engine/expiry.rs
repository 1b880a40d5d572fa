//! How long sessions live: idle timeout and absolute timeout.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::ttl::MAX_TTL;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// When sessions end: after a time without use (*idle*), a time after sign-in (*absolute*), or
/// whichever comes first.
///
/// Both are enforced by the server, whatever the client does with its cookie (OWASP ASVS 7.3.1 and
/// 7.3.2). Activity moves the idle timeout, never the absolute one; only a new sign-in restarts the
/// absolute one. Durations over 400 days count as [`MAX_TTL`]; zero is refused by
/// [`SessionManagerBuilder::build`](crate::SessionManagerBuilder::build) and
/// [`Session::set_expiry`](crate::Session::set_expiry).
///
/// ```
/// use session_store::Expiry;
/// use std::time::Duration;
///
/// let minutes = |n: u64| Duration::from_secs(n * 60);
/// let bank = Expiry::idle(minutes(15)).absolute(minutes(12 * 60));
/// assert_eq!(bank, Expiry::NIST_AAL3);
/// assert_eq!(bank.idle_timeout(), Some(minutes(15)));
/// assert_eq!(bank.absolute_timeout(), Some(minutes(12 * 60)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    idle: Option<Duration>,
    absolute: Option<Duration>,
}

impl Expiry {
    /// NIST SP 800-63B, authenticator assurance level 1: sign in again after 30 days.
    pub const NIST_AAL1: Self = Self::absolute_only(Duration::from_secs(30 * DAY));
    /// NIST SP 800-63B, level 2: after 12 hours, or 30 minutes without activity.
    pub const NIST_AAL2: Self =
        Self::idle(Duration::from_secs(30 * MINUTE)).absolute(Duration::from_secs(12 * HOUR));
    /// NIST SP 800-63B, level 3: after 12 hours, or 15 minutes without activity.
    pub const NIST_AAL3: Self =
        Self::idle(Duration::from_secs(15 * MINUTE)).absolute(Duration::from_secs(12 * HOUR));

    /// Ends a session that was not used for `timeout`; each use restarts the time. Alone it has no absolute
    /// timeout, also where it replaces an expiry that has one.
    ///
    /// ```
    /// # use session_store::Expiry;
    /// # use std::time::Duration;
    /// let day = Duration::from_secs(24 * 3600);
    /// // It lasts for ever, if it is used once a month.
    /// assert_eq!(Expiry::idle(30 * day).absolute_timeout(), None);
    /// // "Remember me": three months at most.
    /// let remembered = Expiry::idle(30 * day).absolute(90 * day);
    /// ```
    pub const fn idle(timeout: Duration) -> Self {
        Self { idle: Some(timeout), absolute: None }
    }

    /// Ends a session `timeout` after its sign-in, used or not.
    ///
    /// ```
    /// # use session_store::Expiry;
    /// # use std::time::Duration;
    /// // Kiosks of a library: an hour each. No request writes just to extend its session.
    /// let kiosk = Expiry::absolute_only(Duration::from_secs(3600));
    /// assert_eq!(kiosk.idle_timeout(), None);
    /// ```
    pub const fn absolute_only(timeout: Duration) -> Self {
        Self { idle: None, absolute: Some(timeout) }
    }

    /// Also ends a session `timeout` after its sign-in, however active it is.
    ///
    /// ```
    /// # use session_store::Expiry;
    /// # use std::time::Duration;
    /// // At most a working day, whatever the idle timeout lets through.
    /// let office = Expiry::idle(Duration::from_secs(3600)).absolute(Duration::from_secs(10 * 3600));
    /// ```
    #[must_use]
    pub const fn absolute(self, timeout: Duration) -> Self {
        Self { absolute: Some(timeout), ..self }
    }

    /// The idle timeout, if there is one. See the [example](Self).
    pub const fn idle_timeout(&self) -> Option<Duration> {
        self.idle
    }

    /// The absolute timeout, if there is one. See the [example](Self).
    pub const fn absolute_timeout(&self) -> Option<Duration> {
        self.absolute
    }

    /// Refuses a timeout of zero.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let zero = |timeout: Option<Duration>| timeout == Some(Duration::ZERO);
        if zero(self.idle) || zero(self.absolute) {
            return Err(Error::Config(
                "a session timeout of zero ends every session at once; \
                 give a positive one, such as 24 hours"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// When a session that starts at `created_at` has to end, however active it is.
    pub(crate) fn deadline(&self, created_at: Timestamp) -> Option<Timestamp> {
        self.absolute.map(|timeout| created_at.saturating_add(timeout.min(MAX_TTL)))
    }
}

impl Default for Expiry {
    /// 24 hours without use, and 30 days at most.
    fn default() -> Self {
        Self::idle(Duration::from_secs(DAY)).absolute(Duration::from_secs(30 * DAY))
    }
}

/// The expiry in force for one session: policy and override resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) deadline: Option<Timestamp>,
}

impl Limits {
    /// When the session ends if it is not used after `now`.
    pub(crate) fn expires_at(&self, now: Timestamp) -> Timestamp {
        let idle_end = now.saturating_add(self.idle.unwrap_or(MAX_TTL).min(MAX_TTL));
        self.deadline.map_or(idle_end, |deadline| deadline.min(idle_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    /// SECURITY 10.
    #[test]
    fn presets_are_those_of_nist() {
        let hours = |n| Some(Duration::from_secs(n * HOUR));
        let minutes = |n| Some(Duration::from_secs(n * MINUTE));
        assert_eq!(Expiry::NIST_AAL1, Expiry { idle: None, absolute: hours(30 * 24) });
        assert_eq!(Expiry::NIST_AAL2, Expiry { idle: minutes(30), absolute: hours(12) });
        assert_eq!(Expiry::NIST_AAL3, Expiry { idle: minutes(15), absolute: hours(12) });
    }

    #[test]
    fn zero_is_refused_and_years_are_clamped() {
        assert!(Expiry::idle(Duration::ZERO).validate().is_err());
        assert!(Expiry::default().absolute(Duration::ZERO).validate().is_err());
        assert!(Expiry::idle(Duration::from_nanos(1)).validate().is_ok());

        let years = Limits { idle: Some(Duration::MAX), deadline: None };
        assert_eq!(years.expires_at(NOW), NOW.saturating_add(MAX_TTL));
        let decades = Expiry::absolute_only(Duration::MAX);
        assert_eq!(decades.deadline(NOW), Some(NOW.saturating_add(MAX_TTL)));
    }

    proptest! {
        #[test]
        fn the_end_is_never_past_the_deadline_nor_the_idle_timeout(
            now in 0..u64::MAX, idle in proptest::option::of(0..u64::MAX), deadline in proptest::option::of(0..u64::MAX),
        ) {
            let now = Timestamp::from_millis(now);
            let limits = Limits {
                idle: idle.map(Duration::from_millis),
                deadline: deadline.map(Timestamp::from_millis),
            };
            let end = limits.expires_at(now);
            prop_assert!(end <= now.saturating_add(MAX_TTL));
            prop_assert!(limits.deadline.is_none_or(|deadline| end <= deadline));
            prop_assert!(limits.idle.is_none_or(|idle| end <= now.saturating_add(idle)));
        }
    }
}
