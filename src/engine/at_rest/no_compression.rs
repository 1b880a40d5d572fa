//! What stands for compression where the feature `compress` is off: nothing is compressed.

#![allow(clippy::unused_self, reason = "it has the methods of the other")]

use crate::record::Payload;

#[derive(Debug)]
pub(crate) struct Compression;

impl Compression {
    pub(crate) fn new(_: Option<usize>, _: usize) -> Self {
        Self
    }

    pub(super) fn pack(&self, _: &Payload) -> Option<Payload> {
        None
    }

    pub(super) fn unpack(&self, _: &[u8]) -> Result<Vec<u8>, &'static str> {
        Err("it is compressed, and this service was built without the feature `compress`")
    }
}
