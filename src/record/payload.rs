//! A session's data as a codec wrote it.

use std::fmt;
#[cfg(any(feature = "memory", feature = "json"))]
use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "memory")]
use super::decoded::{Decoded, MemoryBudget};
#[cfg(feature = "json")]
use crate::{codec::Codec, engine::SessionData, error::Error};

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

    /// The codec's tag.
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

    /// The encoded data. See the example of [`codec`](Self::codec).
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(feature = "json")]
impl Payload {
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
