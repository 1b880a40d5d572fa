//! The variables of a service: a name or its number, `=`, a value, in each line.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;

/// By number, so that the fuzzer does not have to find names.
const NAMES: [&str; 38] = [
    "REDIS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "REDIS_DB",
    "REDIS_TLS",
    "REDIS_TLS_INSECURE",
    "REDIS_TLS_CACERT",
    "REDIS_TLS_CERT",
    "REDIS_TLS_KEY",
    "REDIS_CLUSTER_NODES",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_MASTER",
    "REDIS_SENTINEL_PASSWORD",
    "REDIS_ENABLED",
    "SESSION_SECRET",
    "SESSION_TTL",
    "SESSION_ABSOLUTE_TTL",
    "SESSION_PREFIX",
    "SESSION_LAYOUT",
    "SESSION_EXPRESS_PREFIX",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_FALLBACK",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_PARTITIONED",
    "SESSION_COOKIE_PERSISTENT",
    "SESSION_MAX_PER_OWNER",
    "SESSION_OVER_LIMIT",
    "REDIS_TIMEOUT",
    "REDIS_CONNECTIONS",
    "REDIS_WAIT_REPLICAS",
    "REDIS_WAIT_TIMEOUT",
    "SESSION_HISTORY",
    "SESSION_HISTORY_AGE",
];

fuzz_target!(|text: &str| {
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let known = name.parse().ok().and_then(|number: usize| NAMES.get(number));
        let name = known.map_or(name, |known| known);
        // A name that says so is a file to be read, and none of these is meant.
        (!name.ends_with("_FILE")).then(|| (name.to_owned(), value.to_owned()))
    };
    let variables: HashMap<_, _> = text.lines().filter_map(line).collect();
    if let Err(error) = session_store::fuzzing::environment(&variables) {
        drop(error.to_string());
    }
});
