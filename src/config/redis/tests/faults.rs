//! What is said of settings that cannot be used. No message has a word of a secret.

use proptest::collection::{hash_map, hash_set};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[test]
fn contradictions_are_errors() {
    let file = File::new("contradiction", "hunter2");
    let host = ("REDIS_HOST", "h");
    let url = |url| ("REDIS_URL", url);
    for (vars, parts) in [
        (&[url("rediss://h"), ("REDIS_TLS", "false")][..], ["REDIS_URL", "the URL's scheme and REDIS_TLS"]),
        (&[url("redis://h?tls=false"), ("REDIS_TLS", "true")], ["REDIS_URL", "`tls` and REDIS_TLS"]),
        (
            &[url("rediss://h?insecure=true"), ("REDIS_TLS_INSECURE", "0")],
            ["REDIS_URL", "`insecure` and REDIS_TLS_INSECURE"],
        ),
        (
            &[url("rediss://h?insecure=true"), ("REDIS_TLS_CACERT", "/ca")],
            ["REDIS_URL", "REDIS_TLS_CACERT only some"],
        ),
        (&[url("redis://h?insecure=true")], ["REDIS_URL", "`insecure` has no effect without TLS"]),
        (&[url("unix:///s"), ("REDIS_TLS", "true")], ["REDIS_URL", "a socket has no TLS, which REDIS_TLS"]),
        (&[url("redis-cluster://h"), ("REDIS_DB", "1")], ["REDIS_URL", "REDIS_DB gives another"]),
        (&[url("redis://me:@h")], ["REDIS_URL", "no password"]),
        (
            &[host, ("REDIS_PASSWORD", "hunter2"), ("REDIS_PASSWORD_FILE", file.path())],
            ["REDIS_PASSWORD and REDIS_PASSWORD_FILE", "leave one of them out"],
        ),
        (
            &[
                ("REDIS_SENTINELS", "s"),
                ("REDIS_SENTINEL_PASSWORD", "hunter2"),
                ("REDIS_SENTINEL_PASSWORD_FILE", file.path()),
            ],
            ["REDIS_SENTINEL_PASSWORD and REDIS_SENTINEL_PASSWORD_FILE", "leave one of them out"],
        ),
        (&[host, ("REDIS_USERNAME", "me")], ["REDIS_USERNAME", "no password for that user"]),
        (
            &[("REDIS_SENTINELS", "s"), ("REDIS_SENTINEL_USERNAME", "me")],
            ["REDIS_SENTINEL_USERNAME", "no password for that user"],
        ),
        (&[host, ("REDIS_TLS_CACERT", "/ca")], ["REDIS_TLS_CACERT has no effect", "REDIS_TLS=true"]),
        (&[host, ("REDIS_TLS", "false"), ("REDIS_TLS_KEY", "/k")], ["REDIS_TLS_KEY", "without TLS"]),
        (&[host, ("REDIS_TLS_INSECURE", "true")], ["REDIS_TLS_INSECURE", "without TLS"]),
        (&[host, ("REDIS_TLS", "1"), ("REDIS_TLS_CERT", "/c")], ["REDIS_TLS_CERT", "one half"]),
        (&[("REDIS_CLUSTER_NODES", "h"), ("REDIS_DB", "1")], ["REDIS_DB", "only database 0"]),
    ] {
        let message = fault(vars);
        assert!(parts.iter().all(|part| message.contains(part)), "{vars:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert_eq!(message.contains("REDIS_URL"), vars[0].0 == "REDIS_URL", "{message}");
    }
}

/// `redis://sessions@host` and a password elsewhere: somebody means a user.
#[test]
fn two_passwords_of_which_one_may_be_a_user_are_an_error() {
    let url = ("REDIS_URL", "redis://hunter2@h");
    let file = File::new("user", "hunter3");
    for other in [("REDIS_PASSWORD", "hunter3"), ("REDIS_PASSWORD_FILE", file.path())] {
        let message = fault(&[url, other]);
        assert!(message.contains("REDIS_URL") && message.contains(other.0), "{message}");
        assert!(message.contains("redis://user:@host") && !message.contains("hunter"), "{message}");
    }
    assert!(settings(&[url, ("REDIS_PASSWORD", "hunter2")]).warnings.is_empty());
}

#[test]
fn wrong_values_are_named_with_an_example() {
    for (vars, parts) in [
        (&[("REDIS_URL", "redis://me:hunter2@h:x")][..], ["REDIS_URL cannot be used", "looks like redis://"]),
        (&[("REDIS_URL", "tcp://10.0.0.11:6379")], ["REDIS_URL cannot be used", "written redis://"]),
        (&[("REDIS_URL", "redis-sentinel://h")], ["REDIS_URL cannot", "looks like redis-sentinel://"]),
        (&[("REDIS_CLUSTER_NODES", "h1,")], ["REDIS_CLUSTER_NODES cannot", "host:6379,host:6379"]),
        (
            &[("REDIS_CLUSTER_NODES", "redis://me:hunter2@h")],
            ["REDIS_CLUSTER_NODES", "variables of their own"],
        ),
        (&[("REDIS_SENTINELS", "h:x")], ["REDIS_SENTINELS cannot", "host:26379,host:26379"]),
        (&[("REDIS_HOST", "h x")], ["REDIS_HOST cannot", "redis.example.com"]),
        (&[("REDIS_HOST", "redis://me:hunter2@h")], ["REDIS_HOST", "REDIS_URL"]),
        (&[("REDIS_HOST", "/run/redis.sock")], ["REDIS_HOST", "unix:///path/to/socket"]),
        (&[("REDIS_HOST", "h1,h2")], ["REDIS_HOST", "REDIS_CLUSTER_NODES or REDIS_SENTINELS"]),
        (&[("REDIS_HOST", "hunter2@h")], ["REDIS_HOST", "REDIS_USERNAME and REDIS_PASSWORD"]),
        (&[("REDIS_HOST", "h:6379")], ["REDIS_HOST", "REDIS_PORT"]),
        (&[("REDIS_HOST", "[h]")], ["REDIS_HOST", "other than a-z"]),
        (&[("REDIS_HOST", "0.0.0.0")], ["REDIS_HOST", "to listen on"]),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "0")], ["REDIS_PORT is \"0\"", "`6379`"]),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "6379/tcp")], ["REDIS_PORT cannot", "`6379`"]),
        (&[("REDIS_HOST", "h"), ("REDIS_DB", "-1")], ["REDIS_DB is \"-1\"", "`0`"]),
        (&[("REDIS_HOST", "h"), ("REDIS_TLS", "rediss")], ["REDIS_TLS is", "`true` or `false`"]),
        (&[("REDIS_HOST", "h"), ("REDIS_TLS_INSECURE", "y")], ["REDIS_TLS_INSECURE is", "`true` or `false`"]),
        (&[("REDIS_HOST", "h"), ("SESSION_FALLBACK", "always")], ["SESSION_FALLBACK is", "`at-start`"]),
        (&[("REDIS_HOST", "h"), ("REDIS_PASSWORD", "hunter2\n")], ["REDIS_PASSWORD", "printf"]),
        (
            &[("REDIS_SENTINELS", "h"), ("REDIS_SENTINEL_PASSWORD", "hunter2\r\n")],
            ["REDIS_SENTINEL_PASSWORD", "printf"],
        ),
    ] {
        let message = fault(vars);
        assert!(parts.iter().all(|part| message.contains(part)), "{vars:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_password_file_that_cannot_be_read_is_said_at_once() {
    let most = 64 * 1024;
    let files = [
        (File::new("empty", "\n"), "empty"),
        (File::new("binary", b"hunter2\xff"), "not text"),
        (File::new("long", "x".repeat(most + 1)), "longer than 64 KiB"),
    ];
    let paths = files.iter().map(|(file, fault)| (file.path(), *fault));
    for (path, part) in paths.chain([("/nowhere/redis", "No such file"), ("/", "directory")]) {
        for name in ["REDIS_PASSWORD_FILE", "REDIS_SENTINEL_PASSWORD_FILE"] {
            let message = fault(&[("REDIS_SENTINELS", "s"), (name, path)]);
            assert!(message.starts_with(&format!("{name} cannot be used: ")), "{message}");
            assert!(message.contains(path) && message.contains(part), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
    let longest = File::new("longest", "x".repeat(most));
    assert!(url::read_password(Path::new(longest.path())).is_ok());
}

const URLS: [&str; 10] = [
    "redis://Secret@h",
    "redis://u:Secret@h/1",
    "rediss://u:@h",
    "redis://h:x",
    "redis-sentinel://Secret@s/m",
    "redis-cluster://:Secret@h",
    "unix:///s?pass=Secret",
    "Secret",
    "memory:",
    "redis://:Secret@",
];
const OTHERS: [&str; 18] = [
    "REDIS_CLUSTER_NODES",
    "REDIS_SENTINELS",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_DB",
    "REDIS_TLS",
    "REDIS_TLS_INSECURE",
    "REDIS_ENABLED",
    "SESSION_FALLBACK",
    "SESSION_TTL",
    "REDIS_TIMEOUT",
    "REDIS_CONNECTIONS",
    "REDIS_WAIT_REPLICAS",
    "SESSION_MAX_PER_OWNER",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SAMESITE",
];
const VALUES: [&str; 8] = ["true", "false", "0", "1", "redis://:Secret@h", "u:Secret@h", "h", "h:1,h:2"];
const SECRETS: [&str; 5] = [
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "REDIS_SENTINEL_USERNAME",
    "REDIS_SENTINEL_PASSWORD",
    "SESSION_SECRET",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// SECURITY 21 and 27.
    #[test]
    fn nothing_panics_and_nothing_secret_is_said(
        url in option::of(select(&URLS[..])),
        others in hash_map(select(&OTHERS[..]), prop_oneof![select(&VALUES[..]).prop_map(str::to_owned), ".*"], 0..6),
        secrets in hash_set(select(&SECRETS[..]), 0..4),
    ) {
        let mut vars: Vec<(&str, &str)> = others.iter().map(|(name, value)| (*name, &**value)).collect();
        vars.extend(url.map(|url| ("REDIS_URL", url)));
        vars.extend(secrets.iter().map(|name| (*name, "TheSecretThatNobodyMaySeeInTheLog")));
        let said = match read(&vars) {
            Ok(settings) => format!("{settings:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!said.contains("Secret"), "{vars:?}: {said}");
    }
}
