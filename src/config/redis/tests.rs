mod faults;

use std::cell::RefCell;
use std::{fs, io};

use super::super::tests::{SECRET, documented, fault, read};
use super::super::{Fallback, Settings};
use super::*;
use crate::store::redis::target::{Login, Pem};

fn target(vars: &[(&str, &str)]) -> Target {
    settings(vars).redis.unwrap().target
}

fn settings(vars: &[(&str, &str)]) -> Settings {
    read(vars).unwrap_or_else(|error| panic!("{vars:?}: {error}"))
}

/// What one warning says, and there is no other.
fn warning(vars: &[(&str, &str)]) -> String {
    let warnings = settings(vars).warnings;
    assert_eq!(warnings.len(), 1, "{vars:?}: {warnings:?}");
    warnings.concat()
}

fn host(name: &str, port: u16) -> Host {
    Host { name: name.to_owned(), port }
}

/// User and password.
fn login(login: &Login) -> (Option<String>, Option<String>) {
    let credentials = match login {
        Login::Fixed(credentials) => credentials.clone(),
        Login::Provider(ask) => ask().unwrap(),
    };
    (credentials.username, credentials.password)
}

fn pair(user: &str, password: &str) -> (Option<String>, Option<String>) {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (some(user), some(password))
}

struct File(PathBuf);

impl File {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("session-store-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn each_topology_has_its_variable() {
    let sentinels = || vec![host("s1", 26379), host("::1", 1)];
    for (vars, topology) in [
        (&[("REDIS_URL", "redis://h:1")][..], target::Servers::One(host("h", 1))),
        (&[("REDIS_URL", "unix:///s")], target::Servers::Socket("/s".into())),
        (&[("REDIS_HOST", "h")], target::Servers::One(host("h", 6379))),
        (&[("REDIS_HOST", "::1"), ("REDIS_PORT", "1")], target::Servers::One(host("::1", 1))),
        (
            &[("REDIS_HOST", "[::1]"), ("REDIS_PORT", "tcp://10.0.0.11:1")],
            target::Servers::One(host("::1", 6379)),
        ),
        (
            &[("REDIS_CLUSTER_NODES", "h1, h2:1")],
            target::Servers::Cluster(vec![host("h1", 6379), host("h2", 1)]),
        ),
        (
            &[("REDIS_SENTINELS", "s1,[::1]:1")],
            target::Servers::Sentinel { sentinels: sentinels(), master: "mymaster".to_owned() },
        ),
        (
            &[("REDIS_SENTINELS", "s1,[::1]:1"), ("REDIS_SENTINEL_MASTER", "m")],
            target::Servers::Sentinel { sentinels: sentinels(), master: "m".to_owned() },
        ),
    ] {
        let settings = settings(vars);
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        let target = settings.redis.unwrap().target;
        assert_eq!(target.servers, topology);
        assert_eq!(target.database, 0);
        assert_eq!(login(&target.login), (None, None));
        assert!(target.tls.is_none());
    }
}

#[test]
fn one_variable_names_the_servers_and_the_others_get_a_warning() {
    let ranked = [
        ("REDIS_URL", "redis://first"),
        ("REDIS_CLUSTER_NODES", "second"),
        ("REDIS_SENTINELS", "third"),
        ("REDIS_HOST", "fourth"),
    ];
    for first in 0..ranked.len() {
        let settings = settings(&ranked[first..]);
        let host = ranked[first].1.trim_start_matches("redis://");
        assert!(format!("{:?}", settings.redis).contains(host), "{:?}", settings.redis);
        let expected: Vec<_> = ranked[first + 1..]
            .iter()
            .map(|(name, _)| format!("{name} has no effect: {} names the servers", ranked[first].0))
            .collect();
        assert_eq!(settings.warnings, expected);
    }

    for (vars, ignored) in [
        ([("REDIS_URL", "redis://h"), ("REDIS_PORT", "1")], "REDIS_PORT"),
        ([("REDIS_URL", "redis-sentinel://h/m"), ("REDIS_SENTINEL_MASTER", "n")], "REDIS_SENTINEL_MASTER"),
        ([("REDIS_CLUSTER_NODES", "h"), ("REDIS_SENTINEL_MASTER", "n")], "REDIS_SENTINEL_MASTER"),
        ([("REDIS_URL", "redis://h"), ("REDIS_SENTINEL_USERNAME", "me")], "REDIS_SENTINEL_USERNAME"),
        ([("REDIS_CLUSTER_NODES", "h"), ("REDIS_SENTINEL_PASSWORD", "hunter2")], "REDIS_SENTINEL_PASSWORD"),
    ] {
        assert_eq!(login(&target(&vars).sentinel_login), (None, None));
        assert!(warning(&vars).starts_with(&format!("{ignored} has no effect: ")), "{vars:?}");
    }
    assert!(settings(&[("REDIS_URL", "redis://h"), ("REDIS_PORT", "tcp://h:1")]).warnings.is_empty());
}

#[test]
fn variables_fill_in_what_the_url_leaves_out() {
    let url = |url| ("REDIS_URL", url);
    let (user, password) = (("REDIS_USERNAME", "me"), ("REDIS_PASSWORD", "hun@ter/2"));
    for (vars, credentials) in [
        (&[url("redis://h"), password][..], pair("", "hun@ter/2")),
        (&[url("redis://h"), user, password], pair("me", "hun@ter/2")),
        (&[url("redis://you:@h"), password], pair("you", "hun@ter/2")),
        (&[url("redis://:@h"), password], pair("", "hun@ter/2")),
        (&[url("redis://:theirs@h"), user], pair("me", "theirs")),
        (&[url("redis-cluster://h"), user, password], pair("me", "hun@ter/2")),
        (&[url("unix:///s"), user, password], pair("me", "hun@ter/2")),
        (&[("REDIS_HOST", "h"), user, password], pair("me", "hun@ter/2")),
        (&[("REDIS_CLUSTER_NODES", "h"), password], pair("", "hun@ter/2")),
        (&[("REDIS_SENTINELS", "h"), password], pair("", "hun@ter/2")),
    ] {
        let settings = settings(vars);
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        assert_eq!(login(&settings.redis.unwrap().target.login), credentials, "{vars:?}");
    }

    for vars in [url("redis-sentinel://s/m"), ("REDIS_SENTINELS", "s")] {
        let target = target(&[
            vars,
            ("REDIS_DB", "3"),
            ("REDIS_SENTINEL_USERNAME", "watcher"),
            ("REDIS_SENTINEL_PASSWORD", "hidden"),
        ]);
        assert_eq!(login(&target.sentinel_login), pair("watcher", "hidden"));
        assert_eq!((target.database, login(&target.login)), (3, pair("", "")));
    }

    let target = target(&[
        url("redis://h?cert=/url.pem"),
        ("REDIS_TLS", "True"),
        ("REDIS_TLS_CACERT", "/ca.pem"),
        ("REDIS_TLS_KEY", "/key.pem"),
        ("REDIS_TLS_INSECURE", "false"),
    ]);
    let tls = target.tls.unwrap();
    let file = |pem: &Pem| matches!(pem, Pem::File(_)).then(|| format!("{pem:?}")).unwrap();
    assert!(file(&tls.authorities.unwrap()).contains("/ca.pem") && !tls.insecure);
    let client = tls.client.unwrap();
    assert!(file(&client.certificate).contains("/url.pem") && file(&client.key).contains("/key.pem"));
    assert!(self::target(&[url("rediss://h"), ("REDIS_TLS_INSECURE", "1")]).tls.unwrap().insecure);
    assert!(self::target(&[("REDIS_HOST", "h"), ("REDIS_TLS", "false")]).tls.is_none());
    let own = [("REDIS_HOST", "h"), ("REDIS_TLS", "1"), ("REDIS_TLS_CERT", "/c"), ("REDIS_TLS_KEY", "/k")];
    assert!(file(&self::target(&own).tls.unwrap().client.unwrap().certificate).contains("/c"));
}

#[test]
fn the_url_wins_where_it_speaks() {
    let url = "redis://me:hunter2@h/2?tls=true&cacert=/ca.pem&cert=/cert.pem&key=/key.pem";
    let spoken = target(&[("REDIS_URL", url)]);
    for (name, same, other) in [
        ("REDIS_USERNAME", "me", "you"),
        ("REDIS_PASSWORD", "hunter2", "hunter3"),
        ("REDIS_DB", "2", "0"),
        ("REDIS_TLS_CACERT", "/ca.pem", "/x.pem"),
        ("REDIS_TLS_CERT", "/cert.pem", "/x.pem"),
        ("REDIS_TLS_KEY", "/key.pem", "/x.pem"),
    ] {
        assert!(settings(&[("REDIS_URL", url), (name, same)]).warnings.is_empty(), "{name}");
        let vars = [("REDIS_URL", url), (name, other)];
        let warning = warning(&vars);
        assert!(warning.starts_with(&format!("{name} has no effect: REDIS_URL overrides it")), "{warning}");
        assert!(!warning.contains("hunter"), "{warning}");
        let target = target(&vars);
        assert_eq!(login(&target.login), login(&spoken.login));
        assert_eq!(format!("{target:?}"), format!("{spoken:?}"));
    }
    let url = ("REDIS_URL", "redis-sentinel://s/m?sentinel_user=me&sentinel_password=hunter2");
    let other = [("REDIS_SENTINEL_USERNAME", "you"), ("REDIS_SENTINEL_PASSWORD", "x")];
    let settings = settings(&[url, other[0], other[1]]);
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    assert_eq!(login(&settings.redis.unwrap().target.sentinel_login), pair("me", "hunter2"));
}

#[test]
fn a_password_file_is_read_again_each_time() {
    let file = File::new("rotated", "hunter2\r\n\n");
    let vars = [("REDIS_URL", "redis://me:@h"), ("REDIS_PASSWORD_FILE", file.path())];
    let target = target(&vars);
    assert_eq!(login(&target.login), pair("me", "hunter2"));
    fs::write(&file.0, " hunter3 ").unwrap();
    assert_eq!(login(&target.login), pair("me", " hunter3 "));
    fs::write(&file.0, "").unwrap();
    let Login::Provider(ask) = &target.login else { panic!("a provider") };
    assert!(ask().unwrap_err().to_string().contains("empty"));

    // The URL's own comes first.
    let vars = [("REDIS_URL", "redis://:hunter2@h"), ("REDIS_PASSWORD_FILE", file.path())];
    fs::write(&file.0, "hunter3").unwrap();
    assert!(warning(&vars).starts_with("REDIS_PASSWORD_FILE has no effect"));
    assert_eq!(login(&self::target(&vars).login), pair("", "hunter2"));
}

/// A secret that is mounted into a container changes while the service runs.
#[test]
fn a_password_file_of_the_sentinels_is_read_again_each_time() {
    let file = File::new("watched", "hunter2\n");
    let (user, named) = (("REDIS_SENTINEL_USERNAME", "me"), ("REDIS_SENTINEL_PASSWORD_FILE", file.path()));
    for servers in [("REDIS_SENTINELS", "s"), ("REDIS_URL", "redis-sentinel://s/m")] {
        fs::write(&file.0, "hunter2\n").unwrap();
        let target = target(&[servers, user, named]);
        assert_eq!(login(&target.sentinel_login), pair("me", "hunter2"));
        assert_eq!(login(&target.login), (None, None), "the server is another one");
        fs::write(&file.0, "hunter3\n").unwrap();
        assert_eq!(login(&target.sentinel_login), pair("me", "hunter3"));
    }

    let vars = [("REDIS_URL", "redis-sentinel://s/m?sentinel_password=hunter2"), named];
    assert!(warning(&vars).starts_with("REDIS_SENTINEL_PASSWORD_FILE has no effect: REDIS_URL overrides it"));
    assert_eq!(login(&target(&vars).sentinel_login), pair("", "hunter2"));
    // Without sentinels it is nobody's, and not looked at.
    let vars = [("REDIS_URL", "redis://h"), ("REDIS_SENTINEL_PASSWORD_FILE", "/nowhere")];
    assert_eq!(login(&target(&vars).sentinel_login), (None, None));
    assert!(warning(&vars).starts_with("REDIS_SENTINEL_PASSWORD_FILE has no effect: REDIS_URL names"));
}

#[test]
fn other_libraries_names_get_a_warning() {
    for (other, ours) in OTHER_NAMES {
        let warning = warning(&[("REDIS_HOST", "h"), (other, "hunter2")]);
        assert_eq!(warning, format!("{other} is not read: its name here is {ours}"));
    }
    assert!(settings(&[("REDIS_HOST", "h"), ("REDIS_SSL", "1"), ("REDIS_TLS", "1")]).warnings.is_empty());
}

#[test]
fn each_policy_while_redis_is_away_has_a_name() {
    for (name, fallback) in
        [("never", Fallback::Never), ("at-start", Fallback::AtStart), ("while-down", Fallback::WhileDown)]
    {
        assert_eq!(settings(&[("REDIS_HOST", "h"), ("SESSION_FALLBACK", name)]).fallback, fallback);
    }
}

#[test]
fn the_tables_examples_are_right() {
    for (name, example) in documented() {
        let beside: &[(&str, &str)] = match name {
            // Files that are not here, and a command.
            "REDIS_PASSWORD_FILE"
            | "REDIS_SENTINEL_PASSWORD_FILE"
            | "SESSION_SECRET"
            | "SESSION_SECRET_FILE"
            | "SESSION_SEAL_KEY"
            | "SESSION_SEAL_KEY_FILE" => {
                continue;
            }
            name if name.starts_with("SESSION_SEAL_") && cfg!(not(feature = "seal")) => continue,
            "SESSION_COMPRESS_ABOVE" if cfg!(not(feature = "compress")) => continue,
            name if name.starts_with("SESSION_SEAL_") => &[("REDIS_HOST", "h"), ("SESSION_SEAL_KEY", SECRET)],
            "SESSION_LAYOUT" | "SESSION_EXPRESS_PREFIX" if cfg!(not(feature = "express")) => continue,
            "SESSION_EXPRESS_PREFIX" => &[("REDIS_HOST", "h"), ("SESSION_LAYOUT", "express")],
            "REDIS_URL" | "REDIS_CLUSTER_NODES" | "REDIS_SENTINELS" | "REDIS_HOST" => &[],
            "REDIS_SENTINEL_USERNAME" => &[("REDIS_SENTINELS", "h"), ("REDIS_SENTINEL_PASSWORD", "x")],
            name if name.starts_with("REDIS_SENTINEL_") => &[("REDIS_SENTINELS", "h")],
            "REDIS_USERNAME" => &[("REDIS_HOST", "h"), ("REDIS_PASSWORD", "x")],
            "REDIS_TLS_CERT" => &[("REDIS_HOST", "h"), ("REDIS_TLS", "1"), ("REDIS_TLS_KEY", "/k")],
            "REDIS_TLS_KEY" => &[("REDIS_HOST", "h"), ("REDIS_TLS", "1"), ("REDIS_TLS_CERT", "/c")],
            "REDIS_WAIT_TIMEOUT" => &[("REDIS_HOST", "h"), ("REDIS_WAIT_REPLICAS", "1")],
            "SESSION_NEAR_CACHE" | "SESSION_NEAR_CACHE_BOUND" if cfg!(not(feature = "memory")) => continue,
            "SESSION_NEAR_CACHE_BOUND" => &[("REDIS_HOST", "h"), ("SESSION_NEAR_CACHE", "1MiB")],
            "SESSION_HISTORY_AGE" => &[("SESSION_HISTORY", "100")],
            "SESSION_OVER_LIMIT" => &[("SESSION_MAX_PER_OWNER", "5")],
            "REDIS_TLS_CACERT" | "REDIS_TLS_INSECURE" => &[("REDIS_HOST", "h"), ("REDIS_TLS", "1")],
            _ => &[("REDIS_HOST", "h")],
        };
        let mut vars = beside.to_vec();
        vars.push((name, example));
        assert!(settings(&vars).warnings.is_empty(), "{name}");
    }
}

#[cfg(feature = "express")]
#[test]
fn sessions_of_express_without_redis_are_warned_of() {
    let express = ("SESSION_LAYOUT", "express");
    let warnings = settings(&[express, ("REDIS_ENABLED", "false")]).warnings;
    assert!(
        warnings.iter().any(|warning| warning.starts_with("SESSION_LAYOUT has no effect")),
        "{warnings:?}"
    );
    assert!(settings(&[express, ("REDIS_HOST", "h")]).warnings.is_empty());
}

#[tokio::test]
async fn redis_without_a_secret_is_refused_before_connecting() {
    let settings = settings(&[("REDIS_URL", "redis://127.0.0.1:1")]);
    let message = settings.builder::<u32>().await.unwrap_err().to_string();
    assert!(message.contains("openssl rand"), "{message}");
}

#[tokio::test]
async fn warnings_are_logged() {
    Log::collect();
    let settings = settings(&[("REDIS_URL", "redis://127.0.0.1:1"), ("REDIS_HOST", "h")]);
    settings.builder::<u32>().await.unwrap_err();
    let logged = LOG.with_borrow(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(logged.contains("WARN") && logged.contains("REDIS_HOST has no effect"), "{logged}");
}

thread_local! {
    /// What this thread, so this test, logs.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

impl Log {
    /// For all threads: tracing may decide by another thread that nobody listens.
    fn collect() {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| Self).init();
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_store_by_itself_is_made_of_the_same_variables() {
    use std::ffi::OsString;
    let of = |variables: &'static [(&str, &str)]| {
        RedisStoreBuilder::from_variables(move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(*value))
        })
    };
    let variables = &[("REDIS_HOST", "h"), ("SESSION_PREFIX", "shop:"), ("REDIS_TIMEOUT", "250ms")];
    let builder = of(variables).unwrap().expect("a server is named");
    let said = format!("{builder:?}");
    assert!(said.contains("shop:") && said.contains("timeout: 250ms"), "{said}");
    assert!(of(&[]).unwrap().is_none() && of(&[("REDIS_URL", "memory:")]).unwrap().is_none());
    assert!(of(&[("REDIS_PORT", "6379")]).is_err());
}
