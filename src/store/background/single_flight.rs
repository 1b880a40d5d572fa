//! One task at a time, however many ask for it, and nobody's wish is lost.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};

use crate::sync::Flag;

/// Whether a task is running.
///
/// A caller first makes it known that there is something to do, and then asks for the task. Either the
/// running one sees that before it ends, or the caller is told to start one.
#[derive(Default)]
pub(super) struct SingleFlight<F = AtomicBool> {
    running: F,
}

impl<F: Flag> SingleFlight<F> {
    /// `means`, if the caller is to run the task with them: nobody else does.
    pub(super) fn begin<M>(&self, means: impl FnOnce() -> Option<M>) -> Option<M> {
        // Of this fence and the one in `end`, the second sees what was done before the first.
        F::fence(SeqCst);
        if self.running.load(Relaxed) {
            return None;
        }
        let means = means()?;
        (!self.running.swap(true, AcqRel)).then_some(means)
    }

    /// Ends the task, unless something is needed by now that no other task sees to.
    pub(super) fn has_ended(&self, is_needed: impl FnOnce() -> bool) -> bool {
        self.end();
        !is_needed() || self.begin(|| Some(())).is_none()
    }

    /// Ends the task, whatever is needed.
    pub(super) fn end(&self) {
        self.running.swap(false, AcqRel);
        F::fence(SeqCst);
    }

    #[cfg(test)]
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::cell::UnsafeCell;
    use loom::sync::atomic;
    use loom::thread;

    use super::*;

    /// Things to do, and what may only be touched by one at a time.
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
                if self.flight.has_ended(|| self.is_needed()) {
                    return;
                }
            }
        }

        /// Asks for the task; without means to run it, another one has to.
        fn ask(&self, nth: usize, means: Option<()>) {
            self.wanted[nth].store(true, Relaxed);
            if self.flight.begin(|| means).is_some() {
                self.run();
            }
        }
    }

    #[test]
    fn loom_whoever_asks_is_served_and_by_one_task_at_a_time() {
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

    /// Who has no runtime to run it on must not keep others from it.
    #[test]
    fn loom_whoever_cannot_run_it_is_in_nobodys_way() {
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
    fn loom_after_a_lost_task_the_next_one_asked_for_runs() {
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
