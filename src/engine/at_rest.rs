//! How sessions are at rest: compressed, sealed, or as their codec wrote them.
//!
//! The engine sees records open. On their way to the store, behind its one door, they are brought into the form in
//! which they rest; what comes back is opened there. A record that was opened remembers what the store has of it.

#[cfg(feature = "seal")]
mod cipher;
#[cfg_attr(not(feature = "compress"), path = "at_rest/no_compression.rs")]
mod compression;
#[cfg_attr(not(feature = "seal"), path = "at_rest/no_sealing.rs")]
mod sealing;
#[cfg(any(feature = "seal", feature = "compress"))]
mod settings;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::compression::Compression;
#[cfg(not(feature = "seal"))]
pub(crate) use self::sealing::Sealing;
#[cfg(feature = "seal")]
pub use self::sealing::{SealRollout, Sealing};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::{Label, Payload, Record, RecordAtRest};
use crate::store::history::HistoryEntry;

const NO_KEYS: &str = "it is sealed, and this service has no seal key";

/// The form in which a manager's sessions rest.
#[derive(Debug)]
pub(crate) struct AtRest {
    sealing: Option<Sealing>,
    compression: Compression,
    /// Tells apart who opened what stays in this process.
    opener: u64,
}

/// Whose record it is. Some are sealed so that only the visitor's id opens them, and not everybody knows that.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    Id(&'a SessionId),
    Key(&'a SessionKey),
}

impl<'a> Known<'a> {
    fn key(self) -> &'a SessionKey {
        match self {
            Self::Id(id) => id.as_key(),
            Self::Key(key) => key,
        }
    }

    /// The error of a record that is not opened.
    fn sealed(self, reason: &'static str) -> Error {
        Error::Sealed { key: self.key().clone(), reason }
    }
}

impl AtRest {
    pub(super) fn new(sealing: Option<Sealing>, compression: Compression) -> Self {
        static OPENERS: AtomicU64 = AtomicU64::new(0);
        Self { sealing, compression, opener: OPENERS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether a record can be written only for a key that is known.
    pub(super) fn is_sealing(&self) -> bool {
        self.sealing.is_some()
    }

    /// Whether a record that the store answered is open as it is.
    pub(super) fn is_open(&self, record: &Record) -> bool {
        record.data.is_open() && self.sealing.is_none()
    }

    /// Brings a record into the form in which it is to rest: what is stored is [`Record::as_stored`] from then on.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] where a sealed label finds no room beside what later versions keep there, and
    /// [`Error::Sealed`] where the visitor's id is needed.
    pub(super) fn settle(&self, known: Known<'_>, record: &mut Record) -> Result<(), Error> {
        record.at_rest = None;
        let packed = self.compression.pack(&record.data);
        let at_rest = match &self.sealing {
            Some(sealing) => sealing.seal(known, record, packed)?,
            None => packed.map(|data| RecordAtRest {
                data,
                label: record.label.clone(),
                extensions: record.extensions.clone(),
            }),
        };
        record.at_rest = at_rest.map(Arc::new);
        Ok(())
    }

    /// Opens a record that the store answered.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] where no key opens it, or it should be sealed and is not; [`Error::Corrupt`] where it can't be
    /// decompressed.
    pub(super) fn open(&self, known: Known<'_>, mut record: Record) -> Result<Record, Error> {
        let has_label = self.sealing.is_some() && sealing::has_label(&record);
        // Compressed alone, or beside a label that is sealed, data is plain too.
        if let Some(sealing) = self.sealing.as_ref().filter(|_| !record.data.is_sealed()) {
            sealing.accept_plain(known)?;
        }
        if record.data.is_open() && !has_label {
            return Ok(record);
        }
        let (data, label) = match record.data.opened_before(self.opener) {
            Some(opened) => opened,
            None => self.open_data(known, &record)?,
        };
        let extensions = match &self.sealing {
            Some(_) => sealing::without_label(&record.extensions),
            None => record.extensions.clone(),
        };
        record.at_rest = Some(Arc::new(RecordAtRest {
            data: mem::replace(&mut record.data, data),
            label: mem::replace(&mut record.label, label),
            extensions: mem::replace(&mut record.extensions, extensions),
        }));
        Ok(record)
    }

    fn open_data(&self, known: Known<'_>, record: &Record) -> Result<(Payload, Option<Label>), Error> {
        let data = &record.data;
        let label = match &self.sealing {
            Some(sealing) => sealing.label(known, record)?,
            None => record.label.clone(),
        };
        if data.is_open() {
            return Ok((data.clone(), label));
        }
        let mut bytes = if data.is_sealed() {
            let sealing = self.sealing.as_ref().ok_or_else(|| known.sealed(NO_KEYS))?;
            sealing.unseal(known, record)?.into()
        } else {
            data.bytes().clone()
        };
        if data.is_compressed() {
            let unpacked = self.compression.unpack(&bytes);
            bytes = unpacked.map_err(|reason| Error::Corrupt { key: known.key().clone(), reason })?.into();
        }
        Ok((data.opened(self.opener, bytes, label.as_ref()), label))
    }

    /// Brings an entry of a history into the form in which it is to rest.
    pub(super) fn settle_entry(&self, mut entry: HistoryEntry) -> HistoryEntry {
        if let Some(sealing) = &self.sealing
            && let Some(sealed) =
                entry.label.as_ref().and_then(|label| sealing.seal_label(&entry.session, label))
        {
            (entry.label, entry.sealed_label) = (None, Some(sealed.into()));
        }
        entry
    }

    /// Opens an entry of a history; what no key opens stays as it is.
    pub(super) fn open_entry(&self, mut entry: HistoryEntry) -> HistoryEntry {
        if let Some(sealing) = &self.sealing
            && let Some(sealed) = &entry.sealed_label
        {
            entry.label = sealing.open_label(&entry.session, sealed);
        }
        entry
    }

    /// Whether a record is sealed so that it takes the visitor's id to open it.
    pub(super) fn needs_id(&self, stored: &Record) -> bool {
        self.sealing.as_ref().is_some_and(|sealing| sealing.needs_id(&stored.data))
    }

    /// Whether a record that takes the visitor's id is sealed as this manager does.
    pub(super) fn is_sealed_as_now(&self, stored: &Record) -> bool {
        self.sealing.as_ref().is_some_and(|sealing| sealing.is_sealed_as_now(&stored.data))
    }

    /// Whether two stored records are in the same form: compressed alike, and sealed alike by the same key.
    pub(super) fn is_alike(one: &Record, other: &Record) -> bool {
        let form = |record: &Record| {
            let is_sealed = record.data.is_sealed();
            let hint = is_sealed.then(|| record.data.bytes().first().copied());
            (record.data.codec(), hint, sealing::has_label(record))
        };
        form(one) == form(other)
    }

    /// Opens what a list of sessions shows, which needs no visitor's id: the label.
    pub(super) fn open_label(&self, key: &SessionKey, mut record: Record) -> Record {
        if let Some(sealing) = &self.sealing
            && let Ok(label) = sealing.label(Known::Key(key), &record)
        {
            record.label = label;
        }
        record
    }
}
