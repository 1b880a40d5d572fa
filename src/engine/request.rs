//! One request and its response: the session is found at the first use, and stored at the end.

use std::fmt;
use std::sync::Arc;

use super::device::BoundRequest;
use super::handover::Handover;
use super::plan::{self, CommitTrigger};
use super::shielded::shielded;
use super::state::{CookieChange, State, StateCell, StoredState};
use super::{Session, SessionData, Shared, VerifiedIds};
use crate::clock::Timestamp;
use crate::engine::Inner;
use crate::error::Error;
use crate::id::SessionId;
use crate::store::Loaded;
use crate::telemetry::session_events::{EventKind, Subject};

/// The session's side of one request and its response, for adapters; made by
/// [`SessionManager::begin`](crate::SessionManager::begin).
///
/// ```
/// use session_store::{KeyRing, MemoryStore, SessionManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
///
/// let request = manager.begin(None);
/// request.session().await?.write(|items| items.push("tea".into()))?;
/// let actions = request.finish(200).await;
/// let cookie = actions.set_cookie.expect("there is something to remember");
///
/// let next = manager.begin(cookie.split(';').next());
/// assert_eq!(next.session().await?.read(Vec::len), 1);
/// # Ok(())
/// # }
/// ```
pub struct RequestSession<T: SessionData>(pub(super) Arc<Shared<T>>);

/// The headers that a response needs for its session, and whether it has to be an error; from
/// [`RequestSession::finish`].
///
/// ```
/// use session_store::ResponseActions;
///
/// /// What an adapter does with them.
/// fn apply(actions: ResponseActions, status: &mut u16, headers: &mut Vec<(&str, String)>) {
///     if let Some(error) = &actions.failure {
///         *status = error.status();
///     }
///     if actions.no_store {
///         headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cache-control"));
///         headers.push(("cache-control", "no-store".to_owned()));
///     }
///     if actions.vary_cookie {
///         headers.push(("vary", "Cookie".to_owned()));
///     }
///     headers.extend(actions.set_cookie.map(|cookie| ("set-cookie", cookie)));
/// }
/// # apply(ResponseActions::default(), &mut 200, &mut Vec::new());
/// ```
#[derive(Default)]
#[must_use]
#[non_exhaustive]
pub struct ResponseActions {
    /// A `Set-Cookie` header to add.
    pub set_cookie: Option<String>,
    /// Further fields to append, with their names in lower case: those of a logout and of device-bound sessions. None of their values has a control
    /// character.
    pub fields: Vec<(&'static str, String)>,
    /// Replace `Cache-Control` by `no-store`: a cached `Set-Cookie` would hand the session to
    /// somebody else (OWASP Session Management Cheat Sheet, "Web Content Caching"). Also remove the fields
    /// that caches heed instead: each that ends in `-Cache-Control` (RFC 9213), `Surrogate-Control`,
    /// `Edge-Control`, `X-Accel-Expires` and `Expires`.
    pub no_store: bool,
    /// Add `Cookie` to `Vary`.
    pub vary_cookie: bool,
    /// The session could not be stored: answer with this error's status instead. The other actions
    /// still apply.
    pub failure: Option<Error>,
}

impl fmt::Debug for ResponseActions {
    // The cookie is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseActions")
            .field("sets_cookie", &self.set_cookie.is_some())
            .field("fields", &self.fields.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("no_store", &self.no_store)
            .field("vary_cookie", &self.vary_cookie)
            .field("failure", &self.failure)
            .finish()
    }
}

impl<T: SessionData> RequestSession<T> {
    pub(crate) fn new(
        manager: Arc<Inner<T>>,
        verified_ids: VerifiedIds,
        bound_request: BoundRequest,
    ) -> Self {
        Self(Arc::new(Shared {
            manager,
            verified_ids,
            state: tokio::sync::OnceCell::new(),
            storing: tokio::sync::Mutex::new(()),
            handover: Handover::default(),
            bound_request,
        }))
    }

    /// The name of the session cookie, as [`SessionManager::cookie_name`](crate::SessionManager::cookie_name).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// assert_eq!(manager.begin(None).cookie_name(), manager.cookie_name());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn cookie_name(&self) -> &str {
        self.0.manager.cookie.name()
    }

    /// The request's session. The first call asks the store, if the request came with a well-signed
    /// id; a request that never calls this never touches the store.
    ///
    /// # Errors
    ///
    /// As the store's `load`. A failed load is never an empty session.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let request = manager.begin(None);
    /// request.session().await?.insert("theme", "dark")?;
    /// // Every call returns a handle to the same session.
    /// assert_eq!(request.session().await?.get::<String>("theme").as_deref(), Some("dark"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session(&self) -> Result<Session<T>, Error> {
        self.0.state.get_or_try_init(|| self.0.load()).await?;
        self.0.handover.receive();
        Ok(Session(Arc::clone(&self.0)))
    }

    /// Counts the request as a use of its session, even if no handler uses it: [`finish`](Self::finish) extends the
    /// session if that is due. If the store fails, the response stays as it is.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// // A request for a picture: its handler asks for no session, and the visitor is there all the same.
    /// let request = manager.begin(Some("__Host-Http-id=…"));
    /// request.touch().await;
    /// let actions = request.finish(200).await;
    /// assert!(actions.failure.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn touch(&self) {
        if self.0.verified_ids.first.is_none() {
            return;
        }
        if let Err(error) = self.session().await {
            tracing::warn!(%error, "could not extend the session of a request that does not use it");
        }
    }

    /// Stores the handler's changes, given the status of its response.
    ///
    /// A 408, a 499 or any 5xx means that the handler did not complete: none of its changes are stored, be it data, a
    /// sign-in or a new id. Those that it stored itself, by [`Session::save`], [`Session::update`] or
    /// [`Session::destroy`], stay, and the response brings the cookie. The session counts as used.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: storing completes even if the client disconnects, in a task of its own.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let request = manager.begin(None);
    /// # let session = request.session().await?;
    /// session.insert("order", 7)?;
    /// // The handler failed: the order is not in the session, and there is no cookie.
    /// let actions = request.finish(500).await;
    /// assert!(actions.set_cookie.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn finish(self, status: u16) -> ResponseActions {
        let shared = self.0;
        let failed = plan::is_failure(status);
        if !shared.commit(failed) {
            return ResponseActions::default();
        }
        let stored = if shared.is_settled(status) {
            Ok(())
        } else {
            let task = Arc::clone(&shared);
            shielded(async move {
                let _one_at_a_time = task.storing.lock().await;
                task.store_pending(CommitTrigger::Response { status }).await?;
                task.confirm_cookie().await;
                Ok(())
            })
            .await
        };
        let failure = stored.err().filter(|error| {
            if failed {
                tracing::warn!(%error, "the session of a request that failed could not be stored");
            }
            !failed
        });
        let set_cookie = shared.cookie_to_set();
        let mut fields = shared.device_fields(status);
        if shared.state().read(|state| state.cookie == CookieChange::Remove) {
            fields.extend(shared.manager.clear_site_data.clone().map(|data| ("clear-site-data", data)));
        }
        ResponseActions { no_store: set_cookie.is_some(), set_cookie, fields, vary_cookie: true, failure }
    }
}

impl<T: SessionData> Shared<T> {
    /// Decides the response, in one step with dropping what a failed one does not store. `false` if nobody
    /// has used the session.
    fn commit(&self, failed: bool) -> bool {
        let commit = |state: &mut State<T>| {
            self.handover.commit();
            if failed {
                state.drop_pending();
            }
            // What the store said to an earlier operation may be out of date.
            if let CookieChange::Refresh { confirmed } = &mut state.cookie {
                *confirmed = false;
            }
        };
        self.handover.commit_unless_found(|| self.state.get()).map(|state| state.write(commit)).is_some()
    }

    /// The session of the request, as far as it may see it.
    async fn load(&self) -> Result<StateCell<T>, Error> {
        let mut state = self.find(false).await?;
        self.check_device(&mut state)?;
        Ok(StateCell::new(state))
    }

    /// Finds the session among the ids that the request came with: the first that is stored. `fresh` asks no copies.
    pub(super) async fn find(&self, fresh: bool) -> Result<State<T>, Error> {
        let mut best = None;
        for candidate in self.verified_ids.iter() {
            let now = self.manager.clock.now();
            let (store, id) = (&self.manager.store, &candidate.id);
            let loaded = if fresh { store.load_fresh(id).await } else { store.load(id).await };
            let (stored, value) = self.usable(id, loaded, now)?;
            if matches!(stored, StoredState::Moved { .. }) {
                self.manager.telemetry().tell(EventKind::OldIdUsed, Subject::of(id.key()));
            }
            let known_at = now.saturating_sub(self.manager.oldest_copy);
            let state = State { known_at, ..State::new(stored, value) };
            match (&state.stored, &best) {
                (StoredState::Live { .. }, _) => {
                    let refresh = CookieChange::Refresh { confirmed: false };
                    let cookie = if candidate.current_key { CookieChange::Keep } else { refresh };
                    return Ok(State { cookie, ..state });
                }
                (StoredState::Moved { .. }, _)
                | (_, None | Some(State { stored: StoredState::New { unusable: None }, .. })) => {
                    best = Some(state);
                }
                _ => {}
            }
        }
        let nothing = || State::new(StoredState::New { unusable: None }, Arc::default());
        Ok(best.unwrap_or_else(nothing))
    }

    /// Loads the session of one id as it is in the store now, as far as it is there, in time and readable.
    pub(super) async fn load_one(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<(StoredState, Arc<T>), Error> {
        let loaded = self.manager.store.load_fresh(id).await;
        self.usable(id, loaded, now)
    }

    fn usable(
        &self,
        id: &SessionId,
        loaded: Result<Loaded, Error>,
        now: Timestamp,
    ) -> Result<(StoredState, Arc<T>), Error> {
        let manager = &*self.manager;
        let key = id.key();
        let unusable = || Ok((StoredState::New { unusable: Some(id.clone()) }, Arc::default()));
        let error = match loaded {
            Ok(Loaded::Found(record)) if manager.has_ended_by(now, &record) => {
                manager.telemetry().expired(key, &record, record.expires_at.min(now));
                return unusable();
            }
            Ok(Loaded::Found(record)) => {
                match manager.check_codec(&record.data).and_then(|()| record.data.shared()) {
                    Ok(value) => {
                        manager.telemetry().loaded();
                        return Ok((StoredState::Live { id: id.clone(), record }, value));
                    }
                    Err(reason) => record.unreadable(key.clone(), reason),
                }
            }
            Ok(Loaded::Moved) => return Ok((StoredState::Moved { id: id.clone() }, Arc::default())),
            Ok(Loaded::Absent) => {
                manager.telemetry().unknown(&key);
                return Ok((StoredState::New { unusable: None }, Arc::default()));
            }
            Err(error) => error,
        };
        if error.counts_as_absent() {
            manager.telemetry().absent(&error);
            return unusable();
        }
        manager.telemetry().failed(&error, Subject::of(key));
        Err(error)
    }

    /// Loads a session that was there once: if it is gone, what is written now is not a new visitor's.
    pub(super) async fn load_again(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<(StoredState, Arc<T>), Error> {
        Ok(match self.load_one(&id, now).await? {
            (StoredState::New { .. }, _) if self.may_have_moved() => {
                (StoredState::Moved { id }, Arc::default())
            }
            (StoredState::New { .. }, _) => (StoredState::Ended, Arc::default()),
            found => found,
        })
    }

    /// Asks the store whether the session still has the id that its client is to get again, unless a
    /// write or a touch of this commit has shown it.
    async fn confirm_cookie(&self) {
        let unconfirmed = CookieChange::Refresh { confirmed: false };
        let id = self.state().read(|state| match &state.stored {
            StoredState::Live { id, .. } if state.cookie == unconfirmed => Some(id.clone()),
            _ => None,
        });
        let Some(id) = id else { return };
        match self.load_one(&id, self.manager.clock.now()).await {
            Ok((StoredState::Live { .. }, _)) => self.state().write(|state| state.confirm(true)),
            Ok(_) => {}
            Err(error) => tracing::debug!(key = %id.key(), %error, "a cookie was not sent again"),
        }
    }

    pub(super) fn cookie_to_set(&self) -> Option<String> {
        let manager = &*self.manager;
        self.state().read(|state| match (state.cookie, &state.stored) {
            (
                CookieChange::Set | CookieChange::Refresh { confirmed: true },
                StoredState::Live { id, record },
            ) => {
                let life = record.expires_at.saturating_since(manager.clock.now());
                let max_age = manager.outlives_browser(record).then_some(life);
                let stored = record.express_cookie.as_deref();
                Some(manager.cookie.set(&manager.signer.sign(id), max_age, stored))
            }
            (CookieChange::Remove, _) => Some(manager.cookie.removal(state.removed_cookie.as_deref())),
            _ => None,
        })
    }
}

/// A request whose type is forgotten, as what is mounted in a request is.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) trait AnyRequestSession: std::any::Any + Send + Sync {
    fn cookie_name(&self) -> &str;
    /// Tells managers apart, whatever their types.
    fn manager(&self) -> *const ();
}

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl<T: SessionData> AnyRequestSession for Shared<T> {
    fn cookie_name(&self) -> &str {
        self.manager.cookie.name()
    }

    fn manager(&self) -> *const () {
        Arc::as_ptr(&self.manager).cast()
    }
}

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl<T: SessionData> RequestSession<T> {
    pub(crate) fn erased(&self) -> Arc<dyn AnyRequestSession> {
        Arc::<Shared<T>>::clone(&self.0)
    }

    pub(crate) fn is_type_of(erased: &dyn AnyRequestSession) -> bool {
        let erased: &dyn std::any::Any = erased;
        erased.is::<Shared<T>>()
    }

    pub(crate) fn of(erased: &Arc<dyn AnyRequestSession>) -> Option<Self> {
        let erased: Arc<dyn std::any::Any + Send + Sync> = Arc::<dyn AnyRequestSession>::clone(erased);
        erased.downcast().ok().map(Self)
    }
}

impl<T: SessionData> Clone for RequestSession<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: SessionData> fmt::Debug for RequestSession<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSession").field("cookie", &self.cookie_name()).finish_non_exhaustive()
    }
}
