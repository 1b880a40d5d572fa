//! What one request shows of its device, and what its response says of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::rules::SignedTime;
use super::{Device, DeviceRules, MissingProof};
use crate::clock::Timestamp;
use crate::engine::request_head::RequestHead;
use crate::engine::state::{CookieChange, State, StoredState};
use crate::engine::{SessionData, Shared};
use crate::error::{Conflict, Error};
use crate::record::Record;
use crate::record::device_key::DeviceKey;

/// As many bound cookies of one request are looked at: others may have planted some.
const MAX_COOKIES: usize = 4;

/// What a request brings; nothing if the manager binds no sessions.
pub(crate) struct BoundRequest(Option<Box<Brought>>);

struct Brought {
    cookies: Vec<SignedTime>,
    skipped: bool,
    query: String,
    proof_demanded: AtomicBool,
}

impl BoundRequest {
    pub(crate) fn read(rules: &DeviceRules, head: &impl RequestHead) -> Self {
        Self(rules.get().map(|rules| {
            let cookies = head.fields("cookie").flat_map(|header| rules.cookie.values(header));
            Box::new(Brought {
                cookies: cookies.filter_map(SignedTime::parse).take(MAX_COOKIES).collect(),
                skipped: head.fields("secure-session-skipped").next().is_some(),
                query: head.query().unwrap_or_default().to_owned(),
                proof_demanded: AtomicBool::new(false),
            })
        }))
    }

    pub(super) fn demand_proof(&self) {
        if let Some(brought) = &self.0 {
            brought.proof_demanded.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for BoundRequest {
    // A bound cookie is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundRequest(..)")
    }
}

impl<T: SessionData> Shared<T> {
    /// What the request shows of the device with this key.
    pub(super) fn device_of(&self, key: Option<&DeviceKey>, now: Timestamp) -> Device {
        let (Some(rules), Some(brought), Some(key)) = (self.manager.device.get(), &self.bound_request.0, key)
        else {
            return Device::Unbound;
        };
        let proved = brought.cookies.iter().filter_map(|cookie| rules.proved_at(*cookie, key, now)).max();
        match proved {
            Some(proved_at) => Device::Bound { since: key.since, proved_at },
            // A browser registers its key while it follows the redirect of the sign-in.
            None if now.saturating_since(key.since) < rules.grace() => Device::Unbound,
            None => Device::Stale,
        }
    }

    /// Shows the session to whoever proves to be its device, as the policy says.
    pub(crate) fn check_device(&self, state: &mut State<T>) -> Result<(), Error> {
        let (Some(rules), Some(brought)) = (self.manager.device.get(), &self.bound_request.0) else {
            return Ok(());
        };
        let StoredState::Live { id, record } = &state.stored else { return Ok(()) };
        let key = DeviceKey::of(record);
        if self.device_of(key.as_ref(), self.manager.clock.now()) != Device::Stale {
            return Ok(());
        }
        self.manager.telemetry().device_lost(id.key(), record, brought.skipped);
        match rules.missing {
            MissingProof::Report => Ok(()),
            MissingProof::Anonymous => {
                *state = State::new(StoredState::Unproven { id: id.clone() }, std::sync::Arc::default());
                Ok(())
            }
            MissingProof::Refuse => Err(Conflict::Unproven.into()),
        }
    }

    /// The fields that a response with this status has for the browser's device.
    pub(crate) fn device_fields(&self, status: u16) -> Vec<(&'static str, String)> {
        let (Some(rules), Some(brought)) = (self.manager.device.get(), &self.bound_request.0) else {
            return Vec::new();
        };
        let mut fields = Vec::new();
        let removes = self.state().read(|state| state.cookie == CookieChange::Remove);
        let demands =
            status == Error::ProofRequired.status() && brought.proof_demanded.load(Ordering::Relaxed);
        if demands || removes && !brought.cookies.is_empty() {
            fields.push(("set-cookie", rules.cookie.removal(None)));
        }
        if demands {
            // The same path, whatever a router has taken away of it.
            fields.push(("location", format!("?{}", brought.query)));
        }
        let now = self.manager.clock.now();
        let offers = |record: &Record| record.owner.is_some() && DeviceKey::of(record).is_none();
        let registration = self.state().read(|state| match (state.cookie, &state.stored) {
            (CookieChange::Set, StoredState::Live { id, record }) if offers(record) => {
                Some(rules.registration(&id.key(), now))
            }
            _ => None,
        });
        fields.extend(registration.map(|offer| ("secure-session-registration", offer)));
        fields
    }
}
