//! A session without a type of its own: a bag of named values.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Session;
use crate::error::Error;

/// Named values with typed access, for services that don't give their session a type.
///
/// A struct says more and is checked by the compiler; this is for moving from libraries where a session is a map.
/// It needs a self-describing codec, so not bincode.
///
/// ```
/// use session_store::Values;
///
/// let mut values = Values::default();
/// values.insert("visits", 3)?;
/// assert_eq!(values.get::<u32>("visits"), Some(3));
/// assert_eq!(values.get::<u32>("unknown"), None);
/// assert!(values.contains("visits") && values.names().eq(["visits"]));
///
/// values.remove("visits");
/// values.clear();
/// assert_eq!(values, Values::default());
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(Map<String, Value>);

impl Values {
    /// The value called `name`; `None` if there is none, or if it is not a `V`.
    ///
    /// ```
    /// # let mut values = session_store::Values::default();
    /// values.insert("visits", 3)?;
    /// assert_eq!(values.get::<u32>("visits").unwrap_or_default(), 3);
    /// assert_eq!(values.get::<String>("visits"), None);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        V::deserialize(self.0.get(name)?).ok()
    }

    /// Sets the value called `name`, in place of the one it had.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if `value` has no JSON form.
    ///
    /// ```
    /// # let mut values = session_store::Values::default();
    /// values.insert("cart", ["tea", "milk"])?;
    /// assert!(values.insert("price", f64::NAN).is_err());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn insert(&mut self, name: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        let encoded = crate::codec::to_value(&value)?;
        self.0.insert(name.into(), encoded);
        Ok(())
    }

    /// Removes the value called `name`, and returns it if there was one. See the [example](Self).
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Removes the value called `name`, and returns it; `None` if there is none. A value that is not a `V` stays.
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

    /// Whether there is a value called `name`. See the [example](Self).
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names that have a value. See the [example](Self).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Removes every value. See the [example](Self).
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Direct access to named values, without a closure, for services that come from a session that is a map.
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
    /// The value called `name`; `None` if there is none, or if it is not a `V`.
    ///
    /// ```
    /// # use session_store::Session;
    /// fn greeting(session: &Session) -> String {
    ///     let name: Option<String> = session.get("name");
    ///     format!("Hello, {}!", name.as_deref().unwrap_or("stranger"))
    /// }
    /// ```
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        self.read(|values| values.get(name))
    }

    /// Sets the value called `name`, in place of the one it had. It is stored as by [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if `value` has no JSON form, and those of [`write`](Self::write).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.insert("theme", "dark")?;
    /// assert_eq!(session.get("theme"), Some("dark".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert(&self, name: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        self.write(|values| values.insert(name, value))?
    }

    /// Removes the value called `name`, and returns it if there was one.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.insert("coupon", "SPRING")?;
    /// assert!(session.remove("coupon")?.is_some_and(|coupon| coupon == "SPRING"));
    /// assert_eq!(session.remove("coupon")?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove(&self, name: &str) -> Result<Option<Value>, Error> {
        self.write(|values| values.remove(name))
    }

    /// Removes the value called `name`, and returns it; `None` if there is none. A value that is not a `V` stays.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.insert("flash", "Saved.")?;
    /// // The next page shows the message, once.
    /// assert_eq!(session.take::<String>("flash")?.as_deref(), Some("Saved."));
    /// assert_eq!(session.take::<String>("flash")?, None);
    /// # Ok(())
    /// # }
    /// ```
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
