//! Sessions to test with, and a store above a primary.

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use session_store::{
    Clock as _, Created, Error, FallbackPolicy, FallbackStatus, FallbackStore, Loaded, MemoryStore, Payload,
    Record, Rotation, SessionId, SessionKey, SessionStore as _, SystemClock, Timestamp, Touch, Ttl, Update,
    Updated,
};
use tokio::time::sleep;

use crate::primary::{Mode, Primary};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const POLICIES: [FallbackPolicy; 3] =
    [FallbackPolicy::Never, FallbackPolicy::AtStart, FallbackPolicy::WhileDown];

pub(crate) fn hour() -> Ttl {
    Ttl::new(HOUR)
}

pub(crate) fn in_one_hour() -> Timestamp {
    SystemClock.now().saturating_add(HOUR)
}

/// A session as a client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    pub(crate) record: Record,
}

impl Session {
    pub(crate) fn fresh() -> Self {
        let data = Payload::new(1, "{}");
        let id = SessionId::generate();
        Self { key: id.key(), id, record: Record::new(SystemClock.now(), in_one_hour(), data) }
    }

    pub(crate) fn edited(&self, text: impl Into<Bytes>) -> Self {
        let mut record = self.record.next();
        record.data = Payload::new(record.data.codec(), text);
        Self { record, ..self.clone() }
    }

    pub(crate) fn renewed(&self) -> Self {
        let id = self.id.rotated();
        Self { key: id.key(), id, record: self.edited("renewed").record }
    }
}

/// A store and its primary.
pub(crate) struct World {
    pub(crate) store: FallbackStore,
    pub(crate) primary: Primary,
}

impl Deref for World {
    type Target = FallbackStore;

    fn deref(&self) -> &FallbackStore {
        &self.store
    }
}

impl World {
    pub(crate) fn new(policy: FallbackPolicy) -> Self {
        let primary = Primary::default();
        Self { store: FallbackStore::new(primary.clone(), policy), primary }
    }

    pub(crate) fn status(&self) -> FallbackStatus {
        self.store.status().fallback.expect("a fallback")
    }

    pub(crate) fn with_memory(memory: MemoryStore) -> Self {
        let primary = Primary::default();
        let store = FallbackStore::with_memory(primary.clone(), FallbackPolicy::WhileDown, memory);
        Self { store, primary }
    }

    /// With the primary in this mode, and memory for new sessions.
    pub(crate) fn while_down(mode: Mode) -> Self {
        let world = Self::new(FallbackPolicy::WhileDown);
        world.primary.goes(mode);
        world
    }

    pub(crate) async fn created(&self) -> Session {
        let session = Session::fresh();
        let created = self.create(&session.key, &session.record, hour()).await;
        assert_eq!(created.unwrap(), Created::Created);
        session
    }

    /// Stores a version that was made by `edited` of the one before.
    pub(crate) async fn save(&self, session: &Session) -> Result<Updated, Error> {
        self.update(Update::new(&session.key, &session.record, hour())).await
    }

    pub(crate) async fn edit(&self, session: &Session, text: &'static str) -> Session {
        let edited = session.edited(text);
        assert_eq!(self.save(&edited).await.unwrap(), Updated::Updated);
        edited
    }

    /// Moves `from` to `to`, which was made by `renewed`.
    pub(crate) async fn try_rotate(&self, from: &Session, to: &Session) -> Result<Updated, Error> {
        self.rotate(Rotation::new(&from.key, &to.key, &to.record, hour())).await
    }

    pub(crate) async fn renew(&self, session: &Session) -> Session {
        let renewed = session.renewed();
        assert_eq!(self.try_rotate(session, &renewed).await.unwrap(), Updated::Updated);
        renewed
    }

    /// Whether a touch to `expires_at` took effect.
    pub(crate) async fn extend(&self, session: &Session, expires_at: Timestamp) -> Result<bool, Error> {
        self.touch(Touch::new(&session.key, &session.record, expires_at, hour())).await
    }

    /// The session that a load finds.
    pub(crate) async fn found(&self, session: &Session) -> Option<Record> {
        match self.load(&session.key).await {
            Ok(Loaded::Found(record)) => Some(record),
            _ => None,
        }
    }

    /// Waits until sessions and deletions are where they belong. Under a paused clock that takes no time.
    pub(crate) async fn settled(&self) {
        for _ in 0..3000 {
            let status = self.status();
            if !status.open && status.in_memory == 0 && status.owed_deletions == 0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("not within 150 seconds: {:?}", self.status());
    }

    /// Waits until the primary has answered the task once, or could have.
    pub(crate) async fn a_round(&self) {
        sleep(Duration::from_millis(1100)).await;
    }

    /// The primary is back, and the store knows.
    pub(crate) async fn recovers(&self) {
        self.primary.goes(Mode::Up);
        self.settled().await;
    }
}

#[track_caller]
pub(crate) fn assert_unavailable<A: std::fmt::Debug>(result: Result<A, Error>) {
    match result {
        Err(Error::Unavailable { outcome_unknown: false, .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// The same data under the same revision; a move may have told the store another version before it.
#[track_caller]
pub(crate) fn assert_same(found: Option<Record>, expected: &Session) {
    let mut found = found.expect("the session is there");
    found.previous_revision = expected.record.previous_revision;
    assert_eq!(found, expected.record);
}
