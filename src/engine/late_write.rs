//! The write of a request whose session got another id meanwhile.
//!
//! It counts as having come just before the session got that id, since it could have, with the same
//! effect. So nothing that was acknowledged is lost, and the old id is good for nothing else:
//!
//! - What was stored under the new id is shown to nobody who came with the old one (SECURITY 7): the request
//!   goes on with what it knows, and `update` does not run its closure on it.
//! - It is merged as the earlier of two changes.
//! - The session ends when it did: only a request under the new id moves that.

use serde_json::Value;

use super::change::{Change, comparable};
use super::plan::Lifetime;
use super::state::{Intent, StoredState};
use super::write::MAX_ROUNDS;
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::engine::merge::ConflictPolicy;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::{Payload, Record};
use crate::store::Updated;
use crate::ttl::Ttl;

/// A write to a session that has another id by now.
pub(super) struct LateWrite<'a> {
    /// The id that the request knows.
    pub(super) id: &'a SessionId,
    /// The record that the request knows.
    pub(super) base: &'a Record,
    pub(super) change: &'a Change,
    /// Of which only an expiry and a label matter here.
    pub(super) intent: &'a Intent,
    pub(super) now: Timestamp,
    pub(super) kind: Kind,
}

/// What becomes of a change of a field that was changed under the new id too, unless both only appended to
/// a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `write` gives way, as the earlier of the two.
    Write,
    /// An `update` is refused: it may have counted, and a count must not be lost.
    Update,
}

impl<T: SessionData> Shared<T> {
    /// Makes the change to the session under its new id. Answers with the session as this request knows it
    /// now.
    pub(super) async fn follow(&self, write: LateWrite<'_>) -> Result<Record, Error> {
        let outcome = self.send_after(&write).await;
        match &outcome {
            Ok(_) => {
                self.manager.telemetry().followed(&write.id.key());
            }
            Err(Error::Conflict(Conflict::Moved | Conflict::Owner)) => {
                self.manager.telemetry().ended_meanwhile();
                self.state().write(|state| state.lose(StoredState::Moved { id: write.id.clone() }));
            }
            Err(_) => {}
        }
        outcome
    }

    async fn send_after(&self, write: &LateWrite<'_>) -> Result<Record, Error> {
        let (manager, LateWrite { id, base, now, .. }) = (&*self.manager, write);
        let (key, store) = (id.key(), manager.store.at(*now));
        let ours = write.change.apply_to::<T>(manager.codec, &base.data);
        let known = Record {
            data: ours.clone(),
            label: write.intent.label.as_ref().or(base.label.as_ref()).cloned(),
            ..(*base).clone()
        };
        // The session has been written since, so this only asks what it is now.
        let (mut record, mut end, mut found) = (known.next(), base.expires_at, None);
        for _ in 0..MAX_ROUNDS {
            manager.check_size(&record.data)?;
            let ttl = Ttl::new(end.saturating_since(*now));
            match store.follow(&key, &mut found, &mut record, ttl).await {
                Ok(Updated::Updated) => return Ok(known),
                Ok(Updated::Stale(theirs)) if manager.has_ended(&theirs) => {
                    return Err(Conflict::Moved.into());
                }
                Ok(Updated::Stale(theirs)) if manager.check_codec(&theirs.data).is_err() => {
                    return Err(Conflict::Fields.into());
                }
                // A first sign-in takes over what nobody's session held.
                Ok(Updated::Stale(theirs)) if base.owner.is_none() || theirs.owner == base.owner => {
                    (record, end) = self.merged(write, &ours, &theirs)?;
                }
                Ok(Updated::Stale(_)) => return Err(Conflict::Owner.into()),
                // It has a third id by now, or is gone, or the marker is.
                Ok(Updated::Missing | Updated::Moved) => return Err(Conflict::Moved.into()),
                Err(error) if error.counts_as_absent() => return Err(Conflict::Moved.into()),
                Err(error) => return Err(error),
            }
        }
        Err(Conflict::Contention.into())
    }

    /// The record to store in the place of `theirs`, and when it ends.
    fn merged(
        &self,
        write: &LateWrite<'_>,
        ours: &Payload,
        theirs: &Record,
    ) -> Result<(Record, Timestamp), Error> {
        let (manager, LateWrite { base, intent, now, .. }) = (&*self.manager, write);
        let mut record = theirs.next();
        record.data = self.merged_data(write, ours, theirs)?;
        // The index of owners knows the end that was written last. It is not told of this write, since
        // nobody here knows the new key.
        record.expires_at = theirs.as_written().expires_at;
        let mut end = theirs.expires_at;
        let is_same_sign_in = theirs.owner == base.owner && theirs.created_at == base.created_at;
        let has_same_expiry = !theirs.own_expiry
            || base.own_expiry
                && (theirs.idle_timeout, theirs.absolute_deadline)
                    == (base.idle_timeout, base.absolute_deadline);
        // A sign-in would have dropped it, and a later one replaced it.
        if intent.own_expiry.is_some() && is_same_sign_in && has_same_expiry {
            let intent = Intent { own_expiry: intent.own_expiry, ..Intent::default() };
            let written_end = record.expires_at;
            Lifetime::after(theirs, &intent, &manager.expiry, *now).write_to(&mut record, *now);
            end = end.min(record.expires_at);
            record.expires_at = written_end.min(end);
        }
        if let Some(label) = intent.label.as_ref().filter(|_| theirs.label == base.label) {
            record.label = Some(label.clone());
        }
        Ok((record, end))
    }

    fn merged_data(&self, write: &LateWrite<'_>, ours: &Payload, theirs: &Record) -> Result<Payload, Error> {
        let (manager, LateWrite { base, change, kind, .. }) = (&*self.manager, write);
        let (encoder, policy) = (manager.encoder(), &manager.on_conflict);
        if !change.is_some() {
            return Ok(theirs.data.clone());
        }
        if theirs.data == base.data {
            return Ok(ours.clone());
        }
        if !matches!(policy, ConflictPolicy::Merge) {
            return change.reconcile(encoder, policy, &base.data, &theirs.data);
        }
        if *kind == Kind::Update {
            let [base, ours, theirs] = comparable::<T, 3>([&base.data, ours, &theirs.data])?;
            if contend(&base, &ours, &theirs) {
                return Err(Conflict::Fields.into());
            }
        }
        // Ours came first: theirs is the change that is made on top of it.
        let theirs = Change::Edit { before: base.data.clone(), after: theirs.data.clone() };
        theirs.reconcile(encoder, policy, &base.data, ours)
    }
}

/// Whether both sides changed a field of the top level, but for lists to which both only appended.
fn contend(base: &Value, ours: &Value, theirs: &Value) -> bool {
    match (base, ours, theirs) {
        (Value::Object(base), Value::Object(ours), Value::Object(theirs)) => {
            let names = base.keys().chain(ours.keys()).chain(theirs.keys());
            names.into_iter().any(|name| contend_for(base.get(name), ours.get(name), theirs.get(name)))
        }
        _ => contend_for(Some(base), Some(ours), Some(theirs)),
    }
}

fn contend_for(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    let before = match base {
        Some(Value::Array(before)) => Some(before.as_slice()),
        Some(_) => None,
        None => Some(&[][..]),
    };
    let appends = |side: Option<&Value>| match (before, side) {
        (Some(before), Some(Value::Array(after))) => after.starts_with(before),
        _ => false,
    };
    ours != base && theirs != base && !(appends(ours) && appends(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_update_contends_for() {
        let contends = |base: Value, ours: Value, theirs: Value| {
            let whole = contend(&base, &ours, &theirs);
            let field = contend(&json!({ "f": base }), &json!({ "f": ours }), &json!({ "f": theirs }));
            assert_eq!(whole, field);
            field
        };
        assert!(!contends(json!(1), json!(2), json!(1)), "ours alone");
        assert!(!contends(json!(1), json!(1), json!(2)), "theirs alone");
        assert!(contends(json!(1), json!(2), json!(3)), "both");
        assert!(contends(json!(1), json!(2), json!(2)), "two that counted");
        assert!(!contends(json!([1]), json!([1, 2]), json!([1, 3])), "appends");
        assert!(contends(json!([1]), json!([]), json!([1, 3])), "a removal");
        assert!(contends(json!({}), json!({"a": {"n": 1}}), json!({"a": {"n": 1}})), "a new field");
        assert!(!contend(&json!({}), &json!({"a": 1}), &json!({"b": 1})), "two fields");
        assert!(!contend(&json!({}), &json!({"a": [1]}), &json!({"a": [2]})), "a new list");
        assert!(contend(&json!({"a": 1}), &json!({}), &json!({"a": 2})), "a field that one removed");
    }
}
