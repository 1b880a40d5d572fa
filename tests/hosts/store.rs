//! A store above another one, that notes what it is asked, and fails or waits where it is told to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use session_store::{
    Created, Error, Feed, History, Loaded, OwnerIndex, Record, Requirements, Rotation, Scan, SessionKey,
    SessionStore, StoreStatus, Touch, Ttl, Update, Updated,
};

use crate::support::gate::Gate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Load,
    Create,
    Update,
    Touch,
    Rotate,
    Delete,
}

#[derive(Clone, Debug)]
pub(crate) struct StagedStore {
    sessions: Arc<dyn SessionStore>,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    calls: Vec<Call>,
    failing: Option<Call>,
    held: Option<(Call, Gate)>,
}

impl StagedStore {
    pub(crate) fn above(sessions: Arc<dyn SessionStore>) -> Self {
        Self { sessions, script: Arc::default() }
    }

    /// What was called since this was asked last.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script.lock().unwrap().calls)
    }

    /// From now on `call`, and nothing else, fails as it does where the store can't be reached.
    pub(crate) fn fail(&self, call: Call) {
        self.script.lock().unwrap().failing = Some(call);
    }

    /// From now on nothing fails.
    pub(crate) fn recover(&self) {
        self.script.lock().unwrap().failing = None;
    }

    /// The next `call` waits at this gate before it takes effect.
    pub(crate) fn hold(&self, call: Call) -> Gate {
        let gate = Gate::closed();
        self.script.lock().unwrap().held = Some((call, gate.clone()));
        gate
    }

    async fn step<R>(&self, call: Call, effect: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        let (fails, gate) = {
            let mut script = self.script.lock().unwrap();
            script.calls.push(call);
            let gate = script.held.take_if(|(held, _)| *held == call).map(|(_, gate)| gate);
            (script.failing == Some(call), gate)
        };
        if fails {
            return Err(Error::unavailable("the store was told to fail at 10.0.0.7", None));
        }
        let Some(gate) = gate else { return effect.await };
        gate.pass().await;
        let result = effect.await;
        gate.leave();
        result
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for StagedStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.step(Call::Load, self.sessions.load(key)).await
    }

    async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.step(Call::Create, self.sessions.create(key, record, ttl)).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.step(Call::Update, self.sessions.update(update)).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.step(Call::Touch, self.sessions.touch(touch)).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.step(Call::Rotate, self.sessions.rotate(rotation)).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.step(Call::Delete, self.sessions.delete(key)).await
    }

    fn requirements(&self) -> Requirements {
        self.sessions.requirements()
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.sessions.owners()
    }

    fn scan(&self) -> Option<&dyn Scan> {
        self.sessions.scan()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.sessions.feed()
    }

    fn history(&self) -> Option<&dyn History> {
        self.sessions.history()
    }

    fn status(&self) -> StoreStatus {
        self.sessions.status()
    }
}
