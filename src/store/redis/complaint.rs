//! What the log has already, so that it is not said again at each attempt.

use std::mem;
use std::sync::{Mutex, PoisonError};

/// Why something does not work at present; empty where it does.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<String>);

impl Complaint {
    /// Notes the reason, and answers whether it is another one than before.
    pub(super) fn is_new(&self, reason: &str) -> bool {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *present, reason.to_owned()) != reason
    }

    /// It works again: the next reason is a new one.
    pub(super) fn settle(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
