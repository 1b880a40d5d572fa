//! Under which lifetime a session lives: since when, whose it is, and when it ends.

use crate::clock::Timestamp;
use crate::engine::expiry::{Expiry, Limits};
use crate::engine::state::{Intent, NewId};
use crate::record::{Label, Owner, Record};

/// What a write stores beside the data: the record as it was, the manager's policy and the
/// handler's intents, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) created_at: Timestamp,
    pub(crate) owner: Option<Owner>,
    label: Option<Label>,
    pub(crate) own_expiry: bool,
    own_idle_timeout: bool,
    pub(crate) limits: Limits,
}

impl Lifetime {
    /// The lifetime of a session that starts, or is signed in, at `now`.
    pub(crate) fn at_start(intent: &Intent, policy: &Expiry, now: Timestamp) -> Self {
        let expiry = intent.own_expiry.as_ref().unwrap_or(policy);
        Self {
            created_at: now,
            owner: intent.new_owner().cloned(),
            label: intent.label.clone(),
            own_expiry: intent.own_expiry.is_some(),
            own_idle_timeout: false,
            limits: Limits { idle: expiry.idle_timeout(), deadline: expiry.deadline(now) },
        }
    }

    /// The lifetime of a stored session once `intent` is granted. Only a sign-in starts the absolute
    /// timeout again; an expiry of the session's own can bring its end nearer, but not put it off.
    pub(crate) fn after(record: &Record, intent: &Intent, policy: &Expiry, now: Timestamp) -> Self {
        let label = || intent.label.as_ref().or(record.label.as_ref()).cloned();
        if let NewId::SignIn(owner) = &intent.new_id {
            let keeps_label = record.owner.as_ref().is_none_or(|known| known == owner);
            let lifetime = Self::at_start(intent, policy, now);
            return Self { label: if keeps_label { label() } else { lifetime.label }, ..lifetime };
        }
        let mut limits = limits(record, policy);
        if let Some(own) = &intent.own_expiry {
            let deadline = earliest(limits.deadline, own.deadline(record.created_at));
            limits = Limits { idle: own.idle_timeout(), deadline };
        }
        Self {
            created_at: record.created_at,
            owner: intent.new_owner().or(record.owner.as_ref()).cloned(),
            label: label(),
            own_expiry: record.own_expiry || intent.own_expiry.is_some(),
            own_idle_timeout: record.own_idle_timeout && intent.own_expiry.is_none(),
            limits,
        }
    }

    /// Puts the lifetime into a record that is written at `now`.
    pub(crate) fn write_to(self, record: &mut Record, now: Timestamp) {
        record.created_at = self.created_at;
        record.expires_at = self.limits.expires_at(now);
        record.idle_timeout = self.limits.idle;
        record.absolute_deadline = self.limits.deadline;
        record.own_expiry = self.own_expiry;
        record.own_idle_timeout = self.own_idle_timeout;
        record.owner = self.owner;
        record.label = self.label;
    }
}

/// What limits a stored session now: its own expiry, or the policy, where a lowered absolute
/// timeout holds for existing sessions too.
pub(crate) fn limits(record: &Record, policy: &Expiry) -> Limits {
    if record.own_expiry {
        return Limits { idle: record.idle_timeout, deadline: record.absolute_deadline };
    }
    let deadline = earliest(record.absolute_deadline, policy.deadline(record.created_at));
    let idle = if record.own_idle_timeout { record.idle_timeout } else { policy.idle_timeout() };
    Limits { idle, deadline }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::NewId;
    use crate::record::Payload;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }

    fn after(n: u64) -> Timestamp {
        START.saturating_add(hours(n))
    }

    fn record(intent: &Intent, policy: &Expiry) -> Record {
        let mut record = Record::new(START, START, Payload::new(1, "{}"));
        Lifetime::at_start(intent, policy, START).write_to(&mut record, START);
        record
    }

    fn own(expiry: Expiry) -> Intent {
        Intent { own_expiry: Some(expiry), ..Intent::default() }
    }

    /// SECURITY 9 and 11.
    #[test]
    fn only_a_sign_in_extends_the_absolute_timeout() {
        let policy = Expiry::idle(hours(2)).absolute(hours(12));
        let session = record(&Intent::default(), &policy);
        assert_eq!(session.expires_at, after(2));

        let used = Lifetime::after(&session, &Intent::default(), &policy, after(11));
        assert_eq!(used.limits.expires_at(after(11)), after(12));
        let asks_for_more = own(Expiry::idle(hours(48)).absolute(hours(96)));
        let stretched = Lifetime::after(&session, &asks_for_more, &policy, after(1));
        assert_eq!(stretched.limits.deadline, Some(after(12)));
        let renewed = Intent { new_id: NewId::Renew, ..Intent::default() };
        assert_eq!(Lifetime::after(&session, &renewed, &policy, after(1)).limits.deadline, Some(after(12)));
        let raised = Expiry::idle(hours(2)).absolute(hours(24));
        assert_eq!(limits(&session, &raised).deadline, Some(after(12)));

        let sign_in = NewId::SignIn(Owner::new("ada").unwrap());
        let signed_in =
            Lifetime::after(&session, &Intent { new_id: sign_in, ..Intent::default() }, &policy, after(1));
        assert_eq!((signed_in.created_at, signed_in.limits.deadline), (after(1), Some(after(13))));
    }

    /// As a session has that Express made with a `maxAge`.
    #[test]
    fn an_idle_timeout_of_its_own_stays_until_a_sign_in_and_lifts_no_absolute_timeout() {
        let policy = Expiry::idle(hours(2)).absolute(hours(12));
        let session = Record {
            own_idle_timeout: true,
            idle_timeout: Some(hours(5)),
            ..record(&Intent::default(), &policy)
        };
        let expected = Limits { idle: Some(hours(5)), deadline: Some(after(12)) };
        assert_eq!(limits(&session, &policy), expected);
        let written = |intent: &Intent| {
            let mut next = session.next();
            Lifetime::after(&session, intent, &policy, after(1)).write_to(&mut next, after(1));
            (next.own_idle_timeout, next.own_expiry, next.idle_timeout)
        };
        assert_eq!(written(&Intent::default()), (true, false, Some(hours(5))));
        assert_eq!(written(&own(Expiry::idle(hours(720)))), (false, true, Some(hours(720))));
        let sign_in = Intent { new_id: NewId::SignIn(Owner::new("ada").unwrap()), ..Intent::default() };
        assert_eq!(written(&sign_in), (false, false, Some(hours(2))));
    }

    #[test]
    fn a_lowered_policy_applies_to_existing_sessions_but_not_to_their_own_expiry() {
        let policy = Expiry::idle(hours(2)).absolute(hours(12));
        let lowered = Expiry::idle(hours(1)).absolute(hours(6));
        let plain = record(&Intent::default(), &policy);
        let expected = Limits { idle: Some(hours(1)), deadline: Some(after(6)) };
        assert_eq!(limits(&plain, &lowered), expected);

        let remembered = record(&own(Expiry::idle(hours(720))), &policy);
        let expected = Limits { idle: Some(hours(720)), deadline: None };
        assert_eq!(limits(&remembered, &lowered), expected);
        // It survives ordinary writes, and a sign-in ends it.
        assert!(Lifetime::after(&remembered, &Intent::default(), &policy, after(1)).own_expiry);
        let sign_in = NewId::SignIn(Owner::new("ada").unwrap());
        assert!(
            !Lifetime::after(
                &remembered,
                &Intent { new_id: sign_in, ..Intent::default() },
                &policy,
                after(1)
            )
            .own_expiry
        );
    }
}
