//! [`Sealing`]: which keys encrypt what is stored, and how strictly.

use super::Known;
use super::cipher::{Cipher, SealKey};
use crate::cookie::keys::KeyRing;
use crate::error::Error;
use crate::id::{NAME_LENGTH, SessionKey};
use crate::record::{Extensions, Label, Owner, Payload, Record, RecordAtRest};

/// The extension that holds a label which is sealed.
const LABEL: u8 = 0x03;
const PURPOSE: &[u8] = b"session-store sealing v1";
const NO_KEY: &str = "no seal key of this service opens it";
const NOT_SEALED: &str = "it is not sealed, which this service requires";
const NEEDS_ID: &str = "it opens only with the visitor's id";

/// Encrypts what is stored of sessions: a dump of the store shows no data.
///
/// Data is sealed by XChaCha20-Poly1305 and bound to its session's key, codec and owner: bytes that were moved to another
/// session, or changed in any way, do not open, and neither do those of a session that was given another owner. It takes
/// 41 bytes more. A session that does not open counts as absent, is [counted](crate::Counts::unopened), and stays as it
/// is.
///
/// The times, the owner and the label of a session stay in the clear, since lists of sessions need them. See
/// [`labels`](Self::labels) and [`Owner::hashed`](crate::Owner::hashed).
///
/// ```
/// use session_store::{Key, KeyRing, MemoryStore, Sealing, SessionManager, Values};
///
/// # fn build() -> Result<(), session_store::Error> {
/// // In a service: SESSION_SEAL_KEY or SESSION_SEAL_KEY_FILE, and `SessionManager::from_env`.
/// let keys = KeyRing::new(Key::new("XwZ8Vt4u1oJ0q9sYpQmC3rLhBdKfGnTe5iAxUy7E")?);
/// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
///     .seal(Sealing::new(&keys)?)
///     .build()?;
/// # drop(manager);
/// # Ok(())
/// # }
/// # build().unwrap();
/// ```
///
/// # Rolling it out, and rotating keys
///
/// Nobody is signed out if each step reaches all instances before the next one: [`SealRollout::Accept`], then
/// [`SealRollout::Write`] (the default), and after the longest life of a session [`SealRollout::Require`]. A new key
/// comes the same way: first behind the present one (which every instance then knows), then before it; the old one goes
/// when the sessions that it sealed have ended, or `session-store tidy` has rewritten them.
#[derive(Debug)]
#[must_use]
pub struct Sealing {
    keys: Vec<SealKey>,
    and_id: bool,
    labels: bool,
    rollout: SealRollout,
}

/// How far sealing has been rolled out; for [`Sealing::rollout`], which has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealRollout {
    /// Reads both, and writes plain: until every instance has the keys.
    Accept,
    /// Reads both, and writes sealed.
    #[default]
    Write,
    /// Reads and writes only what is sealed: whoever can write to the store can't put a session of their own there.
    Require,
}

impl Sealing {
    /// Seals with the first key of a ring, and opens with each. Use other secrets than those of the cookies: they retire
    /// at other times, and one that leaks is then worth less.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a ring with secrets of Express, which may be short.
    ///
    /// ```
    /// use session_store::{Key, KeyRing, Sealing};
    ///
    /// // The second one still opens what it sealed.
    /// let keys = KeyRing::generate().with_previous(Key::generate());
    /// let sealing = Sealing::new(&keys)?;
    /// # drop(sealing);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new(keys: &KeyRing) -> Result<Self, Error> {
        let secrets = keys.derived(PURPOSE).ok_or_else(|| {
            Error::Config(
                "secrets of Express cannot seal sessions: make one with `openssl rand -base64 48`".to_owned(),
            )
        })?;
        let keys = secrets.iter().map(SealKey::new).collect();
        Ok(Self { keys, and_id: false, labels: false, rollout: SealRollout::default() })
    }

    /// Seals each session's data with the visitor's id too, which no store ever sees: a dump of the store *and* the secret
    /// open nothing, and what a visitor leaves behind by a logout is good for nobody.
    ///
    /// The price: `session-store show` and `tidy` can't open it, and a write of a request that was overtaken by a new id
    /// can't [follow it](crate::Session#requests-beside-a-new-id): it is refused with
    /// [`Conflict::Moved`](crate::Conflict::Moved), a 409.
    ///
    /// ```
    /// # use session_store::{KeyRing, Sealing};
    /// let sealing = Sealing::new(&KeyRing::generate())?.and_id();
    /// # drop(sealing);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn and_id(self) -> Self {
        Self { and_id: true, ..self }
    }

    /// Seals labels as well, those of a [history](crate::SessionManager::history_of) too: an owner's
    /// [list](crate::SessionManager::sessions_of) shows them nevertheless, and the tool only with the key. It takes 44
    /// bytes more for a session that has one.
    ///
    /// ```
    /// # use session_store::{KeyRing, Sealing};
    /// let sealing = Sealing::new(&KeyRing::generate())?.labels();
    /// # drop(sealing);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn labels(self) -> Self {
        Self { labels: true, ..self }
    }

    /// Sets how far it has been rolled out. Default: [`SealRollout::Write`].
    ///
    /// ```
    /// use session_store::{KeyRing, SealRollout, Sealing};
    ///
    /// // The first step: every instance learns to read what is sealed.
    /// let sealing = Sealing::new(&KeyRing::generate())?.rollout(SealRollout::Accept);
    /// # drop(sealing);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn rollout(self, rollout: SealRollout) -> Self {
        Self { rollout, ..self }
    }

    pub(super) fn seal(
        &self,
        known: Known<'_>,
        record: &Record,
        packed: Option<Payload>,
    ) -> Result<Option<RecordAtRest>, Error> {
        let (label, extensions) = (record.label.clone(), record.extensions.clone());
        if self.rollout == SealRollout::Accept {
            return Ok(packed.map(|data| RecordAtRest { data, label, extensions }));
        }
        let key = known.key();
        let plain = packed.as_ref().unwrap_or(&record.data);
        let tag = Payload::sealed_tag(plain.codec());
        let by_id;
        let cipher = match known {
            _ if !self.and_id => &self.keys[0].data,
            Known::Id(id) => {
                by_id = self.keys[0].for_id(id);
                &by_id
            }
            Known::Key(_) => return Err(known.sealed(NEEDS_ID)),
        };
        let data = Payload::new(tag, cipher.seal(plain.bytes(), Belonging::of(key, tag, record).bytes()));
        let mut at_rest = RecordAtRest { data, label, extensions };
        if let Some(label) = &at_rest.label
            && let Some(sealed) = self.seal_label(key, label)
        {
            at_rest.label = None;
            at_rest.extensions = at_rest.extensions.with(LABEL, &sealed);
            at_rest.extensions.check_size()?;
        }
        Ok(Some(at_rest))
    }

    pub(super) fn unseal(&self, known: Known<'_>, record: &Record) -> Result<Vec<u8>, Error> {
        let sealed = record.data.bytes();
        let belonging = Belonging::of(known.key(), record.data.codec(), record);
        let open = |cipher: &Cipher| cipher.open(sealed, belonging.bytes());
        let mut reason = NO_KEY;
        for key in &self.keys {
            if key.data.is_hinted(sealed)
                && let Some(plain) = open(&key.data)
            {
                return Ok(plain);
            }
            if key.needs_id(sealed) {
                match known {
                    Known::Id(id) => {
                        if let Some(plain) = open(&key.for_id(id)) {
                            return Ok(plain);
                        }
                    }
                    Known::Key(_) => reason = NEEDS_ID,
                }
            }
        }
        Err(known.sealed(reason))
    }

    pub(super) fn accept_plain(&self, known: Known<'_>) -> Result<(), Error> {
        if self.rollout == SealRollout::Require { Err(known.sealed(NOT_SEALED)) } else { Ok(()) }
    }

    pub(super) fn needs_id(&self, data: &Payload) -> bool {
        data.is_sealed() && self.keys.iter().any(|key| key.needs_id(data.bytes()))
    }

    /// Of data that takes the visitor's id.
    pub(super) fn is_sealed_as_now(&self, data: &Payload) -> bool {
        self.and_id && self.rollout != SealRollout::Accept && self.keys[0].needs_id(data.bytes())
    }

    /// The record's label, whether it is sealed or not.
    pub(super) fn label(&self, known: Known<'_>, record: &Record) -> Result<Option<Label>, Error> {
        let Some(sealed) = record.extensions.get(LABEL) else { return Ok(record.label.clone()) };
        self.open_label(known.key(), sealed).map(Some).ok_or_else(|| known.sealed(NO_KEY))
    }

    /// A label sealed, if labels are to be.
    pub(super) fn seal_label(&self, key: &SessionKey, label: &Label) -> Option<Vec<u8>> {
        let is_due = self.labels && self.rollout != SealRollout::Accept;
        is_due.then(|| self.keys[0].label.seal(label.as_str().as_bytes(), &belonging_to(key, LABEL)))
    }

    pub(super) fn open_label(&self, key: &SessionKey, sealed: &[u8]) -> Option<Label> {
        let belongs_to = belonging_to(key, LABEL);
        let mut hinted = self.keys.iter().filter(|key| key.label.is_hinted(sealed));
        let opened = hinted.find_map(|key| key.label.open(sealed, &belongs_to))?;
        Label::truncated(std::str::from_utf8(&opened).ok()?)
    }
}

/// Whether a record's label is sealed.
pub(super) fn has_label(record: &Record) -> bool {
    record.extensions.get(LABEL).is_some()
}

pub(super) fn without_label(extensions: &Extensions) -> Extensions {
    if extensions.get(LABEL).is_some() { extensions.without(LABEL) } else { extensions.clone() }
}

/// What sealed data belongs to: the session, the data's tag, and whose the session is, or else who can write to the store
/// could make a session of theirs somebody else's.
struct Belonging {
    all: [u8; NAME_LENGTH + 1 + Owner::MAX_LENGTH],
    length: usize,
}

impl Belonging {
    fn of(key: &SessionKey, tag: u8, record: &Record) -> Self {
        let owner = record.owner.as_ref().map_or("", Owner::as_str).as_bytes();
        let (session, length) = (belonging_to(key, tag), NAME_LENGTH + 1 + owner.len());
        let mut all = [0; NAME_LENGTH + 1 + Owner::MAX_LENGTH];
        all[..session.len()].copy_from_slice(&session);
        all[session.len()..length].copy_from_slice(owner);
        Self { all, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.all[..self.length]
    }
}

/// What sealed bytes belong to: the session, and what they are.
fn belonging_to(key: &SessionKey, what: u8) -> [u8; NAME_LENGTH + 1] {
    let mut all = [what; NAME_LENGTH + 1];
    all[..NAME_LENGTH].copy_from_slice(key.storage_name().as_bytes());
    all
}
