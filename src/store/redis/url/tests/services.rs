//! The URLs that managed services show, with invented names.

use super::*;

struct Service {
    url: &'static str,
    servers: Servers,
    credentials: (Option<&'static str>, Option<&'static str>),
    tls: bool,
}

fn cluster(name: &str) -> Servers {
    Servers::Cluster(vec![host(name, 6379)])
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn urls_of_managed_services() {
    let default = |password| (Some("default"), Some(password));
    for Service { url, servers, credentials, tls } in [
        // Redis Cloud.
        Service {
            url: "redis://default:s3cret@redis-12345.c1.us-east-1-2.ec2.redns.redis-cloud.com:12345",
            servers: one("redis-12345.c1.us-east-1-2.ec2.redns.redis-cloud.com", 12345),
            credentials: default("s3cret"),
            tls: false,
        },
        Service {
            url: "rediss://default:s3cret@redis-12345.c1.us-east-1-2.ec2.redns.redis-cloud.com:12345",
            servers: one("redis-12345.c1.us-east-1-2.ec2.redns.redis-cloud.com", 12345),
            credentials: default("s3cret"),
            tls: true,
        },
        // ElastiCache, cluster mode off: plain, with a token over TLS.
        Service {
            url: "redis://shop.abc123.ng.0001.use1.cache.amazonaws.com:6379",
            servers: one("shop.abc123.ng.0001.use1.cache.amazonaws.com", 6379),
            credentials: (None, None),
            tls: false,
        },
        Service {
            url: "rediss://:t0ken-of-16-chars@master.shop.abc123.use1.cache.amazonaws.com:6379",
            servers: one("master.shop.abc123.use1.cache.amazonaws.com", 6379),
            credentials: (None, Some("t0ken-of-16-chars")),
            tls: true,
        },
        // ElastiCache, cluster mode on; serverless; MemoryDB.
        Service {
            url: "rediss-cluster://sessions:s3cret@clustercfg.shop.abc123.use1.cache.amazonaws.com:6379",
            servers: cluster("clustercfg.shop.abc123.use1.cache.amazonaws.com"),
            credentials: (Some("sessions"), Some("s3cret")),
            tls: true,
        },
        Service {
            url: "rediss-cluster://sessions:s3cret@shop-abc123.serverless.use1.cache.amazonaws.com:6379",
            servers: cluster("shop-abc123.serverless.use1.cache.amazonaws.com"),
            credentials: (Some("sessions"), Some("s3cret")),
            tls: true,
        },
        Service {
            url: "rediss-cluster://sessions:s3cret@clustercfg.shop.abc123.memorydb.us-east-1.amazonaws.com:6379",
            servers: cluster("clustercfg.shop.abc123.memorydb.us-east-1.amazonaws.com"),
            credentials: (Some("sessions"), Some("s3cret")),
            tls: true,
        },
        // Azure Cache for Redis: keys are base64, whose `/` is %2F.
        Service {
            url: "rediss://:ab+c%2FdEfG1h2=@shop.redis.cache.windows.net:6380",
            servers: one("shop.redis.cache.windows.net", 6380),
            credentials: (None, Some("ab+c/dEfG1h2=")),
            tls: true,
        },
        Service {
            url: "redis://:ab%2Bc%3D@shop.redis.cache.windows.net:6380?ssl=True",
            servers: one("shop.redis.cache.windows.net", 6380),
            credentials: (None, Some("ab+c=")),
            tls: true,
        },
        // Azure Managed Redis, whose default policy is that of a cluster.
        Service {
            url: "rediss-cluster://:abc=@shop.westeurope.redis.azure.net:10000",
            servers: Servers::Cluster(vec![host("shop.westeurope.redis.azure.net", 10000)]),
            credentials: (None, Some("abc=")),
            tls: true,
        },
        // Upstash, and through Fly.
        Service {
            url: "rediss://default:s3cret@eager-mole-12345.upstash.io:6379",
            servers: one("eager-mole-12345.upstash.io", 6379),
            credentials: default("s3cret"),
            tls: true,
        },
        Service {
            url: "redis://default:s3cret@fly-shop.upstash.io:6379",
            servers: one("fly-shop.upstash.io", 6379),
            credentials: default("s3cret"),
            tls: false,
        },
        Service {
            url: "redis://s3cret@fly-late-waterfall-1133.upstash.io",
            servers: one("fly-late-waterfall-1133.upstash.io", 6379),
            credentials: (None, Some("s3cret")),
            tls: false,
        },
        // DigitalOcean, Aiven.
        Service {
            url: "rediss://default:AVNS_s3cret@db-valkey-fra1-12345-do-user-123-0.k.db.ondigitalocean.com:25061",
            servers: one("db-valkey-fra1-12345-do-user-123-0.k.db.ondigitalocean.com", 25061),
            credentials: default("AVNS_s3cret"),
            tls: true,
        },
        Service {
            url: "valkeys://default:AVNS_s3cret@shop-acme.a.aivencloud.com:12345",
            servers: one("shop-acme.a.aivencloud.com", 12345),
            credentials: default("AVNS_s3cret"),
            tls: true,
        },
        // Render, from inside and from outside.
        Service {
            url: "redis://red-abc123def456:6379",
            servers: one("red-abc123def456", 6379),
            credentials: (None, None),
            tls: false,
        },
        Service {
            url: "rediss://red-abc123def456:s3cret@frankfurt-keyvalue.render.com:6379",
            servers: one("frankfurt-keyvalue.render.com", 6379),
            credentials: (Some("red-abc123def456"), Some("s3cret")),
            tls: true,
        },
        // Railway, from inside and from outside.
        Service {
            url: "redis://default:s3cret@redis.railway.internal:6379",
            servers: one("redis.railway.internal", 6379),
            credentials: default("s3cret"),
            tls: false,
        },
        Service {
            url: "redis://default:s3cret@roundhouse.proxy.rlwy.net:54321",
            servers: one("roundhouse.proxy.rlwy.net", 54321),
            credentials: default("s3cret"),
            tls: false,
        },
        // Memorystore, by address; with AUTH and TLS on its other port.
        Service {
            url: "redis://10.0.0.3:6379",
            servers: one("10.0.0.3", 6379),
            credentials: (None, None),
            tls: false,
        },
        Service {
            url: "rediss://:0a1b2c3d-4e5f@10.0.0.3:6378?cacert=/etc/redis/server-ca.pem",
            servers: one("10.0.0.3", 6378),
            credentials: (None, Some("0a1b2c3d-4e5f")),
            tls: true,
        },
    ] {
        let target = target(url);
        assert_eq!(target.servers, servers, "{url}");
        assert_eq!(login(&target.login), credentials, "{url}");
        assert_eq!(target.tls.is_some(), tls, "{url}");
        assert!(!target.tls.is_some_and(|tls| tls.insecure), "{url}");
    }
}

/// Its certificates are self-signed. Whether that is good enough is for its users to say.
#[test]
fn heroku() {
    let url = "rediss://:p0123456789abcdef@ec2-203-0-113-7.compute-1.amazonaws.com:12345";
    let as_shown = target(url);
    assert_eq!(as_shown.servers, one("ec2-203-0-113-7.compute-1.amazonaws.com", 12345));
    assert_eq!(login(&as_shown.login), (None, Some("p0123456789abcdef")));
    assert!(!tls(&as_shown).insecure);
    assert!(tls(&target(&format!("{url}?insecure=true"))).insecure);
    // What its documentation has for Python says what to write instead.
    let message = fault(&format!("{url}?ssl_cert_reqs=none"));
    assert!(message.contains("`ssl_cert_reqs`") && message.contains("insecure=true"), "{message}");
}

#[test]
fn what_azure_shows_for_dotnet_is_told_to_be_a_url() {
    let message = fault("shop.redis.cache.windows.net:6380,password=hunter2=,ssl=True,abortConnect=False");
    assert!(message.contains("rediss://:password@host:port"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}
