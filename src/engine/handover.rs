//! What passes between the response that is being decided and a handler that gets its session at that moment.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};

use crate::sync::Flag;

/// Whether the response is decided: nothing more may be created or given a new id.
///
/// A response finds the session that a handler got, or else the handler finds that the response is decided.
#[derive(Default)]
pub(super) struct Handover<F = AtomicBool> {
    committed: F,
}

impl<F: Flag> Handover<F> {
    /// To be called by who got a session, before it is used.
    pub(super) fn receive(&self) {
        // Of this fence and the one in `commit_unless_found`, the second sees what was done before the first.
        F::fence(SeqCst);
    }

    /// What `find` finds, for the caller to commit under its lock; else the response is decided without it.
    pub(super) fn commit_unless_found<S>(&self, find: impl Fn() -> Option<S>) -> Option<S> {
        find().or_else(|| {
            self.commit();
            F::fence(SeqCst);
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
    use std::sync::Arc;

    use loom::sync::atomic;
    use loom::thread;

    use super::*;

    #[test]
    fn loom_a_session_that_comes_late_is_found_or_finds_the_response_decided() {
        loom::model(|| {
            // The second is whether there is a session, as the cell that keeps it tells.
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
