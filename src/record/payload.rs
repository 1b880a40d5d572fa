//! A session's data as a codec wrote it.

use std::fmt;
#[cfg(any(feature = "memory", feature = "json"))]
use std::sync::Arc;

use bytes::Bytes;

#[cfg(all(feature = "memory", feature = "json"))]
use super::decoded::Opened;
#[cfg(feature = "memory")]
use super::decoded::{Decoded, MemoryBudget};
#[cfg(feature = "json")]
use crate::{codec::Codec, engine::SessionData, error::Error, record::Label};

/// The bit of a codec's tag that says: the data is sealed.
const SEALED: u8 = 0x80;
/// The bit that says: it is compressed (and sealed then, where it is both).
const COMPRESSED: u8 = 0x40;

/// A session's data in encoded form, with the tag of its codec.
///
/// ```
/// use session_store::{Codec, Payload};
///
/// let data = Payload::new(Codec::Json.tag(), r#"["tea"]"#);
/// assert_eq!(data, Codec::Json.encode(&["tea"])?);
/// assert_eq!(*data.decode::<Vec<String>>()?, ["tea"]);
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone)]
pub struct Payload {
    codec: u8,
    bytes: Bytes,
    /// Where the bytes stay in this process: what the first reader makes of them, for all clones.
    #[cfg(feature = "memory")]
    #[cfg_attr(not(feature = "json"), allow(dead_code, reason = "without codecs nothing is decoded"))]
    decoded: Option<Arc<Decoded>>,
}

impl Payload {
    /// Takes data that the codec of this [tag](crate::Codec::tag) wrote. See the [example](Self).
    pub fn new(codec: u8, bytes: impl Into<Bytes>) -> Self {
        Self {
            codec,
            bytes: bytes.into(),
            #[cfg(feature = "memory")]
            decoded: None,
        }
    }

    /// The same data in memory of its own; to be decoded once for all who will read it, if there is
    /// `room`.
    #[cfg(feature = "memory")]
    pub(crate) fn to_kept(&self, room: &Arc<MemoryBudget>) -> Self {
        // The given bytes may be a small part of a large buffer, all of which would stay in memory.
        let bytes = Bytes::copy_from_slice(&self.bytes);
        Self { codec: self.codec, bytes, decoded: Some(Arc::new(Decoded::new(Arc::clone(room)))) }
    }

    /// The codec's tag, with a bit each for data that is [sealed](Self::is_sealed) and
    /// [compressed](Self::is_compressed).
    ///
    /// ```
    /// use session_store::Payload;
    ///
    /// // A custom store keeps both.
    /// let data = Payload::new(1, "{}");
    /// let row = (data.codec(), data.bytes().to_vec());
    /// assert_eq!(Payload::new(row.0, row.1), data);
    /// ```
    pub fn codec(&self) -> u8 {
        self.codec
    }

    /// Whether the data is encrypted, as `SessionManagerBuilder::seal` says.
    ///
    /// ```
    /// use session_store::Payload;
    ///
    /// assert!(!Payload::new(1, "{}").is_sealed());
    /// assert!(Payload::new(0x81, "…").is_sealed());
    /// ```
    pub const fn is_sealed(&self) -> bool {
        self.codec & SEALED != 0
    }

    /// Whether the data is compressed, as `SessionManagerBuilder::compress` says.
    ///
    /// ```
    /// use session_store::Payload;
    ///
    /// assert!(!Payload::new(1, "{}").is_compressed());
    /// assert!(Payload::new(0x41, "…").is_compressed());
    /// ```
    pub const fn is_compressed(&self) -> bool {
        self.codec & COMPRESSED != 0
    }

    /// Of such a tag the codec's own part.
    pub(crate) const fn codec_of(tag: u8) -> u8 {
        tag & !(SEALED | COMPRESSED)
    }

    /// Whether the bytes are what a codec wrote.
    #[cfg(feature = "json")]
    pub(crate) const fn is_open(&self) -> bool {
        self.codec & (SEALED | COMPRESSED) == 0
    }

    /// The encoded data. See the example of [`codec`](Self::codec).
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(feature = "json")]
impl Payload {
    /// What these tags say of the data once it is sealed.
    #[cfg(feature = "seal")]
    pub(crate) const fn sealed_tag(codec: u8) -> u8 {
        codec | SEALED
    }

    /// What it says once it is compressed.
    #[cfg(feature = "compress")]
    pub(crate) const fn compressed_tag(codec: u8) -> u8 {
        codec | COMPRESSED
    }

    /// The opened form of these bytes, and what was opened with them, if the same `opener` has opened them before.
    #[cfg_attr(not(feature = "memory"), allow(clippy::unused_self, reason = "nothing is kept"))]
    pub(crate) fn opened_before(&self, opener: u64) -> Option<(Self, Option<Label>)> {
        #[cfg(feature = "memory")]
        if let Some(decoded) = &self.decoded {
            let opened = decoded.opened(opener)?;
            let data =
                Self { codec: opened.codec, bytes: opened.bytes.clone(), decoded: self.decoded.clone() };
            return Some((data, opened.label.clone()));
        }
        let _ = opener;
        None
    }

    /// The opened form of these bytes. Where these stay in this process, it stays with them.
    #[cfg_attr(not(feature = "memory"), allow(clippy::unused_self, reason = "nothing is kept"))]
    pub(crate) fn opened(&self, opener: u64, bytes: Bytes, label: Option<&Label>) -> Self {
        let codec = Self::codec_of(self.codec);
        #[cfg(feature = "memory")]
        if let Some(decoded) = &self.decoded {
            decoded.keep_opened(Opened { opener, codec, bytes: bytes.clone(), label: label.cloned() });
            return Self { codec, bytes, decoded: self.decoded.clone() };
        }
        let _ = (opener, label);
        Self::new(codec, bytes)
    }

    /// Decodes the data. Data in a [`MemoryStore`](crate::MemoryStore) is decoded by its first reader, and shared from
    /// then on.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if these bytes are not a `T`, or this program was built without their codec.
    ///
    /// ```
    /// use session_store::{Codec, Error, Payload};
    ///
    /// let data = Payload::new(Codec::Json.tag(), r#"["tea"]"#);
    /// assert_eq!(*data.decode::<Vec<String>>()?, ["tea"]);
    /// assert!(matches!(data.decode::<u32>(), Err(Error::Decode { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn decode<T: SessionData>(&self) -> Result<Arc<T>, Error> {
        self.shared().map_err(|reason| Error::Decode { reason })
    }

    /// The data as JSON, for a tool that does not know its type. `None` if the codec does not name the members of its
    /// data (bincode), if this program was built without it, and for data that it can't read.
    ///
    /// This is private data of visitors: keep it out of logs.
    ///
    /// ```
    /// use session_store::{Codec, Payload};
    ///
    /// let data = Payload::new(Codec::Json.tag(), r#"{"cart":["tea"]}"#);
    /// assert_eq!(data.to_json().expect("JSON is readable")["cart"][0], "tea");
    /// assert!(Payload::new(99, "?").to_json().is_none());
    /// ```
    pub fn to_json(&self) -> Option<serde_json::Value> {
        Codec::describe(self)
    }

    /// As [`decode`](Self::decode), and in general what is wrong.
    pub(crate) fn shared<T: SessionData>(&self) -> Result<Arc<T>, &'static str> {
        let decode = || Codec::decode(self).map(Arc::new);
        // What others opened and decoded is not for those who have not opened it.
        if !self.is_open() {
            return Err(UNOPENED);
        }
        #[cfg(feature = "memory")]
        if let Some(decoded) = &self.decoded {
            if let Some(data) = decoded.get() {
                return Ok(data);
            }
            let data = decode()?;
            // Counted with the encoding, for the text of what is written by its `Display`.
            decoded.hold(&data, |data| crate::codec::size_in_memory(data) + self.bytes.len());
            return Ok(data);
        }
        decode()
    }
}

#[cfg(feature = "json")]
const UNOPENED: &str = "it is sealed or compressed";

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.codec == other.codec && self.bytes == other.bytes
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes, codec {})", self.bytes.len(), self.codec)
    }
}
