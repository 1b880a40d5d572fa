//! A door to the private parts that read bytes from outside, for the targets of `fuzz/` alone.

use std::collections::HashMap;
use std::ffi::OsString;

use serde_json::Value;

use crate::config;
#[cfg(feature = "device-bound")]
use crate::engine::Proof;
use crate::engine::merge;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::redis::{self, target::Target};

/// Reads the URL of a store.
pub fn url(text: &str) -> Result<(), Error> {
    Target::from_url(text).map(drop)
}

/// Reads the settings of a service from these variables.
pub fn environment(variables: &HashMap<String, String>) -> Result<(), Error> {
    config::check(&|name| variables.get(name).map(OsString::from))
}

/// Reads a session's value as connect-redis stores it, and writes it again where Node could read it.
pub fn express_value(key: &SessionKey, value: &[u8]) -> Result<(Record, Option<String>), Error> {
    redis::layout::express::reread_value(key, value)
}

/// The cursor of a listing in Redis, read and written again. `None` for a text that is none.
pub fn redis_cursor(text: &str) -> Option<String> {
    redis::reread_cursor(text)
}

/// `None` where the changes contradict each other.
pub fn three_way(base: &Value, ours: &Value, theirs: &Value) -> Option<Value> {
    merge::three_way(base, ours, theirs).ok()
}

/// `target` with the difference between `base` and `ours` made to it.
pub fn apply_difference(base: &Value, ours: &Value, target: &mut Value) {
    merge::apply_difference(base, ours, target);
}

/// Whether a browser's proof is signed by the key that it brings, and by another one; `None` for what is no proof.
#[cfg(feature = "device-bound")]
pub fn device_proof(field: &str) -> Option<(bool, bool)> {
    // The generator of P-256, compressed.
    const ANOTHER: [u8; 33] = [
        0x03, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
        0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    ];
    let proof = Proof::read(field)?;
    Some((proof.own_key().is_some(), proof.is_by(&ANOTHER)))
}
