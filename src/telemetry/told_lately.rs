//! Which sessions something was told of lately, so that each request that finds it out anew does not tell it again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::SessionKey;

const PLACES: usize = 1024;

/// The sessions that have expired, for example: the store may keep such a one for a while, and each request that comes with
/// it finds out.
///
/// A session has one place, which the next one of the same place takes from it.
#[derive(Debug, Default)]
pub(super) struct ToldLately(OnceLock<Box<[AtomicU64]>>);

impl ToldLately {
    /// Takes note of a session. Answers whether it was not known.
    pub(super) fn add(&self, key: &SessionKey) -> bool {
        let places = self.0.get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        let mark = mark(key);
        places[place(mark)].swap(mark, Ordering::Relaxed) != mark
    }

    pub(super) fn has(&self, key: &SessionKey) -> bool {
        let mark = mark(key);
        self.0.get().is_some_and(|places| places[place(mark)].load(Ordering::Relaxed) == mark)
    }
}

/// 64 bits of the key's hash: never the same for two sessions, as far as anybody will see.
#[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
fn mark(key: &SessionKey) -> u64 {
    key.fingerprint() as u64
}

#[expect(clippy::cast_possible_truncation, reason = "it is less than the number of places")]
fn place(mark: u64) -> usize {
    (mark % PLACES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    #[test]
    fn a_session_is_known_until_another_takes_its_place() {
        let told = ToldLately::default();
        let key = SessionId::generate().key();
        assert!(!told.has(&key));
        assert!(told.add(&key));
        assert!(!told.add(&key) && told.has(&key));

        let same_place = |other: &SessionKey| place(mark(other)) == place(mark(&key));
        let other = std::iter::repeat_with(|| SessionId::generate().key()).find(same_place).unwrap();
        assert!(!told.has(&other) && told.add(&other));
        assert!(!told.has(&key) && told.add(&key));
    }
}
