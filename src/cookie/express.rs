//! Cookies as express-session makes them.
//!
//! The value is `s:<sid>.<signature>`, with the characters that JavaScript's `encodeURIComponent` escapes escaped. The
//! attributes are those that the session itself has in its member `cookie`.

mod attributes;

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub(super) use self::attributes::attributes;
use super::signing::HmacSha256;
use crate::error::Error;
use crate::id::{LONGEST_EXPRESS_ID, SessionId};

/// `s:`, the id, a dot and the signature, each byte escaped.
pub(super) const LONGEST_VALUE: usize = 3 * (2 + LONGEST_EXPRESS_ID + 1 + 43);

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A `secret` of express-session, which may be of any length.
#[derive(Clone)]
pub(super) struct Secret(HmacSha256);

impl Secret {
    pub(super) fn new(secret: &str) -> Result<Self, Error> {
        if secret.is_empty() {
            let fault = "a secret of express-session is empty: give the Express service's own";
            return Err(Error::Config(fault.to_owned()));
        }
        Ok(Self(HmacSha256::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")))
    }

    #[cfg(feature = "device-bound")]
    pub(super) fn mac(&self) -> HmacSha256 {
        self.0.clone()
    }

    pub(super) fn sign(&self, id: &SessionId) -> String {
        let signature = self.0.clone().chain_update(id.as_str()).finalize().into_bytes();
        let value = format!("s:{}.{}", id.as_str(), STANDARD_NO_PAD.encode(signature));
        utf8_percent_encode(&value, ESCAPED).to_string()
    }

    pub(super) fn verify(&self, value: &str) -> Option<SessionId> {
        let value = unescaped(value);
        // An id may have dots of its own.
        let (sid, signature) = value.strip_prefix("s:")?.rsplit_once('.')?;
        let mut tag = [0; 32];
        let length = STANDARD_NO_PAD.decode_slice(signature, &mut tag).ok()?;
        self.0.clone().chain_update(sid).verify_slice(&tag[..length]).ok()?;
        SessionId::express(sid)
    }
}

/// What the `cookie` package of npm makes of a value: without quotes around it, and as it is where the
/// escapes are no text.
fn unescaped(value: &str) -> Cow<'_, str> {
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = quoted.unwrap_or(value);
    percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cat() -> Secret {
        Secret::new("keyboard cat").unwrap()
    }

    /// What the package `cookie-signature` of npm gives.
    const VECTORS: [(&str, &str); 2] = [
        ("hello", "s%3Ahello.xz6khi6%2BoL1pnNhBgjk3Nr1CX2sxTjJiO9pKXaHZ33E"),
        (
            "D7Eh1mJuDoC_ivRs-T6-f1Gj2TpXxHTs",
            "s%3AD7Eh1mJuDoC_ivRs-T6-f1Gj2TpXxHTs.oWyjjoS%2B%2B%2BpJmgGNstrwm4bDZvYgE8uBfMdbctShcFU",
        ),
    ];

    #[test]
    fn signatures_are_those_of_express() {
        for (sid, value) in VECTORS {
            let id = SessionId::express(sid).unwrap();
            assert_eq!(cat().sign(&id), value);
            assert_eq!(cat().verify(value), Some(id.clone()));
            // Some clients send it without escapes, or in quotes, as Express accepts it too.
            assert_eq!(cat().verify(&unescaped(value)), Some(id.clone()));
            assert_eq!(cat().verify(&format!("\"{value}\"")), Some(id));
        }
    }

    #[test]
    fn ids_of_a_custom_genid_are_read() {
        for sid in
            ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a.b.c", ".", "7", "ünï/+=*", "a{b}c", &"x".repeat(1024)]
        {
            let id = SessionId::express(sid).unwrap();
            let value = cat().sign(&id);
            assert_eq!(cat().verify(&value), Some(id), "{value}");
            assert!(value.len() <= LONGEST_VALUE);
        }
    }

    #[test]
    fn what_is_no_cookie_of_express_does_not_verify() {
        let (_, value) = VECTORS[0];
        let signed = |sid: &str| {
            let signature = cat().0.clone().chain_update(sid).finalize().into_bytes();
            format!("s:{sid}.{}", STANDARD_NO_PAD.encode(signature))
        };
        assert!(cat().verify(&signed("fine")).is_some());
        for bad in [
            String::new(),
            "s:".to_owned(),
            "s:.".to_owned(),
            "hello".to_owned(),
            value.replace("s%3A", ""),
            value.replace("s%3A", "j%3A"),
            value.replace("hello", "hellp"),
            format!("{value}%3D"),
            value[..value.len() - 1].to_owned(),
            // Right as far as it goes: 30 bytes, 3 and none.
            value[..value.len() - 3].to_owned(),
            value.replace("6khi6%2BoL1pnNhBgjk3Nr1CX2sxTjJiO9pKXaHZ33E", "6k"),
            "s:hello.".to_owned(),
            format!("{value}%ff"),
            format!("\"{value}"),
            "\"".to_owned(),
            // Well signed, and no id that could be stored.
            signed(""),
            signed(&"x".repeat(1025)),
            signed("a\nb"),
            signed("a\0b"),
        ] {
            assert!(cat().verify(&bad).is_none(), "{bad:?}");
        }
        assert!(Secret::new("keyboard dog").unwrap().verify(value).is_none());
        assert!(Secret::new("").is_err());
    }

    proptest! {
        /// SECURITY 27.
        #[test]
        fn hostile_values_never_verify_and_never_panic(value in ".*") {
            prop_assert!(cat().verify(&value).is_none());
        }
    }
}
