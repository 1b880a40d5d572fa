//! When and how somebody authenticated, kept beside a session's data.

use std::fmt;

use super::{Extensions, Record};
use crate::clock::Timestamp;

/// The tag of the entry: the time in milliseconds, 8 bytes, and the methods, 4 bytes, both big-endian.
const TAG: u8 = 0x01;

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident $name:literal $($factor:ident)?,)*) => {
        /// A way to authenticate, by its name in [RFC 8176](https://www.rfc-editor.org/rfc/rfc8176#section-2), as in the
        /// claim `amr` of an ID token.
        ///
        /// ```
        /// use session_store::AuthMethod;
        ///
        /// assert_eq!(AuthMethod::Otp.name(), "otp");
        /// assert_eq!(AuthMethod::from_name("hwk"), Some(AuthMethod::HardwareKey));
        /// assert_eq!(AuthMethod::from_name("guess"), None);
        /// ```
        // Stored by position: new ones go to the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AuthMethod { $($(#[$doc])* $method,)* }

        impl AuthMethod {
            const ALL: &[Self] = &[$(Self::$method,)*];

            /// Its name in the registry.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$method => $name,)* }
            }

            fn factor(self) -> Option<Factor> {
                match self { $(Self::$method => methods!(@factor $($factor)?),)* }
            }
        }
    };
    (@factor $factor:ident) => { Some(Factor::$factor) };
    (@factor) => { None };
}

/// What a method shows that its user has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Factor {
    Knows,
    Has,
    Is,
}

methods! {
    /// A password.
    Password "pwd" Knows,
    /// A PIN, or a pattern that unlocks a device.
    Pin "pin" Knows,
    /// Questions whose answers the user is supposed to know.
    KnowledgeBased "kba" Knows,
    /// A one-time password, such as TOTP.
    Otp "otp" Has,
    /// A text message.
    Sms "sms" Has,
    /// A call to a telephone.
    Telephone "tel" Has,
    /// A key that hardware protects, such as a security key.
    HardwareKey "hwk" Has,
    /// A key that software protects, such as a passkey that is synchronized.
    SoftwareKey "swk" Has,
    /// A smart card.
    SmartCard "sc" Has,
    /// A key, of which nothing more is known.
    ProofOfPossession "pop" Has,
    /// A face.
    Face "face" Is,
    /// A fingerprint.
    Fingerprint "fpt" Is,
    /// An iris.
    Iris "iris" Is,
    /// A retina.
    Retina "retina" Is,
    /// A voice.
    Voice "vbm" Is,
    /// Several factors, whichever they were.
    MultiFactor "mfa",
    /// Several channels, such as a browser and a telephone.
    MultiChannel "mca",
    /// The presence of a user, tested.
    UserPresence "user",
    /// A location.
    Geolocation "geo",
    /// A risk-based decision.
    RiskBased "rba",
    /// Windows' integrated authentication.
    WindowsIntegrated "wia",
}

impl AuthMethod {
    /// The method of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.name() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of [`AuthMethod`]s.
///
/// ```
/// use session_store::{AuthMethod, AuthMethods};
///
/// let methods = AuthMethods::from_iter([AuthMethod::Password, AuthMethod::Otp]);
/// assert!(methods.contains(AuthMethod::Otp));
/// assert_eq!(methods.to_string(), "pwd otp");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AuthMethods(u32);

impl AuthMethods {
    /// Whether the method was used.
    pub const fn contains(self, method: AuthMethod) -> bool {
        self.0 & method.bit() != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods, in the order of [`AuthMethod`].
    pub fn iter(self) -> impl Iterator<Item = AuthMethod> {
        AuthMethod::ALL.iter().copied().filter(move |method| self.contains(*method))
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether two things of different kinds were shown: known, had, been.
    pub(crate) fn has_two_factors(self) -> bool {
        let mut factors = self.iter().filter_map(AuthMethod::factor);
        let first = factors.next();
        self.contains(AuthMethod::MultiFactor) || factors.any(|factor| Some(factor) != first)
    }

    /// Whether a key was used that can't leave its hardware.
    pub(crate) const fn has_hardware_key(self) -> bool {
        self.contains(AuthMethod::HardwareKey) || self.contains(AuthMethod::SmartCard)
    }
}

impl FromIterator<AuthMethod> for AuthMethods {
    fn from_iter<I: IntoIterator<Item = AuthMethod>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |bits, method| bits | method.bit()))
    }
}

impl fmt::Display for AuthMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, method) in self.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { " " }, method.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for AuthMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthMethods({self})")
    }
}

/// When somebody last authenticated, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authentication {
    pub(crate) at: Timestamp,
    /// All that were used since the sign-in.
    pub(crate) methods: AuthMethods,
}

impl Authentication {
    /// That of a session. Where nothing is said, somebody who is signed in authenticated when the session began.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        record.owner.as_ref()?;
        let stored = record.extensions.get(TAG).and_then(Self::from_bytes);
        Some(stored.unwrap_or(Self { at: record.created_at, methods: AuthMethods::default() }))
    }

    /// The same, with what was used before.
    pub(crate) fn after(self, earlier: Option<Self>) -> Self {
        let methods = earlier.map_or(self.methods, |earlier| self.methods.union(earlier.methods));
        Self { methods, ..self }
    }

    pub(crate) fn write_to(self, extensions: &Extensions) -> Extensions {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.at.as_millis().to_be_bytes());
        bytes[8..].copy_from_slice(&self.methods.0.to_be_bytes());
        extensions.with(TAG, &bytes)
    }

    /// Later versions may say more.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk()?;
        let methods = AuthMethods(u32::from_be_bytes(*rest.first_chunk()?));
        Some(Self { at: Timestamp::from_millis(u64::from_be_bytes(*at)), methods })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::from_name(method.name()), Some(*method));
        }
    }

    #[test]
    fn factors_are_counted_by_kind() {
        use AuthMethod::{Fingerprint, HardwareKey, MultiFactor, Otp, Password, Pin, Sms, UserPresence};
        let has_two =
            |methods: &[AuthMethod]| methods.iter().copied().collect::<AuthMethods>().has_two_factors();
        for one in
            [&[][..], &[Password], &[Password, Pin], &[Otp, Sms, HardwareKey], &[HardwareKey, UserPresence]]
        {
            assert!(!has_two(one), "{one:?}");
        }
        for two in [&[Password, Otp][..], &[HardwareKey, Pin], &[HardwareKey, Fingerprint], &[MultiFactor]] {
            assert!(has_two(two), "{two:?}");
        }
    }

    #[test]
    fn the_entry_is_frozen() {
        let methods = AuthMethods::from_iter([AuthMethod::Password, AuthMethod::Otp]);
        let authentication = Authentication { at: Timestamp::from_millis(0x0102_0304), methods };
        let written = authentication.write_to(&Extensions::default());
        assert_eq!(written.as_bytes(), [0x01, 0, 12, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0b1001]);
        assert_eq!(Authentication::from_bytes(&written.as_bytes()[3..]), Some(authentication));
    }
}
