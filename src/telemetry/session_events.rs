//! What becomes of sessions, told to the application's listeners and to the audit log.
//!
//! Each event is told once, by the instance that did what it tells, when the store has acknowledged it.

use crate::clock::Timestamp;
use crate::id::SessionKey;
use crate::record::{Label, Owner};

mod telling;

pub(crate) use self::telling::{EventSinks, Remembers, Subject};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $({ $by:ident: $By:ty })? $name:literal,)*) => {
        /// What happened to a session; part of [`SessionEvent`], which has an example.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $kind $({
                /// What ended it.
                $by: $By,
            })?,)*
        }

        impl EventKind {
            /// The name of the kind in the audit log, which never changes: its variant's in snake case.
            ///
            /// ```
            /// use session_store::{EventKind, RevokedBy};
            ///
            /// assert_eq!(EventKind::SignedIn.name(), "signed_in");
            /// assert_eq!(EventKind::Revoked { by: RevokedBy::All }.name(), "revoked");
            /// ```
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind { .. } => $name,)* }
            }
        }
    };
}

kinds! {
    /// Somebody signed in, by [`Session::sign_in`](crate::Session::sign_in).
    SignedIn "signed_in",
    /// A session was found to be an owner's, who had signed in elsewhere or before: by
    /// [`Session::set_owner`](crate::Session::set_owner), or by its data, where
    /// [`owner_from`](crate::SessionManagerBuilder::owner_from) reads it.
    OwnerNamed "owner_named",
    /// Who was signed in authenticated again, by [`Session::confirm`](crate::Session::confirm); the session has a new
    /// id.
    Confirmed "confirmed",
    /// A session got a new id, by [`Session::renew`](crate::Session::renew).
    Renewed "renewed",
    /// A request ended its session, by [`Session::destroy`](crate::Session::destroy).
    SignedOut "signed_out",
    /// A sign-in took the place of an earlier one, by the same owner or another, in the same browser. The earlier one's
    /// key, owner and label are those of the event; [`SignedIn`](Self::SignedIn) follows.
    Replaced "replaced",
    /// A session was ended from outside its own requests.
    Revoked { by: RevokedBy } "revoked",
    /// A session was ended by a later sign-in of its owner, because of
    /// [`max_sessions_per_owner`](crate::SessionManagerBuilder::max_sessions_per_owner).
    Evicted "evicted",
    /// A request came with a session that had expired. Of most that expire nobody hears: the store removes them by
    /// itself. Each instance tells it once, unless a thousand others expire in between.
    Expired "expired",
    /// A sign-in was refused, because its owner has as many sessions as are allowed.
    SignInRefused "sign_in_refused",
    /// A request came with the id from before a sign-in or a renewal, at most 60 seconds later. Some do who were on
    /// their way meanwhile; many may be somebody who stole the id.
    OldIdUsed "old_id_used",
    /// A request came with session cookies that no key of the ring signed.
    Forged "forged",
    /// What is stored of a session cannot be read. Told each time that a request meets it.
    Unreadable "unreadable",
    /// A change was refused: it contradicts another request's, or its session ended or got a new id meanwhile.
    Conflict "conflict",
    /// A browser bound a session to its device.
    DeviceBound "device_bound",
    /// A browser's proof was refused: forged, answered before, late, or of another session or key.
    DeviceRefused "device_refused",
    /// A request of a bound session came without a proof.
    DeviceLost "device_lost",
}

/// What revoked a session; [`EventKind::Revoked`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevokedBy {
    /// [`SessionManager::revoke`](crate::SessionManager::revoke).
    One,
    /// [`revoke_all`](crate::SessionManager::revoke_all), or
    /// [`revoke_all_thoroughly`](crate::SessionManager::revoke_all_thoroughly).
    All,
    /// [`revoke_others`](crate::SessionManager::revoke_others).
    Others,
    /// [`revoke_everyone`](crate::SessionManager::revoke_everyone).
    Everyone,
    /// A revocation or an eviction that was cut off after it had marked the session, on any instance. The next
    /// operation on its owner's sessions ended it.
    Earlier,
}

impl RevokedBy {
    /// Its name in the audit log, which never changes: the variant's in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
            Self::Others => "others",
            Self::Everyone => "everyone",
            Self::Earlier => "earlier",
        }
    }
}

/// Something that happened to a session, told to the listeners of
/// [`SessionManagerBuilder::on_event`](crate::SessionManagerBuilder::on_event). It never has an id or data.
///
/// ```
/// use session_store::{EventDetail, EventKind, KeyRing, MemoryStore, SessionManager, Values};
/// use std::sync::mpsc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// let (mails, outbox) = mpsc::channel();
/// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
///     .on_event_with(EventDetail::new().owner().label(), move |event| {
///         if let (EventKind::SignedIn, Some(owner)) = (event.kind, &event.owner) {
///             let device = event.label.as_ref().map_or("an unknown device", |label| label.as_str());
///             let _ = mails.send(format!("To {}: new sign-in from {device}", owner.as_str()));
///         }
///     })
///     .build()?;
///
/// let session = manager.begin(None).session().await?;
/// session.sign_in("ada", |_| ())?;
/// session.set_label("Firefox on Linux")?;
/// session.save().await?;
///
/// manager.flush_events().await;
/// assert_eq!(outbox.try_recv().unwrap(), "To ada: new sign-in from Firefox on Linux");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// What happened.
    pub kind: EventKind,
    /// When, by the manager's clock.
    pub at: Timestamp,
    /// The session, if the event is about one: after a sign-in or a renewal by its new key. It shows itself as a short
    /// digest, which is safe to log, and is what [`revoke`](crate::SessionManager::revoke) takes.
    pub session: Option<SessionKey>,
    /// The key that it had before, if this gave it a new one.
    pub previous: Option<SessionKey>,
    /// When the session, or its present sign-in, began, where that is known.
    pub began: Option<Timestamp>,
    /// Whose session it is, where that is known; only for listeners that [ask for it](EventDetail::owner).
    pub owner: Option<Owner>,
    /// Of a sign-in: whether the browser was here before this visit. It was if it came with a cookie of a session that is
    /// over, that somebody was signed in with, or that began more than 30 minutes earlier. A browser that signed out, or
    /// whose cookie has expired, came with none.
    pub returning: Option<bool>,
    /// Its label, where that is known; only for listeners that [ask for it](EventDetail::label). It is not known of
    /// sessions that were evicted, or revoked with others of their owner.
    pub label: Option<Label>,
}

/// What events tell of people: nothing, unless it is asked for.
///
/// ```
/// use session_store::EventDetail;
///
/// assert_eq!(EventDetail::new(), EventDetail::default());
/// assert_ne!(EventDetail::new().owner(), EventDetail::new().owner().label());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct EventDetail {
    owner: bool,
    label: bool,
}

impl EventDetail {
    /// Neither owner nor label.
    pub const fn new() -> Self {
        Self { owner: false, label: false }
    }

    /// With the owner.
    pub const fn owner(self) -> Self {
        Self { owner: true, ..self }
    }

    /// With the label.
    pub const fn label(self) -> Self {
        Self { label: true, ..self }
    }

    /// What either of them has.
    pub(super) const fn or(self, other: Self) -> Self {
        Self { owner: self.owner || other.owner, label: self.label || other.label }
    }

    /// The event without what was not asked for.
    pub(super) fn of(self, event: &SessionEvent) -> SessionEvent {
        SessionEvent {
            owner: event.owner.clone().filter(|_| self.owner),
            label: event.label.clone().filter(|_| self.label),
            ..event.clone()
        }
    }
}
