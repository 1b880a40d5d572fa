use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::time::Duration;

use super::*;

pub(super) const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

pub(super) fn read(vars: &[(&str, &str)]) -> Result<Settings, Error> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    Settings::read(&Environment::new(&|name| vars.get(name).map(OsString::from)))
}

pub(super) fn fault(vars: &[(&str, &str)]) -> String {
    match read(vars) {
        Err(Error::Config(message)) => message,
        other => panic!("{vars:?}: {other:?}"),
    }
}

const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

#[test]
fn nothing_set_means_the_documented_defaults() {
    for vars in [&[][..], &[("REDIS_URL", ""), ("SESSION_SECRET", ""), ("SESSION_TTL", "")]] {
        let settings = read(vars).unwrap();
        assert!(settings.redis.is_none() && settings.keys.is_none() && settings.prefix.is_none());
        assert_eq!(settings.fallback, Fallback::Never);
        assert_eq!(settings.expiry, Expiry::idle(hours(24)).absolute(hours(30 * 24)));
        assert!(settings.warnings.is_empty());
    }
}

#[test]
fn durations_have_units() {
    for (text, expected) in [
        ("3600", hours(1)),
        ("60m", hours(1)),
        ("24h", hours(24)),
        ("7d", hours(168)),
        ("1s", Duration::from_secs(1)),
    ] {
        let settings = read(&[("SESSION_TTL", text)]).unwrap();
        assert_eq!(settings.expiry.idle_timeout(), Some(expected), "{text}");
    }
    for text in ["0", "-1", "-1h", "h", "1.5h", "1w", "99999999999999999999", "18446744073709551615d", "1é"]
    {
        let message = fault(&[("SESSION_TTL", text)]);
        assert!(message.contains("SESSION_TTL") && message.contains("`24h`"), "{message}");
    }
}

/// `maxAge` of Express is in milliseconds.
#[test]
fn a_timeout_of_years_gets_a_warning() {
    assert!(read(&[("SESSION_TTL", "400d")]).unwrap().warnings.is_empty());
    let warnings = read(&[("SESSION_TTL", "86400000")]).unwrap().warnings;
    assert!(warnings[0].contains("SESSION_TTL") && warnings[0].contains("in seconds"), "{warnings:?}");
}

#[test]
fn a_long_idle_timeout_lifts_the_default_absolute_one_only() {
    let long = read(&[("SESSION_TTL", "90d")]).unwrap();
    assert_eq!(long.expiry.absolute_timeout(), Some(hours(90 * 24)));
    let both = read(&[("SESSION_TTL", "90d"), ("SESSION_ABSOLUTE_TTL", "12h")]).unwrap();
    assert_eq!(both.expiry.absolute_timeout(), Some(hours(12)));
}

#[test]
fn memory_can_be_asked_for_whatever_else_is_said() {
    let rest = [
        ("REDIS_HOST", "not a host"),
        ("REDIS_PORT", "x"),
        ("REDIS_TLS", "x"),
        ("REDIS_PASSWORD", "hunter2"),
        ("REDIS_PASSWORD_FILE", "/nowhere"),
        ("SESSION_FALLBACK", "while-down"),
    ];
    for memory in [
        &[("REDIS_ENABLED", "false"), ("REDIS_URL", "nonsense")][..],
        &[("REDIS_ENABLED", "FALSE")],
        &[("REDIS_ENABLED", "0")],
        &[("REDIS_URL", "memory:")],
        &[("REDIS_URL", "memory://"), ("REDIS_ENABLED", "true")],
    ] {
        let settings = read(&[memory, &rest].concat()).unwrap();
        assert!(settings.redis.is_none() && settings.warnings.is_empty(), "{memory:?}");
    }
    for wrong in ["no", "off", "hunter2 with spaces"] {
        assert!(fault(&[("REDIS_ENABLED", wrong)]).contains("`true` or `false`"));
    }
}

/// Otherwise sessions would be in memory, and nobody would know before the next deploy.
#[test]
fn what_is_about_a_server_needs_one() {
    for (name, value) in [
        ("REDIS_PORT", "6379"),
        ("REDIS_USERNAME", "me"),
        ("REDIS_PASSWORD", "hunter2"),
        ("REDIS_PASSWORD_FILE", "/run/secrets/redis"),
        ("REDIS_DB", "0"),
        ("REDIS_TLS", "false"),
        ("REDIS_TLS_CACERT", "/ca.pem"),
        ("REDIS_TLS_CERT", "/cert.pem"),
        ("REDIS_TLS_KEY", "/key.pem"),
        ("REDIS_TLS_INSECURE", "true"),
        ("REDIS_TIMEOUT", "2s"),
        ("REDIS_CONNECTIONS", "2"),
        ("REDIS_WAIT_REPLICAS", "1"),
        ("REDIS_WAIT_TIMEOUT", "2s"),
        ("REDIS_ENABLED", "true"),
        ("SESSION_FALLBACK", "never"),
    ] {
        let message = fault(&[(name, value)]);
        assert!(message.starts_with(&format!("{name} is set, but no server: ")), "{message}");
        assert!(
            message.contains("REDIS_URL=redis://") && message.contains("REDIS_ENABLED=false"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
    for name in [
        "REDIS_SENTINEL_MASTER",
        "REDIS_SENTINEL_USERNAME",
        "REDIS_SENTINEL_PASSWORD",
        "REDIS_SENTINEL_PASSWORD_FILE",
    ] {
        // A server beside it may well be a sentinel.
        for host in ["", "h"] {
            let message = fault(&[(name, "hunter2"), ("REDIS_HOST", host)]);
            assert!(message.starts_with(&format!("{name} is set, but no sentinels: ")), "{message}");
            assert!(
                message.contains("REDIS_SENTINELS=host:26379") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }
}

/// Kubernetes sets it wherever a service of the namespace is named redis.
#[test]
fn a_port_that_kubernetes_sets_is_nobodys_setting() {
    let settings = read(&[("REDIS_PORT", "tcp://10.0.0.11:6379")]).unwrap();
    assert!(settings.redis.is_none() && settings.warnings.is_empty());
}

#[test]
fn a_bad_secret_gets_advice_and_stays_secret() {
    let message = fault(&[("SESSION_SECRET", "hunter2")]);
    assert!(message.contains("SESSION_SECRET") && message.contains("openssl rand"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let two = format!("{SECRET},{SECRET}");
    assert!(read(&[("SESSION_SECRET", &two)]).unwrap().keys.is_some());
}

#[test]
fn a_value_that_may_be_a_secret_is_not_shown() {
    assert!(fault(&[("SESSION_TTL", "2 weeks")]).contains("SESSION_TTL is \"2 weeks\": "));
    for value in ["redis://:hunter2@h", "hunter2hunter2hunter2", "hunter2=", "hunter2\u{7}", "huntér2"] {
        let message = fault(&[("SESSION_TTL", value)]);
        assert!(message.contains("SESSION_TTL") && !message.contains("hunt"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_said_to_be_so() {
    use std::os::unix::ffi::OsStringExt as _;
    let lookup = |_: &str| Some(OsString::from_vec(vec![0xff]));
    let error = Settings::read(&Environment::new(&lookup)).unwrap_err();
    assert!(error.to_string().contains("not text"), "{error}");
}

#[tokio::test]
async fn no_redis_is_memory() {
    let built = read(&[]).unwrap().builder::<u32>().await;
    if cfg!(feature = "memory") {
        assert!(format!("{:?}", built.unwrap()).contains("MemoryStore"));
    } else {
        assert!(built.unwrap_err().to_string().contains("feature `memory`"));
    }
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn the_manager_has_the_cookie_and_the_limit() {
    let vars = [
        ("SESSION_COOKIE_NAME", "sid"),
        ("SESSION_COOKIE_SAMESITE", "strict"),
        ("SESSION_MAX_PER_OWNER", "1"),
        ("SESSION_OVER_LIMIT", "refuse"),
    ];
    let manager = read(&vars).unwrap().builder::<u32>().await.unwrap().build().unwrap();
    let sign_in = async || {
        let request = manager.begin(None);
        request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
        request.finish(200).await
    };
    let set = sign_in().await.set_cookie.unwrap();
    assert!(set.starts_with("sid=") && set.contains("; SameSite=Strict;"), "{set}");
    assert!(matches!(sign_in().await.failure, Some(Error::Conflict(_))));
}

#[cfg(not(feature = "redis"))]
#[test]
fn redis_is_not_silently_memory_without_the_feature() {
    for name in ["REDIS_URL", "REDIS_CLUSTER_NODES", "REDIS_SENTINELS", "REDIS_HOST"] {
        let message = fault(&[(name, "hunter2")]);
        assert!(message.starts_with(&format!("{name} is set, but ")), "{message}");
        assert!(message.contains("feature `redis`") && !message.contains("hunter2"), "{message}");
    }
}

/// Name and example of each row of the table in the documentation of `from_env`.
pub(super) fn documented() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("../config.rs").lines().filter(|line| line.trim().starts_with("/// | `"));
    let rows = rows.map(|row| {
        let columns: Vec<_> = row.split('|').map(|column| column.trim().trim_matches('`')).collect();
        let [_, name, _, _, example, ""] = columns[..] else { panic!("not four columns: {row}") };
        (name, example)
    });
    rows.collect()
}

#[test]
fn the_table_has_each_variable_that_the_code_names_and_no_other() {
    const SOURCES: [&str; 13] = [
        include_str!("../config.rs"),
        include_str!("at_rest.rs"),
        include_str!("cookie.rs"),
        include_str!("environment.rs"),
        include_str!("history.rs"),
        include_str!("layout.rs"),
        include_str!("owner_limit.rs"),
        include_str!("secrets.rs"),
        include_str!("servers.rs"),
        include_str!("redis.rs"),
        include_str!("redis/near_cache.rs"),
        include_str!("redis/tuning.rs"),
        include_str!("no_redis.rs"),
    ];
    let documented: BTreeSet<_> = documented().into_iter().map(|(name, _)| name).collect();
    let literals = SOURCES.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let is_name = |text: &&str| {
        (text.starts_with("REDIS_") || text.starts_with("SESSION_"))
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    // Other libraries' names, which get a warning.
    let others = ["REDIS_SSL", "REDIS_USER", "REDIS_PASS", "REDIS_DATABASE"];
    let named: BTreeSet<_> = literals.filter(is_name).filter(|name| !others.contains(name)).collect();
    assert_eq!(named, documented);
}

#[cfg(feature = "redis")]
#[test]
fn each_variable_in_the_table_is_read() {
    let documented: BTreeSet<_> = documented().into_iter().map(|(name, _)| name.to_owned()).collect();
    let asked = std::cell::RefCell::new(BTreeSet::new());
    for (set, value) in [("REDIS_SENTINELS", "h"), ("REDIS_HOST", "h")] {
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            (name == set).then(|| OsString::from(value))
        };
        Settings::read(&Environment::new(&lookup)).unwrap();
    }
    let asked = asked.into_inner();
    assert_eq!(documented.difference(&asked).next(), None);
}
