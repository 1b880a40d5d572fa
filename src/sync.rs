//! The atomic that our protocols between threads are made of.

use std::sync::atomic::{self, Ordering};

/// An `AtomicBool`: that of `std`, or in a test that of `loom`, which tries each order of events.
pub(crate) trait Flag: Default {
    fn load(&self, order: Ordering) -> bool;
    fn swap(&self, value: bool, order: Ordering) -> bool;
    /// The `fence` that goes with it.
    fn fence(order: Ordering);
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

            fn fence(order: Ordering) {
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
