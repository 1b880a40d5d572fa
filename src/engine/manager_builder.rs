//! Builds a [`SessionManager`] and checks its settings against each other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::at_rest::{AtRest, Compression, Sealing};
use super::device::{DeviceBinding, DeviceRules};
#[cfg(feature = "metrics")]
use super::metrics_label::MetricsLabel;
use super::store_client::StoreClient;
use super::{Inner, SessionManager};
use crate::clock::{Clock, SystemClock};
use crate::codec::Codec;
use crate::codec::shapes::Shapes;
use crate::cookie::SessionCookie;
use crate::cookie::keys::KeyRing;
use crate::cookie::signing::Signer;
use crate::engine::SessionData;
use crate::engine::expiry::Expiry;
use crate::engine::merge::ConflictPolicy;
use crate::error::Error;
use crate::record::Owner;
use crate::store::SessionStore;
#[cfg(not(feature = "redis"))]
use crate::store::background::RuntimeHandle;
use crate::store::history::HistoryBounds;
use crate::store::owner_index::{Evict, OwnerLimit};
use crate::store::status::StoreStatus;
use crate::store::told_owner::{OwnerFrom, Told};
use crate::telemetry::Telemetry;
use crate::telemetry::event_queue::Listeners;
use crate::telemetry::session_events::{EventDetail, EventSinks};

const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;
const DEFAULT_TOUCH_SHARE: f64 = 0.1;
const REVOKE_WITHIN: Duration = Duration::from_secs(30);

/// Finds the owner in a session's data.
struct OwnerFinder(Box<OwnerFrom>);

impl fmt::Debug for OwnerFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerFinder(..)")
    }
}

/// Builds a [`SessionManager`]; made by [`SessionManager::builder`] or [`SessionManager::from_env`].
///
/// ```
/// use session_store::{Evict, Expiry, KeyRing, MemoryStore, SameSite, SessionCookie, SessionManager, Values};
/// use std::time::Duration;
///
/// let day = Duration::from_secs(24 * 3600);
/// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
///     .cookie(SessionCookie::new().name("__Host-shop").same_site(SameSite::Strict))
///     .expiry(Expiry::idle(day).absolute(7 * day))
///     .max_sessions_per_owner(20, Evict::Oldest)
///     .max_payload(16 * 1024)
///     .build()?;
/// assert_eq!(manager.cookie_name(), "__Host-shop");
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SessionManagerBuilder<T: SessionData> {
    store: Arc<dyn SessionStore>,
    keys: KeyRing,
    cookie: Option<SessionCookie>,
    expiry: Expiry,
    touch_share: f64,
    touch_on_read: bool,
    codec: Codec,
    also_reads: Vec<Codec>,
    max_payload: usize,
    max_scan_rate: Option<u32>,
    on_conflict: ConflictPolicy<T>,
    owner_limit: Option<OwnerLimit>,
    owner_from: Option<OwnerFinder>,
    pub(super) device_binding: Option<DeviceBinding>,
    pub(super) clear_site_data: Option<String>,
    pub(super) sealing: Option<Sealing>,
    pub(super) compress_above: Option<usize>,
    revoke_within: Duration,
    clock: Arc<dyn Clock>,
    pub(super) listeners: Listeners,
    pub(super) audited: EventDetail,
    pub(super) history: Option<HistoryBounds>,
    #[cfg(feature = "metrics")]
    pub(super) metrics_label: Option<MetricsLabel>,
}

impl<T: SessionData> SessionManagerBuilder<T> {
    pub(crate) fn new(store: Arc<dyn SessionStore>, keys: KeyRing) -> Self {
        Self {
            store,
            keys,
            cookie: None,
            expiry: Expiry::default(),
            touch_share: DEFAULT_TOUCH_SHARE,
            touch_on_read: true,
            codec: Codec::default(),
            also_reads: Vec::new(),
            max_payload: DEFAULT_MAX_PAYLOAD,
            max_scan_rate: None,
            on_conflict: ConflictPolicy::default(),
            owner_limit: None,
            owner_from: None,
            device_binding: None,
            clear_site_data: None,
            sealing: None,
            compress_above: None,
            revoke_within: REVOKE_WITHIN,
            clock: Arc::new(SystemClock),
            listeners: Listeners::default(),
            audited: EventDetail::default(),
            history: None,
            #[cfg(feature = "metrics")]
            metrics_label: None,
        }
    }

    /// Sets the cookie's name and attributes. Default: [`SessionCookie::new`], or the cookie of the store's
    /// `ExpressLayout`.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionCookie, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // For development over plain http; its default name is another one then.
    /// let manager = builder.cookie(SessionCookie::new().secure(false)).build()?;
    /// assert_eq!(manager.cookie_name(), "id");
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn cookie(mut self, cookie: SessionCookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// Sets how long sessions live. Default: 24 hours without use, 30 days at most.
    ///
    /// ```
    /// use session_store::{Expiry, KeyRing, ManualClock, MemoryStore, SessionManager, Values};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let clock = Arc::new(ManualClock::default());
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .expiry(Expiry::idle(Duration::from_secs(30 * 60)))
    ///     .clock(Arc::clone(&clock))
    ///     .build()?;
    ///
    /// let request = manager.begin(None);
    /// request.session().await?.start().await?;
    /// let cookie = request.finish(200).await.set_cookie.expect("a session began");
    ///
    /// clock.advance(Duration::from_secs(31 * 60));
    /// assert!(manager.begin(Some(&cookie)).session().await?.is_new());
    /// # Ok(())
    /// # }
    /// ```
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// Sets how much of the idle timeout must have passed before a request that only reads extends its
    /// session, from 0 (every request) to 0.5. Default: 0.1, so a session that is used all the time
    /// costs one write in a tenth of its idle timeout, and may end that much early after its last use.
    ///
    /// ```
    /// # use session_store::{Expiry, KeyRing, MemoryStore, SessionManager};
    /// # use std::time::Duration;
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // A page that polls every second writes once in 6 minutes; the session ends 54 to 60 minutes after its last use.
    /// let hour = Duration::from_secs(3600);
    /// let manager = builder.expiry(Expiry::idle(hour)).touch_share(0.1).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn touch_share(mut self, share: f64) -> Self {
        self.touch_share = share;
        self
    }

    /// Sets whether requests that only read extend their session, and whether
    /// [`Session::touch`](crate::Session::touch) does. Default: `true`. With `false` only writes do, as with
    /// connect-redis' `disableTouch`.
    ///
    /// ```
    /// # use session_store::{Expiry, KeyRing, MemoryStore, SessionManager};
    /// # use std::time::Duration;
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // Nothing extends a session but a change of its data.
    /// let manager = builder.expiry(Expiry::idle(Duration::from_secs(3600))).touch_on_read(false).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn touch_on_read(mut self, touches: bool) -> Self {
        self.touch_on_read = touches;
        self
    }

    /// Sets how data is encoded. Default: JSON. Sessions that another codec wrote are read only with
    /// [`also_reads`](Self::also_reads), whose example changes the codec of a running service.
    ///
    /// ```
    /// # use session_store::{Codec, KeyRing, MemoryStore, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // Readable with `redis-cli`; `Codec::MessagePack` is smaller (feature `messagepack`).
    /// let manager = builder.codec(Codec::Json).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Sets other codecs whose sessions are read too; their next change stores them in the
    /// [`codec`](Self::codec) set here. Default: none, since a record names its own codec, and an attacker who
    /// can write to the store would otherwise choose the decoder. A session of any other codec counts as absent:
    /// `Counts::corrupt` counts it, and a warning is logged.
    ///
    /// To change the codec of a running service without signing anybody out, let all instances read the
    /// new one first; then switch, and keep reading the old one for as long as its sessions may live:
    ///
    /// ```
    /// # #[cfg(feature = "messagepack")] {
    /// use session_store::{Codec, KeyRing, MemoryStore, SessionManager};
    ///
    /// let builder = || SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// let first = builder().codec(Codec::Json).also_reads([Codec::MessagePack]).build()?;
    /// let then = builder().codec(Codec::MessagePack).also_reads([Codec::Json]).build()?;
    /// # }
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn also_reads(mut self, codecs: impl IntoIterator<Item = Codec>) -> Self {
        self.also_reads = codecs.into_iter().collect();
        self
    }

    /// Sets how many bytes one session's encoded data may take at most. Default: 1 MiB.
    ///
    /// A record in Redis longer than twice that, or than 2 MiB if that is more, is not read: its session
    /// counts as absent, and `Counts::corrupt` counts it. So raise this on all instances before any of them
    /// stores such sessions.
    ///
    /// ```
    /// # use session_store::{Error, KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let builder = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate());
    /// let manager = builder.max_payload(4096).build()?;
    /// let session = manager.begin(None).session().await?;
    /// session.write(|values| values.insert("avatar", "x".repeat(5000)))??;
    /// let refused = session.save().await.unwrap_err();
    /// assert!(matches!(refused, Error::TooLarge { limit: 4096, .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Sets how many keys a second are looked at, at most, by operations that go through all sessions:
    /// [`sessions`](SessionManager::sessions), [`count_sessions`](SessionManager::count_sessions),
    /// [`revoke_everyone`](SessionManager::revoke_everyone) and
    /// [`revoke_all_thoroughly`](SessionManager::revoke_all_thoroughly). Default: 4,000 in Redis, which hardly
    /// delays requests, and no limit in memory or in a custom store.
    ///
    /// The runtime needs its timer enabled, as tokio's `enable_all` does.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // A million sessions are counted in a little over a quarter of an hour.
    /// let manager = builder.max_scan_rate(1000).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn max_scan_rate(mut self, keys_per_second: u32) -> Self {
        self.max_scan_rate = Some(keys_per_second);
        self
    }

    /// Sets what happens when two requests change one session. Default: merging.
    ///
    /// ```
    /// # use session_store::{ConflictPolicy, KeyRing, MemoryStore, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // The second of two changes is a 409, whatever it is.
    /// let manager = builder.on_conflict(ConflictPolicy::Reject).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn on_conflict(mut self, policy: ConflictPolicy<T>) -> Self {
        self.on_conflict = policy;
        self
    }

    /// Limits how many sessions an owner may have at once, 1 to [`OwnerLimit::MOST`] (1,000), and sets what
    /// happens at a sign-in beyond that (OWASP ASVS 7.1.2). Default: any number, since a service account may
    /// have many.
    ///
    /// Set a limit for accounts of people, 20 for example. Without one, anybody with a password can make a
    /// million sessions in minutes: they cost memory, and ending them all takes as many deletions.
    ///
    /// An evicted session ends once the new one is stored: a sign-in that fails ends no session.
    ///
    /// The limit also holds for concurrent sign-ins, and each of them is answered when its response is ready: a
    /// sign-in that is refused, or whose session another one evicts meanwhile, is a 409. To answer otherwise, a
    /// handler calls [`Session::save`](crate::Session::save) after [`sign_in`](crate::Session::sign_in).
    ///
    /// Sessions count for as long as they may live. An idle one may be counted for a tenth of its idle timeout
    /// longer.
    ///
    /// ```
    /// use session_store::{Evict, KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let clock = std::sync::Arc::new(session_store::ManualClock::default());
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    /// #   .clock(std::sync::Arc::clone(&clock))
    ///     .max_sessions_per_owner(2, Evict::Oldest)
    ///     .build()?;
    /// for device in ["phone", "laptop", "tablet"] {
    ///     let session = manager.begin(None).session().await?;
    ///     session.sign_in("ada", |_| ())?;
    ///     session.set_label(device)?;
    ///     session.save().await?;
    /// #     clock.advance(std::time::Duration::from_secs(1));
    /// }
    /// // The phone's session ended as the tablet signed in.
    /// assert_eq!(manager.sessions_of("ada").await?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_sessions_per_owner(mut self, sessions: u32, evict: Evict) -> Self {
        self.owner_limit = Some(OwnerLimit { sessions, evict });
        self
    }

    /// Reads the owner of a session from its data, for sessions shared with an Express service that signs users in
    /// too: Express knows nothing of owners.
    ///
    /// The owner of a session in `RedisLayout::express` is then the one that its data names, or none if it names
    /// none, whichever service wrote it. A session that Node made is entered in the index of owners by the first
    /// response to a request here that uses it, so that [`sessions_of`](SessionManager::sessions_of) lists it, and
    /// [`revoke_all`](SessionManager::revoke_all) ends it. Before that,
    /// [`revoke_all_thoroughly`](SessionManager::revoke_all_thoroughly) finds it by going through the store. Such a
    /// session is not counted against [a limit](Self::max_sessions_per_owner) when it is entered.
    ///
    /// The change made by [`Session::sign_in`](crate::Session::sign_in) has to put the same owner into the data;
    /// otherwise nothing is stored. A name that [`Owner::new`](crate::Owner::new) refuses counts as no owner. In any
    /// other layout or store this has no effect: there the owner is the one who signed in.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use session_store::{KeyRing, Lenient, MemoryStore, SessionManager};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Passport {
    ///     user: String,
    /// }
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(default)]
    /// struct Shop {
    ///     passport: Lenient<Passport>,
    /// }
    ///
    /// # let store = MemoryStore::new();
    /// let manager = SessionManager::<Shop>::builder(store, KeyRing::generate())
    ///     .owner_from(|shop| shop.passport.get().map(|passport| passport.user.clone()))
    ///     .build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn owner_from<N: AsRef<str>>(
        mut self,
        owner_of: impl Fn(&T) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        self.owner_from = Some(OwnerFinder(Box::new(move |data| {
            let data = data.shared::<T>().ok()?;
            Some(Told(owner_of(&data).and_then(|name| Owner::new(name).ok())))
        })));
        self
    }

    /// Sets how long [`revoke_all`](SessionManager::revoke_all) and
    /// [`revoke_others`](SessionManager::revoke_others) go on deleting sessions before they answer
    /// [`Error::Unfinished`]; the rest is deleted in the background. Default: 30 seconds.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// // Less than the proxy's timeout, so that the user sees an answer.
    /// let manager = builder.revoke_within(std::time::Duration::from_secs(5)).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn revoke_within(mut self, time: Duration) -> Self {
        self.revoke_within = time;
        self
    }

    /// Sets the clock that expiry goes by. Default: the system's. Tests set a
    /// [`ManualClock`](crate::ManualClock), as in the example of [`expiry`](Self::expiry).
    ///
    /// ```
    /// use session_store::{KeyRing, ManualClock, MemoryStore, SessionManager};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let clock = Arc::new(ManualClock::default());
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .clock(Arc::clone(&clock))
    ///     .build()?;
    /// // The test moves on to the next day.
    /// clock.advance(Duration::from_secs(24 * 3600));
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The store's status, as [`SessionManager::status`] tells it, before the manager is built: for a service that
    /// must not start in memory, which [`from_env`](SessionManager::from_env) uses where no Redis is named.
    ///
    /// ```no_run
    /// use session_store::SessionManager;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = SessionManager::<u32>::from_env().await?;
    /// if builder.status().kind == "memory" {
    ///     return Err("sessions would end with this process: set REDIS_URL".into());
    /// }
    /// let manager = builder.build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> StoreStatus {
        self.store.status()
    }

    /// Checks the settings against each other and builds the manager.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for cookie attributes that contradict each other, a timeout of zero, a touch share outside
    /// 0 to 0.5, a scan rate of zero, a limit of zero sessions, of more than 1,000, or of any number in a store
    /// without an index of owners; for a history out of bounds, or in a store that keeps none; and, where the store shares its sessions with Express, for keys, a cookie, a
    /// codec or data that Express would not understand.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SameSite, SessionCookie, SessionManager};
    ///
    /// let cookie = SessionCookie::new().same_site(SameSite::None).secure(false);
    /// let fault = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).cookie(cookie).build();
    /// // Browsers would refuse this cookie; the error says so when the service starts.
    /// println!("{}", fault.unwrap_err());
    /// ```
    pub fn build(self) -> Result<SessionManager<T>, Error> {
        self.expiry.validate()?;
        if !(0.0..=0.5).contains(&self.touch_share) {
            let message = format!("the touch share is {}; give one from 0 to 0.5", self.touch_share);
            return Err(Error::Config(message));
        }
        if self.max_scan_rate == Some(0) {
            return Err(Error::Config("with 0 keys a second, no scan would ever end".to_owned()));
        }
        if let Some(limit) = self.owner_limit {
            if limit.sessions == 0 {
                return Err(Error::Config("with 0 sessions per owner, nobody could sign in".to_owned()));
            }
            if limit.sessions > OwnerLimit::MOST {
                let message = format!(
                    "a limit of {} sessions per owner is too high; give {} at most, or no limit",
                    limit.sessions,
                    OwnerLimit::MOST,
                );
                return Err(Error::Config(message));
            }
            if self.store.owners().is_none() {
                let message = "this store keeps no index of owners, so their sessions cannot be limited";
                return Err(Error::Config(message.to_owned()));
            }
        }
        if let Some(bounds) = self.history {
            bounds.check()?;
            if self.store.history().is_none() {
                return Err(Error::Config("this store keeps no history".to_owned()));
            }
        }
        let requirements = self.store.requirements();
        let cookie = self.cookie.or_else(|| requirements.express.clone()).unwrap_or_default().build()?;
        let signer = Signer::new(&self.keys, cookie.name());
        let device = DeviceRules::new(self.device_binding, &cookie, &self.keys)?;
        #[cfg(feature = "metrics")]
        let series = self.metrics_label.map(MetricsLabel::series).transpose()?.unwrap_or_default();
        #[cfg(feature = "express")]
        if let Some(layout) = requirements.express {
            super::express::check::<T>(&cookie, &layout.build()?, &signer, self.codec)?;
            if self.sealing.is_some() || self.compress_above.is_some() {
                let message = "Express reads the sessions of this store, so they can be neither sealed nor compressed: \
                    move them to the native layout first";
                return Err(Error::Config(message.to_owned()));
            }
        }
        let largest = self.max_payload.max(DEFAULT_MAX_PAYLOAD).saturating_mul(2);
        let at_rest = AtRest::new(self.sealing, Compression::new(self.compress_above, largest));
        // From here on nothing fails but this, so that a store is told of managers alone that are built.
        if let (Some(OwnerFinder(owner_from)), Some(store)) = (self.owner_from, &requirements.told_owner) {
            store.set(owner_from)?;
        }
        #[cfg(feature = "redis")]
        if let Some(limit) = requirements.record_limit {
            limit.make_room_for(self.max_payload);
        }
        let events = EventSinks::new(Arc::clone(&self.clock), self.audited, self.listeners.into_queue());
        #[cfg(feature = "redis")]
        let home = requirements.home.unwrap_or_default();
        #[cfg(not(feature = "redis"))]
        let home = RuntimeHandle::default();
        let status = self.store.status();
        let telemetry = move |events| {
            let telemetry = Telemetry::new(&status, events);
            #[cfg(feature = "metrics")]
            let telemetry = telemetry.with_series(series);
            telemetry
        };
        let store = StoreClient::new(self.store, at_rest, (events, telemetry), self.history, home);
        Ok(SessionManager(Arc::new(Inner {
            signer,
            cookie,
            store,
            expiry: self.expiry,
            touch_share: self.touch_on_read.then_some(self.touch_share),
            codec: self.codec,
            readable: Shapes::new(),
            also_reads: self.also_reads,
            max_payload: self.max_payload,
            max_scan_rate: self.max_scan_rate,
            on_conflict: self.on_conflict,
            owner_limit: self.owner_limit,
            history: self.history,
            told_owner: requirements.told_owner,
            device,
            clear_site_data: self.clear_site_data,
            revoke_within: self.revoke_within,
            oldest_copy: requirements.oldest_copy,
            clock: self.clock,
        })))
    }
}
