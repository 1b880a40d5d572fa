//! The two paths at which browsers register a key, and prove that they have it.

use std::sync::Arc;

use serde_json::json;

use super::DeviceRules;
use super::proof::Proof;
use super::rules::{Rules, name};
use crate::clock::Timestamp;
use crate::engine::request::{RequestSession, ResponseActions};
use crate::engine::request_head::RequestHead;
use crate::engine::shielded::shielded;
use crate::engine::state::{Intent, StateCell, StoredState};
use crate::engine::write::{CasOutcome, CasWrite};
use crate::engine::{SessionData, SessionManager, Shared};
use crate::error::{Conflict, Error};
use crate::id::SessionId;
use crate::record::Record;
use crate::record::device_key::DeviceKey;

/// How often a key is stored on top of what others stored meanwhile, each time for as long as any write is tried.
const MAX_ATTEMPTS: usize = 16;

/// A request to one of the paths.
pub(crate) struct DeviceCall {
    registers: bool,
    proof: Option<String>,
    named: Option<String>,
}

/// What is answered.
pub(crate) struct DeviceAnswer {
    pub(crate) status: u16,
    /// JSON, or nothing.
    pub(crate) body: Vec<u8>,
    pub(crate) actions: ResponseActions,
}

impl DeviceCall {
    fn read(rules: &DeviceRules, head: &impl RequestHead) -> Option<Self> {
        let rules = rules.get()?;
        let registers = rules.is_register(head.path());
        if !head.is_post() || !registers && !rules.is_refresh(head.path()) {
            return None;
        }
        let text = |name| head.fields(name).next().and_then(|value| str::from_utf8(value).ok());
        let named = text("sec-secure-session-id").map(|id| id.trim_matches(['"', ' ', '\t']));
        Some(Self {
            registers,
            proof: text("secure-session-response").map(str::to_owned),
            named: named.map(str::to_owned),
        })
    }
}

impl<T: SessionData> SessionManager<T> {
    /// Whether the request is one of a browser's to its session's binding, and which.
    pub(crate) fn device_call(&self, head: &impl RequestHead) -> Option<DeviceCall> {
        DeviceCall::read(&self.0.device, head)
    }
}

/// The session that a call is about, as it was then.
struct Found {
    id: SessionId,
    record: Record,
    now: Timestamp,
}

/// What a browser is answered.
enum Reply {
    /// It has the key.
    Proved(DeviceKey),
    /// It is to prove that it has the key.
    Challenge(DeviceKey),
    /// There is nothing to be bound any more.
    Over,
    /// The session got a new id while the browser asked by the old one.
    Again,
    /// This registers no key.
    Refused,
}

impl<T: SessionData> RequestSession<T> {
    /// Serves a browser that registers its key, or proves that it has it.
    pub(crate) async fn answer_device(self, call: DeviceCall) -> DeviceAnswer {
        let shared = Arc::clone(&self.0);
        let replied = shielded(async move { shared.reply(&call).await }).await;
        let rules = self.0.manager.device.get().expect("it made the call out");
        let now = self.0.manager.clock.now();
        let (status, body, fields) = match replied {
            Ok(Reply::Proved(key)) => {
                let mut fields = vec![("set-cookie", rules.set_cookie(&key, now))];
                // To a binding that it does not know yet, a browser takes no challenge.
                if key.since != key.answered {
                    fields.push(("secure-session-challenge", rules.challenge(&key, now)));
                }
                (200, Some(rules.instructions(&key)), fields)
            }
            Ok(Reply::Challenge(key)) => {
                (403, None, vec![("secure-session-challenge", rules.challenge(&key, now))])
            }
            Ok(Reply::Over) => (200, Some(json!({ "continue": false })), Vec::new()),
            Ok(Reply::Refused) => (403, None, Vec::new()),
            // The browser goes on as it is, and asks again by the new id. After a 503 it would wait with that.
            Ok(Reply::Again) => (200, None, Vec::new()),
            Err(error) => {
                tracing::warn!(%error, "a device could not be answered");
                (503, None, Vec::new())
            }
        };
        // No handler has the session: there is nothing else to store.
        let set_cookie = self.0.state.get().and_then(|_| self.0.cookie_to_set());
        let actions =
            ResponseActions { set_cookie, fields, no_store: true, vary_cookie: true, failure: None };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        DeviceAnswer { status, body, actions }
    }
}

impl<T: SessionData> Shared<T> {
    async fn reply(&self, call: &DeviceCall) -> Result<Reply, Error> {
        let rules = self.manager.device.get().expect("it made the call out");
        let _one_at_a_time = self.storing.lock().await;
        // Whoever has no proof yet has to see the session here.
        let state =
            self.state.get_or_try_init(|| async { self.find(true).await.map(StateCell::new) }).await?;
        let found = match state.read(|state| state.stored.clone()) {
            StoredState::Live { id, record } => Found { id, record, now: self.manager.clock.now() },
            StoredState::Moved { .. } => return Ok(Reply::Again),
            _ => return Ok(Reply::Over),
        };
        if call.registers {
            self.register(rules, call, &found).await
        } else {
            self.refresh(rules, call, &found).await
        }
    }

    async fn register(&self, rules: &Rules, call: &DeviceCall, found: &Found) -> Result<Reply, Error> {
        let Found { id, record, now } = found;
        let proof = call.proof.as_deref().and_then(Proof::read);
        let answers = |proof: &Proof<'_>| rules.registration_challenge(proof.challenge(), &id.key(), *now);
        let proved = proof.and_then(|proof| answers(&proof).and_then(|_| proof.own_key()));
        let (Some(point), Some(_owner), None) = (proved, &record.owner, DeviceKey::of(record)) else {
            self.manager.telemetry().device_refused(id.key(), record);
            return Ok(Reply::Refused);
        };
        let key = DeviceKey::new(point, *now, *now);
        let bound = self.bind(found, key, |present| present.is_none()).await?;
        match &bound {
            Reply::Proved(_) => self.manager.telemetry().device_bound(id.key(), record),
            Reply::Refused => self.manager.telemetry().device_refused(id.key(), record),
            _ => {}
        }
        Ok(bound)
    }

    async fn refresh(&self, rules: &Rules, call: &DeviceCall, found: &Found) -> Result<Reply, Error> {
        let Found { id, record, now } = found;
        let Some(key) = DeviceKey::of(record) else { return Ok(Reply::Over) };
        if call.named.as_deref() != Some(&*name(&key)) {
            return Ok(Reply::Over);
        }
        let Some(proof) = &call.proof else { return Ok(Reply::Challenge(key)) };
        let answered = Proof::read(proof).and_then(|proof| {
            let answered = rules.refresh_challenge(proof.challenge(), &key, *now)?;
            proof.is_by(&key.point).then_some(answered)
        });
        let Some(answered) = answered else {
            self.manager.telemetry().device_refused(id.key(), record);
            return Ok(Reply::Challenge(key));
        };
        let name = key.name;
        let unanswered =
            |present: Option<DeviceKey>| present.is_some_and(|it| it.name == name && it.answered < answered);
        let proved = self.bind(found, DeviceKey { answered, ..key.clone() }, unanswered).await?;
        match proved {
            Reply::Proved(_) => self.manager.telemetry().device_refreshed(),
            Reply::Refused => {
                self.manager.telemetry().device_refused(id.key(), record);
                return Ok(Reply::Challenge(key));
            }
            _ => {}
        }
        Ok(proved)
    }

    /// Stores the key beside whatever others made of the session meanwhile, if what is stored then lets it.
    async fn bind(
        &self,
        found: &Found,
        key: DeviceKey,
        lets: impl Fn(Option<DeviceKey>) -> bool,
    ) -> Result<Reply, Error> {
        let Found { id, record, now } = found;
        let intent = Intent { device_key: Some(Box::new(key.clone())), ..Intent::default() };
        let mut attempts = 0;
        let swapped = loop {
            let swap = CasWrite { id, new_id: None, base: record, intent: &intent, now: *now };
            let swapped = self
                .swap(swap, |current| Ok(lets(DeviceKey::of(current)).then(|| current.data.clone())))
                .await;
            attempts += 1;
            match swapped {
                // A browser that is sent away does not register again.
                Err(Error::Conflict(Conflict::Contention)) if attempts < MAX_ATTEMPTS => {}
                swapped => break swapped?,
            }
        };
        Ok(match swapped {
            CasOutcome::Stored(id, record) => {
                self.state().write(|state| state.stored = StoredState::Live { id, record });
                Reply::Proved(key)
            }
            CasOutcome::Unchanged(_) => Reply::Refused,
            CasOutcome::Moved(_) => Reply::Again,
            CasOutcome::Missing => Reply::Over,
        })
    }
}
