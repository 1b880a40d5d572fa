//! Takes a session from memory to the primary, while requests go on using it.
//!
//! Memory's word holds until memory gives the session up, which it does in one step with finding
//! that the primary has the present version. A write comes either before that step, and then the
//! step fails and the new version is sent too, or after it, and then it finds the session in the
//! primary. So nobody waits for a move, and nothing is lost by one.

use std::sync::Arc;

use super::Shared;
use super::ledger::Attempt;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::{Created, Loaded, Touch, Update, Updated};
use crate::ttl::Ttl;

/// How often a session that keeps changing is sent before it has to wait for the next attempt.
const MOST_SENT: usize = 8;

/// What the primary holds under a key.
enum There {
    /// A version that we sent.
    Ours(Record),
    /// What somebody else wrote, or did away with: it is newer than ours, or another session.
    Other,
    Nothing,
}

impl Shared {
    /// Moves the session of `key`, as far as memory (still) holds it.
    ///
    /// # Errors
    ///
    /// What the primary answered. The session is in memory then, and may be in the primary too.
    pub(super) async fn relocate(self: &Arc<Self>, key: &SessionKey) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let mut there = There::Nothing;
        for _ in 0..MOST_SENT {
            let Some((session, ttl)) = self.memory.settled(key) else { return Ok(()) };
            if !self.may_move(key, &session, ttl).await? {
                self.drop_revoked(key);
                return Ok(());
            }
            there = match there {
                There::Nothing => self.create_there(key).await?,
                There::Ours(known) if known.revision == session.revision => {
                    self.extend_there(key, &known, session, ttl).await?
                }
                There::Ours(known) => self.update_there(key, &known, &session, ttl).await?,
                There::Other => {
                    if self.give_up(key, &session) {
                        return Ok(());
                    }
                    There::Other
                }
            };
            if let There::Ours(known) = &there {
                // It may have been revoked since it was sent.
                if !self.may_move(key, known, ttl).await? {
                    self.drop_revoked(key);
                    return Ok(());
                }
                if self.hand_over(key, known) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn create_there(self: &Arc<Self>, key: &SessionKey) -> Result<There, Error> {
        let Some((session, ttl, attempt)) = self.begin(key) else { return Ok(There::Nothing) };
        let created = self.observe(self.primary.create(key, &session, ttl).await);
        match &created {
            Ok(_) => self.ledger().answered(key, attempt),
            // It may take effect, whenever that is.
            Err(error) if error.outcome_unknown() => {}
            Err(_) => self.ledger().withdraw(key, attempt),
        }
        match created? {
            // If this version was sent before, its end may have moved since.
            Created::Created if !attempt.again => Ok(There::Ours(session)),
            _ => self.look_there(key).await,
        }
    }

    /// Notes the attempt in one step with reading the session: whoever ends the session after that
    /// knows that the primary may have it too.
    fn begin(&self, key: &SessionKey) -> Option<(Record, Ttl, Attempt)> {
        let mut ledger = self.ledger();
        let (session, ttl) = self.memory.settled(key)?;
        let attempt = ledger.attempt(key, session.revision);
        Some((session, ttl, attempt))
    }

    async fn look_there(self: &Arc<Self>, key: &SessionKey) -> Result<There, Error> {
        match self.observe(self.primary.load_fresh(key).await) {
            Ok(Loaded::Found(found)) => Ok(self.whose(key, found)),
            Ok(Loaded::Moved) => Ok(There::Other),
            Err(error) if error.is_about_the_record() => Ok(There::Other),
            Ok(Loaded::Absent) => Ok(There::Nothing),
            Err(error) => Err(error),
        }
    }

    async fn update_there(
        self: &Arc<Self>,
        key: &SessionKey,
        known: &Record,
        session: &Record,
        ttl: Ttl,
    ) -> Result<There, Error> {
        // Memory may be several versions ahead.
        let record = Record { previous_revision: Some(known.revision), ..session.clone() };
        self.ledger().update_sent(key, record.revision);
        let updated = self.primary.update(Update::new(key, &record, ttl)).await;
        Ok(match self.observe(updated)? {
            Updated::Updated => There::Ours(record),
            Updated::Stale(found) => self.whose(key, found),
            // It was there a moment ago: somebody ended it, or gave it a new id.
            Updated::Missing | Updated::Moved => There::Other,
        })
    }

    async fn extend_there(
        self: &Arc<Self>,
        key: &SessionKey,
        known: &Record,
        session: Record,
        ttl: Ttl,
    ) -> Result<There, Error> {
        let touched = self.primary.touch(Touch::new(key, known, session.expires_at, ttl)).await;
        // If it had no effect, the session was changed, or ended, in the primary: that holds.
        self.observe(touched)?;
        Ok(There::Ours(session))
    }

    fn whose(&self, key: &SessionKey, found: Record) -> There {
        if self.ledger().was_sent(key, found.revision) { There::Ours(found) } else { There::Other }
    }

    /// Gives the session up to the primary, which has it, unless it was changed since it was `known`.
    fn hand_over(&self, key: &SessionKey, known: &Record) -> bool {
        let mut ledger = self.ledger();
        let removed = self.memory.remove_unchanged(key, known);
        if removed {
            ledger.finished(key);
            ledger.moved += 1;
        }
        removed
    }

    /// Drops a session whose owner's sessions were ended meanwhile; what the primary may have of it goes, too.
    pub(super) fn drop_revoked(&self, key: &SessionKey) {
        let removed = self.memory.remove(key).is_some();
        let mut ledger = self.ledger();
        ledger.owe_if_in_doubt(key);
        ledger.dropped += u64::from(removed);
    }

    /// Drops our session in favour of what the primary holds.
    fn give_up(&self, key: &SessionKey, session: &Record) -> bool {
        let mut ledger = self.ledger();
        let removed = self.memory.remove_unchanged(key, session);
        if removed {
            ledger.finished(key);
            ledger.dropped += 1;
        }
        removed
    }
}
