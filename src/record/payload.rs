//! A session's data as a codec wrote it; and decoded, where it stays in this process.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
#[cfg(feature = "json")]
use serde::de::DeserializeOwned;

#[cfg(feature = "json")]
use crate::{codec::Codec, error::Error};

/// A session's data as a codec wrote it, and which codec that was.
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
    /// Where the bytes stay in this process: what the first reader made of them, for all clones.
    decoded: Option<Arc<Decoded>>,
}

type Decoded = OnceLock<Arc<dyn Any + Send + Sync>>;

impl Payload {
    /// Data that the codec of this [tag](crate::Codec::tag) wrote.
    pub fn new(codec: u8, bytes: impl Into<Bytes>) -> Self {
        Self { codec, bytes: bytes.into(), decoded: None }
    }

    /// The same data in memory of its own, to be decoded once for all who will read it.
    #[cfg(feature = "memory")]
    pub(crate) fn to_kept(&self) -> Self {
        // The given bytes may be a small part of a large buffer, all of which would stay in memory.
        let bytes = Bytes::copy_from_slice(&self.bytes);
        Self { codec: self.codec, bytes, decoded: Some(Arc::default()) }
    }

    /// The codec's tag.
    pub fn codec(&self) -> u8 {
        self.codec
    }

    /// The encoded data.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(feature = "json")]
impl Payload {
    /// The data, decoded. What a [`MemoryStore`](crate::MemoryStore) holds is decoded by the first who
    /// reads it as a `T`, and shared from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if these bytes are no `T`, or this program does not have
    /// their codec.
    pub fn decode<T>(&self) -> Result<Arc<T>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.shared().map_err(|reason| Error::Decode { reason })
    }

    /// As [`decode`](Self::decode), and in general what is wrong.
    pub(crate) fn shared<T>(&self) -> Result<Arc<T>, &'static str>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        // Others may have read it as another type.
        let known = self.decoded.as_ref().and_then(|decoded| decoded.get());
        if let Some(Ok(data)) = known.map(|known| Arc::clone(known).downcast()) {
            return Ok(data);
        }
        let data = Arc::new(Codec::decode(self)?);
        if let Some(decoded) = &self.decoded {
            let _the_first_one_stays = decoded.set(Arc::<T>::clone(&data));
        }
        Ok(data)
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
