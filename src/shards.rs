//! Counting by many threads at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than most machines have threads that serve requests.
const SHARDS: usize = 64;

/// A `T` for each thread that counts, or for a few of them, so that threads don't wait for each other's writes.
/// A shard is made when it is first counted in: of the managers of many tenants, most count little.
#[derive(Debug)]
pub(crate) struct Shards<T>(OnceLock<Box<Places<T>>>);

type Places<T> = [OnceLock<Box<Shard<T>>>; SHARDS];

/// In cache lines of its own; processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

impl<T: Default> Shards<T> {
    /// Where this thread counts.
    pub(crate) fn mine(&self) -> &T {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        let shards = self.0.get_or_init(|| Box::new([const { OnceLock::new() }; SHARDS]));
        &shards[NUMBER.try_with(|number| *number).unwrap_or(0)].get_or_init(Box::default).0
    }

    /// All in which something was counted.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        let shards = self.0.get().into_iter().flat_map(|shards| &**shards);
        shards.filter_map(|shard| shard.get().map(|shard| &shard.0))
    }
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let shards = Shards::<AtomicU64>::default();
        assert_eq!(shards.all().count(), 0);
        thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..100).for_each(|_| _ = shards.mine().fetch_add(1, Ordering::Relaxed)));
            }
        });
        let counted: u64 = shards.all().map(|shard| shard.load(Ordering::Relaxed)).sum();
        assert_eq!(counted, 200 * SHARDS as u64);
    }

    #[test]
    fn a_thread_has_one_shard() {
        let shards = Shards::<AtomicU64>::default();
        assert!(std::ptr::eq(shards.mine(), shards.mine()));
        assert_eq!(shards.all().count(), 1);
    }
}
