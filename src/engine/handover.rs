//! The race between the end of a request and a handler that loads its session late.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};

use crate::sync::Flag;

/// Whether the response is decided: nothing more may be created or given a new id.
///
/// Either the response finds the session, or the handler that loaded it finds the response decided.
#[derive(Default)]
pub(super) struct Handover<F = AtomicBool> {
    committed: F,
}

impl<F: Flag> Handover<F> {
    /// Called by a handler between loading the session and using it.
    pub(super) fn receive(&self) {
        // Pairs with the fence in `commit_unless_found`: either that finds the session, or `is_committed` is true.
        self.committed.fence(SeqCst);
    }

    /// The session, if there is one: the caller then commits under its lock. Otherwise commits without it.
    pub(super) fn commit_unless_found<S>(&self, find: impl Fn() -> Option<S>) -> Option<S> {
        find().or_else(|| {
            self.commit();
            self.committed.fence(SeqCst);
            find()
        })
    }

    pub(super) fn commit(&self) {
        self.committed.swap(true, AcqRel);
    }

    pub(super) fn is_committed(&self) -> bool {
        self.committed.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::{Arc, atomic};
    use loom::thread;

    use super::*;

    #[test]
    fn loom_a_session_that_comes_late_is_found_or_finds_the_response_decided() {
        loom::model(|| {
            // Beside it a stand-in for the cell that holds the session.
            let shared = Arc::new((Handover::<atomic::AtomicBool>::default(), atomic::AtomicBool::default()));
            let handler = Arc::clone(&shared);
            let handler = thread::spawn(move || {
                let (handover, is_there) = &*handler;
                is_there.swap(true, AcqRel);
                handover.receive();
                handover.is_committed()
            });
            let (handover, is_there) = &*shared;
            let found = handover.commit_unless_found(|| is_there.load(Acquire).then_some(()));
            let saw_the_end = handler.join().unwrap();
            assert!(found.is_some() || saw_the_end);
        });
    }
}
