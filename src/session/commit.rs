//! Brings the store in step with what a request did to its session.

use super::change::Change;
use super::following::{Kind, LateWrite};
use super::state::{CookieChange, NewId, Standing, State, Wish};
use super::storing::{Swap, Swapped};
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::codec::Encoder;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::lifecycle::{self, Action, Facts, Identity};
use crate::manager::terms::{self, Terms};
use crate::record::{Moved, Owner, Record};
use crate::store::Updated;

/// When something is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The handler asked for it.
    Now,
    /// The handler has answered. Only now is it clear whether a touch is due: until then, any write
    /// would do its work too.
    Response,
}

/// What is to be done to the store: decided under the state's lock, carried out without it.
struct Plan {
    action: Action,
    now: Timestamp,
    standing: Standing,
    change: Change,
    wish: Wish,
    /// How many writes the session had seen.
    writes: u64,
}

impl<T: SessionData> Shared<T> {
    /// Whether a response can go out without asking the store for anything.
    pub(super) fn is_settled(&self) -> bool {
        // What another task of the request is storing may yet change the cookie.
        let Ok(_nothing_on_its_way) = self.storing.try_lock() else {
            return false;
        };
        let now = self.manager.clock.now();
        self.state().read(|state| {
            state.baseline.is_none()
                && !matches!(state.cookie, CookieChange::Refresh { .. })
                && self.decide(state, &state.wish, false, now) == Action::Nothing
        })
    }

    /// Stores what is pending. The caller holds the `storing` lock.
    pub(super) async fn store_pending(&self, moment: Moment) -> Result<(), Error> {
        let plan = self.plan(moment)?;
        self.carry_out(&plan).await.inspect_err(|error| self.count_conflict(error))
    }

    fn plan(&self, moment: Moment) -> Result<Plan, Error> {
        let encoder = self.manager.encoder();
        let now = self.manager.clock.now();
        self.state().write(|state| {
            let mut change = pending_change(encoder, state)?;
            let too_late = self.is_committed() && moment == Moment::Now;
            let wish = if too_late { Wish::default() } else { state.wish.clone() };
            let action = match self.decide(state, &wish, change.is_some(), now) {
                Action::Touch(_) if moment == Moment::Now => Action::Nothing,
                Action::Create if too_late => return Err(Conflict::Committed.into()),
                action => action,
            };
            if let (NewId::SetOwner(owner), Some(record)) = (&wish.new_id, state.record())
                && changes_hands(record, Some(owner))
            {
                // Another request signed somebody in meanwhile, and this one reloaded.
                return Err(Conflict::Owner.into());
            }
            let begins = match &state.standing {
                Standing::New { .. } | Standing::Moved { .. } => action == Action::Create,
                Standing::Live { record, .. } | Standing::Renewed { record, .. } => {
                    changes_hands(record, wish.new_owner())
                }
                Standing::Ended => false,
            };
            if begins {
                change = Change::Whole(encoder.encode(&*state.value)?);
            }
            Ok(Plan { action, now, standing: state.standing.clone(), change, wish, writes: state.writes })
        })
    }

    fn decide(&self, state: &State<T>, wish: &Wish, dirty: bool, now: Timestamp) -> Action {
        let standing = match &state.standing {
            Standing::New { .. } => lifecycle::Standing::New,
            Standing::Live { record, .. } => lifecycle::Standing::Live {
                expires_at: record.expires_at,
                limits: Terms::after(record, wish, &self.manager.expiry, now).limits,
            },
            Standing::Renewed { .. } => lifecycle::Standing::Renewed,
            Standing::Moved { .. } => lifecycle::Standing::Moved,
            Standing::Ended => lifecycle::Standing::Ended,
        };
        let new_label = wish.label.is_some() && wish.label.as_ref() != state.label();
        let terms_set = wish.own_expiry.is_some() || new_label;
        // An owner is something to store, also where there is no data.
        let dirty = dirty || wish.new_owner().is_some();
        let facts = Facts { standing, identity: wish.identity(), dirty, terms_set };
        lifecycle::decide(facts, now, self.manager.touch_share)
    }

    async fn carry_out(&self, plan: &Plan) -> Result<(), Error> {
        match (plan.action, &plan.standing) {
            (Action::Create, _) => {
                let data = plan.change.apply_to_default::<T>(self.manager.encoder())?;
                let (id, record) = self.create(&plan.wish, data, plan.now).await?;
                self.settle(plan, id, record);
            }
            (Action::Update, Standing::Live { id, record }) => self.write(plan, id, None, record).await?,
            (Action::Update, Standing::Renewed { id, record }) => self.write_late(plan, id, record).await?,
            (Action::Rotate, Standing::Live { id, record } | Standing::Renewed { id, record }) => {
                self.write(plan, id, Some(id.rotated()), record).await?;
            }
            (Action::Touch(expires_at), Standing::Live { id, record }) => {
                let touched = self.touch(id, record, expires_at, plan.now).await;
                if touched {
                    let record = Record { expires_at, ..record.clone() };
                    self.settle(plan, id.clone(), record);
                }
            }
            (Action::Delete, Standing::Live { id, record }) => self.expire(plan, id, record).await?,
            (Action::Refuse(conflict), _) => return Err(conflict.into()),
            _ => {}
        }
        Ok(())
    }

    /// Ends a session that is past its absolute timeout, as far as this request knows.
    async fn expire(&self, plan: &Plan, id: &SessionId, base: &Record) -> Result<(), Error> {
        let writes = plan.change.is_some() || plan.wish.own_expiry.is_some() || plan.wish.label.is_some();
        let outcome = match self.manager.indexed(plan.now).expire(&id.key(), base).await {
            Err(Error::Corrupt { .. }) => Updated::Missing,
            outcome => outcome?,
        };
        let in_doubt = match outcome {
            // By a sign-in, it may have a timeout that began later.
            Updated::Moved => {
                let standing = Standing::Renewed { id: id.clone(), record: base.clone() };
                self.state().write(|state| state.standing = standing);
                return match plan.wish.identity() {
                    Identity::Keep if writes => self.write_late(plan, id, base).await,
                    Identity::Keep => Ok(()),
                    _ => Err(Conflict::Moved.into()),
                };
            }
            Updated::Stale(theirs) => !self.manager.has_ended(&theirs),
            Updated::Missing => self.may_have_moved(),
            Updated::Updated => false,
        };
        self.manager.count_expired(base, plan.now);
        self.state().write(|state| state.lose(Standing::Ended));
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
        let swap = Swap { id, new_id, base, wish: &plan.wish, now: plan.now };
        let swapped = self
            .swap(swap, |current| {
                let (policy, theirs) = (&manager.on_conflict, &current.data);
                plan.change.reconcile(manager.encoder(), policy, &base.data, theirs).map(Some)
            })
            .await?;
        let (standing, conflict, is_lost) = match swapped {
            Swapped::Stored(id, record) => {
                self.settle(plan, id, record);
                return Ok(());
            }
            Swapped::Unchanged(_) => return Ok(()),
            Swapped::Moved(_) if plan.action == Action::Update => {
                return self.write_late(plan, id, base).await;
            }
            // Else it counts as having come before the session was ended.
            Swapped::Missing => (Standing::Ended, Conflict::Ended, self.may_have_moved()),
            Swapped::Unreadable => (Standing::Ended, Conflict::Ended, true),
            Swapped::Moved(_) => (Standing::Moved { id: id.clone() }, Conflict::Moved, true),
        };
        manager.counters.shard().ended_meanwhile.add_one();
        self.state().write(|state| state.lose(standing));
        match (&plan.wish.new_id, plan.action) {
            (NewId::SignIn(_), _) => {
                // What an owner left behind is nobody's to take over.
                let data = match base.owner {
                    None => plan.change.apply_to::<T>(manager.codec, &base.data),
                    Some(_) => plan.change.apply_to_default::<T>(manager.encoder())?,
                };
                let (id, record) = self.create(&plan.wish, data, plan.now).await?;
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
        let (change, wish, now) = (&plan.change, &plan.wish, plan.now);
        let record = self.follow(LateWrite { id, base, change, wish, now, kind: Kind::Write }).await?;
        self.state().write(|state| {
            if let Some(after) = plan.change.after() {
                state.baseline = (state.writes != plan.writes).then(|| after.clone());
            }
            state.standing = Standing::Renewed { id: id.clone(), record };
            state.grant(&plan.wish);
        });
        Ok(())
    }

    /// Whether the session, if it is gone now, may have got a new id since it was last seen, so long ago that
    /// the marker may be gone too.
    pub(super) fn may_have_moved(&self) -> bool {
        let (now, policy) = (self.manager.clock.now(), &self.manager.expiry);
        self.state().read(|state| {
            let Standing::Live { record, .. } = &state.standing else { return true };
            // A sign-in puts the policy's idle timeout in the place of the session's own.
            let idle = terms::limits(record, policy).idle.into_iter().chain(policy.idle_timeout()).min();
            let marker = idle.map_or(Moved::MAX_LIFE, |idle| idle.min(Moved::MAX_LIFE));
            now.saturating_since(state.known_at) >= marker
        })
    }

    /// Takes what was stored as the new state of affairs, and the wishes as granted.
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
            state.standing = Standing::Live { id, record };
            state.known_at = plan.now;
            state.grant(&plan.wish);
        });
    }

    pub(super) fn count_conflict(&self, error: &Error) {
        // Nobody contradicted a sign-in that found no room.
        if matches!(error, Error::Conflict(conflict) if *conflict != Conflict::TooManySessions) {
            self.manager.counters.shard().conflicts.add_one();
        }
    }
}

/// Whether a sign-in takes the session from one owner to another.
pub(super) fn changes_hands(record: &Record, new_owner: Option<&Owner>) -> bool {
    record.owner.is_some() && new_owner.is_some() && record.owner.as_ref() != new_owner
}

/// What was written since the session was last in step with the store.
fn pending_change<T: SessionData>(encoder: Encoder<'_>, state: &State<T>) -> Result<Change, Error> {
    let Some(before) = &state.baseline else {
        return Ok(Change::None);
    };
    let after = encoder.encode(&*state.value)?;
    Ok(if after == *before { Change::None } else { Change::Edit { before: before.clone(), after } })
}
