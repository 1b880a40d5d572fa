//! The primary store: its answers, its silence and its slowness are told to it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_store::owners::{Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation};
use session_store::{
    Created, Cursor, Error, Loaded, MemoryStore, OwnerHash, Payload, Record, Rotation, SessionKey,
    SessionStore, Touch, Ttl, Update, Updated,
};
use tokio::time::sleep;

use crate::gate::Gate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Load,
    Create,
    Update,
    Touch,
    Rotate,
    Delete,
    /// Any that the index of owners is asked for.
    Index,
}

/// What the primary does with an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Up,
    /// Nothing reaches it, and the caller knows.
    Down,
    /// Nothing reaches it, and the caller hears nothing.
    Lost,
    /// It performs, and the caller hears nothing.
    Mute,
    /// It performs when `thaw` is called, and the caller hears nothing.
    Frozen,
    /// It says no.
    Refuses,
}

type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Primary {
    /// What it holds.
    pub(crate) sessions: Arc<MemoryStore>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    mode: Mode,
    /// For the next operations of a kind, in this order.
    once: Vec<(Call, Mode)>,
    /// Where the next operation of a kind waits: before it takes effect, and after.
    held: Option<(Call, Gate, Gate)>,
    frozen: VecDeque<Pending>,
    /// How long the way to it takes, and the way back.
    way: Duration,
    calls: Vec<Call>,
    ttls: Vec<Ttl>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Primary {
    pub(crate) fn goes(&self, mode: Mode) {
        self.script.lock().unwrap().mode = mode;
    }

    /// The next `call` meets `mode`; after those that were told before.
    pub(crate) fn once(&self, call: Call, mode: Mode) {
        self.script.lock().unwrap().once.push((call, mode));
    }

    /// The next `call` waits at the first gate before it takes effect, and at the second before it
    /// answers.
    pub(crate) fn hold(&self, call: Call) -> (Gate, Gate) {
        let (before, after) = (Gate::closed(), Gate::closed());
        self.script.lock().unwrap().held = Some((call, before.clone(), after.clone()));
        (before, after)
    }

    /// What was given up while it was frozen takes effect.
    pub(crate) async fn thaw(&self) {
        loop {
            let Some(pending) = self.script.lock().unwrap().frozen.pop_front() else { return };
            pending.await;
        }
    }

    /// Whether something was given up that may still take effect.
    pub(crate) fn has_frozen(&self) -> bool {
        !self.script.lock().unwrap().frozen.is_empty()
    }

    pub(crate) fn is_far(&self, way: Duration) {
        self.script.lock().unwrap().way = way;
    }

    /// What was called since this was asked last.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script.lock().unwrap().calls)
    }

    /// The times to live that came with creates, updates and touches since this was asked last.
    pub(crate) fn ttls(&self) -> Vec<Ttl> {
        std::mem::take(&mut self.script.lock().unwrap().ttls)
    }

    pub(crate) async fn record(&self, key: &SessionKey) -> Option<Record> {
        match self.sessions.load(key).await.unwrap() {
            Loaded::Found(record) => Some(record),
            _ => None,
        }
    }

    async fn step<R: Send>(
        &self,
        call: Call,
        perform: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Result<R, Error> {
        let (mode, held, way) = {
            let mut script = self.script.lock().unwrap();
            script.calls.push(call);
            let once = script.once.iter().position(|(next, _)| *next == call);
            let mode = once.map_or(script.mode, |at| script.once.remove(at).1);
            (mode, script.held.take_if(|(held, ..)| *held == call), script.way)
        };
        if !way.is_zero() {
            sleep(way).await;
        }
        if let Some((_, before, _)) = &held {
            before.pass().await;
        }
        let unavailable = |outcome_unknown| {
            let reason = format!("the primary is {mode:?}");
            if outcome_unknown { Error::in_doubt(reason, None) } else { Error::unavailable(reason, None) }
        };
        let result = match mode {
            Mode::Up => perform.await,
            Mode::Refuses => Err(Error::Refused { message: "OOM command not allowed".to_owned() }),
            Mode::Mute => perform.await.and(Err(unavailable(call != Call::Load))),
            Mode::Down => Err(unavailable(false)),
            Mode::Lost => Err(unavailable(call != Call::Load)),
            Mode::Frozen => {
                let pending = Box::pin(async { drop(perform.await) });
                self.script.lock().unwrap().frozen.push_back(pending);
                Err(unavailable(call != Call::Load))
            }
        };
        if let Some((.., after)) = &held {
            after.pass().await;
        }
        if !way.is_zero() {
            sleep(way).await;
        }
        result
    }

    fn note(&self, ttl: Ttl) {
        self.script.lock().unwrap().ttls.push(ttl);
    }
}

#[async_trait]
impl SessionStore for Primary {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let (sessions, key) = (Arc::clone(&self.sessions), key.clone());
        self.step(Call::Load, async move { sessions.load(&key).await }).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        let (sessions, key, record) = (Arc::clone(&self.sessions), key.clone(), record.clone());
        self.note(ttl);
        self.step(Call::Create, async move { sessions.create(&key, &record, ttl).await }).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let Update { key, record, ttl, follow, .. } = update;
        let (sessions, key, record) = (Arc::clone(&self.sessions), key.clone(), record.clone());
        assert!(record.previous_revision.is_some(), "as the trait asks for");
        self.note(ttl);
        let call = async move {
            let mut update = Update::new(&key, &record, ttl);
            update.follow = follow;
            sessions.update(update).await
        };
        self.step(Call::Update, call).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let (sessions, key) = (Arc::clone(&self.sessions), touch.key.clone());
        let Touch { known_end, expected, expires_at, ttl, .. } = touch;
        self.note(ttl);
        let perform = async move {
            let mut known = Record::new(known_end, known_end, Payload::new(1, "{}"));
            known.revision = expected;
            sessions.touch(Touch::new(&key, &known, expires_at, ttl)).await
        };
        self.step(Call::Touch, perform).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let (sessions, old, new) = (Arc::clone(&self.sessions), rotation.old.clone(), rotation.new.clone());
        let (record, ttl) = (rotation.record.clone(), rotation.ttl);
        let perform = async move { sessions.rotate(Rotation::new(&old, &new, &record, ttl)).await };
        self.step(Call::Rotate, perform).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let (sessions, key) = (Arc::clone(&self.sessions), key.clone());
        self.step(Call::Delete, async move { sessions.delete(&key).await }).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for Primary {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let (sessions, entry) = (Arc::clone(&self.sessions), entering.entry.clone());
        let (IndexInsert { life, stage, limit, .. }, replaces) = (entering, entering.replaces.cloned());
        let perform = async move {
            let mut insert = IndexInsert::new(&entry, life, stage);
            (insert.limit, insert.replaces) = (limit, replaces.as_ref());
            sessions.insert(owner, insert).await
        };
        self.step(Call::Index, perform).await
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let (sessions, after) = (Arc::clone(&self.sessions), after.cloned());
        self.step(Call::Index, async move { sessions.list(owner, after.as_ref()).await }).await
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        let sessions = Arc::clone(&self.sessions);
        self.step(Call::Index, async move { sessions.revoked(owner).await }).await
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        let sessions = Arc::clone(&self.sessions);
        let (all, entry) = match which {
            Revocation::All => (true, None),
            Revocation::AllBut(entry) => (true, Some(entry.clone())),
            Revocation::One(entry) => (false, Some(entry.clone())),
        };
        let perform = async move {
            let which = match &entry {
                None => Revocation::All,
                Some(entry) if all => Revocation::AllBut(entry),
                Some(entry) => Revocation::One(entry),
            };
            sessions.revoke(owner, which).await
        };
        self.step(Call::Index, perform).await
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        let sessions = Arc::clone(&self.sessions);
        let (gone, missing) = (gone.to_vec(), missing.to_vec());
        let perform = async move { OwnerIndex::remove(&*sessions, owner, &gone, &missing).await };
        self.step(Call::Index, perform).await
    }
}
