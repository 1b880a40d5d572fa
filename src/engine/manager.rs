//! [`SessionManager`]: a store, a cookie, keys and a policy, put together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::device::{BoundRequest, DeviceRules};
use super::manager_builder::SessionManagerBuilder;
use super::plan::{self, Policy};
use super::request::RequestSession;
use super::request_head::{CookieHeader, RequestHead};
use super::session::{SessionData, VerifiedIds};
use super::store_client::StoreClient;
use crate::clock::{Clock, Timestamp};
use crate::codec::shapes::Shapes;
use crate::codec::{Codec, Encoder};
use crate::cookie::CheckedCookie;
use crate::cookie::keys::KeyRing;
use crate::cookie::signing::Signer;
use crate::engine::expiry::Expiry;
use crate::engine::merge::ConflictPolicy;
use crate::engine::values::Values;
use crate::error::Error;
use crate::record::{Owner, Payload, Record};
use crate::store::SessionStore;
use crate::store::history::HistoryBounds;
use crate::store::owner_index::OwnerLimit;
use crate::store::scan::Usage;
use crate::store::status::StoreStatus;
use crate::store::told_owner::{Told, ToldOwner};
use crate::telemetry::Telemetry;
use crate::telemetry::counters::Counts;
use crate::telemetry::session_events::{EventKind, Subject};
use crate::telemetry::stats::Stats;

/// At most so many ids are looked up for a request. A browser sends two cookies of a name where one was set
/// for a parent domain or a longer path, and as many as somebody on a sibling subdomain likes where the name
/// does not keep that out.
const MAX_CANDIDATES: usize = 16;

/// The sessions of one application: where they are stored, how they are signed, how long they live.
///
/// Cheap to clone. Adapters take one; without an adapter, [`begin`](Self::begin) and
/// [`RequestSession::finish`] are all that a framework has to call.
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
pub struct SessionManager<T: SessionData = Values>(pub(super) Arc<Inner<T>>);

pub(crate) struct Inner<T> {
    pub(super) store: Arc<StoreClient>,
    pub(crate) cookie: CheckedCookie,
    pub(crate) signer: Signer,
    pub(crate) expiry: Expiry,
    /// None where reads do not touch.
    pub(crate) touch_share: Option<f64>,
    pub(crate) codec: Codec,
    pub(super) readable: Shapes,
    pub(super) also_reads: Vec<Codec>,
    pub(crate) max_payload: usize,
    pub(crate) max_scan_rate: Option<u32>,
    pub(crate) on_conflict: ConflictPolicy<T>,
    pub(crate) owner_limit: Option<OwnerLimit>,
    /// How much of each owner's history is kept; none where it is not recorded.
    pub(super) history: Option<HistoryBounds>,
    /// How the store finds the owner in a session's data.
    pub(super) told_owner: Option<ToldOwner>,
    pub(super) device: DeviceRules,
    /// What a logout has the browser forget.
    pub(super) clear_site_data: Option<String>,
    pub(super) revoke_within: Duration,
    /// How old what a load answers may be.
    pub(super) oldest_copy: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<T: SessionData> SessionManager<T> {
    /// Starts a builder from a store and the keys for the cookie; everything else has a default.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager, SessionStore, Values};
    ///
    /// // Any store: one's own too, or one that is chosen when the service starts.
    /// let store: Box<dyn SessionStore> = Box::new(MemoryStore::new());
    /// let manager = SessionManager::<Values>::builder(store, KeyRing::generate()).build()?;
    /// assert!(manager.status().connected);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn builder(store: impl SessionStore, keys: KeyRing) -> SessionManagerBuilder<T> {
        SessionManagerBuilder::new(Arc::new(store), keys)
    }

    /// Reads a request's `Cookie` header, without asking the store for anything yet.
    ///
    /// Cookies that no key signed count as forged and are ignored: the visitor is anonymous.
    ///
    /// Of several cookies of the name, the first 16 different ids that verify are tried in order until the store
    /// holds one. So a request costs the store at most 16 reads, one after the other, and one unless it carries
    /// several such cookies; cookies that do not verify, and duplicates, cost none. An attacker who can set
    /// cookies of this name for the visitor, see [`SessionCookie::domain`](crate::SessionCookie::domain), needs 16
    /// ids that were signed here to hide the visitor's own, and could as well push it out of the browser, which
    /// keeps about 180 cookies for a domain and everything below it.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let request = manager.begin(Some("theme=dark; __Host-Http-id=forged"));
    /// // No key signed this id: the visitor is anonymous, and the store is not asked.
    /// assert!(request.session().await?.is_new());
    /// assert_eq!(manager.counts().forged, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin(&self, cookie_header: Option<&str>) -> RequestSession<T> {
        self.begin_with(&CookieHeader(cookie_header))
    }

    /// The same, of all that a framework knows of the request. HTTP/2 clients may send a `Cookie` header for each cookie
    /// (RFC 9113 section 8.2.3), and some other application's cookie may be no text.
    pub(crate) fn begin_with(&self, head: &impl RequestHead) -> RequestSession<T> {
        let manager = &self.0;
        let mut verified_ids = VerifiedIds::default();
        let (mut count, mut is_forged) = (0, false);
        for value in head.fields("cookie").flat_map(|header| manager.cookie.values(header)) {
            let Some(verified) = manager.signer.verify(value) else {
                manager.telemetry().forged();
                is_forged = true;
                continue;
            };
            count += usize::from(verified_ids.add(verified));
            if count == MAX_CANDIDATES {
                break;
            }
        }
        if is_forged {
            manager.telemetry().tell(EventKind::Forged, Subject::default());
        }
        RequestSession::new(Arc::clone(manager), verified_ids, BoundRequest::read(&manager.device, head))
    }

    /// Tells managers apart, whatever their types. Clones are one manager.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    /// The name of the session cookie.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// // To tell a proxy which requests it must not answer from its cache.
    /// assert_eq!(manager.cookie_name(), "__Host-Http-id");
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn cookie_name(&self) -> &str {
        self.0.cookie.name()
    }

    /// Counts what happened to this manager's sessions since it was built.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// manager.begin(Some("__Host-Http-id=made-up"));
    /// assert_eq!(manager.counts().forged, 1);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn counts(&self) -> Counts {
        self.0.telemetry().counts()
    }

    /// The store's status, as far as it is known without asking the store: for a health check.
    ///
    /// ```
    /// use session_store::SessionManager;
    ///
    /// fn healthz(manager: &SessionManager) -> (u16, String) {
    ///     let status = manager.status();
    ///     (if status.connected { 200 } else { 503 }, format!("{status:?}"))
    /// }
    /// ```
    pub fn status(&self) -> StoreStatus {
        self.0.store.status()
    }

    /// Statistics of the sessions and the store, with an estimate of the number of sessions. Costs a few
    /// commands to the store.
    ///
    /// Never fails: if the store can't be asked, the answer says that it is not connected, and has everything
    /// that this process counted.
    ///
    /// Logs the number of sessions if it has changed since the last call. With the feature `metrics` it also
    /// sets the gauges, so call it before each scrape.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let stats = manager.stats().await;
    /// assert_eq!((stats.store, stats.connected, stats.counts.created), ("memory", true, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats(&self) -> Stats {
        let usage = match self.0.store.usage().await {
            Err(Error::Unsupported { .. }) => Ok(None),
            usage => usage.map(Some),
        };
        self.report(usage)
    }

    /// Like [`stats`](Self::stats), with the sessions counted one by one. Goes through the whole store, so it
    /// takes a while, and memory for the key of every session.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the store can't go through its sessions, and the store's error if the count
    /// breaks off.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.start().await?;
    /// let stats = manager.stats_exact().await?;
    /// assert_eq!((stats.total_sessions, stats.total_sessions_error), (Some(1), Some(0)));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats_exact(&self) -> Result<Stats, Error> {
        let sessions = self.count_sessions().await?;
        let mut usage = self.usage().await?;
        usage.sessions = crate::telemetry::histogram::as_float(sessions);
        usage.error = 0.0;
        Ok(self.report(Ok(Some(usage))))
    }

    fn report(&self, usage: Result<Option<Usage>, Error>) -> Stats {
        self.0.telemetry().report(self.status(), usage, self.0.clock.now())
    }
}

impl<T> Inner<T> {
    pub(super) fn policy(&self) -> Policy<'_> {
        Policy { expiry: &self.expiry, touch_share: self.touch_share }
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        self.store.telemetry()
    }

    pub(crate) fn encoder(&self) -> Encoder<'_> {
        Encoder { codec: self.codec, readable: &self.readable }
    }

    /// Whether the session is past its time by this engine's clock, whatever the store's says.
    pub(crate) fn has_ended(&self, record: &Record) -> bool {
        self.has_ended_by(self.clock.now(), record)
    }

    pub(crate) fn has_ended_by(&self, now: Timestamp, record: &Record) -> bool {
        self.end_of(record) <= now
    }

    /// When the session ends unless something moves that.
    pub(super) fn end_of(&self, record: &Record) -> Timestamp {
        let deadline = plan::limits(record, &self.expiry).deadline;
        deadline.map_or(record.expires_at, |deadline| deadline.min(record.expires_at))
    }

    /// Whether the session's cookie carries a `Max-Age`, and so is sent again when its end moves.
    pub(crate) fn outlives_browser(&self, record: &Record) -> bool {
        let lasts = self.cookie.is_persistent() || record.own_expiry || record.own_idle_timeout;
        lasts && !record.ends_with_browser
    }

    /// Refuses data of a codec that this service does not use: the record names it, and whoever wrote the
    /// record may not be this service.
    pub(crate) fn check_codec(&self, data: &Payload) -> Result<(), &'static str> {
        let is_read = |codec: &Codec| codec.tag() == data.codec();
        if is_read(&self.codec) || self.also_reads.iter().any(is_read) {
            return Ok(());
        }
        Err(
            "it was written by a codec other than the service's; if that was once the service's own, name it in \
            `also_reads`",
        )
    }

    /// Gives a record that is to be written the owner that its data tells, who has to be the one that is `signed_in`.
    pub(crate) fn attribute(&self, record: &mut Record, signed_in: Option<&Owner>) -> Result<(), Error> {
        let Some(Told(told)) = self.told_owner.as_ref().and_then(|told_owner| told_owner.find(&record.data))
        else {
            return Ok(());
        };
        if signed_in.is_some() && signed_in != told.as_ref() {
            let message = "`owner_from` does not find the signed-in owner in the data: put it there in the same \
                `sign_in`";
            return Err(Error::Config(message.to_owned()));
        }
        record.owner = told;
        Ok(())
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
