//! A store of one's own: a map behind a mutex, and the proof that it keeps every promise.
//!
//! `cargo run --example custom_store --features conformance`

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use session_store::{
    Clock, Created, Envelope, Error, Loaded, Moved, Record, Revision, Rotation, SessionKey, SessionStore,
    SystemClock, Timestamp, Touch, Ttl, Update, Updated, conformance,
};

#[tokio::main]
async fn main() -> Result<(), conformance::Broken> {
    // In a test of your own: `session_store::conformance_tests!(MapStore::default());`
    let kept = conformance::all(Arc::new(MapStore::default())).await?;
    println!("MapStore keeps all {} promises:\n- {}", kept.len(), kept.join("\n- ").replace('_', " "));
    Ok(())
}

#[derive(Debug, Default)]
struct MapStore(Mutex<HashMap<SessionKey, Slot>>);

/// What is stored: a session, or the marker that a rotation left; and until when.
#[derive(Debug)]
struct Slot {
    held: Envelope,
    until: Timestamp,
}

impl MapStore {
    /// The lock makes each method one step. What has expired is gone before anything else happens;
    /// a store for many sessions would rather look at one key here, and sweep now and then.
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Slot>> {
        let mut sessions = self.0.lock().expect("no method panics");
        let now = SystemClock.now();
        sessions.retain(|_, slot| now < slot.until);
        sessions
    }
}

fn session(record: &Record, ttl: Ttl) -> Slot {
    Slot { held: Envelope::Record(record.clone()), until: end(ttl) }
}

fn end(ttl: Ttl) -> Timestamp {
    SystemClock.now().saturating_add(ttl.as_duration())
}

/// The answer to a write of `own` which expects `expected`, if that is not to go on.
fn refusal(slot: Option<&Slot>, expected: Revision, own: Revision) -> Option<Updated> {
    match slot.map(|slot| &slot.held) {
        None => Some(Updated::Missing),
        Some(held) if held.bears(own) => Some(Updated::Updated),
        Some(Envelope::Record(record)) if record.revision == expected => None,
        Some(Envelope::Record(record)) => Some(Updated::Stale(record.clone())),
        Some(_) => Some(Updated::Moved),
    }
}

#[async_trait]
impl SessionStore for MapStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        Ok(match self.sessions().get(key).map(|slot| &slot.held) {
            None => Loaded::Absent,
            Some(Envelope::Record(record)) => Loaded::Found(record.clone()),
            Some(_) => Loaded::Moved,
        })
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        let mut sessions = self.sessions();
        match sessions.get(key) {
            Some(slot) if slot.held.bears(record.revision) => return Ok(Created::Created),
            Some(_) => return Ok(Created::Taken),
            None => {}
        }
        sessions.insert(key.clone(), session(record, ttl));
        Ok(Created::Created)
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let Update { mut key, record, ttl, follow, .. } = update;
        let mut sessions = self.sessions();
        let marker = match sessions.get(key).map(|slot| &slot.held) {
            Some(Envelope::Moved(marker)) if follow => Some(marker.clone()),
            _ => None,
        };
        if let Some(marker) = &marker {
            // One marker is followed; it may be that of a write which came after this one.
            if Envelope::Moved(marker.clone()).bears(record.revision) {
                return Ok(Updated::Updated);
            }
            key = &marker.successor;
        }
        if let Some(answer) = refusal(sessions.get(key), update.expected(), record.revision) {
            return Ok(answer);
        }
        sessions.insert(key.clone(), session(record, ttl));
        Ok(Updated::Updated)
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let mut sessions = self.sessions();
        let Some(Slot { held: Envelope::Record(record), until }) = sessions.get_mut(touch.key) else {
            return Ok(false);
        };
        let due = record.revision == touch.expected
            && record.expires_at <= touch.known_end
            && record.expires_at <= touch.expires_at;
        if due {
            record.expires_at = touch.expires_at;
            *until = end(touch.ttl);
        }
        Ok(due)
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let Rotation { old, new, record, ttl, .. } = rotation;
        let mut sessions = self.sessions();
        if let Some(answer) = refusal(sessions.get(old), rotation.expected(), record.revision) {
            return Ok(answer);
        }
        let marker = Envelope::Moved(Moved::new(new.clone(), record, rotation.expected()));
        sessions.insert(old.clone(), Slot { held: marker, until: end(Moved::ttl(ttl)) });
        sessions.insert(new.clone(), session(record, ttl));
        Ok(Updated::Updated)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let mut sessions = self.sessions();
        let mut removed = sessions.remove(key);
        let was_there = removed.is_some();
        while let Some(Slot { held: Envelope::Moved(marker), .. }) = removed {
            removed = sessions.remove(&marker.successor);
        }
        Ok(was_there)
    }
}
