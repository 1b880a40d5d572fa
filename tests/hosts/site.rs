//! The application on a free port: a host, a store that nobody else uses, and browsers to visit it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "redis")]
use session_store::RedisStore;
use session_store::{
    Expiry, KeyRing, ManualClock, MemoryStore, SessionCookie, SessionData, SessionManager,
    SessionManagerBuilder, SessionStore,
};
use tokio::sync::watch;

use crate::browser::Browser;
use crate::host::{Host, Serving};
use crate::lab::{Lab, Notes};
use crate::store::StagedStore;
use crate::support::gate::{Gate, within};
use crate::support::log::Log;
#[cfg(feature = "redis")]
use crate::support::redis::Server;

pub(crate) const IDLE: Duration = Duration::from_secs(1000);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(10_000);
#[cfg(all(feature = "seal", feature = "compress"))]
const SEAL_KEY: &str = "XwZ8Vt4u1oJ0q9sYpQmC3rLhBdKfGnTe5iAxUy7E";

/// What a case plays on: a host, and a store that nobody else uses.
pub(crate) struct Stage {
    host: Host,
    sessions: Arc<dyn SessionStore>,
    touches_always: bool,
    is_sealed: bool,
    log: Log,
    #[cfg(feature = "redis")]
    _redis: Option<Server>,
}

impl Stage {
    pub(crate) fn in_memory(host: Host) -> Self {
        Self {
            host,
            sessions: Arc::new(MemoryStore::new()),
            touches_always: false,
            is_sealed: false,
            log: Log::begin(),
            #[cfg(feature = "redis")]
            _redis: None,
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) async fn in_redis(host: Host) -> Self {
        let stage = Self::in_memory(host);
        let server = Server::start().await;
        let store = RedisStore::builder(server.url()).connect().await.expect("Redis answers");
        Self { sessions: Arc::new(store), _redis: Some(server), ..stage }
    }

    /// In memory, where everything is sealed, and compressed if it is long.
    #[cfg(all(feature = "seal", feature = "compress"))]
    pub(crate) fn sealed(host: Host) -> Self {
        Self { is_sealed: true, ..Self::in_memory(host) }
    }

    /// Every request counts as a use of the notes.
    pub(crate) fn touching_always(self) -> Self {
        Self { touches_always: true, ..self }
    }

    /// Opens the application with its cookie for plain http: `id`.
    pub(crate) fn open(self) -> Site {
        self.open_with(|notes| notes.cookie(cookie("id")))
    }

    /// Opens the application with these settings for the notes.
    pub(crate) fn open_with(
        self,
        settings: impl FnOnce(SessionManagerBuilder<Notes>) -> SessionManagerBuilder<Notes>,
    ) -> Site {
        self.open_with_keys(KeyRing::generate(), settings)
    }

    /// The same with these keys for the notes.
    pub(crate) fn open_with_keys(
        self,
        keys: KeyRing,
        settings: impl FnOnce(SessionManagerBuilder<Notes>) -> SessionManagerBuilder<Notes>,
    ) -> Site {
        let store = StagedStore::above(Arc::clone(&self.sessions));
        let clock = Arc::new(ManualClock::default());
        let lab = Lab {
            notes: settings(self.manager(&store, keys, &clock)).build().expect("no contradiction"),
            themes: self.beside("theme", &store, &clock),
            other: self.beside("other", &store, &clock),
            store,
            gate: Gate::closed(),
            patience: Gate::closed(),
            running: Arc::new(watch::Sender::new(0)),
            touches_always: self.touches_always,
            log: self.log.clone(),
            #[cfg(feature = "device-bound")]
            clock: Arc::clone(&clock),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can do without");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Site { _serving: (self.host.serve)(&lab, listener), stage: self, lab, clock, url }
    }

    fn manager<T: SessionData>(
        &self,
        store: &StagedStore,
        keys: KeyRing,
        clock: &Arc<ManualClock>,
    ) -> SessionManagerBuilder<T> {
        let builder = SessionManager::builder(store.clone(), keys)
            .expiry(Expiry::idle(IDLE).absolute(ABSOLUTE))
            .clock(Arc::clone(clock));
        if self.is_sealed { sealed(builder) } else { builder }
    }

    /// The manager of a session beside the notes.
    fn beside<T: SessionData>(
        &self,
        name: &str,
        store: &StagedStore,
        clock: &Arc<ManualClock>,
    ) -> SessionManager<T> {
        let builder = self.manager(store, KeyRing::generate(), clock);
        builder.cookie(cookie(name)).build().expect("no contradiction")
    }
}

#[cfg(all(feature = "seal", feature = "compress"))]
fn sealed<T: SessionData>(builder: SessionManagerBuilder<T>) -> SessionManagerBuilder<T> {
    // Each application on a stage has the same keys.
    let keys = KeyRing::parse(SEAL_KEY).expect("it is long enough");
    builder.seal(session_store::Sealing::new(&keys).expect("keys of our own").labels()).compress(64)
}

#[cfg(not(all(feature = "seal", feature = "compress")))]
fn sealed<T: SessionData>(_: SessionManagerBuilder<T>) -> SessionManagerBuilder<T> {
    unreachable!("nothing is sealed")
}

/// A cookie for plain http.
pub(crate) fn cookie(name: &str) -> SessionCookie {
    SessionCookie::new().name(name).secure(false)
}

/// The application, while it listens.
pub(crate) struct Site {
    // Ends before the store does.
    _serving: Serving,
    stage: Stage,
    pub(crate) lab: Lab,
    pub(crate) clock: Arc<ManualClock>,
    url: String,
}

impl Site {
    /// Ends the application, and leaves its stage.
    #[cfg(feature = "device-bound")]
    pub(crate) fn close(self) -> Stage {
        self.stage
    }

    pub(crate) fn host(&self) -> Host {
        self.stage.host
    }

    pub(crate) fn store(&self) -> &StagedStore {
        &self.lab.store
    }

    /// What sessions logged so far. Other crates see requests as they came, and may say so at the
    /// level of this log: not ours to judge.
    pub(crate) fn log(&self) -> String {
        let text = self.lab.log.text();
        text.lines().filter(|line| line.contains("session_store")).map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A browser whose session holds this text.
    pub(crate) async fn browser_with_text(&self, text: &str) -> Browser {
        let mut browser = self.browser();
        browser.get(&format!("/notes/text/{text}")).await.expect_status(200);
        self.store().calls();
        browser
    }

    /// Waits until every request has been answered or given up.
    pub(crate) async fn idle(&self) {
        let mut running = self.lab.running.subscribe();
        within(running.wait_for(|count| *count == 0)).await.expect("the application is there");
    }
}
