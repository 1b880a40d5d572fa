//! Brings the store in step with what a request did to its session.

use super::change::Change;
use super::late_write::{Kind, LateWrite};
use super::plan::{self, Action, CommitTrigger, Decision, Situation};
use super::state::{CookieChange, Intent, NewId, State, StoredState};
use super::write::{CasOutcome, CasWrite};
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::codec::Encoder;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::{Moved, Record};
use crate::store::Updated;

/// What is to be done to the store: decided under the state's lock, carried out without it.
pub(super) struct Plan {
    action: Action,
    now: Timestamp,
    pub(super) stored: StoredState,
    change: Change,
    pub(super) intent: Intent,
    /// How many writes the session had seen.
    writes: u64,
}

impl<T: SessionData> Shared<T> {
    /// Whether a response of this status can go out without asking the store for anything.
    pub(super) fn is_settled(&self, status: u16) -> bool {
        // What another task of the request is storing may yet change the cookie.
        let Ok(_nothing_on_its_way) = self.storing.try_lock() else {
            return false;
        };
        let (now, trigger) = (self.manager.clock.now(), CommitTrigger::Response { status });
        self.state().read(|state| {
            state.baseline.is_none()
                && !matches!(state.cookie, CookieChange::Refresh { .. })
                && self.decide(state, false, trigger, now).action == Action::Nothing
        })
    }

    /// Stores what is pending. The caller holds the `storing` lock.
    pub(super) async fn store_pending(&self, trigger: CommitTrigger) -> Result<(), Error> {
        let plan = self.plan(trigger)?;
        self.carry_out(&plan)
            .await
            .inspect_err(|error| self.manager.telemetry().failed(error, plan.subject()))
    }

    fn plan(&self, trigger: CommitTrigger) -> Result<Plan, Error> {
        let encoder = self.manager.encoder();
        let now = self.manager.clock.now();
        self.state().write(|state| {
            let mut change = pending_change(encoder, state)?;
            let Decision { action, starts_over, grants } = self.decide(state, change.is_some(), trigger, now);
            if starts_over {
                change = Change::Whole(encoder.encode(&*state.value)?);
            }
            let intent = if grants { state.intent.clone() } else { Intent::default() };
            Ok(Plan { action, now, stored: state.stored.clone(), change, intent, writes: state.writes })
        })
    }

    /// To be asked under the state's lock.
    pub(super) fn decide(
        &self,
        state: &State<T>,
        dirty: bool,
        trigger: CommitTrigger,
        now: Timestamp,
    ) -> Decision {
        let (stored, intent, committed) = (&state.stored, &state.intent, self.is_committed());
        let situation = Situation { stored, intent, dirty, trigger, committed };
        plan::decide(situation, self.manager.policy(), now)
    }

    async fn carry_out(&self, plan: &Plan) -> Result<(), Error> {
        match (plan.action, &plan.stored) {
            (Action::Create, _) => {
                let data = plan.change.apply_to_default::<T>(self.manager.encoder())?;
                let (id, record) = self.create(&plan.intent, data, plan.now).await?;
                self.settle(plan, id, record);
            }
            (Action::Update, StoredState::Live { id, record }) => self.write(plan, id, None, record).await?,
            (Action::Update, StoredState::Renewed { id, record }) => {
                self.write_late(plan, id, record).await?;
            }
            (Action::Rotate, StoredState::Live { id, record } | StoredState::Renewed { id, record }) => {
                self.write(plan, id, Some(id.rotated()), record).await?;
            }
            (Action::Touch(expires_at), StoredState::Live { id, record }) => {
                let touched = self.touch(id, record, expires_at, plan.now).await;
                if touched {
                    let record = Record { expires_at, ..record.clone() };
                    self.settle(plan, id.clone(), record);
                }
            }
            (Action::Adopt, StoredState::Live { id, record }) => {
                // The next request will try again.
                if let Err(error) = self.write(plan, id, None, record).await {
                    tracing::warn!(key = %id.key(), %error, "the owner named by a session's data could not be \
                        stored");
                }
            }
            (Action::Expire, StoredState::Live { id, record }) => self.expire(plan, id, record).await?,
            (Action::Refuse(conflict), _) => return Err(conflict.into()),
            _ => {}
        }
        Ok(())
    }

    /// Ends a session that is past its absolute timeout, as far as this request knows.
    async fn expire(&self, plan: &Plan, id: &SessionId, base: &Record) -> Result<(), Error> {
        let writes = plan.change.is_some() || plan.intent.own_expiry.is_some() || plan.intent.label.is_some();
        let outcome = match self.manager.store.at(plan.now).expire(id, base).await {
            Err(error) if error.counts_as_absent() => Updated::Missing,
            outcome => outcome?,
        };
        let is_over = match &outcome {
            Updated::Updated => true,
            Updated::Stale(theirs) => self.manager.has_ended(theirs),
            Updated::Missing | Updated::Moved => false,
        };
        let in_doubt = match outcome {
            // By a sign-in, it may have a timeout that began later.
            Updated::Moved => {
                let stored = StoredState::Renewed { id: id.clone(), record: base.clone() };
                self.state().write(|state| state.stored = stored);
                return match plan.intent.new_id {
                    NewId::Unasked if writes => self.write_late(plan, id, base).await,
                    NewId::Unasked => Ok(()),
                    _ => Err(Conflict::Moved.into()),
                };
            }
            Updated::Stale(theirs) => !self.manager.has_ended(&theirs),
            Updated::Missing => self.may_have_moved(),
            Updated::Updated => false,
        };
        if is_over {
            self.manager.telemetry().expired(id.key(), base, plan.now);
        }
        self.state().write(|state| state.lose(StoredState::Ended));
        if writes && in_doubt { Err(Conflict::Ended.into()) } else { Ok(()) }
    }

    /// Replaces the session's record, or moves it to `new_id`, merging with what others stored.
    async fn write(
        &self,
        plan: &Plan,
        id: &SessionId,
        new_id: Option<SessionId>,
        base: &Record,
    ) -> Result<(), Error> {
        let manager = &*self.manager;
        let swap = CasWrite { id, new_id, base, intent: &plan.intent, now: plan.now };
        let swapped = self
            .swap(swap, |current| {
                let (policy, theirs) = (&manager.on_conflict, &current.data);
                plan.change.reconcile(manager.encoder(), policy, &base.data, theirs).map(Some)
            })
            .await?;
        let (stored, conflict, is_lost) = match swapped {
            CasOutcome::Stored(id, record) => {
                self.settle(plan, id, record);
                return Ok(());
            }
            CasOutcome::Unchanged(_) => return Ok(()),
            CasOutcome::Moved(_) if plan.action == Action::Update => {
                return self.write_late(plan, id, base).await;
            }
            // Else it counts as having come before the session was ended.
            CasOutcome::Missing => (StoredState::Ended, Conflict::Ended, self.may_have_moved()),
            CasOutcome::Moved(_) => (StoredState::Moved { id: id.clone() }, Conflict::Moved, true),
        };
        manager.telemetry().ended_meanwhile();
        self.state().write(|state| state.lose(stored));
        match (&plan.intent.new_id, plan.action) {
            (NewId::SignIn(_), _) => {
                // What an owner left behind is nobody's to take over.
                let data = match base.owner {
                    None => plan.change.apply_to::<T>(manager.codec, &base.data),
                    Some(_) => plan.change.apply_to_default::<T>(manager.encoder())?,
                };
                let (id, record) = self.create(&plan.intent, data, plan.now).await?;
                self.settle(plan, id, record);
                Ok(())
            }
            (_, Action::Rotate) => Err(conflict.into()),
            _ if is_lost => Err(conflict.into()),
            _ => Ok(()),
        }
    }

    /// Sends the write of a plan after a session that has another id than this by now.
    async fn write_late(&self, plan: &Plan, id: &SessionId, base: &Record) -> Result<(), Error> {
        let (change, intent, now) = (&plan.change, &plan.intent, plan.now);
        let record = self.follow(LateWrite { id, base, change, intent, now, kind: Kind::Write }).await?;
        self.state().write(|state| {
            if let Some(after) = plan.change.after() {
                state.baseline = (state.writes != plan.writes).then(|| after.clone());
            }
            state.stored = StoredState::Renewed { id: id.clone(), record };
            state.grant(&plan.intent);
        });
        Ok(())
    }

    /// Whether the session, if it is gone now, may have got a new id since it was last seen, so long ago that
    /// the marker may be gone too.
    pub(super) fn may_have_moved(&self) -> bool {
        let (now, policy) = (self.manager.clock.now(), &self.manager.expiry);
        self.state().read(|state| {
            let StoredState::Live { record, .. } = &state.stored else { return true };
            // A sign-in puts the policy's idle timeout in the place of the session's own.
            let idle = plan::limits(record, policy).idle.into_iter().chain(policy.idle_timeout()).min();
            let marker = idle.map_or(Moved::MAX_LIFE, |idle| idle.min(Moved::MAX_LIFE));
            now.saturating_since(state.known_at) >= marker
        })
    }

    /// Takes what was stored as the new state of affairs, and the intent as granted.
    fn settle(&self, plan: &Plan, id: SessionId, record: Record) {
        self.state().write(|state| {
            if let Some(after) = plan.change.after() {
                if state.writes == plan.writes {
                    // Merging may have brought in what others wrote: reads should see it.
                    if record.data != *after
                        && let Ok(merged) = record.data.shared()
                    {
                        state.value = merged;
                    }
                    state.baseline = None;
                } else {
                    state.rebase(self.manager.encoder(), after.clone(), &record.data);
                }
            }
            state.stored = StoredState::Live { id, record };
            state.known_at = plan.now;
            state.grant(&plan.intent);
        });
    }
}

/// What was written since the session was last in step with the store.
fn pending_change<T: SessionData>(encoder: Encoder<'_>, state: &State<T>) -> Result<Change, Error> {
    let Some(before) = &state.baseline else {
        return Ok(Change::None);
    };
    let after = encoder.encode(&*state.value)?;
    Ok(if after == *before { Change::None } else { Change::Edit { before: before.clone(), after } })
}
