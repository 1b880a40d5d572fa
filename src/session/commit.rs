//! Brings the store in step with what a request did to its session.

use super::change::Change;
use super::state::{NewId, Standing, State, Wish};
use super::storing::{Swap, Swapped};
use super::{SessionData, Shared};
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::lifecycle::{self, Action, Facts};
use crate::manager::terms::Terms;
use crate::record::Record;

/// When something is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// The handler asked for it.
    Now,
    /// The handler has answered, with a 5xx or not. Only now is it clear whether a touch is due:
    /// until then, any write would do its work too.
    Response { failed: bool },
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
    /// Whether a response could go out without asking the store for anything.
    pub(crate) fn is_settled(&self) -> bool {
        let now = self.manager.clock.now();
        self.state.read(|state| {
            let facts = self.facts(state, &state.wish, false, false, now);
            state.baseline.is_none()
                && lifecycle::decide(facts, now, self.manager.touch_share) == Action::Nothing
        })
    }

    /// Stores what is pending. The caller holds the `storing` lock.
    pub(super) async fn store_pending(&self, moment: Moment) -> Result<(), Error> {
        let plan = self.plan(moment)?;
        self.carry_out(&plan).await.inspect_err(|error| self.count_conflict(error))
    }

    fn plan(&self, moment: Moment) -> Result<Plan, Error> {
        let failed = matches!(moment, Moment::Response { failed: true });
        let now = self.manager.clock.now();
        self.state.write(|state| {
            let change = if failed { Change::None } else { pending_change(self.manager.codec, state)? };
            let too_late = state.committed && matches!(moment, Moment::Now);
            let asked = if too_late { Wish::default() } else { state.wish.clone() };
            let facts = self.facts(state, &asked, change.is_some(), failed, now);
            let action = match (lifecycle::decide(facts, now, self.manager.touch_share), moment) {
                (Action::Touch(_), Moment::Now) => Action::Nothing,
                (action, _) => action,
            };
            let wish = if failed { Wish::default() } else { asked };
            let (standing, writes) = (state.standing.clone(), state.writes);
            Ok(Plan { action, now, standing, change, wish, writes })
        })
    }

    fn facts(&self, state: &State<T>, asked: &Wish, dirty: bool, failed: bool, now: Timestamp) -> Facts {
        let none = Wish::default();
        let wish = if failed { &none } else { asked };
        let standing = match &state.standing {
            Standing::New { .. } => lifecycle::Standing::New,
            Standing::Live { record, .. } => lifecycle::Standing::Live {
                expires_at: record.expires_at,
                limits: Terms::after(record, wish, &self.manager.expiry, now).limits,
            },
            Standing::Moved { .. } => lifecycle::Standing::Moved,
            Standing::Ended => lifecycle::Standing::Ended,
        };
        let (identity, expiry_set) = (asked.identity(), wish.own_expiry.is_some());
        Facts { standing, identity, dirty, expiry_set, failed }
    }

    async fn carry_out(&self, plan: &Plan) -> Result<(), Error> {
        match (plan.action, &plan.standing) {
            (Action::Create, _) => {
                let data = plan.change.apply_to_default::<T>(self.manager.codec)?;
                let (id, record) = self.create(&plan.wish, data, plan.now).await?;
                self.settle(plan, id, record);
            }
            (Action::Update, Standing::Live { id, record }) => self.write(plan, id, None, record).await?,
            (Action::Rotate(_), Standing::Live { id, record }) => {
                self.write(plan, id, Some(id.rotated()), record).await?;
            }
            (Action::Touch(expires_at), Standing::Live { id, record }) => {
                let touched = self.touch(id, record, expires_at, plan.now).await;
                if touched {
                    let record = Record { expires_at, ..record.clone() };
                    self.settle(plan, id.clone(), record);
                }
            }
            (Action::Delete, Standing::Live { id, .. }) => {
                self.manager.counters.expired.add_one();
                self.manager.store.delete(&id.key()).await?;
                self.state.write(|state| state.standing = Standing::Ended);
            }
            (Action::Refuse(conflict), _) => return Err(conflict.into()),
            _ => {}
        }
        Ok(())
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
                plan.change.reconcile(manager.codec, policy, &base.data, theirs).map(Some)
            })
            .await?;
        let (standing, conflict) = match swapped {
            Swapped::Stored(id, record) => {
                self.settle(plan, id, record);
                return Ok(());
            }
            Swapped::Unchanged(_) => return Ok(()),
            Swapped::Missing => (Standing::Ended, Conflict::Ended),
            Swapped::Moved => (Standing::Moved { id: id.clone() }, Conflict::Moved),
        };
        manager.counters.ended_meanwhile.add_one();
        self.state.write(|state| state.standing = standing);
        match (&plan.wish.new_id, plan.action) {
            (NewId::SignIn(_), _) => {
                // What one owner left behind is not the next one's.
                let data = match base.owner {
                    None => plan.change.apply_to::<T>(manager.codec, &base.data)?,
                    Some(_) => plan.change.apply_to_default::<T>(manager.codec)?,
                };
                let (id, record) = self.create(&plan.wish, data, plan.now).await?;
                self.settle(plan, id, record);
                Ok(())
            }
            (_, Action::Rotate(_)) => Err(conflict.into()),
            // A late write ends in silence: its response must not disturb a newer sign-in's cookie.
            _ => Ok(()),
        }
    }

    /// Takes what was stored as the new state of affairs.
    fn settle(&self, plan: &Plan, id: SessionId, record: Record) {
        self.state.write(|state| {
            match &plan.change {
                Change::Edit { after, .. } if state.writes == plan.writes => {
                    // Merging may have brought in what others wrote: reads should see it.
                    if record.data != *after
                        && let Ok(merged) = Codec::decode(&record.data)
                    {
                        state.value = merged;
                    }
                    state.baseline = None;
                }
                Change::Edit { after, .. } => state.baseline = Some(after.clone()),
                Change::None => {}
            }
            state.standing = Standing::Live { id, record };
            if state.wish == plan.wish {
                state.wish = Wish::default();
            }
        });
    }

    /// Runs `change` on the stored data as one atomic step, and again on top of each write that
    /// came first.
    pub(super) async fn update_now<R>(&self, mut change: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        let manager = &*self.manager;
        let _one_at_a_time = self.storing.lock().await;
        let committed = self.state.read(|state| state.committed);
        let now = manager.clock.now();
        let mut outcome = None;
        let mut run_on = |mut value: T| {
            let before = manager.codec.encode(&value)?;
            let answer = change(&mut value);
            let after = manager.codec.encode(&value)?;
            let edit = if before == after { Change::None } else { Change::Edit { before, after } };
            outcome = Some((answer, value));
            Ok::<_, Error>(edit)
        };

        let (standing, writes) = self.state.read(|state| (state.standing.clone(), state.writes));
        let stored = match standing {
            Standing::New { .. } => {
                let edit = run_on(T::default())?;
                if !edit.is_some() {
                    None
                } else if committed {
                    return Err(Conflict::Committed.into());
                } else {
                    let data = edit.apply_to_default::<T>(manager.codec)?;
                    let wish = self.state.read(|state| state.wish.clone());
                    let created = self.create(&wish, data, now).await?;
                    self.state.write(|state| state.wish = Wish::default());
                    Some(created)
                }
            }
            Standing::Live { id, record } => {
                let wish = Wish::default();
                let swap = Swap { id: &id, new_id: None, base: &record, wish: &wish, now };
                let swapped = self
                    .swap(swap, |current| {
                        let value = Codec::decode(&current.data)
                            .map_err(|reason| Error::Corrupt { key: id.key(), reason })?;
                        let edit = run_on(value)?;
                        if !edit.is_some() {
                            return Ok(None);
                        }
                        edit.apply_to::<T>(manager.codec, &current.data).map(Some)
                    })
                    .await;
                match swapped.inspect_err(|error| self.count_conflict(error))? {
                    Swapped::Stored(id, record) => Some((id, record)),
                    Swapped::Unchanged(record) => Some((id, record)),
                    Swapped::Missing => return self.refuse(Standing::Ended, Conflict::Ended),
                    Swapped::Moved => return self.refuse(Standing::Moved { id }, Conflict::Moved),
                }
            }
            standing @ Standing::Moved { .. } => return self.refuse(standing, Conflict::Moved),
            Standing::Ended => return self.refuse(Standing::Ended, Conflict::Ended),
        };
        let (answer, value) = outcome.expect("the change ran at least once");
        self.state.write(|state| {
            if let Some((id, record)) = stored {
                state.standing = Standing::Live { id, record };
            }
            // What another task wrote meanwhile stays pending, on top of what is stored now.
            if state.writes == writes {
                state.value = value;
            }
        });
        Ok(answer)
    }

    fn refuse<R>(&self, standing: Standing, conflict: Conflict) -> Result<R, Error> {
        self.state.write(|state| state.standing = standing);
        let error = conflict.into();
        self.count_conflict(&error);
        Err(error)
    }

    fn count_conflict(&self, error: &Error) {
        if matches!(error, Error::Conflict(_)) {
            self.manager.counters.conflicts.add_one();
        }
    }
}

/// What was written since the session was last in step with the store.
fn pending_change<T: SessionData>(codec: Codec, state: &State<T>) -> Result<Change, Error> {
    let Some(before) = &state.baseline else {
        return Ok(Change::None);
    };
    let after = codec.encode(&state.value)?;
    Ok(if after == *before { Change::None } else { Change::Edit { before: before.clone(), after } })
}
