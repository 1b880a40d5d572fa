//! The store that flags and variables name.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use session_store::{KeyRing, RedisStore, RedisStoreBuilder, SessionId, SessionManager, Values};

use crate::arguments::{Connection, Layout};
use crate::failure::Failure;

/// Signs nothing here, as no cookie is read or made; and in the layouts of Express a manager needs such keys.
fn keys_of_nobody(is_native: bool) -> Result<KeyRing, session_store::Error> {
    if is_native { Ok(KeyRing::generate()) } else { KeyRing::express(SessionId::generate().as_str()) }
}

pub(crate) struct Open {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) manager: SessionManager<Values>,
    pub(crate) naming: Naming,
}

/// What of the tool's own doing is entered into histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    Nothing,
    /// As much as the service enters, by its variables.
    AsTheService,
}

impl Open {
    pub(crate) async fn connect(connection: &Connection, recording: Recording) -> Result<Self, Failure> {
        let lookup = |name: &str| look_up(connection, name, |name| std::env::var_os(name));
        let naming = Naming::of(lookup);
        // Histories are the manager's, which reads their variables below: what has no effect is said once.
        let of_store = |name: &str| lookup(name).filter(|_| !HISTORY.contains(&name));
        let Some(builder) = RedisStoreBuilder::from_variables(of_store)? else {
            return Err(Failure::Usage(NO_REDIS.to_owned()));
        };
        let timeout = Duration::from_secs_f64(connection.timeout);
        let store = Arc::new(builder.timeout(timeout).connect().await?);
        let keys = keys_of_nobody(naming.is_native)?;
        let mut builder = SessionManager::builder(Arc::clone(&store), keys).max_payload(MAX_PAYLOAD);
        if let Some(keys_per_second) = connection.max_scan_rate {
            builder = builder.max_scan_rate(keys_per_second);
        }
        // Of a layout that Express reads nothing is sealed.
        if naming.is_native {
            builder = builder.at_rest_from_variables(lookup)?;
        }
        if recording == Recording::AsTheService {
            builder = builder.history_from_variables(lookup)?;
        }
        Ok(Self { store, manager: builder.build()?, naming })
    }

    /// Waits until histories have what was ended: entries are recorded in the background, and would be lost with the
    /// process.
    pub(crate) async fn finish_recording(&self) {
        self.manager.flush_events().await;
        match self.manager.counts().history_lost {
            0 => {}
            1 => eprintln!("session-store: the end of 1 session is in no history"),
            many => eprintln!("session-store: the ends of {many} sessions are in no history"),
        }
    }
}

/// Beyond what services allow: sessions are shown as they are. It writes no data itself.
const MAX_PAYLOAD: usize = 32 << 20;

const NO_REDIS: &str = "no Redis server is named: set REDIS_URL as the service has it, or give --url. Sessions in \
                        memory belong to the process that has them, and cannot be seen from outside";

/// How sessions are sealed and compressed is the same to the tool as to the service.
const AT_REST: [&str; 6] = [
    "SESSION_SEAL_KEY",
    "SESSION_SEAL_KEY_FILE",
    "SESSION_SEAL_ROLLOUT",
    "SESSION_SEAL_AND_ID",
    "SESSION_SEAL_LABELS",
    "SESSION_COMPRESS_ABOVE",
];
/// So is what histories keep of it.
const HISTORY: [&str; 2] = ["SESSION_HISTORY", "SESSION_HISTORY_AGE"];

/// How the keys of sessions are called.
pub(crate) struct Naming {
    /// Whether a key's name leads to its session, as no Express has to find it.
    pub(crate) is_native: bool,
    /// That of this crate's own layout.
    pub(crate) prefix: String,
    /// Whatever they begin with.
    pub(crate) prefixes: Vec<String>,
}

impl Naming {
    fn of(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str, default: &str| {
            let set = lookup(name).and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty());
            set.unwrap_or_else(|| default.to_owned())
        };
        let layout = text("SESSION_LAYOUT", "native");
        let prefix = text("SESSION_PREFIX", RedisStore::DEFAULT_PREFIX);
        let express = text("SESSION_EXPRESS_PREFIX", session_store::ExpressLayout::DEFAULT_PREFIX);
        let prefixes = match layout.as_str() {
            "native" => vec![prefix.clone()],
            "express" => vec![express],
            _ => vec![prefix.clone(), express],
        };
        Self { is_native: layout == "native", prefix, prefixes }
    }

    /// The prefixes in a sentence.
    pub(crate) fn in_words(&self) -> String {
        let quoted: Vec<_> = self.prefixes.iter().map(|prefix| format!("{prefix:?}")).collect();
        quoted.join(" and ")
    }
}

/// A variable, unless a flag takes precedence. What the service needs and this tool does not is not read.
fn look_up(
    connection: &Connection,
    name: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<OsString> {
    let Connection { url, prefix, express_prefix, layout, .. } = connection;
    let layout = layout.map(|layout| layout.name().into()).or_else(|| variable("SESSION_LAYOUT"));
    let is_express = layout.as_deref() == Some(Layout::Express.name().as_ref());
    let flag = match name {
        "REDIS_URL" => url.as_ref(),
        "SESSION_PREFIX" if !is_express => prefix.as_ref(),
        "SESSION_EXPRESS_PREFIX" => express_prefix.as_ref().or(prefix.as_ref().filter(|_| is_express)),
        "SESSION_LAYOUT" => return layout,
        "REDIS_ENABLED" if url.is_some() => return None,
        // The service's patience and load are not the tool's.
        "REDIS_TIMEOUT" | "REDIS_CONNECTIONS" => return None,
        _ if AT_REST.contains(&name) || HISTORY.contains(&name) => None,
        _ if name.starts_with("SESSION_") => return None,
        _ => None,
    };
    flag.map(OsString::from).or_else(|| variable(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection {
            url: None,
            prefix: None,
            express_prefix: None,
            layout: None,
            timeout: 1.0,
            max_scan_rate: None,
        }
    }

    fn read(connection: &Connection, variables: &[(&str, &str)], name: &str) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        };
        look_up(connection, name, variable).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn flags_take_precedence() {
        let variables = [
            ("REDIS_URL", "redis://a"),
            ("REDIS_ENABLED", "false"),
            ("SESSION_PREFIX", "a:"),
            ("SESSION_SECRET", "x"),
            ("REDIS_PASSWORD", "p"),
            ("REDIS_TIMEOUT", "50ms"),
            ("REDIS_WAIT_REPLICAS", "1"),
            ("SESSION_HISTORY", "1"),
        ];
        let unset = connection();
        assert_eq!(read(&unset, &variables, "REDIS_URL").as_deref(), Some("redis://a"));
        assert_eq!(read(&unset, &variables, "REDIS_ENABLED").as_deref(), Some("false"));
        assert_eq!(read(&unset, &variables, "SESSION_PREFIX").as_deref(), Some("a:"));
        for the_services in ["SESSION_SECRET", "REDIS_TIMEOUT"] {
            assert_eq!(read(&unset, &variables, the_services), None);
        }
        for the_same in ["REDIS_WAIT_REPLICAS", "SESSION_HISTORY"] {
            assert_eq!(read(&unset, &variables, the_same).as_deref(), Some("1"));
        }
        let set = Connection { url: Some("redis://b".into()), prefix: Some("b:".into()), ..connection() };
        assert_eq!(read(&set, &variables, "REDIS_URL").as_deref(), Some("redis://b"));
        assert_eq!(read(&set, &variables, "REDIS_ENABLED"), None);
        assert_eq!(read(&set, &variables, "SESSION_PREFIX").as_deref(), Some("b:"));
        assert_eq!(read(&set, &variables, "SESSION_EXPRESS_PREFIX"), None);
        assert_eq!(read(&set, &variables, "REDIS_PASSWORD").as_deref(), Some("p"));
    }

    #[test]
    fn the_prefix_is_that_of_the_layout() {
        let variables = [("SESSION_LAYOUT", "express"), ("SESSION_EXPRESS_PREFIX", "a:")];
        let set = Connection { prefix: Some("b:".into()), ..connection() };
        assert_eq!(read(&set, &variables, "SESSION_EXPRESS_PREFIX").as_deref(), Some("b:"));
        assert_eq!(read(&set, &variables, "SESSION_PREFIX"), None);
        let both = Connection {
            layout: Some(Layout::MoveToNative),
            express_prefix: Some("c:".into()),
            prefix: Some("b:".into()),
            ..connection()
        };
        assert_eq!(read(&both, &variables, "SESSION_EXPRESS_PREFIX").as_deref(), Some("c:"));
        assert_eq!(read(&both, &variables, "SESSION_PREFIX").as_deref(), Some("b:"));
        assert_eq!(read(&both, &variables, "SESSION_LAYOUT").as_deref(), Some("move-to-native"));
    }
}
