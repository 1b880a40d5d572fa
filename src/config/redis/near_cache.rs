//! Copies of sessions in the process: `SESSION_NEAR_CACHE` and `SESSION_NEAR_CACHE_BOUND`.

use std::time::Duration;

use super::super::environment::{Environment, whole_number, wrong};
use crate::error::Error;
use crate::store::redis::RedisStoreBuilder;

const SIZE: &str = "SESSION_NEAR_CACHE";
const BOUND: &str = "SESSION_NEAR_CACHE_BOUND";
const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What is said about copies, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct CopySettings {
    bytes: Option<usize>,
    bound: Option<Duration>,
}

impl CopySettings {
    pub(super) fn read(environment: &Environment<'_>, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let bytes = match environment.text(SIZE)? {
            None => None,
            Some(text) => {
                let advice = "give a size with its unit, such as `64MiB`";
                Some(size(&text).ok_or_else(|| wrong(SIZE, &text, advice))?)
            }
        };
        let bound = environment.brief(BOUND)?;
        if bytes.is_none() && bound.is_some() {
            warnings.push(format!("{BOUND} has no effect: {SIZE} is not set"));
        }
        Ok(Self { bytes, bound })
    }

    /// Tells the store.
    #[cfg(feature = "memory")]
    pub(super) fn apply(self, redis: RedisStoreBuilder) -> Result<RedisStoreBuilder, Error> {
        use crate::store::near_cache::NearCache;

        let Some(bytes) = self.bytes else { return Ok(redis) };
        let near_cache = NearCache::new(bytes).bound(self.bound.unwrap_or(NearCache::DEFAULT_BOUND));
        near_cache.check().map_err(|fault| Error::Config(format!("{SIZE} and {BOUND}: {fault}")))?;
        Ok(redis.near_cache(near_cache))
    }

    #[cfg(not(feature = "memory"))]
    pub(super) fn apply(self, redis: RedisStoreBuilder) -> Result<RedisStoreBuilder, Error> {
        match self.bytes {
            None => Ok(redis),
            Some(_) => Err(Error::Config(
                "SESSION_NEAR_CACHE is set, but session-store was built without its feature `memory`: add it in Cargo.toml"
                    .to_owned(),
            )),
        }
    }
}

fn size(text: &str) -> Option<usize> {
    let unit = |(name, bytes): &(&str, usize)| {
        let number = text.strip_suffix(name).or_else(|| text.strip_suffix(&*name.to_ascii_lowercase()))?;
        whole_number::<usize>(number)?.checked_mul(*bytes)
    };
    UNITS.iter().find_map(unit)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{fault, read};
    use super::*;

    const HOST: (&str, &str) = ("REDIS_HOST", "h");

    fn copies(vars: &[(&str, &str)]) -> CopySettings {
        let settings = read(&[&[HOST], vars].concat()).unwrap_or_else(|error| panic!("{vars:?}: {error}"));
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        settings.redis.unwrap().copies
    }

    #[test]
    fn sizes_and_bounds_have_units() {
        assert_eq!(copies(&[]), CopySettings::default());
        for (text, bytes) in
            [("64KiB", 64 << 10), ("64MiB", 64 << 20), ("2GiB", 2 << 30), ("64mib", 64 << 20)]
        {
            assert_eq!(copies(&[("SESSION_NEAR_CACHE", text)]).bytes, Some(bytes), "{text}");
        }
        let bound = copies(&[("SESSION_NEAR_CACHE", "1MiB"), ("SESSION_NEAR_CACHE_BOUND", "500ms")]).bound;
        assert_eq!(bound, Some(Duration::from_millis(500)));
        for wrong in ["64", "true", "64MB", "-1MiB", "MiB", "1.5GiB", "99999999999999999GiB"] {
            let message = fault(&[HOST, ("SESSION_NEAR_CACHE", wrong)]);
            assert!(message.contains("SESSION_NEAR_CACHE is ") && message.contains("`64MiB`"), "{message}");
        }
        let warnings = read(&[HOST, ("SESSION_NEAR_CACHE_BOUND", "1s")]).unwrap().warnings;
        assert_eq!(warnings, ["SESSION_NEAR_CACHE_BOUND has no effect: SESSION_NEAR_CACHE is not set"]);
    }

    #[cfg(feature = "memory")]
    #[test]
    fn the_store_is_told() {
        let apply = |vars: &[(&str, &str)]| copies(vars).apply(crate::RedisStore::builder("redis://h"));
        let said = format!("{:?}", apply(&[("SESSION_NEAR_CACHE", "1MiB")]).unwrap());
        assert!(said.contains("bytes: 1048576") && said.contains("bound: 2s"), "{said}");
        for (bytes, bound) in [("63KiB", "1s"), ("0MiB", "1s"), ("1MiB", "99ms"), ("1MiB", "31s")] {
            let vars = [("SESSION_NEAR_CACHE", bytes), ("SESSION_NEAR_CACHE_BOUND", bound)];
            let message = apply(&vars).unwrap_err().to_string();
            assert!(message.starts_with("SESSION_NEAR_CACHE and SESSION_NEAR_CACHE_BOUND: "), "{message}");
        }
    }
}
