//! Builds a [`SessionManager`] and checks its settings against each other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
use crate::store::owner_index::{Evict, OwnerLimit};
use crate::store::status::StoreStatus;
use crate::store::told_owner::{OwnerFrom, Told};

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

/// Builds a [`SessionManager`].
///
/// ```
/// use session_store::{Error, KeyRing, MemoryStore, SameSite, SessionCookie, SessionManager};
///
/// let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
/// let manager = builder.cookie(SessionCookie::new().same_site(SameSite::Strict)).max_payload(4096).build()?;
/// assert_eq!(manager.cookie_name(), "__Host-Http-id");
/// # Ok::<(), Error>(())
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
    revoke_within: Duration,
    clock: Arc<dyn Clock>,
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
            revoke_within: REVOKE_WITHIN,
            clock: Arc::new(SystemClock),
        }
    }

    /// The cookie's name and attributes. Default: [`SessionCookie::new`], or the one of the store's
    /// `ExpressLayout`.
    pub fn cookie(mut self, cookie: SessionCookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// How long sessions live. Default: 24 hours without use, 30 days at most.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// How much of the idle timeout must have passed before a request that only reads extends its
    /// session, from 0 (every request) to 0.5. Default: 0.1, so a session that is used all the time
    /// costs one write in a tenth of its idle timeout, and may end that much early after its last use.
    pub fn touch_share(mut self, share: f64) -> Self {
        self.touch_share = share;
        self
    }

    /// Whether requests that only read extend their session, and [`Session::touch`](crate::Session::touch) does.
    /// Default: `true`. With `false` only writes do, as with connect-redis' `disableTouch`.
    pub fn touch_on_read(mut self, touches: bool) -> Self {
        self.touch_on_read = touches;
        self
    }

    /// How data is encoded. Default: JSON. Sessions that another codec wrote are read only with
    /// [`also_reads`](Self::also_reads).
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Other codecs whose sessions are read, and written anew by [`codec`](Self::codec) at their next
    /// change. Default: none, since a record names its codec itself, and so whoever can write to the store
    /// would choose the decoder. A session of any other codec counts as absent, `Counts::corrupt` counts it,
    /// and a warning says so.
    ///
    /// To change the codec of a running service without signing anybody out, let all instances read the
    /// new one first; then change over, and read the old one for as long as its sessions may live:
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

    /// The most bytes that one session's encoded data may take. Default: 1 MiB.
    ///
    /// From Redis, no record is read that is longer than twice that, or 2 MiB if that is more: its session
    /// counts as absent, and `Counts::corrupt` counts it. So raise this on all instances before any of them
    /// stores such sessions.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How many keys a second are looked at, at most, where all sessions are gone through: by
    /// [`sessions`](SessionManager::sessions), [`count_sessions`](SessionManager::count_sessions),
    /// [`revoke_everyone`](SessionManager::revoke_everyone) and
    /// [`revoke_all_thoroughly`](SessionManager::revoke_all_thoroughly). Default: 4,000 in Redis, by which
    /// requests hardly wait longer than without, and no limit in memory or in a store of one's own.
    ///
    /// The runtime needs its timer enabled, as tokio's `enable_all` does.
    pub fn max_scan_rate(mut self, keys_per_second: u32) -> Self {
        self.max_scan_rate = Some(keys_per_second);
        self
    }

    /// What happens when two requests change one session. Default: merging.
    pub fn on_conflict(mut self, policy: ConflictPolicy<T>) -> Self {
        self.on_conflict = policy;
        self
    }

    /// How many sessions an owner may have at once, 1 to [`OwnerLimit::MOST`] (1,000), and what happens when
    /// somebody signs in beyond that (OWASP ASVS 7.1.2). Default: any number, since a service account may
    /// have many.
    ///
    /// Set one for accounts of people, 20 for example. Without a limit, whoever has a password can make a
    /// million sessions in minutes: they cost memory, and ending them all takes as many deletions.
    ///
    /// A session that has to go for another one ends once that one is stored: a sign-in that fails ends none.
    ///
    /// It holds also for sign-ins at the same moment, and each of them has its answer when the response is
    /// ready: a sign-in that is refused, or whose session another one evicts meanwhile, is a 409. To
    /// answer otherwise, a handler calls [`Session::save`](crate::Session::save) after
    /// [`sign_in`](crate::Session::sign_in).
    ///
    /// Sessions count for as long as they may live. One that has gone idle may be counted a tenth of its
    /// idle timeout longer.
    pub fn max_sessions_per_owner(mut self, sessions: u32, evict: Evict) -> Self {
        self.owner_limit = Some(OwnerLimit { sessions, evict });
        self
    }

    /// Tells whose session it is by its data, where Express signs users in, too: it knows nothing of owners.
    ///
    /// The owner of a session in `RedisLayout::express` is then whom its data names, and nobody
    /// where it names nobody, whichever service wrote it. A session that Node made is entered in the index of owners by
    /// the first response to a request here that uses it, so that [`sessions_of`](SessionManager::sessions_of) lists
    /// it, and [`revoke_all`](SessionManager::revoke_all) ends it. Before that,
    /// [`revoke_all_thoroughly`](SessionManager::revoke_all_thoroughly) finds it, by going through the store. Such a
    /// session is not counted against [a limit](Self::max_sessions_per_owner) when it is entered.
    ///
    /// [`Session::sign_in`](crate::Session::sign_in) has to put the same owner into the data that it is given, or else
    /// nothing is stored. A name that [`Owner::new`](crate::Owner::new) refuses is nobody's. In any other layout and
    /// store this does nothing: there the owner is who was signed in.
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

    /// How long [`revoke_all`](SessionManager::revoke_all) and
    /// [`revoke_others`](SessionManager::revoke_others) go on deleting sessions before they answer
    /// [`Error::Unfinished`]; the rest is deleted in the background. Default: 30 seconds.
    pub fn revoke_within(mut self, time: Duration) -> Self {
        self.revoke_within = time;
        self
    }

    /// The clock that expiry goes by. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How the store is, as [`SessionManager::status`]: for a service that shall not start, say, with the memory
    /// that [`from_env`](SessionManager::from_env) takes where no Redis is named.
    pub fn status(&self) -> StoreStatus {
        self.store.status()
    }

    /// Builds the manager.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for cookie attributes that contradict each other, a timeout of zero, a touch
    /// share outside 0 to 0.5, a limit of zero sessions or
    /// more than 1,000, or any in a store without an index of owners; and where the store shares its sessions
    /// with Express, for keys, a cookie, a codec or data that Express would not understand.
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
                    "{} sessions per owner are more than can be limited; give {} at most, or no limit",
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
        let requirements = self.store.requirements();
        let cookie = self.cookie.or_else(|| requirements.express.clone()).unwrap_or_default().build()?;
        let signer = Signer::new(&self.keys, cookie.name());
        #[cfg(feature = "express")]
        if let Some(layout) = requirements.express {
            super::express::check::<T>(&cookie, &layout.build()?, &signer, self.codec)?;
        }
        // From here on nothing fails but this, so that a store is told of managers alone that are built.
        if let (Some(OwnerFinder(owner_from)), Some(store)) = (self.owner_from, &requirements.told_owner) {
            store.set(owner_from)?;
        }
        #[cfg(feature = "redis")]
        if let Some(limit) = requirements.record_limit {
            limit.make_room_for(self.max_payload);
        }
        Ok(SessionManager(Arc::new(Inner {
            signer,
            cookie,
            store: Arc::new(StoreClient::new(self.store)),
            expiry: self.expiry,
            touch_share: self.touch_on_read.then_some(self.touch_share),
            codec: self.codec,
            readable: Shapes::new(),
            also_reads: self.also_reads,
            max_payload: self.max_payload,
            max_scan_rate: self.max_scan_rate,
            on_conflict: self.on_conflict,
            owner_limit: self.owner_limit,
            told_owner: requirements.told_owner,
            revoke_within: self.revoke_within,
            oldest_copy: requirements.oldest_copy,
            clock: self.clock,
        })))
    }
}
