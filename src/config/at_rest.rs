//! How sessions rest, as the variables `SESSION_SEAL_…` and `SESSION_COMPRESS_ABOVE` say.

use super::environment::Environment;
#[cfg(feature = "seal")]
use super::environment::wrong;
#[cfg(feature = "seal")]
use super::secrets;
#[cfg(feature = "seal")]
use crate::cookie::keys::KeyRing;
use crate::engine::{SessionData, SessionManagerBuilder};
use crate::error::Error;
#[cfg(feature = "seal")]
use crate::{SealRollout, Sealing};

const KEY: &str = "SESSION_SEAL_KEY";
const KEY_FILE: &str = "SESSION_SEAL_KEY_FILE";
/// They say nothing without a key, and may be meant as if there were one.
const WITH_A_KEY: [&str; 3] = ["SESSION_SEAL_ROLLOUT", "SESSION_SEAL_AND_ID", "SESSION_SEAL_LABELS"];
#[cfg(not(feature = "seal"))]
const NO_SEALING: &str = "session-store was built without its feature `seal`: add it in Cargo.toml";
#[cfg(not(feature = "compress"))]
const NO_COMPRESSION: &str = "session-store was built without its feature `compress`: add it in Cargo.toml";

#[derive(Debug)]
pub(super) struct AtRestSettings {
    #[cfg(feature = "seal")]
    pub(super) sealing: Option<Sealing>,
    #[cfg(feature = "compress")]
    pub(super) compress_above: Option<usize>,
}

impl AtRestSettings {
    pub(super) fn read(environment: &Environment<'_>) -> Result<Self, Error> {
        #[cfg(not(feature = "compress"))]
        refuse_if_set(environment, &["SESSION_COMPRESS_ABOVE"], NO_COMPRESSION)?;
        #[cfg(not(feature = "seal"))]
        {
            refuse_if_set(environment, &[KEY, KEY_FILE], NO_SEALING)?;
            refuse_if_set(environment, &WITH_A_KEY, NO_SEALING)?;
        }
        Ok(Self {
            #[cfg(feature = "seal")]
            sealing: sealing(environment)?,
            #[cfg(feature = "compress")]
            compress_above: environment.number(
                "SESSION_COMPRESS_ABOVE",
                1..=1 << 30,
                "give the bytes above which data is compressed, such as `1024`",
            )?,
        })
    }

    #[cfg_attr(
        not(any(feature = "seal", feature = "compress")),
        allow(clippy::unused_self, reason = "there is nothing to apply")
    )]
    pub(super) fn apply<T: SessionData>(self, builder: SessionManagerBuilder<T>) -> SessionManagerBuilder<T> {
        #[cfg(feature = "seal")]
        let builder = match self.sealing {
            Some(sealing) => builder.seal(sealing),
            None => builder,
        };
        #[cfg(feature = "compress")]
        let builder = match self.compress_above {
            Some(bytes) => builder.compress(bytes),
            None => builder,
        };
        builder
    }
}

#[cfg(any(feature = "seal", feature = "compress"))]
impl<T: SessionData> SessionManagerBuilder<T> {
    /// Heeds the variables `SESSION_SEAL_…` and `SESSION_COMPRESS_ABOVE`, as
    /// [`SessionManager::from_env`](crate::SessionManager::from_env) does, for a manager around a store of one's own.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the wrong variable.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .at_rest_from_variables(|name| std::env::var_os(name))?
    ///     .build()?;
    /// # drop(manager);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn at_rest_from_variables(
        self,
        lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, Error> {
        Ok(AtRestSettings::read(&Environment::new(&lookup))?.apply(self))
    }
}

fn refuse_if_set(environment: &Environment<'_>, names: &[&str], why: &str) -> Result<(), Error> {
    for name in names {
        if environment.is_set(name)? {
            return Err(Error::Config(format!("{name} cannot be heeded: {why}")));
        }
    }
    Ok(())
}

#[cfg(feature = "seal")]
fn sealing(environment: &Environment<'_>) -> Result<Option<Sealing>, Error> {
    let Some(secrets) = secrets::Secrets::read(environment, KEY, KEY_FILE)? else {
        refuse_if_set(environment, &WITH_A_KEY, "neither SESSION_SEAL_KEY nor SESSION_SEAL_KEY_FILE is set")?;
        return Ok(None);
    };
    let ring = secrets.list().and_then(|list| KeyRing::of(&list)).map_err(|error| secrets.wrong(&error))?;
    let rollout = match environment.text("SESSION_SEAL_ROLLOUT")?.as_deref() {
        Some("accept") => SealRollout::Accept,
        None | Some("write") => SealRollout::Write,
        Some("require") => SealRollout::Require,
        Some(other) => {
            return Err(wrong("SESSION_SEAL_ROLLOUT", other, "give `accept`, `write` or `require`"));
        }
    };
    let mut sealing = Sealing::new(&ring)?.rollout(rollout);
    if environment.flag("SESSION_SEAL_AND_ID")? == Some(true) {
        sealing = sealing.and_id();
    }
    if environment.flag("SESSION_SEAL_LABELS")? == Some(true) {
        sealing = sealing.labels();
    }
    Ok(Some(sealing))
}

#[cfg(all(test, feature = "seal", feature = "compress"))]
mod tests {
    use super::super::tests::{SECRET, fault, read};

    #[test]
    fn how_sessions_rest_is_read() {
        let settings = read(&[]).unwrap().at_rest;
        assert!(settings.sealing.is_none() && settings.compress_above.is_none());
        let key = ("SESSION_SEAL_KEY", SECRET);
        for (name, value, shown) in [
            ("SESSION_SEAL_ROLLOUT", "accept", "rollout: Accept"),
            ("SESSION_SEAL_ROLLOUT", "write", "rollout: Write"),
            ("SESSION_SEAL_ROLLOUT", "require", "rollout: Require"),
            ("SESSION_SEAL_AND_ID", "true", "and_id: true"),
            ("SESSION_SEAL_AND_ID", "false", "and_id: false"),
            ("SESSION_SEAL_LABELS", "true", "labels: true"),
            ("SESSION_SEAL_LABELS", "", "labels: false"),
        ] {
            let sealing = read(&[key, (name, value)]).unwrap().at_rest.sealing.unwrap();
            let debug = format!("{sealing:?}");
            assert!(debug.contains(shown) && !debug.contains(&SECRET[..8]), "{debug}");
        }
        let two = format!("{SECRET},{SECRET}2");
        let ring = read(&[("SESSION_SEAL_KEY", &two)]).unwrap().at_rest.sealing.unwrap();
        assert_eq!(format!("{ring:?}").matches("SealKey(..)").count(), 2);
        assert_eq!(read(&[("SESSION_COMPRESS_ABOVE", "1024")]).unwrap().at_rest.compress_above, Some(1024));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let key = ("SESSION_SEAL_KEY", SECRET);
        for (variables, words) in [
            (&[("SESSION_SEAL_KEY", "short")][..], "SESSION_SEAL_KEY: the"),
            (&[("SESSION_SEAL_KEY_FILE", "/nowhere")], "SESSION_SEAL_KEY_FILE cannot be used: /nowhere"),
            (&[key, ("SESSION_SEAL_KEY_FILE", "/nowhere")], "both set"),
            (&[key, ("SESSION_SEAL_ROLLOUT", "refuse")], "`require`"),
            (&[key, ("SESSION_SEAL_AND_ID", "yes")], "`true` or `false`"),
            // It may be meant, and nothing would be sealed.
            (&[("SESSION_SEAL_ROLLOUT", "require")], "neither SESSION_SEAL_KEY nor"),
            (&[("SESSION_SEAL_LABELS", "true")], "neither SESSION_SEAL_KEY nor"),
            (&[("SESSION_COMPRESS_ABOVE", "1k")], "`1024`"),
        ] {
            let message = fault(variables);
            assert!(message.contains(words) && !message.contains(&SECRET[..8]), "{message}");
        }
    }
}
