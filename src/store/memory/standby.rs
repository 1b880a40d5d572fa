//! What a store needs besides the trait that keeps sessions here only until it can keep them elsewhere.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use moka::ops::compute::Op;

use super::MemoryStore;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, Record};
use crate::store::Created;
use crate::ttl::Ttl;

impl MemoryStore {
    /// A create, done when this returns.
    pub(crate) fn put(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        Ok(self.put_new(key, record.revision, self.admit(record, ttl)?))
    }

    /// What is under `key`, be it a session or a marker.
    pub(crate) fn held(&self, key: &SessionKey) -> Option<Envelope> {
        self.sessions.get(key).map(|entry| entry.held.clone())
    }

    /// The session of `key` and what is left of its time to live; not one that a rotation is just
    /// putting there, and may take away again.
    pub(crate) fn settled(&self, key: &SessionKey) -> Option<(Record, Ttl)> {
        let _no_rotation = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = self.sessions.get(key)?;
        match &entry.held {
            Envelope::Record(record) => {
                Some((record.clone(), Ttl::new(entry.ends.saturating_duration_since(Instant::now()))))
            }
            Envelope::Moved(_) => None,
        }
    }

    /// Takes the session of `key` away if nobody changed or touched it since it was `known`.
    pub(crate) fn remove_unchanged(&self, key: &SessionKey, known: &Record) -> bool {
        self.step(key, |found| match found {
            Some(Envelope::Record(record))
                if record.revision == known.revision && record.expires_at == known.expires_at =>
            {
                (Op::Remove, true)
            }
            _ => (Op::Nop, false),
        })
    }

    /// The keys of all sessions, without the markers.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = Arc<SessionKey>> {
        let entries = self.sessions.iter();
        entries.filter(|(_, entry)| matches!(entry.held, Envelope::Record(_))).map(|(key, _)| key)
    }

    /// Whether there is nothing, not even a marker.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.iter().next().is_none()
    }
}
