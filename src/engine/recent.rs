//! Recent authentication: who asks for something sensitive has to confirm who they are.

use std::time::Duration;

use super::state::{NewId, State};
use super::{Session, SessionData};
use crate::clock::Timestamp;
use crate::engine::expiry::Expiry;
use crate::error::Error;
use crate::record::{AuthMethod, AuthMethods, Authentication};

/// How recently somebody must have authenticated, and with what: see [`Session::require_recent`].
///
/// A [`Duration`] alone asks for nothing but the time.
///
/// ```
/// use session_store::Recent;
/// use std::time::Duration;
///
/// let payment = Recent::within(Duration::from_secs(10 * 60)).two_factors();
/// let admin = Recent::NIST_AAL2;
/// # assert_ne!(payment, admin);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    within: Duration,
    two_factors: bool,
    hardware_key: bool,
}

impl Recent {
    /// NIST SP 800-63B, authenticator assurance level 1: any factor, within 30 days.
    pub const NIST_AAL1: Self = Self::of(Expiry::NIST_AAL1);
    /// NIST SP 800-63B, level 2: two factors, within 12 hours.
    pub const NIST_AAL2: Self = Self::of(Expiry::NIST_AAL2).two_factors();
    /// NIST SP 800-63B, level 3: two factors, one of them a key that can't leave its hardware, within 12 hours.
    pub const NIST_AAL3: Self = Self::of(Expiry::NIST_AAL3).two_factors().hardware_key();

    /// So long ago at most.
    pub const fn within(time: Duration) -> Self {
        Self { within: time, two_factors: false, hardware_key: false }
    }

    /// By two factors of different kinds (something known, had, or been), or by [`AuthMethod::MultiFactor`], since the
    /// sign-in.
    #[must_use]
    pub const fn two_factors(self) -> Self {
        Self { two_factors: true, ..self }
    }

    /// By [`AuthMethod::HardwareKey`] or [`AuthMethod::SmartCard`], since the sign-in.
    #[must_use]
    pub const fn hardware_key(self) -> Self {
        Self { hardware_key: true, ..self }
    }

    const fn of(level: Expiry) -> Self {
        match level.absolute_timeout() {
            Some(timeout) => Self::within(timeout),
            None => Self::within(Duration::MAX),
        }
    }

    fn is_met_by(self, authentication: Authentication, now: Timestamp) -> bool {
        let Authentication { at, methods } = authentication;
        now.saturating_since(at) <= self.within
            && (!self.two_factors || methods.has_two_factors())
            && (!self.hardware_key || methods.has_hardware_key())
    }
}

impl From<Duration> for Recent {
    fn from(time: Duration) -> Self {
        Self::within(time)
    }
}

impl<T: SessionData> Session<T> {
    /// Notes that the visitor has just authenticated, by these methods: at the sign-in, and whenever they confirm who
    /// they are. Gives the session a new id when the response is ready, and keeps its data and its deadline (OWASP
    /// ASVS 7.2.4).
    ///
    /// Methods add up until the next sign-in, so a second factor is confirmed by itself. They are kept with the
    /// session, in 15 bytes.
    ///
    /// ```
    /// # use session_store::{AuthMethod, Error, Session};
    /// async fn signed_in(session: Session, user: &str) -> Result<(), Error> {
    ///     session.sign_in(user, |_| ())?;
    ///     session.confirm([AuthMethod::Password])
    /// }
    ///
    /// async fn second_factor(session: Session) -> Result<(), Error> {
    ///     session.confirm([AuthMethod::Otp])
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Reauthenticate`] where nobody is signed in.
    pub fn confirm(&self, methods: impl IntoIterator<Item = AuthMethod>) -> Result<(), Error> {
        let methods = AuthMethods::from_iter(methods);
        let at = self.0.manager.clock.now();
        self.open(|state| {
            if state.owner().is_none() {
                return Err(Error::Reauthenticate);
            }
            if matches!(state.intent.new_id, NewId::Unasked) {
                state.intent.new_id = NewId::Renew;
            }
            let earlier = state.intent.confirmed.map_or(AuthMethods::default(), |earlier| earlier.methods);
            state.intent.confirmed = Some(Authentication { at, methods: methods.union(earlier) });
            Ok(())
        })
    }

    /// Lets only those on who authenticated recently enough: by [`sign_in`](Self::sign_in), or by
    /// [`confirm`](Self::confirm). Asks the store for nothing.
    ///
    /// The error is answered by 401, with a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) whose
    /// `error` is `insufficient_user_authentication` ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)), unless the
    /// layer's `on_error` says otherwise.
    ///
    /// ```
    /// # use session_store::{Error, Session};
    /// use std::time::Duration;
    ///
    /// async fn change_password(session: Session) -> Result<(), Error> {
    ///     session.require_recent(Duration::from_secs(10 * 60))?;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Reauthenticate`], also where nobody is signed in.
    pub fn require_recent(&self, recent: impl Into<Recent>) -> Result<(), Error> {
        let (recent, now) = (recent.into(), self.0.manager.clock.now());
        let authentication = self.0.state().read(|state| state.authentication(now));
        let is_recent = authentication.is_some_and(|authentication| recent.is_met_by(authentication, now));
        if is_recent { Ok(()) } else { Err(Error::Reauthenticate) }
    }

    /// When the visitor last authenticated, counting this request; nothing where nobody is signed in.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        let now = self.0.manager.clock.now();
        self.0.state().read(|state| state.authentication(now)).map(|authentication| authentication.at)
    }

    /// How the visitor authenticated since the sign-in, counting this request; empty where nobody said it.
    pub fn methods(&self) -> AuthMethods {
        let now = self.0.manager.clock.now();
        let authentication = self.0.state().read(|state| state.authentication(now));
        authentication.map_or(AuthMethods::default(), |authentication| authentication.methods)
    }
}

impl<T> State<T> {
    /// When and how the visitor authenticated, counting this request, which runs at `now`.
    fn authentication(&self, now: Timestamp) -> Option<Authentication> {
        let confirmed = self.intent.confirmed;
        if matches!(self.intent.new_id, NewId::SignIn(_)) {
            return confirmed.or(Some(Authentication { at: now, methods: AuthMethods::default() }));
        }
        let stored = self.record().and_then(Authentication::of);
        match confirmed {
            Some(confirmed) => Some(confirmed.after(stored)),
            None => stored,
        }
    }
}

#[cfg(test)]
mod tests {
    use AuthMethod::{HardwareKey, MultiFactor, Otp, Password, Pin};

    use super::*;

    #[test]
    fn a_level_asks_for_its_time_and_its_factors() {
        const HOUR: Duration = Duration::from_secs(3600);
        let now = Timestamp::from_millis(1_795_252_959_517);
        let is_met = |recent: Recent, ago: Duration, methods: &[AuthMethod]| {
            let authentication =
                Authentication { at: now.saturating_sub(ago), methods: methods.iter().copied().collect() };
            recent.is_met_by(authentication, now)
        };
        for (methods, levels) in [
            (&[][..], [true, false, false]),
            (&[Password], [true, false, false]),
            (&[Password, Otp], [true, true, false]),
            (&[MultiFactor], [true, true, false]),
            (&[HardwareKey], [true, false, false]),
            (&[HardwareKey, Pin], [true, true, true]),
        ] {
            let presets = [Recent::NIST_AAL1, Recent::NIST_AAL2, Recent::NIST_AAL3];
            assert_eq!(presets.map(|level| is_met(level, 12 * HOUR, methods)), levels, "{methods:?}");
            let late = presets.map(|level| is_met(level, 12 * HOUR + Duration::from_millis(1), methods));
            assert_eq!(late, [true, false, false], "{methods:?}");
            assert!(!is_met(Recent::NIST_AAL1, 30 * 24 * HOUR + Duration::from_millis(1), methods));
        }
    }
}
