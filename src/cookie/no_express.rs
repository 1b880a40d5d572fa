//! What stands for Express' signatures and attributes where the feature `express` is off: there are none.

use super::Attributes;
#[cfg(feature = "device-bound")]
use super::signing::HmacSha256;
use crate::error::Error;
use crate::id::{ID_LENGTH, SessionId};
use crate::record::Payload;

/// This crate's own form: the id, a dot and the signature.
pub(super) const LONGEST_VALUE: usize = ID_LENGTH + 1 + 43;

pub(super) fn attributes(_: &Payload) -> Option<Attributes<'static>> {
    None
}

#[derive(Clone, Debug)]
pub(super) enum Secret {}

impl Secret {
    pub(super) fn new(_: &str) -> Result<Self, Error> {
        let fault = "session-store was built without its feature `express`: add it in Cargo.toml";
        Err(Error::Config(fault.to_owned()))
    }

    #[cfg(feature = "device-bound")]
    pub(super) fn mac(&self) -> HmacSha256 {
        match *self {}
    }

    pub(super) fn sign(&self, _: &SessionId) -> String {
        match *self {}
    }

    pub(super) fn verify(&self, _: &str) -> Option<SessionId> {
        match *self {}
    }
}
