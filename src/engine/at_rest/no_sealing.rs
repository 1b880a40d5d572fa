//! What stands for sealing where the feature `seal` is off: nobody seals.

#![allow(clippy::unused_self, reason = "it has the methods of the other")]

use super::Known;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Extensions, Label, Payload, Record, RecordAtRest};

/// No settings.
#[derive(Debug)]
pub(crate) enum Sealing {}

impl Sealing {
    pub(super) fn seal(
        &self,
        _: Known<'_>,
        _: &Record,
        _: Option<Payload>,
    ) -> Result<Option<RecordAtRest>, Error> {
        match *self {}
    }

    pub(super) fn unseal(&self, _: Known<'_>, _: &Record) -> Result<Vec<u8>, Error> {
        match *self {}
    }

    pub(super) fn accept_plain(&self, _: Known<'_>) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn needs_id(&self, _: &Payload) -> bool {
        match *self {}
    }

    pub(super) fn is_sealed_as_now(&self, _: &Payload) -> bool {
        match *self {}
    }

    pub(super) fn seal_label(&self, _: &SessionKey, _: &Label) -> Option<Vec<u8>> {
        match *self {}
    }

    pub(super) fn open_label(&self, _: &SessionKey, _: &[u8]) -> Option<Label> {
        match *self {}
    }

    pub(super) fn label(&self, _: Known<'_>, _: &Record) -> Result<Option<Label>, Error> {
        match *self {}
    }
}

/// Nothing here can tell, nor do anything about it.
pub(super) fn has_label(_: &Record) -> bool {
    false
}

pub(super) fn without_label(extensions: &Extensions) -> Extensions {
    extensions.clone()
}
