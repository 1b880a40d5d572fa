//! [`Session`]: what a handler holds.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::device::BoundRequest;
use super::handover::Handover;
use super::plan::{Action, CommitTrigger};
use super::shielded::shielded;
use super::state::{CookieChange, State, StateCell, StoredState};
use crate::clock::Timestamp;
use crate::cookie::signing::Verified;
use crate::engine::Inner;
use crate::engine::expiry::Expiry;
use crate::engine::values::Values;
use crate::error::{Conflict, Error};
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::owner_index::Entry;

/// Any type that can be a session's data: serde can write and read it, and its `Default` is the empty value of a
/// visitor without a session. Implemented for all such types.
///
/// Requests that only read may share one decoded value, if the store is in this process; the first
/// [`write`](Session::write) makes a copy. So a change that a value makes to itself behind a `&T` (an atomic, a
/// `Mutex`) is never stored, and others may see it.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(default)]
/// struct Account {
///     cart: Vec<String>,
///     theme: Option<String>,
/// }
///
/// fn is_session_data<T: session_store::SessionData>() {}
/// is_session_data::<Account>();
/// ```
///
/// # Changing the type
///
/// The type may change while sessions are live, as any type that serde reads:
///
/// - a field that is added gets `#[serde(default)]`;
/// - a field that is renamed gets `#[serde(alias = "old_name")]`;
/// - a field whose type changes is read by `#[serde(from = "…", into = "…")]` from an enum of the stored
///   forms, `#[serde(untagged)]` or with a tag.
///
/// A session keeps its stored form until it is written to. From then on it has the form that the type
/// writes, plus the members that the type doesn't know, if they stood beside that form. Another version of
/// the service that runs at the same time must read both: first deploy the type that reads the new form, then
/// the one that writes it. `examples/changing_types.rs` shows each step.
pub trait SessionData: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Default + Send + Sync + 'static> SessionData for T {}

/// The session of the visitor who sent the request.
///
/// A handle is cheap to clone; all clones of one request see the same session. Reading and writing
/// take closures, so nothing is locked across an `await`. Writes are stored when the handler has answered;
/// [`update`](Self::update), [`save`](Self::save) and [`destroy`](Self::destroy) act at once.
///
/// # Requests beside a new id
///
/// A request may load the session, and write after another request has given it a new id or ended it:
///
/// | meanwhile | a [`write`](Self::write) | answer |
/// |---|---|---|
/// | [`renew`](Self::renew), a sign-in by the same user, or the first one of a visitor | is stored under the new id, as if it had come just before; of two values that can't both stand, the other request's stands (other [policies](crate::ConflictPolicy) decide as always) | as usual |
/// | a sign-in by another user | is not stored | 409, [`Conflict::Owner`] |
/// | a second new id | is not stored | 409, [`Conflict::Moved`] |
/// | a logout, a revocation, expiry | is not stored: it counts as having come just before the end | as usual; [`save`](Self::save) and [`update`](Self::update) answer [`Conflict::Ended`] |
/// | any of these, and the request has neither loaded nor stored the session for a minute, or for the idle timeout if that is shorter: an end can't be told from a new id any more | is not stored | 409, [`Conflict::Ended`] |
///
/// The request is shown nothing of what is stored under the new id, does not extend the session, and sets no cookie.
///
/// # Errors
///
/// Methods that talk to the store answer [`Error::Unavailable`], [`Error::Refused`] and
/// [`Error::Conflict`] as the store does, [`Error::Encode`] and [`Error::TooLarge`] for data that
/// can't be stored. Nothing is overwritten then. Adapters turn an `Error` into a response.
///
/// # Panics
///
/// Using a session inside a closure of its own `write`, or changing it inside one of `read`, panics with a
/// message, instead of deadlocking.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_store::{Error, Session};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Account {
///     visits: u32,
///     theme: String,
/// }
///
/// async fn handler(session: Session<Account>) -> Result<u32, Error> {
///     session.write(|account| account.theme = "dark".into())?;
///     session.update(|account| account.visits += 1).await?;
///     Ok(session.read(|account| account.visits))
/// }
/// ```
pub struct Session<T: SessionData = Values>(pub(super) Arc<Shared<T>>);

/// What the handles to a session and its [`RequestSession`] share.
pub(crate) struct Shared<T> {
    pub(crate) manager: Arc<Inner<T>>,
    pub(super) verified_ids: VerifiedIds,
    /// Found out once, by whoever uses the session first. Nobody has a [`Session`] before.
    pub(super) state: tokio::sync::OnceCell<StateCell<T>>,
    /// One store operation at a time.
    pub(super) storing: tokio::sync::Mutex<()>,
    pub(super) handover: Handover,
    /// What the request shows of its device.
    pub(super) bound_request: BoundRequest,
}

/// The well-signed ids that a request came with: one, but for browsers that hold several cookies.
#[derive(Default)]
pub(crate) struct VerifiedIds {
    pub(crate) first: Option<Verified>,
    pub(crate) others: Vec<Verified>,
}

impl<T: SessionData> Session<T> {
    /// Reads the data through a closure. A visitor without a session sees `T::default()`.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.write(|cart| cart.push("tea".to_owned()))?;
    /// // Nothing stays locked: copy out what the page needs.
    /// let (count, first) = session.read(|cart| (cart.len(), cart.first().cloned()));
    /// assert_eq!((count, first.as_deref()), (1, Some("tea")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.0.state().read(|state| look(&state.value))
    }

    /// Changes the data; it is stored when the response is ready, unless that is a 408, a 499 or a 5xx.
    ///
    /// If another request stored the session meanwhile, the two changes are merged as the
    /// manager's [`ConflictPolicy`](crate::ConflictPolicy) says, and a contradiction answers 409. By default, of two
    /// values that both requests gave one number, text or flag, the one stored last stands: for counters, where
    /// both changes must count, use [`update`](Self::update). For a session that got a new id
    /// or was ended meanwhile, see [above](Self#requests-beside-a-new-id).
    ///
    /// # Errors
    ///
    /// [`Conflict::Committed`] once the response is on its way.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// let in_cart = session.write(|cart| {
    ///     cart.push("tea".to_owned());
    ///     cart.len()
    /// })?;
    /// assert_eq!(in_cart, 1);
    /// // Not stored yet: that is done with the response.
    /// assert!(session.is_new());
    /// # Ok(())
    /// # }
    /// ```
    pub fn write<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        self.open(|state| state.change(self.0.manager.codec, change))
    }

    /// Changes the data in the store now, as one atomic step: `change` runs on the stored data, and
    /// runs again if another request stores something at the same moment. So no count is lost, and
    /// `change` clones the values that it puts in (`cart.push(item.clone())`). The changed data is stored whatever
    /// `change` returns, an `Err` included.
    ///
    /// If the session got a new id meanwhile, `change` runs on the data as this request knows it, and its changes
    /// are stored under the new id. Fields that were changed there too, other than lists to which both
    /// appended, are [`Conflict::Fields`].
    ///
    /// Earlier writes of the request are stored as well. A visitor without a session gets one, if `change` leaves
    /// anything to store. Also works in a task that outlives the response, on a session that the
    /// client already has.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<u64>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let first = manager.begin(None);
    /// # first.session().await?.start().await?;
    /// # let cookie = first.finish(200).await.set_cookie.expect("a session began");
    /// # let (one, other) = (manager.begin(Some(&cookie)), manager.begin(Some(&cookie)));
    /// # one.session().await?;
    /// # other.session().await?;
    /// // Two requests of one visitor, at the same time. Each has loaded the session.
    /// let (one, other) = (one.session().await?, other.session().await?);
    /// one.update(|visits| *visits += 1).await?;
    /// let visits = other.update(|visits| { *visits += 1; *visits }).await?;
    /// assert_eq!(visits, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update<R>(&self, change: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        let pending = |state: &mut State<T>| {
            state.forget_failed();
            state.baseline.is_some() || !state.intent.is_none()
        };
        if self.0.state().write(pending) {
            // To its end, since it may change the id.
            self.save().await?;
        }
        self.0.update(change).await
    }

    /// Stores the request's changes now, instead of when the response is ready: data, a sign-in, a new id, a label, an
    /// expiry.
    ///
    /// # Errors
    ///
    /// As listed at [`Session`], and [`Conflict::Ended`] or [`Conflict::Moved`] where the session
    /// [ended or got a new id](Self#requests-beside-a-new-id) meanwhile and this can't be stored. The response does
    /// not try again: the handler knows of the failure, and its answer goes out unchanged. Everything that the save
    /// was to store, a sign-in or a new id included, is put aside: [`read`](Self::read) and
    /// [`owner`](Self::owner) show what is stored. Then
    ///
    /// - another `save` tries the same again;
    /// - the next change, by any method, starts from the stored data and drops what was put aside;
    /// - the end of the request drops it.
    ///
    /// ```
    /// use session_store::{Conflict, Error, Session};
    ///
    /// async fn sign_in(session: Session<Vec<String>>, user: &str) -> Result<&'static str, Error> {
    ///     session.sign_in(user, |log| log.push("signed in".into()))?;
    ///     match session.save().await {
    ///         Ok(()) => Ok("Welcome."),
    ///         // Nobody is signed in, and this page goes out.
    ///         Err(Error::Conflict(Conflict::TooManySessions)) => Ok("Sign out on another device first."),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    pub async fn save(&self) -> Result<(), Error> {
        self.all_or_nothing(|shared| async move { shared.save().await }).await
    }

    /// Stores the session now, even without data, and returns its key: for telling a visitor's requests from
    /// others' before there is anything to remember. Earlier changes of the request are stored with it, as by
    /// [`save`](Self::save).
    ///
    /// # Errors
    ///
    /// Those of [`save`](Self::save), and [`Conflict::Committed`] for a visitor without a session once the response
    /// is on its way.
    ///
    /// ```
    /// # use session_store::{Error, Session};
    /// async fn page(session: Session) -> Result<String, Error> {
    ///     let key = session.start().await?;
    ///     Ok(format!("Session {key}"))
    /// }
    /// ```
    pub async fn start(&self) -> Result<SessionKey, Error> {
        self.all_or_nothing(|shared| async move { shared.start().await }).await
    }

    /// Ends the session now, for every request that comes with its id, in flight or later. The
    /// response removes the cookie, even if the store fails.
    ///
    /// A write afterwards starts a new session.
    ///
    /// A logout completes even if the client disconnects: it runs in a task of its own.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let request = manager.begin(None);
    /// # request.session().await?.start().await?;
    /// # let cookie = request.finish(200).await.set_cookie.expect("a session began");
    /// # let request = manager.begin(Some(&cookie));
    /// # let session = request.session().await?;
    /// session.destroy().await?;
    /// let actions = request.finish(200).await;
    /// assert!(actions.set_cookie.expect("the cookie is removed").contains("Max-Age=0"));
    ///
    /// // The cookie that the browser had opens nothing any more.
    /// assert!(manager.begin(Some(&cookie)).session().await?.is_new());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn destroy(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.0);
        shielded(async move { shared.destroy().await }).await
    }

    /// Gives this session an expiry of its own ("remember me"), which stays with it until the next
    /// sign-in, and which its cookie's `Max-Age` follows. Stored when the response is ready, if there
    /// is a session to store.
    ///
    /// If the session got a new id meanwhile, a renewal keeps the new expiry, and the next request moves the
    /// session's end; a sign-in drops it.
    ///
    /// It replaces both timeouts of the policy: with [`Expiry::idle`] alone, a session that begins or is signed in
    /// with this request has no absolute timeout. On an existing session it can't move the absolute end later; only a
    /// [`sign_in`](Self::sign_in) in the same request starts that again. The order of the two does not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a timeout of zero.
    ///
    /// ```
    /// use session_store::Expiry;
    /// use std::time::Duration;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let request = manager.begin(None);
    /// # let session = request.session().await?;
    /// let remember_me = true;
    /// session.sign_in("ada", |_| ())?;
    /// if remember_me {
    ///     let day = Duration::from_secs(24 * 3600);
    ///     session.set_expiry(Expiry::idle(30 * day).absolute(90 * day))?;
    /// }
    /// let cookie = request.finish(200).await.set_cookie.expect("a session began");
    /// assert!(cookie.contains("Max-Age=2592000"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_expiry(&self, expiry: Expiry) -> Result<(), Error> {
        expiry.validate()?;
        self.open(|state| {
            state.intent.own_expiry = Some(expiry);
            Ok(())
        })
    }

    /// Whether nothing is stored for this visitor yet.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// // Counts visitors, not requests.
    /// let is_first_visit = session.is_new();
    /// assert!(is_first_visit);
    /// session.start().await?;
    /// assert!(!session.is_new());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_new(&self) -> bool {
        self.0.state().read(|state| state.record().is_none())
    }

    /// When the stored session, or its last sign-in, began.
    ///
    /// ```
    /// use session_store::{Clock, Session, SystemClock};
    /// use std::time::Duration;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// // A transfer takes a sign-in that is no older than ten minutes.
    /// let is_recent = |session: &Session| {
    ///     let age = session.created_at().map(|began| SystemClock.now().saturating_since(began));
    ///     session.owner().is_some() && age.is_some_and(|age| age < Duration::from_secs(600))
    /// };
    /// assert!(!is_recent(&session));
    /// session.sign_in("ada", |_| ())?;
    /// session.save().await?;
    /// assert!(is_recent(&session));
    /// # Ok(())
    /// # }
    /// ```
    pub fn created_at(&self) -> Option<Timestamp> {
        self.stored_time(|record| record.created_at)
    }

    /// When the stored session ends if it is not used again. It moves when the response is ready.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.start().await?;
    /// // For a page that warns before it signs the visitor out: `new Date(…)` takes this number.
    /// let end = session.expires_at().map(|end| end.as_millis());
    /// assert!(end.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.stored_time(|record| record.expires_at)
    }

    /// The key under which the store keeps the session: safe to log and to show. `None` if there is no session yet,
    /// or if it got a new id meanwhile that this request does not know.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// let key = session.start().await?;
    /// assert_eq!(session.key(), Some(key.clone()));
    /// // Whatever belongs to the session and is kept elsewhere goes by its key.
    /// println!("upload of session {key}");
    /// assert!(manager.revoke(&key).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn key(&self) -> Option<SessionKey> {
        self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, .. } => Some(id.key()),
            _ => None,
        })
    }

    /// What an index of owners has of the stored session.
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, record } => Some(Entry::of(id.key(), record)),
            _ => None,
        })
    }

    fn stored_time(&self, field: impl FnOnce(&Record) -> Timestamp) -> Option<Timestamp> {
        self.0.state().read(|state| state.record().map(field))
    }

    /// Changes the state, as long as the response is not on its way.
    pub(super) fn open<R>(&self, change: impl FnOnce(&mut State<T>) -> Result<R, Error>) -> Result<R, Error> {
        self.0.state().write(|state| {
            if self.0.is_committed() {
                return Err(Conflict::Committed.into());
            }
            state.forget_failed();
            change(state)
        })
    }

    /// Stores, also when nobody waits any more. If that fails, what it was to store is put aside.
    async fn all_or_nothing<R, F>(&self, store: impl FnOnce(Arc<Shared<T>>) -> F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
    {
        let asked = self.0.state().write(State::ask);
        let outcome = shielded(store(Arc::clone(&self.0))).await;
        // Not within that: a caller that gave up waiting was told nothing.
        if outcome.is_err() {
            let _one_at_a_time = self.0.storing.lock().await;
            self.0.state().write(|state| state.put_aside(&asked));
        }
        outcome
    }
}

impl VerifiedIds {
    /// Adds an id, unless it is there already. Answers whether it was added.
    pub(crate) fn add(&mut self, verified: Verified) -> bool {
        let is_known = self.iter().any(|known| known.id == verified.id);
        if is_known {
            return false;
        }
        match self.first {
            None => self.first = Some(verified),
            Some(_) => self.others.push(verified),
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Verified> {
        self.first.iter().chain(&self.others)
    }
}

impl<T: SessionData> Shared<T> {
    /// What whoever holds a [`Session`] may ask for.
    pub(super) fn state(&self) -> &StateCell<T> {
        self.state.get().expect("a session is handed out when it has been looked for")
    }

    /// To be asked under the state's lock: whatever was written before then belongs to the response.
    pub(super) fn is_committed(&self) -> bool {
        self.handover.is_committed()
    }

    async fn save(&self) -> Result<(), Error> {
        let _one_at_a_time = self.storing.lock().await;
        self.save_pending(CommitTrigger::Handler).await.map(|_| ())
    }

    /// Stores what is pending. The caller holds the `storing` lock.
    async fn save_pending(&self, trigger: CommitTrigger) -> Result<StoredState, Error> {
        self.store_pending(trigger).await?;
        match self.state().read(|state| state.stored.clone()) {
            StoredState::Ended => Err(Conflict::Ended.into()),
            StoredState::Moved { .. } => Err(Conflict::Moved.into()),
            StoredState::Unproven { .. } => Err(Conflict::Unproven.into()),
            stored => Ok(stored),
        }
    }

    async fn start(&self) -> Result<SessionKey, Error> {
        let _one_at_a_time = self.storing.lock().await;
        match self.save_pending(CommitTrigger::Start).await? {
            StoredState::Live { id, .. } => Ok(id.key()),
            // Its new id is not for this request to know.
            _ => Err(Conflict::Moved.into()),
        }
    }

    async fn destroy(&self) -> Result<(), Error> {
        let _one_at_a_time = self.storing.lock().await;
        let now = self.manager.clock.now();
        let (own, record) = self.state().write(|state| {
            let record = state.record().cloned();
            let is_due = self.decide(state, false, CommitTrigger::Destroy, now).action == Action::Delete;
            let id = state.stored.id().filter(|_| is_due).cloned();
            // Kept until it is deleted: a second attempt must not succeed by doing nothing.
            state.reset(StoredState::New { unusable: id.clone() });
            state.cookie = CookieChange::Remove;
            state.removed_cookie = record.as_ref().and_then(|record| record.express_cookie.clone());
            (id, record)
        });
        // A browser may hold cookies of two sessions, for two paths or domains; after the logout it
        // must not come back with the other one.
        let all = if self.verified_ids.others.is_empty() { None } else { Some(self.verified_ids.iter()) };
        let others = all.into_iter().flatten().map(|it| &it.id).filter(|other| own.as_ref() != Some(*other));
        let store = self.manager.store.at(now);
        for id in own.iter().chain(others) {
            let key = id.key();
            let known = record.as_ref().filter(|_| own.as_ref() == Some(id));
            let was_there = store.delete(&key, known).await?;
            self.manager.telemetry().destroyed(&key, known, was_there);
        }
        self.state().write(|state| state.stored = StoredState::New { unusable: None });
        Ok(())
    }
}

impl<T: SessionData> Clone for Session<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: SessionData> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("key", &self.key()).finish_non_exhaustive()
    }
}
