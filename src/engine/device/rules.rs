//! How a manager binds sessions: its settings, checked, and what it signs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{DeviceBinding, MissingProof};
use crate::clock::Timestamp;
use crate::cookie::CheckedCookie;
use crate::cookie::keys::KeyRing;
use crate::cookie::mac_ring::{MacRing, TAG_LENGTH};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::device_key::{DeviceKey, time_from_bytes, time_to_bytes};

const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A browser keeps the challenge of its last proof for the next one, and may sleep in between.
const CHALLENGE_OUTLIVES_COOKIE: Duration = Duration::from_secs(3600);

/// A manager's rules; nothing if it binds no sessions.
#[derive(Debug, Default)]
pub(crate) struct DeviceRules(Option<Box<Rules>>);

/// How sessions are bound.
#[derive(Debug)]
pub(super) struct Rules {
    path: String,
    pub(super) lifetime: Duration,
    pub(super) missing: MissingProof,
    pub(super) cookie: CheckedCookie,
    challenges: MacRing,
    cookies: MacRing,
}

/// A time that was signed: a challenge, or a bound cookie.
#[derive(Clone, Copy)]
pub(super) struct SignedTime {
    pub(super) at: Timestamp,
    tag: [u8; TAG_LENGTH],
}

impl DeviceRules {
    pub(crate) fn new(
        binding: Option<DeviceBinding>,
        cookie: &CheckedCookie,
        keys: &KeyRing,
    ) -> Result<Self, Error> {
        binding.map(|binding| Rules::new(binding, cookie, keys).map(Box::new)).transpose().map(Self)
    }

    pub(super) fn get(&self) -> Option<&Rules> {
        self.0.as_deref()
    }
}

impl Rules {
    fn new(binding: DeviceBinding, cookie: &CheckedCookie, keys: &KeyRing) -> Result<Self, Error> {
        let DeviceBinding { path, lifetime, shortest, missing } = binding;
        // It stands between quotes in a header, and is compared with what routers see.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
        if !path.starts_with('/') || path.ends_with('/') || !path.bytes().all(is_plain) {
            return Err(refused(&format!(
                "the path {path:?} can't be used: give one like \"/.session\", without a slash at its end"
            )));
        }
        if !(shortest..=LONGEST_LIFETIME).contains(&lifetime) {
            return Err(refused(&format!(
                "a proof that holds for {} s is out of bounds: give from {} s to {} s",
                lifetime.as_secs(),
                shortest.as_secs(),
                LONGEST_LIFETIME.as_secs()
            )));
        }
        let purpose = |purpose: &'static str| {
            let parts = [b"session-store device v1", purpose.as_bytes(), cookie.name().as_bytes()];
            MacRing::new(keys, &parts)
        };
        let (challenges, cookies) = (purpose("challenge"), purpose("cookie"));
        let cookie = cookie.bound_to_device(&path).map_err(refused)?;
        Ok(Self { path, lifetime, missing, cookie, challenges, cookies })
    }

    /// So long after the registration, a request without a proof may have been on its way before.
    pub(super) fn grace(&self) -> Duration {
        self.lifetime / 10
    }

    /// Whether the path is the one to register at.
    pub(super) fn is_register(&self, path: &str) -> bool {
        path.strip_prefix(&*self.path) == Some("/register")
    }

    /// Whether the path is the one to refresh at.
    pub(super) fn is_refresh(&self, path: &str) -> bool {
        path.strip_prefix(&*self.path) == Some("/refresh")
    }

    /// The field that offers a browser to register a key for the session under `key`.
    pub(super) fn registration(&self, key: &SessionKey, now: Timestamp) -> String {
        let challenge = self.sign_registration(key, now);
        format!("(ES256);path=\"{}/register\";challenge=\"{challenge}\"", self.path)
    }

    /// The field that asks the browser for a proof, the next that it sends.
    pub(super) fn challenge(&self, key: &DeviceKey, now: Timestamp) -> String {
        // Each challenge is answered once, by its time.
        let at = now.max(key.answered.saturating_add(Duration::from_millis(1)));
        let challenge = sign(&self.challenges, at, &[b"refresh", &key.name]);
        format!("\"{challenge}\";id=\"{}\"", name(key))
    }

    fn sign_registration(&self, key: &SessionKey, at: Timestamp) -> String {
        sign(&self.challenges, at, &[b"register", key.storage_name().as_bytes()])
    }

    /// When the challenge was made that a browser answered to register a key.
    pub(super) fn registration_challenge(
        &self,
        challenge: &str,
        key: &SessionKey,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let time = SignedTime::parse(challenge)?;
        let is_ours = verify(&self.challenges, time, &[b"register", key.storage_name().as_bytes()]);
        (is_ours && self.is_open(time.at, now)).then_some(time.at)
    }

    /// When the challenge was made that a browser answered, if it may still answer it.
    pub(super) fn refresh_challenge(
        &self,
        challenge: &str,
        key: &DeviceKey,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let time = SignedTime::parse(challenge)?;
        let is_ours = verify(&self.challenges, time, &[b"refresh", &key.name]);
        (is_ours && self.is_open(time.at, now) && time.at > key.answered).then_some(time.at)
    }

    fn is_open(&self, at: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(at) <= self.lifetime.saturating_add(CHALLENGE_OUTLIVES_COOKIE)
    }

    /// The bound cookie of a browser that proved at `now` that it has the key.
    pub(super) fn set_cookie(&self, key: &DeviceKey, now: Timestamp) -> String {
        let value = sign(&self.cookies, now, &[&key.name, &key.point]);
        self.cookie.set(&value, Some(self.lifetime), None)
    }

    /// When the browser proved that it has the key, if this bound cookie says so.
    pub(super) fn proved_at(&self, cookie: SignedTime, key: &DeviceKey, now: Timestamp) -> Option<Timestamp> {
        let is_fresh = now.saturating_since(cookie.at) < self.lifetime;
        let proved = is_fresh && verify(&self.cookies, cookie, &[&key.name, &key.point]);
        proved.then_some(cookie.at)
    }

    /// What a browser is told of the binding.
    pub(super) fn instructions(&self, key: &DeviceKey) -> Value {
        json!({
            "session_identifier": name(key),
            "refresh_url": format!("{}/refresh", self.path),
            "scope": { "include_site": false },
            "credentials": [{
                "type": "cookie", "name": self.cookie.name(), "attributes": self.cookie.credential_attributes(),
            }],
        })
    }
}

impl SignedTime {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6 + TAG_LENGTH];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (time, tag) = bytes[..length].split_first_chunk()?;
        Some(Self { at: time_from_bytes(*time), tag: tag.try_into().ok()? })
    }
}

fn sign(macs: &MacRing, at: Timestamp, subject: &[&[u8]; 2]) -> String {
    let time = time_to_bytes(at);
    let tag = macs.sign(&[&time, subject[0], subject[1]]);
    URL_SAFE_NO_PAD.encode([&time[..], &tag].concat())
}

fn verify(macs: &MacRing, time: SignedTime, subject: &[&[u8]; 2]) -> bool {
    macs.verify(&[&time_to_bytes(time.at), subject[0], subject[1]], &time.tag)
}

/// What the browser calls the binding.
pub(super) fn name(key: &DeviceKey) -> String {
    URL_SAFE_NO_PAD.encode(key.name)
}

fn refused(why: &str) -> Error {
    Error::Config(format!("sessions can't be bound to devices: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::SessionCookie;

    #[test]
    fn what_cannot_be_bound_is_refused_with_the_reason() {
        let build = |binding: DeviceBinding, cookie: SessionCookie| {
            DeviceRules::new(Some(binding), &cookie.build().unwrap(), &KeyRing::generate())
        };
        let binding = || DeviceBinding::at("/.session");
        let seconds = Duration::from_secs;
        for fits in [binding(), binding().lifetime(seconds(300)), binding().lifetime(seconds(24 * 3600))] {
            assert!(build(fits, SessionCookie::new()).is_ok());
        }
        assert!(build(DeviceBinding::at("/app/.session"), SessionCookie::new().path("/app")).is_ok());
        for (binding, cookie, reason) in [
            (DeviceBinding::at(".session"), SessionCookie::new(), "without a slash at its end"),
            (DeviceBinding::at("/.session/"), SessionCookie::new(), "without a slash at its end"),
            (DeviceBinding::at("/a\"b"), SessionCookie::new(), "without a slash at its end"),
            (binding().lifetime(seconds(299)), SessionCookie::new(), "out of bounds"),
            (binding().lifetime(seconds(24 * 3600 + 1)), SessionCookie::new(), "out of bounds"),
            (binding(), SessionCookie::new().domain("example.com"), "`Domain`"),
            (binding(), SessionCookie::new().partitioned(true), "`Partitioned`"),
            (binding(), SessionCookie::new().path("/app"), "`Path`"),
            (DeviceBinding::at("/apple/.session"), SessionCookie::new().path("/app"), "`Path`"),
        ] {
            let refused = build(binding, cookie).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
