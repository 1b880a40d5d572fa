//! What URLs mean, and what is said of those that cannot be used.

mod faults;
mod hostile;
mod services;

use super::*;
use crate::store::redis::target::{Host, Login, Pem, Tls};

fn target(url: &str) -> Target {
    parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn fault(url: &str) -> String {
    match parse(url) {
        Err(Error::Config(message)) => message,
        other => panic!("{url}: {other:?}"),
    }
}

fn host(name: &str, port: u16) -> Host {
    Host { name: name.to_owned(), port }
}

fn one(name: &str, port: u16) -> Servers {
    Servers::One(host(name, port))
}

/// User and password.
fn login(login: &Login) -> (Option<&str>, Option<&str>) {
    match login {
        Login::Fixed(credentials) => (credentials.username.as_deref(), credentials.password.as_deref()),
        Login::Provider(_) => panic!("a URL holds its password"),
    }
}

fn file(pem: &Pem) -> &str {
    match pem {
        Pem::File(path) => path.to_str().unwrap(),
        Pem::Text(_) => panic!("a URL names files"),
    }
}

fn tls(target: &Target) -> &Tls {
    target.tls.as_ref().expect("TLS")
}

#[test]
fn one_server() {
    for (url, name, port, database, credentials) in [
        ("redis://localhost", "localhost", 6379, 0, (None, None)),
        ("redis://localhost/", "localhost", 6379, 0, (None, None)),
        ("redis://localhost?", "localhost", 6379, 0, (None, None)),
        ("REDIS://localhost/?&", "localhost", 6379, 0, (None, None)),
        ("valkey://redis_1.local.:1/15", "redis_1.local.", 1, 15, (None, None)),
        ("redis://127.0.0.1:65535?db=4294967295", "127.0.0.1", 65535, u32::MAX, (None, None)),
        ("redis://h/2?db=2", "h", 6379, 2, (None, None)),
        ("redis://[::1]", "::1", 6379, 0, (None, None)),
        ("redis://[2001:DB8:0::1]:7000/3", "2001:db8::1", 7000, 3, (None, None)),
        ("redis://me:secret@h", "h", 6379, 0, (Some("me"), Some("secret"))),
        ("redis://:secret@h:6380", "h", 6380, 0, (None, Some("secret"))),
        ("redis://secret@h", "h", 6379, 0, (None, Some("secret"))),
        // A template without a password, for development.
        ("redis://:@h", "h", 6379, 0, (None, None)),
        ("redis://@h", "h", 6379, 0, (None, None)),
        ("redis://m%3Ae:a:b@h", "h", 6379, 0, (Some("m:e"), Some("a:b"))),
        ("redis://:%40%2F%3F%23%25%20%c3%a9é@h", "h", 6379, 0, (None, Some("@/?#% éé"))),
        ("redis://:a+b==@h", "h", 6379, 0, (None, Some("a+b=="))),
        ("redis://h?protocol=3", "h", 6379, 0, (None, None)),
        ("redis://h?protocol=resp3", "h", 6379, 0, (None, None)),
    ] {
        let target = target(url);
        assert_eq!(target.servers, one(name, port), "{url}");
        assert_eq!(target.database, database, "{url}");
        assert_eq!(login(&target.login), credentials, "{url}");
        assert_eq!(login(&target.sentinel_login), (None, None), "{url}");
        assert!(target.tls.is_none(), "{url}");
    }
}

#[test]
fn a_cluster() {
    for (url, hosts) in [
        ("redis-cluster://h", vec![host("h", 6379)]),
        ("valkey-cluster://h1,h2:7001/", vec![host("h1", 6379), host("h2", 7001)]),
        (
            "redis-cluster://h1:7000,[::1],10.0.0.1:1/0",
            vec![host("h1", 7000), host("::1", 6379), host("10.0.0.1", 1)],
        ),
        ("redis-cluster://h?db=0", vec![host("h", 6379)]),
    ] {
        assert_eq!(target(url).servers, Servers::Cluster(hosts), "{url}");
    }
    let target = target("rediss-cluster://me:secret@h1,h2");
    assert_eq!(login(&target.login), (Some("me"), Some("secret")));
    assert!(!tls(&target).insecure);
    for nodes in ["redis-cluster://h/3", "redis-cluster://h?db=3"] {
        let message = fault(nodes);
        assert!(message.contains("a cluster has only database 0"), "{message}");
        assert!(message.contains("looks like redis-cluster://"), "{message}");
    }
}

#[test]
fn sentinels() {
    let s1 = || vec![host("s1", 26379)];
    for (url, sentinels, master, database) in [
        ("redis-sentinel://s1/mymaster", s1(), "mymaster", 0),
        ("valkey-sentinel://s1/mymaster/", s1(), "mymaster", 0),
        ("redis-sentinel://s1/my%2Fmaster%401/2", s1(), "my/master@1", 2),
        ("redis-sentinel://s1/1st?db=2", s1(), "1st", 2),
        ("redis-sentinel://s1:1,[::1]:2/m/2?db=2", vec![host("s1", 1), host("::1", 2)], "m", 2),
    ] {
        let target = target(url);
        assert_eq!(target.servers, Servers::Sentinel { sentinels, master: master.to_owned() }, "{url}");
        assert_eq!(target.database, database, "{url}");
        assert!(target.tls.is_none(), "{url}");
    }

    let target = target(
        "rediss-sentinel://me:secret@s1,s2/m?sentinel_user=watcher&sentinel_password=hidden+%26&cacert=/ca.pem",
    );
    assert_eq!(login(&target.login), (Some("me"), Some("secret")));
    assert_eq!(login(&target.sentinel_login), (Some("watcher"), Some("hidden+&")));
    assert_eq!(tls(&target).authorities.as_ref().map(file), Some("/ca.pem"));

    for url in ["redis-sentinel://s1", "redis-sentinel://s1/", "redis-sentinel://s1,s2/0?db=1"] {
        let message = fault(url);
        assert!(message.contains("name of the master") && message.contains("/mymaster"), "{message}");
        assert!(message.contains("looks like redis-sentinel://"), "{message}");
    }
}

#[test]
fn a_socket() {
    for (url, path, database, credentials) in [
        ("unix:///run/redis.sock", "/run/redis.sock", 0, (None, None)),
        ("redis+unix:///a%20b?db=1", "/a b", 1, (None, None)),
        ("valkey+unix:///s@1?pass=a+b@:/?&user=me", "/s@1", 0, (Some("me"), Some("a+b@:/?"))),
        ("unix:///s?user=&pass=&protocol=3", "/s", 0, (None, None)),
    ] {
        let target = target(url);
        assert_eq!(target.servers, Servers::Socket(PathBuf::from(path)), "{url}");
        assert_eq!(target.database, database, "{url}");
        assert_eq!(login(&target.login), credentials, "{url}");
    }
}

#[test]
fn tls_is_asked_for_by_scheme_or_parameter() {
    for url in [
        "rediss://h",
        "valkeys://h",
        "rediss-cluster://h",
        "valkeys-cluster://h",
        "rediss-sentinel://h/m",
        "valkeys-sentinel://h/m",
        "redis://h?tls=true",
        "redis://h?ssl=1",
        "redis-cluster://h?ssl=True",
        "redis-sentinel://h/m?tls=true",
        "rediss://h?tls=true",
    ] {
        let target = target(url);
        assert!(!tls(&target).insecure && tls(&target).authorities.is_none(), "{url}");
        assert!(tls(&target).client.is_none(), "{url}");
    }
    for url in ["redis://h?tls=false", "redis://h?ssl=0", "redis://h?insecure=false"] {
        assert!(target(url).tls.is_none(), "{url}");
    }

    let target = target("rediss://h?cacert=/a+b.pem&cert=/c%20d.pem&key=/k.pem&insecure=false");
    let Tls { authorities, client, insecure } = tls(&target);
    assert_eq!(authorities.as_ref().map(file), Some("/a+b.pem"));
    let client = client.as_ref().unwrap();
    assert_eq!((file(&client.certificate), file(&client.key)), ("/c d.pem", "/k.pem"));
    assert!(!insecure);
    assert!(tls(&self::target("redis://h?insecure=true&tls=true")).insecure);
}
