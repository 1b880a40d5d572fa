//! How a session's data becomes bytes, and bytes become data.

#[cfg(feature = "bincode")]
use bincode::serde::BorrowedSerdeDecoder;
#[cfg(feature = "messagepack")]
use rmp_serde::decode::Error::InvalidMarkerRead;
use serde::Serialize;
#[cfg(any(feature = "messagepack", feature = "bincode"))]
use serde::de::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::record::Payload;
use shapes::{Shape, Shapes};

mod bounded;
mod json_form;
mod lenient;
pub(crate) mod shapes;

pub use self::lenient::Lenient;

/// How session data is encoded.
///
/// A service may change its codec while it runs. Data that another codec wrote is read as long as the
/// manager is told to [read it too](crate::SessionManagerBuilder::also_reads), and is rewritten at the
/// next change (without the members that this program's type doesn't know).
///
/// Changes are merged through JSON, so all codecs refuse values that JSON has no form for: floats that
/// are not finite, integers of more than 64 bits, maps whose keys are not scalars, a `Some` of
/// nothing (`Some(())`, `Some(None)`), and nesting over 120 levels (an enum's variant with several parts
/// takes two). Options and newtypes take no level; around one value there may be 240 of them.
///
/// Data that encodes but does not decode is refused as well, with [`Error::Encode`], before anything
/// is written. serde can't read an integer-keyed map or a `u128` inside a `#[serde(flatten)]` field or
/// an internally tagged or untagged enum, for example. A manager decodes the first data of each shape
/// once more to find out; a shape is the kinds of values, the names of fields and the variants of
/// enums, not their contents. Two faults stay undetected: a `Deserialize` that refuses some *values* of a
/// shape that it accepts otherwise, such as a text that it validates, and a field that serde does not
/// read back as it was (`#[serde(skip_deserializing)]`). Test such types with a round trip.
///
/// Decoding is bounded in the same way, so a hostile record costs neither the stack nor more memory
/// than its own length accounts for.
///
/// | | schema changes | size | speed |
/// |---|---|---|---|
/// | `Json` | fields may come (`#[serde(default)]`) and go | largest | good |
/// | `MessagePack` | the same | about a fifth smaller | better |
/// | `Bincode` | none: every change of the type ends all sessions | smallest | best |
///
/// ```
/// use session_store::Codec;
///
/// assert_eq!(&Codec::Json.encode(&["tea"])?.bytes()[..], b"[\"tea\"]");
/// assert!(Codec::Json.encode(&f64::NAN).is_err());
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// JSON (RFC 8259), readable in `redis-cli`. The default.
    #[default]
    Json,
    /// `MessagePack` with named fields.
    ///
    /// Members that this program's type doesn't know survive a save as they do with JSON, except
    /// beside byte strings and maps whose keys are not strings.
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// bincode 2 in its standard configuration, at most 16 MiB, and at most 262,144 more elements
    /// than bytes: `()` and its like take none.
    ///
    /// **Think twice.** The crate is unmaintained ([RUSTSEC-2025-0141]), and the format has no
    /// schema evolution: after a field is added, removed or moved, stored sessions do not decode.
    /// The engine then treats them as absent and logs a warning, so everybody is signed out, and a
    /// record that happens to decode as the new type gets its values in the wrong fields. Types
    /// that need a self-describing format, such as [`Values`](crate::Values), or that leave fields
    /// out (`skip_serializing_if`), don't work at all. A set without an order (`HashSet`) is taken
    /// for changed by every merge; a `BTreeSet` is not.
    ///
    /// [RUSTSEC-2025-0141]: https://rustsec.org/advisories/RUSTSEC-2025-0141.html
    #[cfg(feature = "bincode")]
    Bincode,
}

#[cfg(feature = "bincode")]
const BINCODE: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<{ 16 << 20 }>,
> = bincode::config::standard().with_limit();

const UNREADABLE: &str = "it would not decode again as the session's type: serde can't read back all that it \
     writes, such as a map with integer keys inside a flattened field or a tagged enum";

impl Codec {
    /// The codec's name for machines: `json`, `messagepack` or `bincode`. See the example of
    /// [`name_of`](Self::name_of).
    pub const fn name(self) -> &'static str {
        Self::name_of(self.tag()).expect("every tag has a name")
    }

    /// The name of the codec with this tag, even if this program was built without it, and if the data is sealed or
    /// compressed; `None` for an unknown tag.
    ///
    /// ```
    /// use session_store::Codec;
    ///
    /// assert_eq!(Codec::name_of(Codec::Json.tag()), Some(Codec::Json.name()));
    /// assert_eq!((Codec::name_of(3), Codec::name_of(255)), (Some("bincode"), None));
    /// ```
    pub const fn name_of(tag: u8) -> Option<&'static str> {
        match Payload::codec_of(tag) {
            1 => Some("json"),
            2 => Some("messagepack"),
            3 => Some("bincode"),
            _ => None,
        }
    }

    /// The tag that marks a record as this codec's; it never changes. See the example of [`name_of`](Self::name_of).
    pub const fn tag(self) -> u8 {
        match self {
            Self::Json => 1,
            #[cfg(feature = "messagepack")]
            Self::MessagePack => 2,
            #[cfg(feature = "bincode")]
            Self::Bincode => 3,
        }
    }

    fn of(payload: &Payload) -> Option<Self> {
        match payload.codec() {
            1 => Some(Self::Json),
            #[cfg(feature = "messagepack")]
            2 => Some(Self::MessagePack),
            #[cfg(feature = "bincode")]
            3 => Some(Self::Bincode),
            _ => None,
        }
    }

    /// Encodes `data`: for a test of a store, or of whether a type can be stored.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if JSON has no form for it, or its `Serialize` fails.
    ///
    /// ```
    /// use session_store::Codec;
    ///
    /// let data = Codec::Json.encode(&vec!["tea", "milk"])?;
    /// assert_eq!(*data.decode::<Vec<String>>()?, ["tea", "milk"]);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn encode<T: Serialize>(self, data: &T) -> Result<Payload, Error> {
        self.encode_seen(data).map(|(payload, _)| payload)
    }

    /// Encodes data that is only compared, whether it can be read again or not.
    pub(crate) fn encode_to_compare<T: Serialize>(self, data: &T) -> Result<Payload, Error> {
        let refused = |error: &dyn std::fmt::Display| Error::Encode { reason: error.to_string() };
        let bytes = match self {
            Self::Json => serde_json::to_vec(data).map_err(|e| refused(&e))?,
            #[cfg(feature = "messagepack")]
            Self::MessagePack => rmp_serde::to_vec_named(data).map_err(|e| refused(&e))?,
            #[cfg(feature = "bincode")]
            Self::Bincode => bincode::serde::encode_to_vec(data, BINCODE).map_err(|e| refused(&e))?,
        };
        Ok(Payload::new(self.tag(), bytes))
    }

    fn encode_seen<T: Serialize>(self, data: &T) -> Result<(Payload, Shape), Error> {
        let refused = |reason: String| Error::Encode { reason };
        let seen = json_form::check(data).map_err(|fault| refused(fault.to_string()))?;
        let payload = self.encode_to_compare(data)?;
        #[cfg(feature = "bincode")]
        if self == Self::Bincode
            && seen.size / json_form::VALUE_SIZE > payload.bytes().len().saturating_add(bounded::MAX_EMPTY)
        {
            return Err(refused("it has too many elements that take no byte".to_owned()));
        }
        Ok((payload, seen.shape))
    }

    /// Decodes `payload`, whichever codec wrote it.
    ///
    /// # Errors
    ///
    /// Says in general what is wrong: decoders quote the data in their messages, and session data
    /// must not reach a log.
    pub(crate) fn decode<T: DeserializeOwned>(payload: &Payload) -> Result<T, &'static str> {
        let codec = Self::of(payload).ok_or("it was written by a codec that this build doesn't have")?;
        let bytes = &payload.bytes()[..];
        match codec {
            Self::Json => {
                let mut reader = serde_json::Deserializer::from_slice(bytes);
                let data = bounded::decode(&mut reader, bytes.len()).ok();
                data.filter(|_| reader.end().is_ok())
            }
            #[cfg(feature = "messagepack")]
            Self::MessagePack => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
                let data = bounded::decode(&mut reader, bytes.len()).ok();
                // Behind it there is not even the marker that a value begins with. A unit has no parts, in
                // which one could be missing.
                data.filter(|_| matches!(<()>::deserialize(&mut reader), Err(InvalidMarkerRead(_))))
            }
            #[cfg(feature = "bincode")]
            Self::Bincode => {
                let mut reader = BorrowedSerdeDecoder::from_slice(bytes, BINCODE, ());
                let data = bounded::decode(reader.as_deserializer(), bytes.len()).ok();
                // Behind it there is not even a byte.
                data.filter(|_| u8::deserialize(reader.as_deserializer()).is_err())
            }
        }
        .ok_or("its data does not fit the session's type")
    }

    /// The data of `payload` as JSON, with the members that no type of this program knows; `None`
    /// for a codec whose data can't be read without its type.
    pub(crate) fn describe(payload: &Payload) -> Option<Value> {
        match Self::of(payload)? {
            #[cfg(feature = "bincode")]
            Self::Bincode => None,
            _ => Self::decode(payload).ok(),
        }
    }
}

/// Encodes what is to be stored.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    pub(crate) codec: Codec,
    /// What was looked at before.
    pub(crate) readable: &'a Shapes,
}

impl Encoder<'_> {
    /// Encodes `data`, unless it could not be decoded again.
    pub(crate) fn encode<T: Serialize + DeserializeOwned>(self, data: &T) -> Result<Payload, Error> {
        let (payload, shape) = self.codec.encode_seen(data)?;
        if !self.readable.know(shape) {
            if Codec::decode::<T>(&payload).is_err() {
                return Err(Error::Encode { reason: UNREADABLE.to_owned() });
            }
            self.readable.learn(shape);
        }
        Ok(payload)
    }
}

/// About how many bytes `data` takes in memory, as far as serde sees it; more than there are for what has
/// no JSON form.
#[cfg(feature = "memory")]
pub(crate) fn size_in_memory<T: Serialize>(data: &T) -> usize {
    json_form::check(data).map_or(usize::MAX / 2, |seen| seen.size)
}

/// The JSON form of `data`.
pub(crate) fn to_value<T: Serialize + ?Sized>(data: &T) -> Result<Value, Error> {
    json_form::check(data).map_err(|e| Error::Encode { reason: e.to_string() })?;
    serde_json::to_value(data).map_err(|e| Error::Encode { reason: e.to_string() })
}

#[cfg(test)]
mod tests;
