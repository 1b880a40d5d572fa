//! The atomic type of the protocols that `loom` checks.

use std::sync::atomic::{self, Ordering};

/// `AtomicBool` of `std`, or of `loom` in a test that tries each order of events.
pub(crate) trait Flag: Default {
    fn load(&self, order: Ordering) -> bool;
    fn swap(&self, value: bool, order: Ordering) -> bool;
    /// `fence` of the same crate.
    fn fence(&self, order: Ordering);
}

macro_rules! flag {
    ($atomic:ident) => {
        impl Flag for $atomic::AtomicBool {
            fn load(&self, order: Ordering) -> bool {
                self.load(order)
            }

            fn swap(&self, value: bool, order: Ordering) -> bool {
                self.swap(value, order)
            }

            fn fence(&self, order: Ordering) {
                $atomic::fence(order);
            }
        }
    };
}

flag!(atomic);

#[cfg(test)]
use loom::sync::atomic as loom_atomic;
#[cfg(test)]
flag!(loom_atomic);
