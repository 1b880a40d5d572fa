//! Sessions that are bound to the browser's device: [Device Bound Session Credentials](https://www.w3.org/TR/dbsc-1/).
//!
//! A sign-in offers the browser to register a key. From then on it must prove every few minutes that it has that key, for
//! which it gets a cookie that lives as long as that: the *bound cookie*. What is known of the key stands beside the
//! session's data, in [`DeviceKey`]; challenges and bound cookies are signed, and nothing of them is stored.

use std::time::Duration;

use super::state::StoredState;
use super::{Session, SessionData, SessionManagerBuilder};
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::record::device_key::DeviceKey;

mod bound_request;
mod endpoints;
mod proof;
mod rules;

pub(super) use self::bound_request::BoundRequest;
pub(crate) use self::endpoints::DeviceAnswer;
#[cfg(fuzzing)]
pub(crate) use self::proof::Proof;
pub(super) use self::rules::DeviceRules;

/// How sessions are bound to the browser's device, so that a stolen cookie is of use for minutes only.
///
/// Browsers that can't do it are not disturbed: their sessions stay [`Device::Unbound`]. The page
/// `device_bound` says what this protects from, and how to roll it out.
///
/// The layers of axum, tower, warp and actix-web serve two paths below [`at`](Self::at). Put the layer around the whole
/// application, where no router has taken a part of the path away.
///
/// ```
/// use session_store::{DeviceBinding, KeyRing, MemoryStore, MissingProof, SessionManager, Values};
///
/// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
///     .device_bound(DeviceBinding::at("/.session").missing(MissingProof::Anonymous))
///     .build()?;
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DeviceBinding {
    path: String,
    lifetime: Duration,
    shortest: Duration,
    missing: MissingProof,
}

/// What becomes of a request with the cookie of a bound session, and no proof that it comes from the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingProof {
    /// The session is used, counted as `device_lost`, and [`Device::Stale`].
    #[default]
    Report,
    /// Whoever sent it sees no session, and can't change one: [`Conflict::Unproven`] if they try. [`Session::device`] is
    /// [`Device::Stale`]. They may sign in and out.
    Anonymous,
    /// The session fails with [`Conflict::Unproven`], which is a 403: also for a handler that would sign in or out, so a browser
    /// that has lost its key can do neither until its cookie is gone. For services whose sign-in has a layer of its own.
    Refuse,
}

/// What a request shows of the device of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// No key was registered: the browser does not know how, or has not done it yet. For a tenth of the
    /// [`lifetime`](DeviceBinding::lifetime) after it was, a request without a proof counts as this too: it may have been on its
    /// way before.
    Unbound,
    /// The request comes from the device that registered its key.
    Bound {
        /// When the key was registered.
        since: Timestamp,
        /// When the browser last proved that it has it.
        proved_at: Timestamp,
    },
    /// A key was registered, and the request does not show that its sender has it. It may be the browser, which had no time or
    /// no connection to prove it, or somebody else with a stolen cookie.
    Stale,
}

impl DeviceBinding {
    /// The shortest [`lifetime`](Self::lifetime): browsers sign no more often than this in the long run.
    pub const MIN_LIFETIME: Duration = Duration::from_secs(5 * 60);

    /// The paths `{path}/register` and `{path}/refresh` are the binding's own.
    pub fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            lifetime: Duration::from_secs(10 * 60),
            shortest: Self::MIN_LIFETIME,
            missing: MissingProof::default(),
        }
    }

    /// How long a proof holds: from [`MIN_LIFETIME`](Self::MIN_LIFETIME) to a day; 10 minutes if this is not called. So long may a
    /// stolen cookie be used.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// What becomes of a request without a proof. Begin with [`MissingProof::Report`], and look at the counters first.
    pub fn missing(self, missing: MissingProof) -> Self {
        Self { missing, ..self }
    }

    /// For tests in a real browser, which can't wait for minutes.
    #[doc(hidden)]
    pub fn lifetime_for_tests(self, lifetime: Duration) -> Self {
        Self { lifetime, shortest: Duration::from_secs(1), ..self }
    }
}

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Binds sessions to the browser's device from their next sign-in or renewal on.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails for a path that can't be used, a lifetime out of bounds, a cookie whose `Path` leaves
    /// these paths out, and a cookie with `Domain` or `Partitioned`.
    pub fn device_bound(mut self, binding: DeviceBinding) -> Self {
        self.device_binding = Some(binding);
        self
    }
}

impl<T: SessionData> Session<T> {
    /// Whether this request comes from the device that the session is bound to. Asks the store for nothing.
    ///
    /// ```
    /// # use session_store::{Device, Error, Session};
    /// fn may_see_statements(session: &Session) -> bool {
    ///     !matches!(session.device(), Device::Stale)
    /// }
    /// ```
    pub fn device(&self) -> Device {
        let now = self.0.manager.clock.now();
        self.0.state().read(|state| match &state.stored {
            StoredState::Unproven { .. } => Device::Stale,
            stored => self.0.device_of(stored.record().and_then(DeviceKey::of).as_ref(), now),
        })
    }

    /// Lets a bound session on only if its browser proved that it has the key within this time. A browser that did so
    /// earlier is sent to the same address again (307), proves it on its way, and repeats the request with its
    /// body: call this first in a handler. A session that is not bound is let on: what this answers tells.
    ///
    /// ```
    /// # use session_store::{Device, Error, Session};
    /// use std::time::Duration;
    ///
    /// async fn transfer(session: Session) -> Result<(), Error> {
    ///     if session.require_device_proof(Duration::from_secs(60))? == Device::Unbound {
    ///         session.require_recent(Duration::from_secs(60))?;
    ///     }
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ProofRequired`], which the adapters answer by the redirect; [`Conflict::Unproven`], a 403, for a
    /// request that brings no proof at all.
    pub fn require_device_proof(&self, within: Duration) -> Result<Device, Error> {
        let now = self.0.manager.clock.now();
        match self.device() {
            Device::Stale => Err(Conflict::Unproven.into()),
            Device::Bound { proved_at, .. } if now.saturating_since(proved_at) > within => {
                self.0.bound_request.demand_proof();
                Err(Error::ProofRequired)
            }
            device => Ok(device),
        }
    }
}
