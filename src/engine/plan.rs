//! The one decision at the end of a request: what to do to the store. Pure, so a table tests it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::expiry::Limits;
use crate::error::Conflict;
use crate::ttl::MAX_TTL;

/// What a request knows about its session when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) stored: StoredState,
    pub(crate) identity: Identity,
    /// The data differs from what was loaded.
    pub(crate) dirty: bool,
    /// The session was given an expiry of its own, or a label.
    pub(crate) terms_set: bool,
}

/// Where a session stands in the store, as far as the request knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredState {
    /// Nothing is stored.
    New,
    /// It is stored, and ends at `expires_at` if nothing is done. `limits` are what will hold
    /// after this request.
    Live { expires_at: Timestamp, limits: Limits },
    /// It has another id by now, to which what this request writes follows it.
    Renewed,
    /// It has another id by now.
    Moved,
    /// It was stored, and is gone.
    Ended,
}

/// What the request asked to do to the session's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Keep,
    Renew,
    SignIn,
}

/// What to do to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Create,
    Update,
    /// Move the end of the session to this moment.
    Touch(Timestamp),
    Rotate,
    Delete,
    Refuse(Conflict),
}

/// Decides at `now`; a touch is due once it would gain `touch_share` of the idle timeout.
pub(crate) fn decide(facts: Facts, now: Timestamp, touch_share: f64) -> Action {
    let Facts { stored, identity, dirty, terms_set } = facts;
    match stored {
        StoredState::New if dirty || identity == Identity::SignIn => Action::Create,
        StoredState::New => Action::Nothing,

        // An explicit sign-in is a new session by right; anything else would push out the cookie
        // of the sign-in that moved this one.
        StoredState::Moved | StoredState::Ended if identity == Identity::SignIn => Action::Create,
        StoredState::Moved if dirty || identity == Identity::Renew => Action::Refuse(Conflict::Moved),
        StoredState::Ended if identity == Identity::Renew => Action::Refuse(Conflict::Ended),
        StoredState::Moved | StoredState::Ended => Action::Nothing,

        // To move an id that is not its own any more is for the store to refuse.
        StoredState::Renewed if identity != Identity::Keep => Action::Rotate,
        StoredState::Renewed if dirty || terms_set => Action::Update,
        StoredState::Renewed => Action::Nothing,

        StoredState::Live { expires_at, limits } => {
            let next = limits.expires_at(now);
            if next <= now {
                Action::Delete
            } else if identity != Identity::Keep {
                Action::Rotate
            } else if dirty || terms_set {
                Action::Update
            } else if touch_is_due(next.saturating_since(expires_at), limits.idle, touch_share) {
                Action::Touch(next)
            } else {
                Action::Nothing
            }
        }
    }
}

fn touch_is_due(gain: Duration, idle: Option<Duration>, share: f64) -> bool {
    let due = |idle: Duration| gain.as_secs_f64() >= share * idle.min(MAX_TTL).as_secs_f64();
    !gain.is_zero() && idle.is_some_and(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Create, Delete, Nothing, Refuse, Rotate, Update};
    use Identity::{Keep, Renew, SignIn};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const IDLE: Duration = Duration::from_secs(100);

    fn live(age: u64) -> StoredState {
        let limits = Limits { idle: Some(IDLE), deadline: None };
        StoredState::Live { expires_at: Timestamp::from_millis(1_000_000 + 100_000 - age), limits }
    }

    #[test]
    fn the_table() {
        let fresh = live(0);
        let table = [
            // stored          identity dirty  expiry action
            (StoredState::New, Keep, false, false, Nothing),
            (StoredState::New, Keep, true, false, Create),
            (StoredState::New, Keep, false, true, Nothing),
            (StoredState::New, Renew, false, false, Nothing),
            (StoredState::New, Renew, true, false, Create),
            (StoredState::New, SignIn, false, false, Create),
            (fresh, Keep, false, false, Nothing),
            (fresh, Keep, true, false, Update),
            (fresh, Keep, false, true, Update),
            (fresh, Renew, false, false, Rotate),
            (fresh, Renew, true, true, Rotate),
            (fresh, SignIn, false, false, Rotate),
            (StoredState::Renewed, Keep, false, false, Nothing),
            (StoredState::Renewed, Keep, true, false, Update),
            (StoredState::Renewed, Keep, false, true, Update),
            (StoredState::Renewed, Renew, true, false, Rotate),
            (StoredState::Renewed, SignIn, false, false, Rotate),
            (StoredState::Moved, Keep, false, false, Nothing),
            (StoredState::Moved, Keep, true, false, Refuse(Conflict::Moved)),
            (StoredState::Moved, Keep, false, true, Nothing),
            (StoredState::Moved, Renew, false, false, Refuse(Conflict::Moved)),
            (StoredState::Moved, SignIn, true, false, Create),
            (StoredState::Ended, Keep, true, true, Nothing),
            (StoredState::Ended, Renew, false, false, Refuse(Conflict::Ended)),
            (StoredState::Ended, SignIn, false, false, Create),
        ];
        for (stored, identity, dirty, terms_set, action) in table {
            let facts = Facts { stored, identity, dirty, terms_set };
            assert_eq!(decide(facts, NOW, 0.1), action, "{facts:?}");
        }
    }

    #[test]
    fn a_touch_waits_for_its_share_of_the_idle_timeout() {
        let reading = |stored| Facts { stored, identity: Keep, dirty: false, terms_set: false };
        let end = NOW.saturating_add(IDLE);
        assert_eq!(decide(reading(live(9_999)), NOW, 0.1), Nothing);
        assert_eq!(decide(reading(live(10_000)), NOW, 0.1), Action::Touch(end));
        assert_eq!(decide(reading(live(1)), NOW, 0.0), Action::Touch(end));
        assert_eq!(decide(reading(live(0)), NOW, 0.0), Nothing);
        assert_eq!(decide(reading(live(99_999)), NOW, 1.0), Nothing);

        // Near the deadline there is nothing left to gain (SECURITY 9).
        let deadline = NOW.saturating_add(Duration::from_secs(5));
        let limits = Limits { idle: Some(IDLE), deadline: Some(deadline) };
        let stored = StoredState::Live { expires_at: deadline, limits };
        assert_eq!(decide(reading(stored), NOW, 0.1), Nothing);
        // An absolute timeout alone has nothing to roll.
        let limits = Limits { idle: None, deadline: Some(deadline) };
        let stored = StoredState::Live { expires_at: NOW, limits };
        assert_eq!(decide(reading(stored), NOW, 0.0), Nothing);
    }

    #[test]
    fn the_longest_idle_timeout_rolls_too() {
        let limits = Limits { idle: Some(Duration::MAX), deadline: None };
        let half_way = Timestamp::from_millis(NOW.as_millis() + MAX_TTL.as_secs() * 500);
        let stored = StoredState::Live { expires_at: half_way, limits };
        let facts = Facts { stored, identity: Keep, dirty: false, terms_set: false };
        assert_eq!(decide(facts, NOW, 0.1), Action::Touch(NOW.saturating_add(MAX_TTL)));
    }

    #[test]
    fn a_session_past_its_deadline_is_deleted_whatever_was_asked() {
        let limits = Limits { idle: Some(IDLE), deadline: Some(NOW) };
        let stored = StoredState::Live { expires_at: NOW, limits };
        for identity in [Keep, Renew] {
            let facts = Facts { stored, identity, dirty: true, terms_set: true };
            assert_eq!(decide(facts, NOW, 0.1), Delete);
        }
    }
}
