//! Rewrites a session as it is, in the form in which sessions are stored at present.

use std::time::Duration;

use super::StoreClient;
use crate::clock::Timestamp;
use crate::engine::at_rest::{AtRest, Known};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::{Loaded, Update, Updated};
use crate::telemetry::operations::Operation;
use crate::ttl::Ttl;

/// What is to be done about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Rewriting {
    /// It is in the present form, or gone.
    NotDue,
    /// It is due.
    Due,
    /// It was due, and is written.
    Done,
    /// It is due, and a request may be about to extend it.
    Later,
    /// It takes the visitor's id, which only their next request brings.
    NeedsId,
    /// It does not open.
    Unopened,
}

impl StoreClient {
    /// Rewrites the session of `key` in the present form; in a dry run, only says whether that is due.
    pub(in crate::engine) async fn rewrite(
        &self,
        key: &SessionKey,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Rewriting, Error> {
        let stored = match self.call(Operation::Load, key, self.store().load_fresh(key)).await {
            Ok(Loaded::Found(stored)) => stored,
            Ok(_) => return Ok(Rewriting::NotDue),
            Err(error) if error.is_about_the_record() => return Ok(Rewriting::Unopened),
            Err(error) => return Err(error),
        };
        if self.at_rest.is_sealed_as_now(&stored) {
            return Ok(Rewriting::NotDue);
        }
        let known = Known::Key(key);
        let opened = match self.at_rest.open(known, stored.clone()) {
            Ok(opened) => opened,
            Err(_) if self.at_rest.needs_id(&stored) => return Ok(Rewriting::NeedsId),
            Err(_) => return Ok(Rewriting::Unopened),
        };
        let mut record = opened.next();
        match self.at_rest.settle(known, &mut record) {
            Ok(()) => {}
            Err(Error::Sealed { .. }) => return Ok(Rewriting::NeedsId),
            Err(error) => return Err(error),
        }
        let record = record.as_stored();
        if AtRest::is_alike(&record, &stored) {
            return Ok(Rewriting::NotDue);
        }
        if may_be_extended(&stored, now) {
            return Ok(Rewriting::Later);
        }
        if dry_run {
            return Ok(Rewriting::Due);
        }
        let ttl = Ttl::new(stored.expires_at.saturating_since(now));
        let update = self.store().update(Update::new(key, &record, ttl).replacing(&stored));
        Ok(match self.call(Operation::Update, key, update).await? {
            Updated::Updated => Rewriting::Done,
            // Whoever wrote it meanwhile wrote it in the form of today.
            _ => Rewriting::NotDue,
        })
    }
}

/// Whether a touch that comes between the load and the write would matter: the write would undo it, as it does not change
/// the revision. Of a session that was used a short while ago, that costs the visitor nothing.
fn may_be_extended(record: &Record, now: Timestamp) -> bool {
    let Some(idle) = record.idle_timeout else { return false };
    let is_at_its_deadline = record.absolute_deadline.is_some_and(|deadline| deadline <= record.expires_at);
    let left = record.expires_at.saturating_since(now);
    !is_at_its_deadline && left < idle.max(Duration::from_secs(1)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Payload;

    #[test]
    fn a_session_in_the_second_half_of_its_idle_time_waits() {
        let (now, idle) = (Timestamp::from_millis(1_000_000), Duration::from_secs(100));
        for (left, idle, deadline, waits) in [
            (51, Some(idle), None, false),
            (49, Some(idle), None, true),
            // Nothing extends these.
            (49, Some(idle), Some(49), false),
            (1, None, None, false),
            (1, None, Some(1), false),
        ] {
            let at = |seconds| now.saturating_add(Duration::from_secs(seconds));
            let mut record = Record::new(now, at(left), Payload::new(1, "{}"));
            (record.idle_timeout, record.absolute_deadline) = (idle, deadline.map(at));
            assert_eq!(may_be_extended(&record, now), waits, "{left} {idle:?} {deadline:?}");
        }
    }
}
