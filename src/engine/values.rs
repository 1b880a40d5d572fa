//! A session without a type of its own: a bag of named values.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

    /// Removes the value called `name` and says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
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

impl std::fmt::Debug for Values {
    /// Shows the names only: values may be anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
