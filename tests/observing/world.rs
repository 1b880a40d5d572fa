//! A service whose sessions are in a store that can go through them, and can be away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_store::{
    Created, Cursor, Error, Expiry, KeyRing, Loaded, ManualClock, MemoryStore, OwnersPage, Page, Record,
    RequestSession, Rotation, Scan, SessionCookie, SessionKey, SessionManager, SessionManagerBuilder,
    SessionStore, SessionSummary, StoreStatus, Timestamp, Topology, Touch, Ttl, Update, Updated, Usage,
};

pub(crate) const IDLE: Duration = Duration::from_secs(30 * 60);

pub(crate) struct World {
    pub(crate) store: Arc<Scanned>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) manager: SessionManager<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(
        set: impl FnOnce(SessionManagerBuilder<String>) -> SessionManagerBuilder<String>,
    ) -> Self {
        let (store, clock) = (Arc::new(Scanned::default()), Arc::new(ManualClock::default()));
        let builder = SessionManager::builder(Arc::clone(&store), KeyRing::generate())
            .expiry(Expiry::idle(IDLE))
            .cookie(SessionCookie::new().name("id"))
            .clock(Arc::clone(&clock));
        let manager = set(builder).build().unwrap();
        Self { store, clock, manager }
    }

    /// The cookie of a new session with this text.
    pub(crate) async fn sign_up(&self, text: &str) -> String {
        let request = self.manager.begin(None);
        request.session().await.unwrap().write(|data| data.push_str(text)).unwrap();
        set(request).await
    }

    /// The cookie after signing in.
    pub(crate) async fn sign_in(&self, cookie: &str, owner: &str) -> String {
        let request = self.manager.begin(Some(cookie));
        request.session().await.unwrap().sign_in(owner, |_| ()).unwrap();
        set(request).await
    }

    pub(crate) async fn read(&self, cookie: &str) -> Result<String, Error> {
        let request = self.manager.begin(Some(cookie));
        let text = request.session().await?.read(String::clone);
        let _ = request.finish(200).await;
        Ok(text)
    }

    pub(crate) async fn log_out(&self, cookie: &str) {
        let request = self.manager.begin(Some(cookie));
        request.session().await.unwrap().destroy().await.unwrap();
        let _ = request.finish(200).await;
    }
}

async fn set(request: RequestSession<String>) -> String {
    let cookie = request.finish(200).await.set_cookie.unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// A store in memory that says that it is something else, and what it likes of its sessions.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    inner: MemoryStore,
    pub(crate) is_away: AtomicBool,
    /// Whether it is away from the second page of a scan on.
    pub(crate) breaks_off: AtomicBool,
    /// Whether it is no more than a store has to be.
    pub(crate) is_plain: AtomicBool,
    /// Of which [`Scan::page`] shows one twice.
    keys: Mutex<Vec<(SessionKey, Record)>>,
}

impl Scanned {
    fn here(&self) -> Result<(), Error> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::unavailable("nobody answers at redis.example.com:6379", None));
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Scanned {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.here()?;
        self.inner.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.here()?;
        self.keys.lock().unwrap().push((key.clone(), record.clone()));
        self.inner.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.here()?;
        self.inner.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.here()?;
        self.inner.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.here()?;
        self.inner.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.here()?;
        self.inner.delete(key).await
    }

    fn scan(&self) -> Option<&dyn Scan> {
        if self.is_plain.load(Ordering::SeqCst) { None } else { Some(self) }
    }

    fn status(&self) -> StoreStatus {
        let mut status = StoreStatus::default();
        if self.is_plain.load(Ordering::SeqCst) {
            return status;
        }
        status.kind = "redis";
        status.topology = Some(Topology::Standalone);
        status.since = Some(Timestamp::from_millis(1_767_225_600_999));
        status
    }
}

#[async_trait]
impl Scan for Scanned {
    async fn page(&self, cursor: Option<&Cursor>, _: usize) -> Result<Page, Error> {
        self.here()?;
        let mut page = Page::default();
        if cursor.is_some() && self.breaks_off.load(Ordering::SeqCst) {
            self.is_away.store(true, Ordering::SeqCst);
            self.here()?;
        }
        let keys = self.keys.lock().unwrap();
        let summary = |(key, record): &(SessionKey, Record)| SessionSummary::new(key.clone(), record);
        if cursor.is_none() {
            page.sessions = keys.iter().map(summary).collect();
            page.next = Some(Cursor::new("again"));
        } else {
            page.sessions = keys.iter().take(1).map(summary).collect();
        }
        Ok(page)
    }

    async fn usage(&self) -> Result<Usage, Error> {
        self.here()?;
        let mut usage = Usage::default();
        usage.sessions = 1204.4;
        usage.error = 30.2;
        usage.used_bytes = Some(2_412_544);
        usage.limit_bytes = Some(1 << 30);
        usage.bytes_per_session = Some(412.5);
        Ok(usage)
    }

    async fn owners_page(&self, _: Option<&Cursor>, _: usize) -> Result<OwnersPage, Error> {
        Ok(OwnersPage::default())
    }
}
