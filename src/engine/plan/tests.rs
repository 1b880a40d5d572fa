use super::*;
use crate::id::SessionId;
use crate::record::{Payload, Written};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const IDLE: Duration = Duration::from_secs(100);

fn policy(expiry: &Expiry) -> Policy<'_> {
    Policy { expiry, touch_share: Some(0.1) }
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn id() -> SessionId {
    SessionId::generate()
}

/// A session that was used so many milliseconds ago.
fn stored(age: u64, owner: Option<Owner>) -> Record {
    let mut record = Record::new(NOW, NOW, Payload::new(1, "{}"));
    record.expires_at = Timestamp::from_millis(NOW.as_millis() + 100_000 - age);
    record.idle_timeout = Some(IDLE);
    record.owner = owner;
    record
}

fn live(age: u64, owner: Option<Owner>) -> StoredState {
    StoredState::Live { id: id(), record: stored(age, owner) }
}

fn asking(new_id: NewId) -> Intent {
    Intent { new_id, ..Intent::default() }
}

/// A trigger, and whether the response is on its way.
type Moment = (CommitTrigger, bool);

const SAVE: Moment = (CommitTrigger::Handler, false);
const LATE_SAVE: Moment = (CommitTrigger::Handler, true);
const START: Moment = (CommitTrigger::Start, false);
const LATE_START: Moment = (CommitTrigger::Start, true);
const OK: Moment = (CommitTrigger::Response { status: 200 }, true);
const NOT_FOUND: Moment = (CommitTrigger::Response { status: 404 }, true);
const FAILED: Moment = (CommitTrigger::Response { status: 500 }, true);
const TOUCH: Moment = (CommitTrigger::Touch, false);
const DESTROY: Moment = (CommitTrigger::Destroy, false);

fn decided(
    stored: &StoredState,
    intent: &Intent,
    dirty: bool,
    moment: Moment,
    expiry: &Expiry,
    now: Timestamp,
) -> Decision {
    let (trigger, committed) = moment;
    decide(Situation { stored, intent, dirty, trigger, committed }, policy(expiry), now)
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn the_table() {
    use Action::{Adopt, Create, Delete, Expire, Nothing, Refuse, Rotate, Touch, Update};

    let (new, unusable) = (StoredState::New { unusable: None }, StoredState::New { unusable: Some(id()) });
    let (fresh, used, over) = (live(0, None), live(50_000, None), live(100_000, None));
    let of_ada = live(0, Some(owner("ada")));
    let told = |age| {
        let written = Some(Box::new(Written { owner: Some(Box::new(None)), ..Written::default() }));
        StoredState::Live { id: id(), record: Record { written, ..stored(age, Some(owner("ada"))) } }
    };
    let (told, told_before) = (told(0), told(50_000));
    let renewed = StoredState::Renewed { id: id(), record: stored(50_000, None) };
    let (moved, ended) = (StoredState::Moved { id: id() }, StoredState::Ended);

    let nothing = Intent::default();
    let renew = asking(NewId::Renew);
    let (ada, bob) = (asking(NewId::SignIn(owner("ada"))), asking(NewId::SignIn(owner("bob"))));
    let (set_ada, set_bob) = (asking(NewId::SetOwner(owner("ada"))), asking(NewId::SetOwner(owner("bob"))));
    let label = Intent { label: Some(Label::new("phone").unwrap()), ..Intent::default() };

    let end = NOW.saturating_add(IDLE);
    let (merges, starts_over) = (false, true);
    let table = [
        // stored    intent    dirty  trigger     action                       data
        (&new, &nothing, false, OK, Nothing, merges),
        (&new, &nothing, true, OK, Create, starts_over),
        (&new, &nothing, true, NOT_FOUND, Create, starts_over),
        (&new, &nothing, true, FAILED, Nothing, merges),
        (&new, &nothing, true, SAVE, Create, starts_over),
        (&new, &nothing, true, LATE_SAVE, Refuse(Conflict::Committed), merges),
        (&new, &nothing, false, LATE_SAVE, Nothing, merges),
        (&new, &nothing, false, START, Create, starts_over),
        (&new, &nothing, false, LATE_START, Refuse(Conflict::Committed), merges),
        (&new, &nothing, false, TOUCH, Nothing, merges),
        (&new, &nothing, true, DESTROY, Nothing, merges),
        (&unusable, &nothing, false, DESTROY, Delete, merges),
        (&new, &label, false, OK, Nothing, merges),
        (&new, &renew, false, OK, Nothing, merges),
        (&new, &renew, true, OK, Create, starts_over),
        (&new, &ada, false, OK, Create, starts_over),
        (&new, &ada, true, FAILED, Nothing, merges),
        (&new, &set_ada, false, OK, Create, starts_over),
        (&fresh, &nothing, false, OK, Nothing, merges),
        (&fresh, &nothing, true, OK, Update, merges),
        (&fresh, &nothing, true, FAILED, Nothing, merges),
        (&fresh, &nothing, true, LATE_SAVE, Update, merges),
        (&fresh, &label, false, OK, Update, merges),
        (&fresh, &renew, false, OK, Rotate, merges),
        (&fresh, &renew, true, FAILED, Nothing, merges),
        (&fresh, &renew, true, LATE_SAVE, Update, merges),
        (&fresh, &ada, false, OK, Rotate, merges),
        (&fresh, &ada, false, SAVE, Rotate, merges),
        (&fresh, &set_ada, false, OK, Rotate, merges),
        (&fresh, &nothing, false, DESTROY, Delete, merges),
        (&of_ada, &ada, true, OK, Rotate, merges),
        (&of_ada, &bob, true, OK, Rotate, starts_over),
        (&of_ada, &bob, true, FAILED, Nothing, merges),
        (&of_ada, &set_ada, false, OK, Rotate, merges),
        (&of_ada, &set_bob, false, OK, Refuse(Conflict::Owner), starts_over),
        (&told, &nothing, false, OK, Adopt, merges),
        (&told, &nothing, false, FAILED, Adopt, merges),
        (&told, &nothing, false, TOUCH, Nothing, merges),
        (&told, &nothing, false, SAVE, Nothing, merges),
        (&told, &nothing, true, OK, Update, merges),
        (&told, &bob, false, OK, Rotate, starts_over),
        (&told_before, &nothing, false, OK, Adopt, merges),
        (&used, &nothing, false, OK, Touch(end), merges),
        (&used, &nothing, false, FAILED, Touch(end), merges),
        (&used, &nothing, false, TOUCH, Touch(end), merges),
        (&used, &nothing, false, SAVE, Nothing, merges),
        (&used, &nothing, true, FAILED, Touch(end), merges),
        (&used, &nothing, true, OK, Update, merges),
        (&over, &nothing, false, OK, Touch(end), merges),
        (&renewed, &nothing, false, OK, Nothing, merges),
        (&renewed, &nothing, true, OK, Update, merges),
        (&renewed, &nothing, true, FAILED, Nothing, merges),
        (&renewed, &label, false, OK, Update, merges),
        (&renewed, &renew, true, OK, Rotate, merges),
        (&renewed, &ada, false, OK, Rotate, merges),
        (&renewed, &nothing, false, TOUCH, Nothing, merges),
        (&renewed, &nothing, false, DESTROY, Delete, merges),
        (&moved, &nothing, false, OK, Nothing, merges),
        (&moved, &nothing, true, OK, Refuse(Conflict::Moved), merges),
        (&moved, &nothing, true, FAILED, Nothing, merges),
        (&moved, &label, false, OK, Nothing, merges),
        (&moved, &renew, false, OK, Refuse(Conflict::Moved), merges),
        (&moved, &ada, true, OK, Create, starts_over),
        (&moved, &nothing, false, DESTROY, Delete, merges),
        (&ended, &nothing, true, OK, Nothing, merges),
        (&ended, &renew, false, OK, Refuse(Conflict::Ended), merges),
        (&ended, &ada, false, OK, Create, merges),
        (&ended, &nothing, false, DESTROY, Nothing, merges),
    ];
    let expiry = Expiry::idle(IDLE);
    for (row, (stored, intent, dirty, trigger, action, starts_over)) in table.into_iter().enumerate() {
        let decision = decided(stored, intent, dirty, trigger, &expiry, NOW);
        assert_eq!(
            (decision.action, decision.starts_over),
            (action, starts_over),
            "row {row}: {stored:?} {intent:?} {trigger:?}"
        );
    }

    // Past its deadline, whatever was asked but to sign in.
    let deadline = Expiry::idle(IDLE).absolute(IDLE);
    for (intent, dirty, trigger, action) in [
        (&nothing, false, OK, Expire),
        (&nothing, true, FAILED, Expire),
        (&renew, true, OK, Expire),
        (&label, true, SAVE, Expire),
        (&nothing, false, TOUCH, Expire),
        (&ada, true, OK, Rotate),
        (&nothing, false, DESTROY, Delete),
    ] {
        let decision = decided(&fresh, intent, dirty, trigger, &deadline, NOW.saturating_add(IDLE));
        assert_eq!(decision.action, action, "{intent:?} {trigger:?}");
    }
}

#[test]
fn what_says_that_a_handler_did_not_get_to_its_end() {
    let failures: Vec<_> = (100..1000).filter(|status| is_failure(*status)).collect();
    assert_eq!(failures[..3], [408, 499, 500]);
    assert!(failures[2..].iter().copied().eq(500..1000));
}

#[test]
fn a_touch_waits_for_its_share_of_the_idle_timeout() {
    let idle = Expiry::idle(IDLE);
    let reading = |stored: &StoredState, share: f64, expiry: &Expiry| {
        let touch_share = Some(share);
        let (trigger, committed) = OK;
        let reading = Situation { stored, intent: &Intent::default(), dirty: false, trigger, committed };
        decide(reading, Policy { expiry, touch_share }, NOW).action
    };
    let end = NOW.saturating_add(IDLE);
    for (age, share, action) in [
        (9_999, 0.1, Action::Nothing),
        (10_000, 0.1, Action::Touch(end)),
        (1, 0.0, Action::Touch(end)),
        (0, 0.0, Action::Nothing),
        (99_999, 1.0, Action::Nothing),
    ] {
        assert_eq!(reading(&live(age, None), share, &idle), action, "{age}");
    }
    // Near the deadline there is nothing left to gain (SECURITY 9).
    let near = Duration::from_secs(5);
    let at_deadline = live(95_000, None);
    assert_eq!(reading(&at_deadline, 0.1, &idle.absolute(near)), Action::Nothing);
    // An absolute timeout alone has nothing to roll.
    assert_eq!(reading(&at_deadline, 0.0, &Expiry::absolute_only(near)), Action::Nothing);
    // The longest idle timeout rolls too.
    let longest = Expiry::idle(Duration::MAX);
    let half_way = NOW.as_millis() + MAX_TTL.as_secs() * 500;
    let mut record = stored(0, None);
    record.expires_at = Timestamp::from_millis(half_way);
    let stored = StoredState::Live { id: id(), record };
    assert_eq!(reading(&stored, 0.1, &longest), Action::Touch(NOW.saturating_add(MAX_TTL)));
}

const BEGAN: Timestamp = Timestamp::from_millis(1_000_000);

fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

fn after(n: u64) -> Timestamp {
    BEGAN.saturating_add(hours(n))
}

fn record(intent: &Intent, policy: &Expiry) -> Record {
    let mut record = Record::new(BEGAN, BEGAN, Payload::new(1, "{}"));
    Lifetime::at_start(intent, policy, BEGAN).write_to(&mut record, BEGAN);
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
        ends_with_browser: true,
        idle_timeout: Some(hours(5)),
        ..record(&Intent::default(), &policy)
    };
    let expected = Limits { idle: Some(hours(5)), deadline: Some(after(12)) };
    assert_eq!(limits(&session, &policy), expected);
    let written = |intent: &Intent| {
        let mut next = session.next();
        Lifetime::after(&session, intent, &policy, after(1)).write_to(&mut next, after(1));
        // Its cookie ends with the browser for as long.
        assert_eq!(next.ends_with_browser, next.own_idle_timeout);
        (next.own_idle_timeout, next.own_expiry, next.idle_timeout)
    };
    assert_eq!(written(&Intent::default()), (true, false, Some(hours(5))));
    assert_eq!(written(&own(Expiry::idle(hours(720)))), (false, true, Some(hours(720))));
    let sign_in = Intent { new_id: NewId::SignIn(Owner::new("ada").unwrap()), ..Intent::default() };
    assert_eq!(written(&sign_in), (false, false, Some(hours(2))));
}

/// Node may give a session any time to live.
#[test]
fn a_write_takes_no_time_away_that_express_gave() {
    let policy = Expiry::idle(hours(2)).absolute(hours(12));
    let ends = |of_express: bool, end: u64, intent: &Intent| {
        let session = Record {
            express_cookie: of_express.then(|| Box::new(Payload::new(1, "{}"))),
            expires_at: after(end),
            ..record(&Intent::default(), &policy)
        };
        let mut next = session.next();
        Lifetime::after(&session, intent, &policy, after(1)).write_to(&mut next, after(1));
        next.expires_at
    };
    let nothing = Intent::default();
    let sign_in = Intent { new_id: NewId::SignIn(Owner::new("ada").unwrap()), ..Intent::default() };
    assert_eq!(ends(false, 9, &nothing), after(3));
    assert_eq!(ends(true, 9, &nothing), after(9));
    assert_eq!(ends(true, 2, &nothing), after(3));
    assert_eq!(ends(true, 30, &nothing), after(12), "a deadline holds");
    assert_eq!(ends(true, 9, &own(Expiry::idle(hours(1)))), after(2));
    assert_eq!(ends(true, 9, &sign_in), after(3));
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
        !Lifetime::after(&remembered, &Intent { new_id: sign_in, ..Intent::default() }, &policy, after(1))
            .own_expiry
    );
}
