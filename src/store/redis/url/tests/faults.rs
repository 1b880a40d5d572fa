//! What is said of URLs that cannot be used. No message has a word of the credentials.

use super::*;

/// Each URL's credentials have `hunter2` and `me` in them; each message has the advice.
#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (url, advice) in table {
        let message = fault(url);
        assert!(message.starts_with("the Redis URL cannot be used: "), "{url}: {message}");
        assert!(message.contains(advice), "{url}: {message}");
        assert!(message.contains("; it looks like "), "{url}: {message}");
        assert!(!message.contains("hunter2") && !message.contains("me:h"), "{url}: {message}");
    }
}

#[test]
fn what_is_no_url() {
    let long = format!("redis://h/{}", "0".repeat(16 * 1024));
    check(&[
        ("", "empty"),
        (&long, "longer than 16 KiB"),
        (" redis://h", "begins or ends with a space"),
        ("redis://h\n", "begins or ends with a space or a line break"),
        ("\"redis://h\"", "quotes"),
        ("'redis://h", "quotes"),
        ("redis://h`", "quotes"),
        ("redis-cli --tls -u redis://me:hunter2@h", "rediss:// in place of `--tls`"),
        ("valkey-cli -u redis://me:hunter2@h", "give only the URL"),
        ("redis://me:hunter2 x@h", "%20"),
        ("redis://me:hunter2\u{7}@h", "control character"),
        ("nonsense hunter2", "a space"),
        ("memory:", "memory: names no Redis server"),
        ("memory", "memory: names no Redis server"),
        ("localhost:6379", "redis://localhost:6379"),
        ("me:hunter2@localhost", "it has no scheme"),
        ("h:6380,PASSWORD=hunter2", "rediss://:password@host:port"),
    ]);
    let allowed = format!("redis://h/{}1", "0".repeat(16 * 1024 - 11));
    assert_eq!((allowed.len(), target(&allowed).database), (16 * 1024, 1));
}

#[test]
fn schemes_of_others() {
    check(&[
        ("http://me:hunter2@localhost", "rediss:// URL"),
        ("HTTPS://h.upstash.io", "REST"),
        ("hunter2://h", "is not redis://, redis-cluster://"),
        ("tcp://10.0.0.11:6379", "written redis://"),
        ("redis+tls://h", "written rediss://"),
        ("redis+cluster://h", "redis-cluster://"),
        ("redis+sentinel://h/m", "redis-sentinel://"),
        ("redis-socket:///s", "unix:///path/to/socket"),
    ]);
}

#[test]
fn characters_that_a_password_must_not_have_as_they_are() {
    check(&[
        ("redis://me:12?hunter2@localhost", "a `?` %3F"),
        ("redis://me:12/hunter2@localhost", "a `/` is written %2F"),
        ("redis://me:12/hunter2?x@localhost/0?db=1", "a `/` is written %2F"),
        ("redis://me:12#hunter2@localhost", "%23"),
        ("redis://hunter2#me:@localhost", "%23"),
        ("redis://me:12@hunter2@localhost", "%40"),
        ("redis://me:12://hunter2@localhost", "%2F"),
        ("redis://me:hunter2%@localhost", "%25"),
        ("redis://me:hunter2%4@localhost", "%25"),
        ("redis://me:hunter2%é@localhost", "%25"),
        ("redis://me:hunter2%zz@localhost", "%25"),
        ("redis://me:hunter2%ff@localhost", "not UTF-8"),
        ("redis-sentinel://h/m?sentinel_user=me&sentinel_password=1&hunter2=3", "%26"),
        ("redis-sentinel://h/m?sentinel_user=me&sentinel_password=1&hunter2", "%26"),
        ("unix:///s?user=me&pass=1&hunter2=3", "%26"),
        ("unix:///s?user=1&hunter2=3", "%26"),
        ("unix:///s?pass=1#hunter2", "%23"),
        ("redis://h#insecure", "?insecure=true"),
        ("redis-sentinel://me:hunter2@h#mymaster", "the master's name follows a `/`"),
    ]);
}

#[test]
fn hosts_and_ports() {
    let many = format!("redis-cluster://{}h", "h,".repeat(64));
    let name = format!("redis://{}", "h".repeat(254));
    check(&[
        ("redis://", "localhost"),
        ("redis:///0", "localhost"),
        ("redis://:6379", "localhost"),
        ("redis://me:hunter2@", "localhost"),
        ("redis-cluster://h1,", "localhost"),
        ("redis://me:hunter2@localhost:port", "from 1 to 65535"),
        ("redis://h:", "from 1 to 65535"),
        ("redis://h:0", "from 1 to 65535"),
        ("redis://h:65536", "from 1 to 65535"),
        ("redis://h:+1", "from 1 to 65535"),
        ("redis://me:hunter2", "from 1 to 65535"),
        ("redis://::1", "in brackets"),
        ("redis://[::1", "not closed"),
        ("redis://[::1]6379", "more than a port"),
        ("redis://[localhost]", "do not hold an IPv6 address"),
        ("redis://[fe80::1%25eth0]", "do not hold an IPv6 address"),
        ("redis://me:hunter2@0.0.0.0", "to listen on"),
        ("redis://[::]:6379", "to listen on"),
        ("redis://6379", "IPv4"),
        ("redis://10.1", "IPv4"),
        ("redis://10.0.0.256", "IPv4"),
        ("redis://.", "IPv4"),
        ("redis://h!", "other than a-z"),
        ("redis://bücher.example", "other than a-z"),
        ("redis://h%2E", "other than a-z"),
        (&name, "too long"),
        ("redis://me:hunter2@h1,h2", "redis-cluster://host,host"),
        ("redis-cluster://me:hunter2@h1,me:hunter2@h2", "credentials are given once"),
        ("redis-cluster://h1,redis://me:hunter2@h2", "host:port,host:port"),
        (&many, "more than 64 hosts"),
    ]);
    let most = format!("redis-cluster://{}h", "h,".repeat(63));
    assert!(matches!(target(&most).servers, Servers::Cluster(hosts) if hosts.len() == 64));
    target(&format!("redis://{}", "h".repeat(253)));
}

#[test]
fn databases() {
    check(&[
        ("redis://me:hunter2@localhost/db", "not the number of a database"),
        ("redis://h/-1", "not the number of a database"),
        ("redis://h/+1", "not the number of a database"),
        ("redis://h/4294967296", "not the number of a database"),
        ("redis://h/0/1", "not the number of a database"),
        ("redis://h/0/", "not the number of a database"),
        ("redis-sentinel://h/m/x", "not the number of a database"),
        ("redis://h?db=x", "`db`"),
        ("redis://h?db=", "`db` has no value"),
        ("redis://h/1?db=2", "the URL's path and `db` contradict each other"),
        ("redis-sentinel://h/m/1?db=2", "contradict"),
        ("unix://run/redis.sock", "unix:///path/to/socket"),
        ("unix:///a%00b", "%00"),
    ]);
}

#[test]
fn contradictions() {
    check(&[
        ("rediss://h?tls=false", "the URL's scheme and `tls` contradict each other"),
        ("valkeys-cluster://h?ssl=0", "contradict"),
        ("redis://h?cacert=/ca.pem", "`cacert` has no effect without TLS"),
        ("redis://h?tls=false&cert=/c.pem&key=/k.pem", "`cert` has no effect without TLS"),
        ("redis://h?key=/k.pem", "`key` has no effect without TLS"),
        ("redis://h?insecure=true", "`insecure` has no effect without TLS"),
        ("rediss://h?cert=/c.pem", "`cert` is only one half"),
        ("rediss://h?key=/k.pem", "`key` is only one half"),
        ("rediss://h?insecure=true&cacert=/ca.pem", "`insecure` accepts any certificate, and `cacert`"),
        ("redis://me:@h", "the URL's user is set, but no password"),
        ("unix:///s?user=me", "`user` is set, but no password"),
        ("redis-sentinel://h/m?sentinel_user=me", "`sentinel_user` is set, but no password"),
    ]);
}

#[test]
fn parameters() {
    check(&[
        ("redis://h?colour=hunter2", "no parameter `colour`; known are `tls` `cacert`"),
        ("redis://h?colour", "has no value"),
        ("redis://h?=hunter2", "with an unknown name"),
        ("redis://h?hunter2%20=1", "with an unknown name"),
        ("redis://h?TLS=true", "no parameter `TLS`"),
        ("redis://h?db=1&db=1", "`db` is given twice"),
        ("redis://h?tls=true&ssl=true", "`tls` is given twice"),
        ("redis://h?tls=hunter2", "`tls` is neither true nor false"),
        ("redis://h?tls=", "`tls` has no value"),
        ("rediss://h?insecure=yes", "`insecure` is neither"),
        ("rediss://h?cacert=%zz", "%25"),
        ("redis://h?protocol=2", "resp3"),
        ("redis://h?protocol=resp2", "Redis 6"),
        ("unix:///s?tls=true", "a socket has no TLS"),
        ("redis://h?sentinel_password=hunter2", "no parameter `sentinel_password`"),
        // Of redis-py, ioredis, go-redis and Lettuce.
        ("rediss://h?ssl_cert_reqs=none", "insecure=true"),
        ("rediss://h?ssl_ca_certs=/ca.pem", "cacert=/path"),
        ("rediss://h?ssl_certfile=/c.pem", "cert=/path"),
        ("rediss://h?ssl_keyfile=/k.pem", "key=/path"),
        ("redis://h?family=0", "both IPv4 and IPv6"),
        ("redis://h?socket_timeout=5", "RedisStoreBuilder::timeout"),
        ("redis://h?password=hunter2", "before the host, as user:password@"),
        ("unix:///s?password=hunter2", "pass=…"),
        ("redis://h?database=1", "db=…"),
        (
            "redis-sentinel://h/m?sentinelMasterId=m",
            "no parameter `sentinelMasterId`: the master's name follows",
        ),
        ("redis-sentinel://h/m?sentinel_username=me", "sentinel_user=…"),
        ("redis://h?keyPrefix=a:", "SESSION_PREFIX"),
        ("redis://h?maxRetriesPerRequest=3", "leave it out"),
    ]);
    for (url, known) in [
        ("redis://h?x=1", "known are `tls` `cacert` `cert` `key` `insecure` `db` `protocol`;"),
        ("unix:///s?x=1", "known are `db` `user` `pass` `protocol`;"),
    ] {
        assert!(fault(url).contains(known), "{}", fault(url));
    }
    assert!(fault("redis-sentinel://h/m?x=1").contains("`sentinel_user` `sentinel_password`"));
    let long = format!("redis://h?{}=1", "x".repeat(41));
    assert!(!fault(&long).contains("xx"), "{}", fault(&long));
}
