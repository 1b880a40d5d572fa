//! What a browser sends to prove that it has its key: a JWS (RFC 7515) in the compact form, read strictly.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::record::device_key::POINT_LENGTH;

/// Browsers send some 500 bytes.
const LONGEST: usize = 4096;

/// A proof whose form is right. Nothing is verified yet.
pub(crate) struct Proof<'p> {
    signed: &'p str,
    signature: Signature,
    key: Option<VerifyingKey>,
    challenge: String,
}

#[derive(Deserialize)]
struct Header<'h> {
    #[serde(borrow)]
    typ: Cow<'h, str>,
    #[serde(borrow)]
    alg: Cow<'h, str>,
    #[serde(borrow)]
    jwk: Option<Jwk<'h>>,
    // What it lists must be understood (RFC 7515, 4.1.11), and nothing is.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Jwk<'h> {
    #[serde(borrow)]
    kty: Cow<'h, str>,
    #[serde(borrow)]
    crv: Cow<'h, str>,
    #[serde(borrow)]
    x: Cow<'h, str>,
    #[serde(borrow)]
    y: Cow<'h, str>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
}

impl<'p> Proof<'p> {
    /// Reads the value of `Secure-Session-Response`: a string of RFC 9651 that holds the JWS, or the JWS alone.
    pub(crate) fn read(field: &'p str) -> Option<Self> {
        let field = field.trim_matches([' ', '\t']);
        let jws = field.strip_prefix('"').map_or(Some(field), |rest| rest.strip_suffix('"'))?;
        if jws.len() > LONGEST {
            return None;
        }
        let (signed, signature) = jws.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let (header, claims) = (decode(header)?, decode(claims)?);
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        if header.typ != "dbsc+jwt" || header.alg != "ES256" || header.crit.is_some() {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        Some(Self {
            signed,
            signature: Signature::from_slice(&decode(signature)?).ok()?,
            key: match header.jwk {
                Some(jwk) => Some(jwk.key()?),
                None => None,
            },
            challenge: claims.jti,
        })
    }

    /// The challenge that it answers.
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// The key that it brings, which must have signed it: as a browser registers it.
    pub(crate) fn own_key(&self) -> Option<[u8; POINT_LENGTH]> {
        let key = self.key.as_ref()?;
        self.is_signed_by(key).then(|| key.to_sec1_point(true).as_bytes().try_into().ok()).flatten()
    }

    /// Whether it was signed by the registered key.
    pub(crate) fn is_by(&self, point: &[u8; POINT_LENGTH]) -> bool {
        let Ok(key) = VerifyingKey::from_sec1_bytes(point) else { return false };
        self.key.as_ref().is_none_or(|brought| *brought == key) && self.is_signed_by(&key)
    }

    fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }
}

impl Jwk<'_> {
    fn key(&self) -> Option<VerifyingKey> {
        if self.kty != "EC" || self.crv != "P-256" {
            return None;
        }
        let mut point = [4; 65];
        for (coordinate, place) in [(&self.x, 1..33), (&self.y, 33..65)] {
            let coordinate = decode(coordinate)?;
            point[place].copy_from_slice(coordinate.get(..32).filter(|it| it.len() == coordinate.len())?);
        }
        VerifyingKey::from_sec1_bytes(&point).ok()
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
