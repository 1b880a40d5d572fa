//! What a request knows of its session, shared by every handle to it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use parking_lot::ReentrantMutex;

use super::SessionData;
use super::change::Change;
use super::plan::changes_hands;
use crate::clock::Timestamp;
use crate::codec::{Codec, Encoder};
use crate::engine::expiry::Expiry;
use crate::engine::merge::ConflictPolicy;
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::device_key::DeviceKey;
use crate::record::{Authentication, Label, Owner, Payload, Record};

/// A request's view of one session.
pub(crate) struct State<T> {
    pub(crate) stored: StoredState,
    /// Whose data the value is, if the session that held it was lost.
    pub(crate) left_by: Option<Owner>,
    /// May be shared with other requests, until the first write.
    pub(crate) value: Arc<T>,
    /// The encoding of `value` when it was last in step with the store. `None` until the first
    /// write, so that a request which only reads never encodes.
    pub(crate) baseline: Option<Payload>,
    pub(crate) intent: Intent,
    pub(crate) cookie: CookieChange,
    /// What Express kept of the cookie that is to be removed.
    pub(crate) removed_cookie: Option<Box<Payload>>,
    /// A moment before the store last said that the session has the id by which it is known here.
    pub(crate) known_at: Timestamp,
    /// Counts the writes, so that one which happened during a store operation is noticed.
    pub(crate) writes: u64,
    /// What a save that failed was to store. Only another `save` takes it up again.
    pub(crate) failed: Option<Box<Pending<T>>>,
}

/// What is to be stored.
pub(crate) struct Pending<T> {
    value: Arc<T>,
    baseline: Option<Payload>,
    intent: Intent,
}

/// What a save was asked to store, by which it is told from what is asked while it runs.
pub(crate) struct Asked {
    writes: u64,
    intent: Intent,
}

/// Where the session stands in the store, as far as this request knows.
#[derive(Clone, Debug)]
pub(crate) enum StoredState {
    /// Nothing is stored; or something that can't be used, which only `destroy` touches.
    New { unusable: Option<SessionId> },
    /// It is stored.
    Live { id: SessionId, record: Record },
    /// It had this id when it was loaded, and has another now, to which the writes of this request follow
    /// it. The record is what this request knows of it: nobody who came with the old id sees more.
    Renewed { id: SessionId, record: Record },
    /// It had this id, and has another now.
    Moved { id: SessionId },
    /// It is stored, and the request does not prove to come from its device. It may end it, and do nothing else.
    #[cfg_attr(not(feature = "device-bound"), allow(dead_code, reason = "no session is bound"))]
    Unproven { id: SessionId },
    /// It was stored, and is gone.
    Ended,
}

impl StoredState {
    /// What the request knows to be stored.
    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Self::Live { record, .. } | Self::Renewed { record, .. } => Some(record),
            Self::New { .. } | Self::Moved { .. } | Self::Unproven { .. } | Self::Ended => None,
        }
    }

    /// Why a request that knew the session otherwise can't go on.
    pub(crate) fn conflict(&self) -> Conflict {
        match self {
            Self::Renewed { .. } | Self::Moved { .. } => Conflict::Moved,
            Self::Unproven { .. } => Conflict::Unproven,
            Self::New { .. } | Self::Live { .. } | Self::Ended => Conflict::Ended,
        }
    }

    /// The id under which something is, or was, stored.
    pub(crate) fn id(&self) -> Option<&SessionId> {
        match self {
            Self::New { unusable } => unusable.as_ref(),
            Self::Live { id, .. } | Self::Renewed { id, .. } | Self::Moved { id } | Self::Unproven { id } => {
                Some(id)
            }
            Self::Ended => None,
        }
    }
}

/// What the handler asked for, beyond changing data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Intent {
    pub(crate) new_id: NewId,
    pub(crate) own_expiry: Option<Expiry>,
    pub(crate) label: Option<Label>,
    /// When the visitor authenticated in this request, and how.
    pub(crate) confirmed: Option<Authentication>,
    /// The key of the browser that it is to be bound to.
    pub(crate) device_key: Option<Box<DeviceKey>>,
}

/// Whether, and why, the session should get a new id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum NewId {
    #[default]
    Unasked,
    Renew,
    /// The session goes on, and is this owner's from now on.
    SetOwner(Owner),
    SignIn(Owner),
}

/// What the response does to the client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieChange {
    Keep,
    /// The client gets an id that nobody has seen yet.
    Set,
    /// The client gets its own id again, under the present key or for longer. Only if the store has
    /// `confirmed` at the commit that the session still has that id: another request may have given the
    /// client a new one since.
    Refresh {
        confirmed: bool,
    },
    Remove,
}

impl<T: Default> State<T> {
    pub(crate) fn new(stored: StoredState, value: Arc<T>) -> Self {
        Self {
            stored,
            left_by: None,
            value,
            baseline: None,
            intent: Intent::default(),
            cookie: CookieChange::Keep,
            removed_cookie: None,
            known_at: Timestamp::from_millis(0),
            writes: 0,
            failed: None,
        }
    }

    /// The session is not this request's any more: it is gone, or has an id that this request doesn't know.
    /// The value stays, as what was read.
    pub(crate) fn lose(&mut self, stored: StoredState) {
        if let Some(record) = self.record() {
            self.left_by = record.owner.clone();
        }
        self.stored = stored;
    }

    /// Forgets the session and whatever was to be done to it.
    pub(crate) fn reset(&mut self, stored: StoredState) {
        *self = Self { cookie: self.cookie, writes: self.writes + 1, ..Self::new(stored, Arc::default()) };
    }
}

impl<T: SessionData> State<T> {
    /// Writes to the value, after taking the baseline that tells later what changed.
    pub(crate) fn change<R>(&mut self, codec: Codec, change: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        if Arc::get_mut(&mut self.value).is_none() {
            self.value = Arc::new(self.copy(codec)?);
        }
        if self.baseline.is_none() {
            self.baseline = Some(codec.encode_to_compare(&*self.value)?);
        }
        self.writes += 1;
        Ok(change(Arc::get_mut(&mut self.value).expect("it is this request's own")))
    }

    /// An instance of this request's own, made of what is stored.
    fn copy(&self, codec: Codec) -> Result<T, Error> {
        let encoded = match self.record() {
            Some(record) => record.data.clone(),
            None => codec.encode_to_compare(&*self.value)?,
        };
        Codec::decode(&encoded).map_err(|reason| Error::Decode { reason })
    }

    /// Puts what was written since `known`, while something was being stored, on top of what is stored
    /// now. Where the two contradict, the write stands: it is the same request's later word.
    pub(crate) fn rebase(&mut self, encoder: Encoder<'_>, known: Payload, stored: &Payload) {
        let codec = encoder.codec;
        let merged = codec.encode_to_compare(&*self.value).and_then(|after| {
            let written = Change::Edit { before: known.clone(), after };
            written.reconcile::<T>(encoder, &ConflictPolicy::Merge, &known, stored)
        });
        let decoded = merged.ok().and_then(|merged| Codec::decode::<T>(&merged).ok());
        let seen = Codec::decode::<T>(stored).ok().and_then(|stored| codec.encode_to_compare(&stored).ok());
        self.baseline = match (decoded, seen) {
            (Some(value), Some(seen)) => {
                self.value = Arc::new(value);
                Some(seen)
            }
            _ => Some(known),
        };
    }

    /// Whose data the value is, counting a sign-in of this request.
    pub(crate) fn data_owner(&self) -> Option<&Owner> {
        self.owner().or(self.left_by.as_ref())
    }

    /// Lets `owner` begin with nothing of what is another owner's.
    pub(crate) fn begin_as(&mut self, codec: Codec, owner: &Owner) -> Result<(), Error> {
        if self.data_owner().is_none_or(|present| present == owner) {
            return Ok(());
        }
        if self.record().is_some() {
            return self.change(codec, |value| *value = T::default());
        }
        (self.value, self.baseline, self.left_by) = (Arc::default(), None, None);
        self.writes += 1;
        Ok(())
    }

    /// Whether something was written or asked for, and is not stored.
    pub(crate) fn is_pending(&self) -> bool {
        self.baseline.is_some() || !self.intent.is_none()
    }

    /// Drops everything that is not stored.
    pub(crate) fn drop_pending(&mut self) {
        self.drop_written();
        self.intent = Intent::default();
    }

    /// Drops the data that is not stored, and what a save failed to store.
    pub(crate) fn drop_written(&mut self) {
        self.failed = None;
        if let Some(before) = self.baseline.take() {
            self.value = self.stored_value(&before);
            self.writes += 1;
        }
    }

    /// What the store answered when it was asked again. A pending new id, owner, label or expiry is kept.
    pub(crate) fn reload(&mut self, stored: StoredState, value: Arc<T>) {
        let intent = std::mem::take(&mut self.intent);
        self.reset(stored);
        let new_owner = intent.new_owner();
        let others = |record: &Record| changes_hands(record, new_owner);
        if !self.record().is_some_and(others) {
            self.value = value;
        }
        self.intent = intent;
    }

    /// What a save is to store: what failed the last time, if nothing was asked for since.
    pub(crate) fn ask(&mut self) -> Asked {
        if let Some(failed) = self.failed.take() {
            let Pending { value, baseline, intent } = *failed;
            (self.value, self.baseline, self.intent) = (value, baseline, intent);
            self.writes += 1;
        }
        Asked { writes: self.writes, intent: self.intent.clone() }
    }

    /// Puts what a save failed to store aside, so that the session is as it is stored. Whatever was
    /// asked for while the save ran was told to nobody: then all of it stays, for the response to store.
    pub(crate) fn put_aside(&mut self, asked: &Asked) {
        let nothing = self.baseline.is_none() && self.intent.is_none();
        if nothing || self.writes != asked.writes || self.intent != asked.intent {
            return;
        }
        let stored = self.baseline.as_ref().map(|before| self.stored_value(before));
        let value = match stored {
            Some(stored) => std::mem::replace(&mut self.value, stored),
            None => Arc::clone(&self.value),
        };
        let (baseline, intent) = (self.baseline.take(), std::mem::take(&mut self.intent));
        self.failed = Some(Box::new(Pending { value, baseline, intent }));
        self.writes += 1;
    }

    /// Forgets what a save failed to store: something else is asked for now.
    pub(crate) fn forget_failed(&mut self) {
        self.failed = None;
    }

    /// The value as it is stored; `before` is its encoding before the first write.
    fn stored_value(&self, before: &Payload) -> Arc<T> {
        let stored = self.record().map_or(before, |record| &record.data);
        stored.shared().unwrap_or_default()
    }
}

impl<T> State<T> {
    /// The store holds the session under the client's id. `resend`: its cookie is due again.
    pub(crate) fn confirm(&mut self, resend: bool) {
        self.cookie = match self.cookie {
            CookieChange::Keep if resend => CookieChange::Refresh { confirmed: true },
            CookieChange::Refresh { .. } => CookieChange::Refresh { confirmed: true },
            other => other,
        };
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        self.stored.record()
    }

    /// Whose session it is, counting a sign-in of this request.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        let stored = || self.record().and_then(|record| record.owner.as_ref());
        self.intent.new_owner().or_else(stored)
    }

    /// What is stored of its label.
    pub(crate) fn label(&self) -> Option<&Label> {
        self.record().and_then(|record| record.label.as_ref())
    }

    /// A intent stands until it is granted, so that a save which fails leaves it stored: data must
    /// not be stored without the new id that was asked for with it.
    pub(crate) fn grant(&mut self, intent: &Intent) {
        if self.intent == *intent {
            self.intent = Intent::default();
        }
    }
}

impl Intent {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn new_owner(&self) -> Option<&Owner> {
        match &self.new_id {
            NewId::SetOwner(owner) | NewId::SignIn(owner) => Some(owner),
            NewId::Unasked | NewId::Renew => None,
        }
    }
}

/// The state behind a lock that is held during the closures of `read` and `write` only.
///
/// The lock is reentrant so that a closure which uses its own handle again meets the `RefCell`,
/// which panics with a reason, instead of a deadlock.
pub(crate) struct StateCell<T>(ReentrantMutex<RefCell<State<T>>>);

const REENTERED: &str = "a session was used inside a closure of its own `read` or `write`";

impl<T> StateCell<T> {
    pub(crate) fn new(state: State<T>) -> Self {
        Self(ReentrantMutex::new(RefCell::new(state)))
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&State<T>) -> R) -> R {
        look(&self.0.lock().try_borrow().expect(REENTERED))
    }

    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        change(&mut self.0.lock().try_borrow_mut().expect(REENTERED))
    }
}

impl<T> fmt::Debug for StateCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateCell(..)")
    }
}
