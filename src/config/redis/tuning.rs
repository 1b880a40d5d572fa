//! How operations are sent: `REDIS_TIMEOUT`, `REDIS_CONNECTIONS` and `REDIS_WAIT_…`.

use std::time::Duration;

use super::super::environment::Environment;
use crate::error::Error;
use crate::store::redis::RedisStoreBuilder;

/// How long replicas have to confirm a write, unless the environment says otherwise.
const WAIT_TIMEOUT: Duration = Duration::from_millis(500);

/// What is not said is left to the store's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Tuning {
    timeout: Option<Duration>,
    connections: Option<usize>,
    /// So many replicas, and how long they have.
    wait: Option<(u32, Duration)>,
}

impl Tuning {
    pub(super) fn read(environment: &Environment<'_>, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let most = RedisStoreBuilder::MOST_CONNECTIONS;
        let advice = format!("give 1 to {most} connections, such as `2`");
        let connections = environment.number("REDIS_CONNECTIONS", 1..=most, &advice)?;
        let advice = "give the number of replicas, such as `1`, or leave it out";
        let replicas = environment.number("REDIS_WAIT_REPLICAS", 1..=u32::MAX, advice)?;
        let within = environment.brief("REDIS_WAIT_TIMEOUT")?;
        if replicas.is_none() && within.is_some() {
            warnings.push("REDIS_WAIT_TIMEOUT has no effect: REDIS_WAIT_REPLICAS is not set".to_owned());
        }
        Ok(Self {
            timeout: environment.brief("REDIS_TIMEOUT")?,
            connections,
            wait: replicas.map(|replicas| (replicas, within.unwrap_or(WAIT_TIMEOUT))),
        })
    }

    /// Tells the store.
    pub(super) fn apply(self, mut redis: RedisStoreBuilder) -> RedisStoreBuilder {
        if let Some(timeout) = self.timeout {
            redis = redis.timeout(timeout);
        }
        if let Some(connections) = self.connections {
            redis = redis.connections(connections);
        }
        if let Some((replicas, within)) = self.wait {
            redis = redis.wait_for_replicas(replicas, within);
        }
        redis
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{fault, read};
    use super::*;

    const HOST: (&str, &str) = ("REDIS_HOST", "h");

    fn tuning(vars: &[(&str, &str)]) -> Tuning {
        let settings = read(&[&[HOST], vars].concat()).unwrap_or_else(|error| panic!("{vars:?}: {error}"));
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        settings.redis.unwrap().tuning
    }

    #[test]
    fn nothing_said_leaves_the_stores_defaults() {
        assert_eq!(tuning(&[]), Tuning::default());
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("1ms", 1),
            ("500ms", 500),
            ("2s", 2000),
            ("1s", 1000),
            ("3600s", 3_600_000),
            ("3600000ms", 3_600_000),
        ] {
            let time = Some(Duration::from_millis(millis));
            assert_eq!(tuning(&[("REDIS_TIMEOUT", text)]).timeout, time, "{text}");
            let wait = tuning(&[("REDIS_WAIT_REPLICAS", "1"), ("REDIS_WAIT_TIMEOUT", text)]).wait;
            assert_eq!(wait.map(|(_, within)| within), time, "{text}");
        }
        for name in ["REDIS_TIMEOUT", "REDIS_WAIT_TIMEOUT"] {
            for bare in ["500", "2", "0"] {
                let message = fault(&[HOST, (name, bare)]);
                assert!(message.starts_with(&format!("{name} is \"{bare}\": give its unit")), "{message}");
                for part in ["`500ms`", "`2s`", "ioredis"] {
                    assert!(message.contains(part), "{message}");
                }
            }
            for wrong in
                ["0ms", "0s", "3601s", "3600001ms", "-1s", "+1s", "1.5s", "1 s", "1m", "s", "ms", "1S"]
            {
                let message = fault(&[HOST, (name, wrong)]);
                assert!(message.contains(&format!("{name} is ")) && message.contains("`500ms`"), "{message}");
            }
        }
    }

    #[test]
    fn there_are_1_to_64_connections() {
        assert_eq!(tuning(&[("REDIS_CONNECTIONS", "1")]).connections, Some(1));
        assert_eq!(tuning(&[("REDIS_CONNECTIONS", "64")]).connections, Some(64));
        for wrong in ["0", "65", "-1", "+1", "two", "99999999999999999999"] {
            let message = fault(&[HOST, ("REDIS_CONNECTIONS", wrong)]);
            assert!(message.contains("REDIS_CONNECTIONS is ") && message.contains("1 to 64"), "{message}");
        }
    }

    #[test]
    fn replicas_have_half_a_second_unless_told_otherwise() {
        let replicas = ("REDIS_WAIT_REPLICAS", "2");
        assert_eq!(tuning(&[replicas]).wait, Some((2, Duration::from_millis(500))));
        let wait = tuning(&[replicas, ("REDIS_WAIT_TIMEOUT", "50ms")]).wait;
        assert_eq!(wait, Some((2, Duration::from_millis(50))));
        for wrong in ["0", "-1", "all"] {
            let message = fault(&[HOST, ("REDIS_WAIT_REPLICAS", wrong)]);
            assert!(message.contains("REDIS_WAIT_REPLICAS is ") && message.contains("`1`"), "{message}");
        }
        let warnings = read(&[HOST, ("REDIS_WAIT_TIMEOUT", "50ms")]).unwrap().warnings;
        assert_eq!(warnings, ["REDIS_WAIT_TIMEOUT has no effect: REDIS_WAIT_REPLICAS is not set"]);
    }

    #[test]
    fn the_store_is_told() {
        let vars = [
            ("REDIS_TIMEOUT", "250ms"),
            ("REDIS_CONNECTIONS", "3"),
            ("REDIS_WAIT_REPLICAS", "2"),
            ("REDIS_WAIT_TIMEOUT", "70ms"),
        ];
        let builder = tuning(&vars).apply(crate::RedisStore::builder("redis://h"));
        let said = format!("{builder:?}");
        for part in ["timeout: 250ms", "connections: 3", "replicas: 2", "within: 70ms"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
