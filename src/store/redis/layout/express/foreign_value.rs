//! Whether the Express service keeps its sessions in a form of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use super::value::{NO_COOKIE, NO_OBJECT};
use crate::error::Error;

const WARNING: &str = "a value under the prefix of the Express service is not a session in JSON. If its `new \
    RedisStore` \
     has a `serializer`, this service cannot read its sessions, fails the requests that come with them, and \
     leaves them untouched: let Node store JSON first";

/// Whether there was a value that a serializer other than JSON may have made.
#[derive(Debug, Default)]
pub(super) struct ForeignValue(AtomicBool);

impl ForeignValue {
    /// Takes note of a value that could not be read, and says so the first time.
    pub(super) fn note(&self, error: &Error) {
        let is_foreign = matches!(error, Error::Unreadable { reason: NO_OBJECT | NO_COOKIE, .. });
        if is_foreign && !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!("{WARNING}");
        }
    }

    pub(super) fn warning(&self) -> Option<&'static str> {
        self.0.load(Ordering::Relaxed).then_some(WARNING)
    }
}
