//! [`Lenient`]: a member that another service writes, and that may have any shape.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A member of a session that may have an unexpected shape: from JavaScript, which may write `{}`, `""` or `null` for an
/// absent value.
///
/// A value that does not fit `T` reads as [`None`](Self::get), and stays stored unchanged until something is
/// [`set`](Self::set). With `#[serde(default)]` on it or its struct, the member may also be missing, and stays so. It
/// takes a codec whose data names its members, JSON or `MessagePack`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_store::Lenient;
///
/// #[derive(Serialize, Deserialize)]
/// struct Passport {
///     user: String,
/// }
///
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(default)]
/// struct Shop {
///     #[serde(skip_serializing_if = "Lenient::is_missing")]
///     passport: Lenient<Passport>,
/// }
///
/// // As passport leaves it after a logout.
/// let mut shop: Shop = serde_json::from_str(r#"{"passport":{}}"#)?;
/// assert!(shop.passport.get().is_none());
/// assert_eq!(serde_json::to_string(&shop)?, r#"{"passport":{}}"#);
///
/// shop.passport.set(Passport { user: "ada".into() });
/// assert_eq!(serde_json::to_string(&shop)?, r#"{"passport":{"user":"ada"}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Lenient<T>(Content<T>);

#[derive(Clone, PartialEq)]
enum Content<T> {
    Missing,
    Fitting(T),
    Other(Value),
}

impl<T> Lenient<T> {
    /// The value, if it fits.
    ///
    /// ```
    /// use session_store::Lenient;
    ///
    /// let fitting: Lenient<u32> = serde_json::from_str("7").unwrap();
    /// let other: Lenient<u32> = serde_json::from_str("\"seven\"").unwrap();
    /// assert_eq!((fitting.get(), other.get()), (Some(&7), None));
    /// ```
    pub fn get(&self) -> Option<&T> {
        match &self.0 {
            Content::Fitting(value) => Some(value),
            Content::Missing | Content::Other(_) => None,
        }
    }

    /// The value, if it fits, for changing it.
    ///
    /// ```
    /// use session_store::Lenient;
    ///
    /// let mut cart = Lenient::from(vec!["tea"]);
    /// if let Some(items) = cart.get_mut() {
    ///     items.push("milk");
    /// }
    /// assert_eq!(cart.get().map(Vec::len), Some(2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match &mut self.0 {
            Content::Fitting(value) => Some(value),
            Content::Missing | Content::Other(_) => None,
        }
    }

    /// Sets the value, in place of whatever was there.
    ///
    /// ```
    /// use session_store::Lenient;
    ///
    /// let mut user: Lenient<String> = serde_json::from_str("{}").unwrap();
    /// user.set("ada".to_owned());
    /// assert_eq!(serde_json::to_string(&user).unwrap(), "\"ada\"");
    /// ```
    pub fn set(&mut self, value: T) {
        self.0 = Content::Fitting(value);
    }

    /// Takes the value out, if it fits. A value that does not fit is removed too.
    ///
    /// ```
    /// use session_store::Lenient;
    ///
    /// let mut flash = Lenient::from("Saved.".to_owned());
    /// assert_eq!(flash.take().as_deref(), Some("Saved."));
    /// assert!(flash.is_missing());
    /// ```
    pub fn take(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.0, Content::Missing) {
            Content::Fitting(value) => Some(value),
            Content::Missing | Content::Other(_) => None,
        }
    }

    /// Whether there is no value of any shape: for `skip_serializing_if`, without which it is stored as
    /// `null`. See the example of [the type](Self).
    pub fn is_missing(&self) -> bool {
        matches!(self.0, Content::Missing)
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(Content::Missing)
    }
}

impl<T> From<T> for Lenient<T> {
    fn from(value: T) -> Self {
        Self(Content::Fitting(value))
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Content<T> {
    // What does not fit is not shown: nobody can tell whether it is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing"),
            Self::Fitting(value) => value.fmt(f),
            Self::Other(_) => f.write_str("Other(..)"),
        }
    }
}

impl<T: Serialize> Serialize for Lenient<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Content::Missing => serializer.serialize_unit(),
            Content::Fitting(value) => value.serialize(serializer),
            Content::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(match T::deserialize(&value) {
            Ok(fitting) => Content::Fitting(fitting),
            Err(_) => Content::Other(value),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    type Number = Lenient<u8>;

    #[test]
    fn what_does_not_fit_is_nothing_and_stays() {
        for (json, fitting) in [
            ("7", Some(7)),
            ("256", None),
            ("\"7\"", None),
            ("null", None),
            ("{\"a\":[1,{}]}", None),
            ("18446744073709551615", None),
        ] {
            let read: Number = serde_json::from_str(json).unwrap();
            assert_eq!(read.get().copied(), fitting, "{json}");
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert!(!read.is_missing());
        }
    }

    #[test]
    fn what_is_set_takes_the_place_of_anything() {
        let mut number: Number = serde_json::from_str("{}").unwrap();
        number.set(7);
        *number.get_mut().unwrap() += 1;
        assert_eq!(number, Number::from(8));
        assert_eq!((number.take(), number.is_missing()), (Some(8), true));
        assert_eq!(number.get_mut(), None);
        assert_eq!(number.take(), None);
    }

    #[test]
    fn an_option_fits_what_is_null() {
        let read: Lenient<Option<u8>> = serde_json::from_str("null").unwrap();
        assert_eq!(read.get(), Some(&None));
    }

    /// SECURITY 21.
    #[test]
    fn debug_shows_nothing_of_what_does_not_fit() {
        let read: Number = serde_json::from_str("\"secret\"").unwrap();
        assert_eq!(format!("{read:?}"), "Lenient(Other(..))");
        assert_eq!(format!("{:?} {:?}", Number::from(7), Number::default()), "Lenient(7) Lenient(Missing)");
    }

    #[test]
    fn codecs_that_name_members_read_it_and_bincode_refuses() {
        let written = [Number::from(7), serde_json::from_str("{\"a\":1}").unwrap()];
        let read = |codec: Codec| Codec::decode::<[Number; 2]>(&codec.encode(&written).unwrap()).unwrap();
        assert_eq!(read(Codec::Json), written);
        #[cfg(feature = "messagepack")]
        assert_eq!(read(Codec::MessagePack), written);
        #[cfg(feature = "bincode")]
        assert!(Codec::decode::<Number>(&Codec::Bincode.encode(&written[0]).unwrap()).is_err());
    }
}
