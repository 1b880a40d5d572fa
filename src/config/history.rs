//! What is kept of each owner's past, as `SESSION_HISTORY` says.

use super::environment::{Environment, wrong};
use crate::engine::{SessionData, SessionManagerBuilder};
use crate::error::Error;
use crate::store::history::HistoryBounds;

const AGE: &str = "SESSION_HISTORY_AGE";

pub(super) fn history(
    environment: &Environment<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<HistoryBounds>, Error> {
    let age = environment.duration(AGE)?;
    if age.is_some_and(|age| age > HistoryBounds::LONGEST_AGE) {
        let value = environment.text(AGE)?.unwrap_or_default();
        return Err(wrong(AGE, &value, "give a second to 400 days, such as `90d`"));
    }
    let most = HistoryBounds::MOST_ENTRIES;
    let advice = format!("give 1 to {most} entries, such as `100`, or leave it out for no history");
    let entries = environment.number("SESSION_HISTORY", 1..=most, &advice)?;
    if entries.is_none() && age.is_some() {
        warnings.push("SESSION_HISTORY_AGE has no effect: SESSION_HISTORY is not set".to_owned());
    }
    let bounds = HistoryBounds::default();
    Ok(entries.map(|entries| bounds.entries(entries).age(age.unwrap_or(bounds.age))))
}

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Reads the variables `SESSION_HISTORY` and `SESSION_HISTORY_AGE`, as
    /// [`SessionManager::from_env`](crate::SessionManager::from_env) does, for a manager around a store of your own.
    /// Where `SESSION_HISTORY` is not set, [`history`](Self::history) stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the wrong variable.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .history_from_variables(|name| std::env::var_os(name))?
    ///     .build()?;
    /// # drop(manager);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn history_from_variables(
        self,
        lookup: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        let bounds = history(&Environment::new(&lookup), &mut warnings)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(match bounds {
            Some(bounds) => self.history(bounds),
            None => self,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fault, read};

    const DAY: u64 = 24 * 60 * 60;

    fn entries(count: &str) -> (&str, &str) {
        ("SESSION_HISTORY", count)
    }

    fn age(age: &str) -> (&str, &str) {
        ("SESSION_HISTORY_AGE", age)
    }

    #[test]
    fn a_number_of_entries_turns_histories_on() {
        let bounds = |vars: &[(&str, &str)]| {
            let settings = read(vars).unwrap();
            assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
            settings.history.map(|bounds| (bounds.entries, bounds.age.as_secs()))
        };
        assert_eq!(bounds(&[]), None);
        assert_eq!(bounds(&[entries(""), age("")]), None);
        assert_eq!(bounds(&[entries("1")]), Some((1, 90 * DAY)));
        assert_eq!(bounds(&[entries("10000"), age("400d")]), Some((10_000, 400 * DAY)));
        assert_eq!(bounds(&[entries("50"), age("1s")]), Some((50, 1)));
        assert_eq!(bounds(&[entries("50"), age("")]), Some((50, 90 * DAY)));
    }

    #[test]
    fn what_cannot_be_a_bound_is_refused() {
        for wrong in ["0", "10001", "-1", "+5", "5.0", "true", "99999999999"] {
            let message = fault(&[entries(wrong)]);
            assert!(message.contains("SESSION_HISTORY is ") && message.contains("`100`"), "{message}");
        }
        for wrong in ["401d", "34560001", "9601h"] {
            let message = fault(&[entries("100"), age(wrong)]);
            assert!(message.contains("SESSION_HISTORY_AGE is ") && message.contains("400 days"), "{message}");
        }
        for wrong in ["0", "0d", "90 days", "1y"] {
            let message = fault(&[entries("100"), age(wrong)]);
            assert!(message.contains("SESSION_HISTORY_AGE is ") && message.contains("`7d`"), "{message}");
        }
        // It is wrong, whether it has an effect or not.
        assert!(fault(&[age("401d")]).contains("SESSION_HISTORY_AGE"));
    }

    #[test]
    fn an_age_alone_gets_a_warning() {
        let settings = read(&[age("30d")]).unwrap();
        assert!(settings.warnings[0].starts_with("SESSION_HISTORY_AGE has no effect: SESSION_HISTORY is"));
        assert_eq!((settings.warnings.len(), settings.history), (1, None));
    }

    #[cfg(feature = "memory")]
    mod in_memory {
        use std::ffi::OsString;
        use std::time::Duration;

        use super::super::*;
        use super::{DAY, age, entries, read};
        use crate::{KeyRing, MemoryStore, SessionManager, Values};

        /// How many of two entries are in the history.
        async fn kept(builder: SessionManagerBuilder<Values>) -> usize {
            let manager = builder.build().unwrap();
            let session = manager.begin(None).session().await.unwrap();
            session.sign_in("ada", |_| ()).unwrap();
            session.save().await.unwrap();
            session.destroy().await.unwrap();
            manager.history_of("ada").await.unwrap().len()
        }

        #[tokio::test]
        async fn the_manager_keeps_so_many() {
            for (vars, expected) in
                [(&[][..], 0), (&[entries("1")], 1), (&[entries("2"), age("30d")], 2), (&[age("30d")], 0)]
            {
                let from_env = read(vars).unwrap().builder::<Values>().await.unwrap();
                assert_eq!(kept(from_env).await, expected, "{vars:?}");
                let builder = || SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate());
                let lookup = |name: &str| {
                    vars.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
                };
                assert_eq!(
                    kept(builder().history_from_variables(lookup).unwrap()).await,
                    expected,
                    "{vars:?}"
                );
                // What the code says stays where the variables say nothing.
                let in_code = builder().history(HistoryBounds::default().age(Duration::from_secs(DAY)));
                let expected = if expected == 0 { 2 } else { expected };
                assert_eq!(kept(in_code.history_from_variables(lookup).unwrap()).await, expected, "{vars:?}");
            }
        }

        #[test]
        fn a_wrong_variable_is_named_to_a_manager_of_ones_own_too() {
            let builder = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate());
            let wrong =
                builder.history_from_variables(|name| (name == "SESSION_HISTORY").then(|| "0".into()));
            let Err(Error::Config(message)) = wrong else { panic!("0 entries are none") };
            assert!(message.starts_with("SESSION_HISTORY is \"0\""), "{message}");
        }
    }
}
