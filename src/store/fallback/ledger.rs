//! What must not be forgotten: deletions that the primary could not be asked for, and sessions that
//! it may hold although memory still serves them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::id::SessionKey;
use crate::record::Revision;

/// So many deletions are remembered, some 10 MB of them.
const MOST_OWED: usize = 100_000;
/// A write that was given up may still lie in a socket: of a server that was frozen, or behind a link
/// that was cut. So long after the primary answers again it counts as lost.
const LATEST_ARRIVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Since when new sessions go to memory.
    pub(super) open: Option<Opened>,
    pub(super) moved: u64,
    pub(super) dropped: u64,
    pub(super) forgotten: u64,
    /// Keys to be deleted in the primary, and from when on.
    owed: HashMap<SessionKey, Instant>,
    doubts: HashMap<SessionKey, Doubt>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) at: Instant,
    pub(super) time: Timestamp,
}

/// What the primary may hold of a session that moves there.
#[derive(Debug)]
struct Doubt {
    /// The versions that were sent.
    sent: Vec<Revision>,
    /// Until memory has given the session up, it is what memory says, whatever the primary holds.
    unfinished: bool,
    late: Late,
}

/// Whether a create without an answer may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    No,
    /// For as long as the primary does not answer anything.
    Unanswered,
    Until(Instant),
}

/// An attempt to create a session in the primary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    revision: Revision,
    late_before: Late,
    /// Whether this version was sent before.
    pub(super) again: bool,
}

impl Ledger {
    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.owed.is_empty() && self.doubts.is_empty()
    }

    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Whether the deletion of `key` is owed.
    pub(super) fn owes(&self, key: &SessionKey) -> bool {
        self.owed.contains_key(key)
    }

    /// Remembers that `key` is to be deleted in the primary.
    pub(super) fn owe(&mut self, key: &SessionKey) {
        if self.owed.len() < MOST_OWED || self.owes(key) {
            self.owed.insert(key.clone(), Instant::now());
            return;
        }
        self.forgotten += 1;
        if self.forgotten == 1 {
            tracing::error!("{MOST_OWED} deletions of sessions are owed: further ones are not remembered");
        }
    }

    /// Owes the deletion of `key` if the primary may hold the session too.
    pub(super) fn owe_if_in_doubt(&mut self, key: &SessionKey) -> bool {
        let in_doubt = self.doubts.contains_key(key);
        if in_doubt {
            self.owe(key);
        }
        in_doubt
    }

    /// The deletions to be made now.
    pub(super) fn due(&self, now: Instant) -> Vec<SessionKey> {
        self.owed.iter().filter(|(_, due)| **due <= now).map(|(key, _)| key.clone()).collect()
    }

    /// The primary made a deletion of `key` that was sent at `sent`. It has to be repeated once nothing
    /// can arrive late any more.
    pub(super) fn deleted(&mut self, key: &SessionKey, sent: Instant) {
        match self.doubts.get(key).map_or(Late::No, |doubt| doubt.late) {
            Late::Unanswered => {}
            Late::Until(end) if end > sent => {
                if let Some(due) = self.owed.get_mut(key) {
                    *due = end;
                }
            }
            Late::Until(_) | Late::No => {
                self.owed.remove(key);
                self.doubts.remove(key);
            }
        }
    }

    /// Notes a create before it is sent; for what follows if nobody ever says what became of it.
    pub(super) fn attempt(&mut self, key: &SessionKey, revision: Revision) -> Attempt {
        let fresh = Doubt { sent: Vec::new(), unfinished: true, late: Late::No };
        let doubt = self.doubts.entry(key.clone()).or_insert(fresh);
        let attempt = Attempt { revision, late_before: doubt.late, again: doubt.sent.contains(&revision) };
        doubt.late = Late::Unanswered;
        if !attempt.again {
            doubt.sent.push(revision);
        }
        attempt
    }

    /// The primary answered the create: it can't arrive late.
    pub(super) fn answered(&mut self, key: &SessionKey, attempt: Attempt) {
        if let Some(doubt) = self.doubts.get_mut(key) {
            doubt.late = attempt.late_before;
        }
    }

    /// The create had no effect and won't have any.
    pub(super) fn withdraw(&mut self, key: &SessionKey, attempt: Attempt) {
        self.answered(key, attempt);
        let Some(doubt) = self.doubts.get_mut(key) else { return };
        if !attempt.again {
            doubt.sent.retain(|sent| *sent != attempt.revision);
        }
        if doubt.sent.is_empty() {
            self.doubts.remove(key);
        }
    }

    /// Notes an update before it is sent. It can't create, so it does no harm when it arrives late.
    pub(super) fn update_sent(&mut self, key: &SessionKey, revision: Revision) {
        if let Some(doubt) = self.doubts.get_mut(key) {
            doubt.sent.push(revision);
        }
    }

    /// Whether what the primary holds under `key` is ours: a version that we sent.
    pub(super) fn was_sent(&self, key: &SessionKey, revision: Revision) -> bool {
        self.doubts.get(key).is_some_and(|doubt| doubt.sent.contains(&revision))
    }

    /// Memory has given the session up to the primary.
    pub(super) fn finished(&mut self, key: &SessionKey) {
        if let Some(doubt) = self.doubts.get_mut(key) {
            doubt.unfinished = false;
            if doubt.late == Late::No {
                self.doubts.remove(key);
            }
        }
    }

    /// The primary answered something, so what is late is on its way at last.
    pub(super) fn primary_answers(&mut self, now: Instant) {
        for doubt in self.doubts.values_mut().filter(|doubt| doubt.late == Late::Unanswered) {
            doubt.late = Late::Until(now + LATEST_ARRIVAL);
        }
    }

    /// Owes the deletion of sessions that memory lost in the middle of their move, because they expired
    /// or were pushed out of it: an older version must not remain in the primary.
    pub(super) fn owe_half_moved(&mut self, in_memory: impl Fn(&SessionKey) -> bool) {
        let now = Instant::now();
        for (key, _) in self.doubts.iter().filter(|(key, doubt)| doubt.unfinished && !in_memory(key)) {
            if self.owed.len() < MOST_OWED {
                self.owed.entry(key.clone()).or_insert(now);
            }
        }
    }

    /// Forgets moves after which nothing can arrive late any more.
    pub(super) fn forget_what_is_over(&mut self, now: Instant) {
        self.doubts
            .retain(|_, doubt| doubt.unfinished || !matches!(doubt.late, Late::Until(end) if end <= now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    #[test]
    fn a_ledger_with_an_entry_is_not_empty() {
        assert!(Ledger::default().is_empty());
        let now = Instant::now();
        let opened = Opened { at: now, time: Timestamp::from_millis(1) };
        assert!(!Ledger { open: Some(opened), ..Ledger::default() }.is_empty());
        let key = SessionId::generate().key();
        assert!(!Ledger { owed: HashMap::from([(key.clone(), now)]), ..Ledger::default() }.is_empty());
        let mut in_doubt = Ledger::default();
        in_doubt.attempt(&key, Revision::fresh());
        assert!(!in_doubt.is_empty());
    }

    /// However long it takes, a session that is in memory and may be in the primary too is known to be.
    #[test]
    fn an_unfinished_move_is_not_forgotten() {
        let (mut ledger, key, now) = (Ledger::default(), SessionId::generate().key(), Instant::now());
        ledger.attempt(&key, Revision::fresh());
        ledger.primary_answers(now);
        ledger.forget_what_is_over(now + 2 * LATEST_ARRIVAL);
        assert!(ledger.owe_if_in_doubt(&key));
    }
}
