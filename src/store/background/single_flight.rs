//! Single flight: one task at a time for any number of requests, none of which is lost.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};

use crate::sync::Flag;

/// Whether a task is running.
///
/// A caller first publishes that there is something to do, then calls [`begin`](Self::begin). Either the
/// running task sees it before it ends, or the caller starts a new one.
#[derive(Default)]
pub(super) struct SingleFlight<F = AtomicBool> {
    running: F,
}

impl<F: Flag> SingleFlight<F> {
    /// Returns what `means` returns if the caller has to run the task. `means` is not called while one is running.
    pub(super) fn begin<M>(&self, means: impl FnOnce() -> Option<M>) -> Option<M> {
        // Pairs with the fence in `end`: either this load sees the end, or `is_needed` sees the request.
        self.running.fence(SeqCst);
        if self.running.load(Relaxed) {
            return None;
        }
        let means = means()?;
        (!self.running.swap(true, AcqRel)).then_some(means)
    }

    /// Ends the task. `false` if it has to go on, because something is needed and no other task has begun.
    pub(super) fn try_end(&self, is_needed: impl FnOnce() -> bool) -> bool {
        self.end();
        !is_needed() || self.begin(|| Some(())).is_none()
    }

    /// Ends the task, even if something is needed.
    pub(super) fn end(&self) {
        self.running.swap(false, AcqRel);
        self.running.fence(SeqCst);
    }

    #[cfg(test)]
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, atomic};
    use loom::thread;

    use super::*;

    /// Two things to do, and a cell that only one task may touch at a time.
    #[derive(Default)]
    struct World {
        flight: SingleFlight<atomic::AtomicBool>,
        wanted: [atomic::AtomicBool; 2],
        done: [atomic::AtomicBool; 2],
        alone: UnsafeCell<()>,
    }

    impl World {
        fn is_needed(&self) -> bool {
            (0..2).any(|nth| self.wanted[nth].load(Relaxed) && !self.done[nth].load(Relaxed))
        }

        fn attempt(&self) {
            self.alone.with_mut(|_| ());
            for (wanted, done) in self.wanted.iter().zip(&self.done) {
                if wanted.load(Relaxed) {
                    done.store(true, Relaxed);
                }
            }
        }

        fn run(&self) {
            loop {
                self.attempt();
                if self.flight.try_end(|| self.is_needed()) {
                    return;
                }
            }
        }

        /// Requests one of them, with or without a runtime.
        fn ask(&self, nth: usize, means: Option<()>) {
            self.wanted[nth].store(true, Relaxed);
            if self.flight.begin(|| means).is_some() {
                self.run();
            }
        }
    }

    #[test]
    fn loom_every_request_is_served_by_one_task_at_a_time() {
        // All orders of events would take 13 seconds.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let world = Arc::new(World::default());
            let other = Arc::clone(&world);
            let other = thread::spawn(move || other.ask(0, Some(())));
            world.ask(1, Some(()));
            other.join().unwrap();
            assert!(world.done.iter().all(|done| done.load(Relaxed)));
        });
    }

    /// A caller without a runtime can't run the task, and must not keep another caller from it.
    #[test]
    fn loom_a_caller_without_a_runtime_blocks_nobody() {
        loom::model(|| {
            let world = Arc::new(World::default());
            let other = Arc::clone(&world);
            let other = thread::spawn(move || other.ask(0, None));
            world.ask(1, Some(()));
            other.join().unwrap();
            assert!(world.done[1].load(Relaxed));
        });
    }

    /// A runtime that shuts down drops the task.
    #[test]
    fn loom_a_lost_task_is_followed_by_the_next_request() {
        loom::model(|| {
            let world = Arc::new(World::default());
            assert!(world.flight.begin(|| Some(())).is_some());
            let other = Arc::clone(&world);
            let lost = thread::spawn(move || {
                other.alone.with_mut(|_| ());
                other.flight.end();
            });
            world.ask(0, Some(()));
            lost.join().unwrap();
            world.ask(1, Some(()));
            assert!(world.done.iter().all(|done| done.load(Relaxed)));
        });
    }
}
