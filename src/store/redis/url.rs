//! One URL for any topology. `url.md` is its documentation.
//!
//! What a URL leaves out stays open in a [`Draft`], so that other settings can fill it in.

mod draft;
mod hosts;
mod parameters;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

pub(crate) use self::draft::{Draft, Password, Setting, read_password};
pub(crate) use self::hosts::{REDIS_PORT, SENTINEL_PORT, host_name, hosts, port};
use super::target::{Servers, Target};
use crate::error::Error;

/// Longer than any URL that somebody writes, short enough to be read at once.
const MAX_LENGTH: usize = 16 * 1024;
/// How `redis-cli`, and services whose URLs come from there, write a password alone. Others take
/// what has no colon for a user, so whoever has a password elsewhere, too, meant that.
pub(crate) const WITHOUT_COLON: &str = "what stands before the `@` in the URL";

/// What is wrong, in words that hold nothing of a URL's credentials.
pub(crate) type Why = Cow<'static, str>;

/// Why a URL cannot be used.
#[derive(Debug)]
pub(crate) struct Fault {
    why: Why,
    /// How a right one looks.
    form: &'static str,
}

impl Fault {
    /// The error that names what holds the URL.
    pub(crate) fn of(self, holder: &str) -> Error {
        let Self { why, form } = self;
        Error::Config(format!("{holder} cannot be used: {why}; it looks like {form}"))
    }
}

/// # Errors
///
/// [`Error::Config`], which never quotes the URL: it may hold a password.
pub(super) fn parse(url: &str) -> Result<Target, Error> {
    let target = Draft::from_url(url).and_then(|draft| {
        let form = Kind::of(&draft.servers).form();
        draft.into_target().map_err(|why| Fault { why, form })
    });
    target.map_err(|fault| fault.of("the Redis URL"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One,
    Cluster,
    Sentinel,
    Socket,
}

impl Kind {
    fn of(servers: &Servers) -> Self {
        match servers {
            Servers::One(_) => Self::One,
            Servers::Cluster(_) => Self::Cluster,
            Servers::Sentinel { .. } => Self::Sentinel,
            Servers::Socket(_) => Self::Socket,
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::One => "redis://[[user]:password@]host[:port][/database]",
            Self::Cluster => "redis-cluster://[[user]:password@]host[:port],host[:port]",
            Self::Sentinel => {
                "redis-sentinel://[[user]:password@]host[:port],host[:port]/master[/database], where the hosts \
                 are sentinels"
            }
            Self::Socket => "unix:///path/to/socket[?db=1&user=me&pass=password]",
        }
    }
}

impl Draft {
    /// What `url` says.
    pub(crate) fn from_url(url: &str) -> Result<Self, Fault> {
        let (kind, tls, rest) = scheme(url).map_err(|why| Fault { why, form: Kind::One.form() })?;
        let draft = if kind == Kind::Socket { socket(rest) } else { network(kind, tls, rest) };
        draft.map_err(|why| Fault { why, form: kind.form() })
    }
}

/// Splits off the scheme, after a look at what is no URL at all.
fn scheme(url: &str) -> Result<(Kind, bool, &str), Why> {
    if url.len() > MAX_LENGTH {
        return Err("it is longer than 16 KiB".into());
    }
    if url.is_empty() {
        return Err("it is empty".into());
    }
    if url.trim() != url {
        return Err("it begins or ends with a space or a line break".into());
    }
    if url.starts_with(['"', '\'', '`']) || url.ends_with(['"', '\'', '`']) {
        return Err("it is in quotes, which belong to a shell".into());
    }
    if url.starts_with("redis-cli") || url.starts_with("valkey-cli") {
        return Err("it is a command: give only the URL, with rediss:// in place of `--tls`".into());
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(
            "it has a space or a control character, which in a password is written as %20 or the like".into(),
        );
    }
    if url == "memory" || url.starts_with("memory:") {
        return Err("memory: names no Redis server".into());
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // `name.redis.cache.windows.net:6380,password=…,ssl=True`, as Azure shows it for .NET.
        return Err(if url.contains(',') && url.contains('=') {
            "it is a connection string for .NET: write rediss://:password@host:port, where a `/` in the \
             password is %2F"
                .into()
        } else {
            "it has no scheme: write redis://localhost:6379 rather than localhost:6379".into()
        });
    };
    let (kind, tls) = match &*scheme.to_ascii_lowercase() {
        "redis" | "valkey" => (Kind::One, false),
        "rediss" | "valkeys" => (Kind::One, true),
        "redis-cluster" | "valkey-cluster" => (Kind::Cluster, false),
        "rediss-cluster" | "valkeys-cluster" => (Kind::Cluster, true),
        "redis-sentinel" | "valkey-sentinel" => (Kind::Sentinel, false),
        "rediss-sentinel" | "valkeys-sentinel" => (Kind::Sentinel, true),
        "unix" | "redis+unix" | "valkey+unix" => (Kind::Socket, false),
        foreign => return Err(of_foreign_scheme(foreign).into()),
    };
    Ok((kind, tls, rest))
}

fn of_foreign_scheme(scheme: &str) -> &'static str {
    match scheme {
        "http" | "https" => "http:// is for a REST interface; the same service also shows a rediss:// URL",
        "tcp" => "tcp:// is written redis://",
        "tls" | "ssl" | "redis+tls" | "redis+ssl" => "TLS is written rediss://",
        "redis+cluster" | "rediss+cluster" | "cluster" => {
            "a cluster is written redis-cluster://, or rediss-cluster:// for TLS"
        }
        "redis+sentinel" | "rediss+sentinel" | "sentinel" => {
            "sentinels are written redis-sentinel://host:26379,host:26379/master, or rediss-sentinel:// for TLS"
        }
        "redis-socket" | "redis+socket" | "socket" => "a socket is written unix:///path/to/socket",
        // Not quoted: before the `://` of a broken URL there can be anything.
        _ => {
            "its scheme is not redis://, redis-cluster://, redis-sentinel://, one of these with rediss for TLS, \
             or unix://"
        }
    }
}

/// `[credentials@]hosts[/path][?parameters]`
fn network(kind: Kind, tls: bool, rest: &str) -> Result<Draft, Why> {
    if let Some((_, fragment)) = rest.split_once('#') {
        return Err(match (kind, fragment) {
            (_, "insecure") => "#insecure is written ?insecure=true".into(),
            (Kind::Sentinel, _) => {
                "it has a `#`: the master's name follows a `/`, and a `#` in a password is \
                                    written %23"
                    .into()
            }
            _ => "it has a `#`, which in a password is written %23".into(),
        });
    }
    if rest.contains("://") {
        return Err("it has a second `://`: several hosts are written host:port,host:port, and a `/` in a \
                    password is written %2F"
            .into());
    }
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = front.split_once('/').unwrap_or((front, ""));
    // Before anything of it is looked at, let alone named: it may be the end of a password.
    if path.contains('@') || query.contains('@') {
        return Err("it has an `@` after a `/` or `?`: in a password a `/` is written %2F and a `?` %3F, \
                    elsewhere an `@` is %40"
            .into());
    }
    let (userinfo, list) = match authority.split_once('@') {
        Some((_, hosts)) if hosts.contains('@') => {
            return Err(
                "it has more than one `@`: credentials are given once, before the first host, and an `@` in \
                        a password is written %40"
                    .into(),
            );
        }
        Some((userinfo, hosts)) => (Some(userinfo), hosts),
        None => (None, authority),
    };

    let default_port = if kind == Kind::Sentinel { SENTINEL_PORT } else { REDIS_PORT };
    let mut hosts = self::hosts(list, default_port)?;
    let (servers, database) = match kind {
        Kind::Sentinel => sentinels(hosts, path)?,
        Kind::Cluster => (Servers::Cluster(hosts), path),
        Kind::One | Kind::Socket if hosts.len() > 1 => {
            return Err("it names several hosts: write redis-cluster://host,host for a cluster, or \
                        redis-sentinel://host,host/master"
                .into());
        }
        Kind::One | Kind::Socket => (Servers::One(hosts.remove(0)), path),
    };
    let mut draft = Draft::new(servers);
    if let Some(userinfo) = userinfo {
        credentials(&mut draft, userinfo)?;
    }
    if tls {
        draft.tls.say(true, "the URL's scheme")?;
    }
    if !database.is_empty() {
        let number =
            self::database(database).ok_or("the last part of the path is not the number of a database")?;
        draft.database.say(number, "the URL's path")?;
    }
    parameters::read(&mut draft, kind, query)?;
    Ok(draft)
}

/// `[user]:password`, either of them empty where a template's variable was, or a password alone.
fn credentials(draft: &mut Draft, userinfo: &str) -> Result<(), Why> {
    let (user, password, by) = match userinfo.split_once(':') {
        Some((user, password)) => (user, password, "the URL's password"),
        None => ("", userinfo, WITHOUT_COLON),
    };
    if !user.is_empty() {
        draft.username.say(decoded(user)?, "the URL's user")?;
    }
    if !password.is_empty() {
        draft.password.say(Password::Text(decoded(password)?), by)?;
    }
    Ok(())
}

/// `master[/database]`: the servers, and the database's part of the path.
fn sentinels(sentinels: Vec<super::target::Host>, path: &str) -> Result<(Servers, &str), Why> {
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    // A number alone is the path of other libraries' URLs, which have the name elsewhere.
    if master.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the name of the master is missing after the hosts, such as /mymaster".into());
    }
    Ok((Servers::Sentinel { sentinels, master: decoded(master)? }, database))
}

/// `/path[?parameters]`
fn socket(rest: &str) -> Result<Draft, Why> {
    if rest.contains('#') {
        return Err("it has a `#`, which is written %23".into());
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err("a socket's path begins with a `/`, which makes three: unix:///path/to/socket".into());
    }
    let path = decoded(path)?;
    if path.contains('\0') {
        return Err("a path cannot hold %00".into());
    }
    let mut draft = Draft::new(Servers::Socket(PathBuf::from(path)));
    parameters::read(&mut draft, Kind::Socket, query)?;
    Ok(draft)
}

/// Decodes percent-encoding only: `+` is itself, as in the keys that services make from base64.
fn decoded(text: &str) -> Result<String, Why> {
    let mut escapes = text.split('%').skip(1);
    let is_hex = |code: &[u8]| code.iter().all(u8::is_ascii_hexdigit);
    if !escapes.all(|escape| escape.as_bytes().get(..2).is_some_and(is_hex)) {
        return Err("a `%` in it does not begin an escape such as %40; by itself it is written %25".into());
    }
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| "its percent-encoded bytes are not UTF-8")?.into_owned())
}

pub(crate) fn database(number: &str) -> Option<u32> {
    // `parse` would take `+1`, too.
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}
