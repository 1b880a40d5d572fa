//! What follows the `?` of a URL.

use std::path::PathBuf;

use super::draft::{Draft, Password};
use super::{Kind, Why, database, decoded};

impl Kind {
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::One | Self::Cluster => &["tls", "cacert", "cert", "key", "insecure", "db", "protocol"],
            Self::Sentinel => &[
                "tls",
                "cacert",
                "cert",
                "key",
                "insecure",
                "db",
                "sentinel_user",
                "sentinel_password",
                "protocol",
            ],
            Self::Socket => &["db", "user", "pass", "protocol"],
        }
    }
}

/// Reads `name=value&name=value` into `draft`.
pub(super) fn read(draft: &mut Draft, kind: Kind, query: &str) -> Result<(), Why> {
    let mut seen: Vec<&str> = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter
            .split_once('=')
            .ok_or("one of its parameters has no value, and an `&` in a password is written %26")?;
        let name = if name == "ssl" { "tls" } else { name };
        let Some(&known) = kind.parameters().iter().find(|&&known| known == name) else {
            let may_be_secret = seen.iter().any(|seen| SECRET.contains(seen));
            return Err(unknown(kind, name, may_be_secret).into());
        };
        if seen.contains(&known) {
            return Err(format!("`{known}` is given twice").into());
        }
        seen.push(known);
        let value = decoded(value)?;
        if value.is_empty() && !SECRET.contains(&known) {
            return Err(format!("`{known}` has no value").into());
        }
        set(draft, known, value)?;
    }
    Ok(())
}

/// Behind these a parameter's name may be a part of a password that has an `&` in it.
const SECRET: [&str; 4] = ["user", "pass", "sentinel_user", "sentinel_password"];

fn set(draft: &mut Draft, name: &'static str, value: String) -> Result<(), Why> {
    match name {
        "tls" => draft.tls.say(flag(name, &value)?, "`tls`"),
        "insecure" => draft.insecure.say(flag(name, &value)?, "`insecure`"),
        "cacert" => draft.authorities.say(PathBuf::from(value), "`cacert`"),
        "cert" => draft.certificate.say(PathBuf::from(value), "`cert`"),
        "key" => draft.key.say(PathBuf::from(value), "`key`"),
        "db" => draft.database.say(database(&value).ok_or("`db` is not the number of a database")?, "`db`"),
        // Empty where a template's variable was.
        "user" | "pass" | "sentinel_user" | "sentinel_password" if value.is_empty() => Ok(()),
        "user" => draft.username.say(value, "`user`"),
        "pass" => draft.password.say(Password::Text(value), "`pass`"),
        "sentinel_user" => draft.sentinel_username.say(value, "`sentinel_user`"),
        "sentinel_password" => draft.sentinel_password.say(Password::Text(value), "`sentinel_password`"),
        _ => match &*value {
            "3" | "resp3" => Ok(()),
            _ => Err("`protocol` is not resp3, which sessions need (Redis 6 or newer): leave it out".into()),
        },
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Why> {
    match &*value.to_ascii_lowercase() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{name}` is neither true nor false").into()),
    }
}

fn unknown(kind: Kind, name: &str, may_be_secret: bool) -> String {
    let known: String = kind.parameters().iter().map(|name| format!(" `{name}`")).collect();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if may_be_secret {
        format!(
            "it has an unknown parameter, and an `&` in a password is written %26; known \
             are{known}"
        )
    } else if name.is_empty() || name.len() > 40 || !name.bytes().all(is_name) {
        format!("it has a parameter with an unknown name; known are{known}")
    } else if let Some(advice) = advice(kind, &name.to_ascii_lowercase()) {
        format!("there is no parameter `{name}`: {advice}; known are{known}")
    } else {
        format!("there is no parameter `{name}`; known are{known}")
    }
}

/// What to write for parameters of other libraries: redis-py, ioredis, go-redis, Lettuce.
fn advice(kind: Kind, name: &str) -> Option<&'static str> {
    Some(match name {
        "tls" | "cacert" | "cert" | "key" | "insecure" => "a socket has no TLS",
        "ssl_cert_reqs"
        | "ssl_check_hostname"
        | "verifypeer"
        | "skip_verify"
        | "rejectunauthorized"
        | "insecure_skip_verify" => {
            "certificates are verified, unless insecure=true accepts any of them, self-signed ones included"
        }
        "ssl_ca_certs" | "ssl_ca_path" | "ca" | "cafile" => "write cacert=/path/to/ca.pem",
        "ssl_certfile" | "certfile" => "write cert=/path/to/cert.pem",
        "ssl_keyfile" | "keyfile" => "write key=/path/to/key.pem",
        "family" => "leave it out, both IPv4 and IPv6 are tried",
        "socket_timeout"
        | "socket_connect_timeout"
        | "timeout"
        | "connecttimeout"
        | "commandtimeout"
        | "dial_timeout"
        | "read_timeout"
        | "write_timeout" => "the timeout is RedisStoreBuilder::timeout",
        "username" | "password" if kind == Kind::Socket => "write user=…&pass=…",
        "user" | "username" | "pass" | "password" | "auth" => {
            "credentials stand before the host, as user:password@"
        }
        "database" => "write db=…",
        "sentinelmasterid" | "master" | "master_name" | "service_name" => {
            "the master's name follows the hosts, as redis-sentinel://host,host/master"
        }
        "sentinel_username" => "write sentinel_user=…",
        "prefix" | "keyprefix" => "the prefix is SESSION_PREFIX, or RedisStoreBuilder::prefix",
        "max_connections"
        | "pool_size"
        | "health_check_interval"
        | "retry_on_timeout"
        | "maxretriesperrequest"
        | "lazyconnect"
        | "enablereadycheck"
        | "decode_responses" => "leave it out, it changes nothing here",
        _ => return None,
    })
}
