//! A session without a type of its own: a bag of named values.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Session;
use crate::error::Error;

/// Named values with typed access, for services that don't give their session a type.
///
/// A struct of one's own says more and is checked by the compiler; this is for moving from
/// libraries where a session is a map. It needs a self-describing codec, so not bincode.
///
/// ```
/// use session_store::Values;
///
/// let mut values = Values::default();
/// values.insert("visits", 3)?;
/// assert_eq!(values.get::<u32>("visits"), Some(3));
/// assert_eq!(values.get::<u32>("unknown"), None);
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(Map<String, Value>);

impl Values {
    /// The value called `name`; `None` if there is none, or it is no `V`.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        V::deserialize(self.0.get(name)?).ok()
    }

    /// Gives `name` a value, in place of the one it had.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if `value` has no JSON form.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        let encoded = crate::codec::to_value(&value)?;
        self.0.insert(name.into(), encoded);
        Ok(())
    }

    /// Removes the value called `name`, and answers it if there was one.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Removes the value called `name`, and answers it; `None` if there is none. One that is no `V` stays.
    ///
    /// ```
    /// use session_store::Values;
    ///
    /// let mut values = Values::default();
    /// values.insert("flash", "saved")?;
    /// assert_eq!(values.take::<String>("flash").as_deref(), Some("saved"));
    /// assert_eq!(values.take::<String>("flash"), None);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn take<V: DeserializeOwned>(&mut self, name: &str) -> Option<V> {
        let value = self.get(name)?;
        self.0.remove(name);
        Some(value)
    }

    /// Whether there is a value called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Removes every value.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// For services that come from a session that is a map: its values, without a closure.
///
/// ```
/// # use session_store::{Error, Session, Values};
/// async fn visit(session: Session<Values>) -> Result<Option<String>, Error> {
///     let visits: u32 = session.get("visits").unwrap_or(0);
///     session.insert("visits", visits + 1)?;
///     session.take("flash")
/// }
/// ```
impl Session<Values> {
    /// The value called `name`; `None` if there is none, or it is no `V`.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        self.read(|values| values.get(name))
    }

    /// Gives `name` a value, in place of the one it had. It is stored as by [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if `value` has no JSON form, and those of [`write`](Self::write).
    pub fn insert(&self, name: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        self.write(|values| values.insert(name, value))?
    }

    /// Removes the value called `name`, and answers it if there was one.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn remove(&self, name: &str) -> Result<Option<Value>, Error> {
        self.write(|values| values.remove(name))
    }

    /// Removes the value called `name`, and answers it; `None` if there is none. One that is no `V` stays.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn take<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>, Error> {
        self.write(|values| values.take(name))
    }
}

impl std::fmt::Debug for Values {
    /// Shows the names only: values may be anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
