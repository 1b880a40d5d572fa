//! What is to be done to the store: the one decision, made of what is stored, what the handler wants, what
//! triggered the commit, the policy and the time. Pure, so a table tests it.

use std::time::Duration;

use super::expiry::{Expiry, Limits};
use super::state::{Intent, NewId, StoredState};
use crate::clock::Timestamp;
use crate::error::Conflict;
use crate::record::{Authentication, Extensions, Label, Owner, Record};
use crate::ttl::MAX_TTL;

/// What made a commit due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitTrigger {
    /// The handler asked for it.
    Handler,
    /// The handler asked for a session, with or without data.
    Start,
    /// The handler said that the session is in use.
    Touch,
    /// The handler has answered with this status. Only now is it clear whether a touch is due: until then, any
    /// write would do its work too.
    Response { status: u16 },
    /// The handler ended the session.
    Destroy,
}

/// What is decided on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation<'a> {
    pub(super) stored: &'a StoredState,
    pub(super) intent: &'a Intent,
    /// The data differs from what was loaded.
    pub(super) dirty: bool,
    pub(super) trigger: CommitTrigger,
    /// The response is on its way: what begins now, or gets a new id, would not reach the client.
    pub(super) committed: bool,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    pub(super) expiry: &'a Expiry,
    /// A touch is due once it would gain this share of the idle timeout; never if there is none.
    pub(super) touch_share: Option<f64>,
}

/// What to do to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Create,
    Update,
    /// Move the end of the session to this moment.
    Touch(Timestamp),
    /// Store the owner whom the data tells, and nothing else.
    Adopt,
    Rotate,
    /// End a session that is past its time.
    Expire,
    /// End the session.
    Delete,
    Refuse(Conflict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) action: Action,
    /// The data replaces what is stored, and is not merged with it: it begins with this request, or with
    /// another owner.
    pub(super) starts_over: bool,
    /// The intent is granted with it.
    pub(super) grants: bool,
}

/// Whether a response with this status says that the handler did not get to its end: then nothing that it
/// wrote or asked for is stored.
pub(super) fn is_failure(status: u16) -> bool {
    matches!(status, 408 | 499 | 500..)
}

/// Whether a sign-in takes the session from one owner to another.
pub(super) fn changes_hands(record: &Record, new_owner: Option<&Owner>) -> bool {
    record.owner.is_some() && new_owner.is_some() && record.owner.as_ref() != new_owner
}

/// Decides at `now`.
pub(super) fn decide(situation: Situation<'_>, policy: Policy<'_>, now: Timestamp) -> Decision {
    let Situation { stored, intent, dirty, trigger, committed } = situation;
    let (grants, dirty) = match trigger {
        CommitTrigger::Response { status } => (!is_failure(status), dirty && !is_failure(status)),
        CommitTrigger::Handler | CommitTrigger::Start => (!committed, dirty),
        CommitTrigger::Touch | CommitTrigger::Destroy => (false, false),
    };
    let nothing_wanted = Intent::default();
    let intent = if grants { intent } else { &nothing_wanted };
    let action = match trigger {
        CommitTrigger::Destroy if stored.id().is_some() => Action::Delete,
        CommitTrigger::Destroy => Action::Nothing,
        _ => action(Situation { intent, dirty, ..situation }, policy, now),
    };
    let starts_over = match stored {
        StoredState::New { .. } | StoredState::Moved { .. } | StoredState::Unproven { .. } => {
            action == Action::Create
        }
        StoredState::Live { record, .. } | StoredState::Renewed { record, .. } => {
            changes_hands(record, intent.new_owner())
        }
        StoredState::Ended => false,
    };
    Decision { action, starts_over, grants }
}

fn action(situation: Situation<'_>, policy: Policy<'_>, now: Timestamp) -> Action {
    let Situation { stored, intent, dirty, trigger, committed } = situation;
    let signs_in = matches!(intent.new_id, NewId::SignIn(_));
    let new_id = intent.new_id != NewId::Unasked;
    // An owner is something to store, also where there is no data.
    let dirty = dirty || intent.new_owner().is_some();
    if let (NewId::SetOwner(owner), Some(record)) = (&intent.new_id, stored.record())
        && changes_hands(record, Some(owner))
    {
        // Another request signed somebody in, and this one reloaded.
        return Action::Refuse(Conflict::Owner);
    }
    match stored {
        StoredState::New { .. } => match trigger {
            CommitTrigger::Handler if committed && dirty => Action::Refuse(Conflict::Committed),
            CommitTrigger::Start if committed => Action::Refuse(Conflict::Committed),
            CommitTrigger::Start => Action::Create,
            _ if dirty || signs_in => Action::Create,
            _ => Action::Nothing,
        },

        // An explicit sign-in is a new session by right; anything else would push out the cookie
        // of the sign-in that moved this one.
        StoredState::Moved { .. } | StoredState::Unproven { .. } | StoredState::Ended if signs_in => {
            Action::Create
        }
        StoredState::Moved { .. } if dirty || new_id => Action::Refuse(Conflict::Moved),
        // To begin anew would push out the cookie of the device, which may only be late with its proof.
        StoredState::Unproven { .. } if dirty || new_id => Action::Refuse(Conflict::Unproven),
        StoredState::Ended if new_id => Action::Refuse(Conflict::Ended),
        StoredState::Moved { .. } | StoredState::Unproven { .. } | StoredState::Ended => Action::Nothing,

        // To move an id that is not its own any more is for the store to refuse.
        StoredState::Renewed { .. } if new_id => Action::Rotate,
        StoredState::Renewed { record, .. } if dirty || is_set(intent, record) => Action::Update,
        StoredState::Renewed { .. } => Action::Nothing,

        StoredState::Live { record, .. } => {
            let limits = Lifetime::after(record, intent, policy.expiry, now).limits;
            let next = limits.expires_at(now);
            let touches = matches!(trigger, CommitTrigger::Response { .. } | CommitTrigger::Touch);
            if next <= now {
                Action::Expire
            } else if new_id {
                Action::Rotate
            } else if dirty || is_set(intent, record) {
                Action::Update
            } else if record.is_told_otherwise() && matches!(trigger, CommitTrigger::Response { .. }) {
                Action::Adopt
            } else if touches && touch_is_due(next.saturating_since(record.expires_at), limits.idle, policy) {
                Action::Touch(next)
            } else {
                Action::Nothing
            }
        }
    }
}

/// Whether the session is to get another expiry, or label.
fn is_set(intent: &Intent, record: &Record) -> bool {
    intent.own_expiry.is_some() || intent.label.is_some() && intent.label != record.label
}

fn touch_is_due(gain: Duration, idle: Option<Duration>, policy: Policy<'_>) -> bool {
    let (Some(idle), Some(share)) = (idle, policy.touch_share) else { return false };
    !gain.is_zero() && gain.as_secs_f64() >= share * idle.min(MAX_TTL).as_secs_f64()
}

/// What a write stores beside the data: the record as it was, the manager's policy and the
/// handler's intent, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) created_at: Timestamp,
    pub(super) owner: Option<Owner>,
    label: Option<Label>,
    extensions: Extensions,
    pub(super) own_expiry: bool,
    own_idle_timeout: bool,
    ends_with_browser: bool,
    /// The session ends no earlier, but for a deadline.
    earliest_end: Option<Timestamp>,
    pub(super) limits: Limits,
}

impl Lifetime {
    /// The lifetime of a session that starts, or is signed in, at `now`.
    pub(super) fn at_start(intent: &Intent, policy: &Expiry, now: Timestamp) -> Self {
        let expiry = intent.own_expiry.as_ref().unwrap_or(policy);
        Self {
            created_at: now,
            owner: intent.new_owner().cloned(),
            label: intent.label.clone(),
            extensions: intent.confirmed.map(|it| it.write_to(&Extensions::default())).unwrap_or_default(),
            own_expiry: intent.own_expiry.is_some(),
            own_idle_timeout: false,
            ends_with_browser: false,
            earliest_end: None,
            limits: Limits { idle: expiry.idle_timeout(), deadline: expiry.deadline(now) },
        }
    }

    /// The lifetime of a stored session once `intent` is granted. Only a sign-in starts the absolute
    /// timeout again; an expiry of the session's own can bring its end nearer, but not put it off.
    pub(super) fn after(record: &Record, intent: &Intent, policy: &Expiry, now: Timestamp) -> Self {
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
            extensions: extensions(record, intent),
            own_expiry: record.own_expiry || intent.own_expiry.is_some(),
            own_idle_timeout: record.own_idle_timeout && intent.own_expiry.is_none(),
            ends_with_browser: record.ends_with_browser && intent.own_expiry.is_none(),
            // Node may give a session any time to live, and a write here does not take it away.
            earliest_end: (record.express_cookie.is_some()
                && !record.own_expiry
                && intent.own_expiry.is_none())
            .then_some(record.expires_at),
            limits,
        }
    }

    /// Puts the lifetime into a record that is written at `now`.
    pub(super) fn write_to(self, record: &mut Record, now: Timestamp) {
        record.created_at = self.created_at;
        let end = self.limits.expires_at(now).max(self.earliest_end.unwrap_or(now));
        record.expires_at = self.limits.deadline.map_or(end, |deadline| end.min(deadline));
        record.idle_timeout = self.limits.idle;
        record.absolute_deadline = self.limits.deadline;
        record.own_expiry = self.own_expiry;
        record.own_idle_timeout = self.own_idle_timeout;
        record.ends_with_browser = self.ends_with_browser;
        record.owner = self.owner;
        record.label = self.label;
        record.extensions = self.extensions;
    }
}

/// What is kept beside the data of a stored session once `intent` is granted.
fn extensions(record: &Record, intent: &Intent) -> Extensions {
    let mut extensions = record.extensions.clone();
    if let Some(confirmed) = intent.confirmed {
        extensions = confirmed.after(Authentication::of(record)).write_to(&extensions);
    }
    if let Some(device_key) = &intent.device_key {
        extensions = device_key.write_to(&extensions);
    }
    extensions
}

/// What limits a stored session now: its own expiry, or the policy, where a lowered absolute
/// timeout holds for existing sessions too.
pub(super) fn limits(record: &Record, policy: &Expiry) -> Limits {
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
mod tests;
