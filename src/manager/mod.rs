//! [`SessionManager`]: a store, a cookie, keys and a policy, put together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::codec::Codec;
use crate::cookie::CheckedCookie;
use crate::cookie::keys::KeyRing;
use crate::cookie::signing::Signer;
use crate::counters::{Counters, Counts};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::merge::ConflictPolicy;
use crate::ownership::{Indexed, Ownership, Sweeps};
use crate::record::{Owner, Payload, Record};
use crate::session::{Candidates, Exchange, SessionData};
use crate::store::SessionStore;
use crate::store::owners::OwnerLimit;
use crate::values::Values;

mod builder;
#[cfg(feature = "express")]
mod express;
pub(crate) mod observed;
mod owners;
mod stats;
mod survey;
pub(crate) mod terms;

use observed::Observed;

pub use builder::SessionManagerBuilder;
pub use survey::{Clearing, SessionScan};

/// At most so many cookies of one name are looked up for a request. A browser sends two when one
/// was set for a parent domain or a longer path.
const MAX_CANDIDATES: usize = 4;

/// The sessions of one application: where they are stored, how they are signed, how long they live.
///
/// Cheap to clone. Adapters take one; without an adapter, [`begin`](Self::begin) and
/// [`Exchange::finish`] are all that a framework has to call.
///
/// ```
/// use session_store::{Expiry, KeyRing, MemoryStore, SessionManager};
/// use std::time::Duration;
///
/// let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate())
///     .expiry(Expiry::idle(Duration::from_secs(24 * 3600)).absolute(Duration::from_secs(7 * 24 * 3600)))
///     .build()?;
/// # Ok::<(), session_store::Error>(())
/// ```
pub struct SessionManager<T: SessionData = Values>(Arc<Inner<T>>);

pub(crate) struct Inner<T> {
    store: Arc<dyn SessionStore>,
    pub(crate) cookie: CheckedCookie,
    pub(crate) signer: Signer,
    pub(crate) expiry: Expiry,
    pub(crate) touch_share: f64,
    pub(crate) codec: Codec,
    pub(crate) max_payload: usize,
    pub(crate) on_conflict: ConflictPolicy<T>,
    pub(crate) owner_limit: Option<OwnerLimit>,
    revoke_within: Duration,
    sweeps: Sweeps,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    observed: Observed,
}

impl<T: SessionData> SessionManager<T> {
    /// Starts with a store and the keys for the cookie; everything else has a default.
    pub fn builder(store: impl SessionStore, keys: KeyRing) -> SessionManagerBuilder<T> {
        SessionManagerBuilder::new(Arc::new(store), keys)
    }

    /// Takes in a request's `Cookie` header, without asking the store for anything yet.
    ///
    /// Cookies that no key signed count as forged and are forgotten: the visitor is anonymous. Of
    /// several cookies of the name, the first four that verify are tried.
    pub fn begin(&self, cookie_header: Option<&str>) -> Exchange<T> {
        let manager = &self.0;
        let verify = |value| {
            let verified = manager.signer.verify(value);
            if verified.is_none() {
                manager.counters.shard().forged.add_one();
                tracing::debug!("a session cookie carries no valid signature");
            }
            verified
        };
        let values = cookie_header.into_iter().flat_map(|header| manager.cookie.values(header));
        let mut verified = values.filter_map(verify).take(MAX_CANDIDATES);
        let candidates = Candidates { first: verified.next(), others: verified.collect() };
        Exchange::new(Arc::clone(manager), candidates)
    }

    /// The name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        self.0.cookie.name()
    }

    /// What this manager's sessions have gone through so far.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// manager.begin(Some("__Host-id=made-up"));
    /// assert_eq!(manager.counts().forged, 1);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }
}

impl<T> Inner<T> {
    /// The store itself: called on the `Arc`, which is a store too, an operation would be boxed twice.
    pub(crate) fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// The sessions of an owner, where an index of them is kept.
    pub(crate) fn ownership<'a>(&'a self, owner: &'a Owner, now: Timestamp) -> Option<Ownership<'a>> {
        Ownership::of(&self.store, &self.sweeps, owner, now)
    }

    /// The store for writes at `now`, of which its index of owners has to know.
    pub(crate) fn indexed(&self, now: Timestamp) -> Indexed<'_, T> {
        Indexed { manager: self, now }
    }

    /// Whether the session is past its time by this engine's clock, whatever the store's says.
    pub(crate) fn has_ended(&self, record: &Record) -> bool {
        let now = self.clock.now();
        let deadline = terms::limits(record, &self.expiry).deadline;
        record.expires_at <= now || deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether the session's cookie carries a `Max-Age`, and so is sent again when its end moves.
    pub(crate) fn outlives_browser(&self, record: &Record) -> bool {
        self.cookie.is_persistent() || record.own_expiry || record.own_idle_timeout
    }

    /// Refuses data over the limit.
    pub(crate) fn check_size(&self, data: &Payload) -> Result<(), Error> {
        let (size, limit) = (data.bytes().len(), self.max_payload);
        if size > limit {
            return Err(Error::TooLarge { what: "the session's data", size, limit });
        }
        Ok(())
    }
}

impl<T: SessionData> Clone for SessionManager<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: SessionData> fmt::Debug for SessionManager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { store, cookie, signer, expiry, touch_share, codec, max_payload, on_conflict, .. } =
            &*self.0;
        f.debug_struct("SessionManager")
            .field("store", store)
            .field("cookie", cookie)
            .field("signer", signer)
            .field("expiry", expiry)
            .field("touch_share", touch_share)
            .field("codec", codec)
            .field("max_payload", max_payload)
            .field("on_conflict", on_conflict)
            .finish_non_exhaustive()
    }
}
