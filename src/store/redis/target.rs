//! What a store connects to: servers, credentials and TLS, whoever named them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{BoxError, Error};
use crate::store::status::Topology;

/// Where Redis is, and how to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) servers: Servers,
    /// Other than 0 only where the topology has more than one: not in a cluster.
    pub(crate) database: u32,
    pub(crate) login: Login,
    /// Those of the sentinels, which have users of their own.
    pub(crate) sentinel_login: Login,
    /// `None` is plaintext.
    pub(crate) tls: Option<Tls>,
}

/// The topology, and the addresses to find it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    One(Host),
    Socket(PathBuf),
    /// Some nodes of the cluster; it tells about the others itself.
    Cluster(Vec<Host>),
    Sentinel {
        sentinels: Vec<Host>,
        /// What the sentinels call the master.
        master: String,
    },
}

impl Servers {
    pub(crate) fn topology(&self) -> Topology {
        match self {
            Self::One(_) | Self::Socket(_) => Topology::Standalone,
            Self::Cluster(_) => Topology::Cluster,
            Self::Sentinel { .. } => Topology::Sentinel,
        }
    }
}

/// A host and its port; displays as `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

/// A Redis user and its password. `Debug` shows neither.
///
/// ```
/// use session_store::Credentials;
///
/// let by_acl = Credentials::user("sessions", "correct horse");
/// let by_requirepass = Credentials::password("correct horse");
/// assert_eq!(format!("{by_acl:?}"), "Credentials(..)");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl Credentials {
    /// A user of Redis' [access control list](https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)
    /// and its password; see the example of [the type](Self).
    pub fn user(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: Some(username.into()), password: Some(password.into()) }
    }

    /// The password of the default user (`requirepass`); see the example of [the type](Self).
    pub fn password(password: impl Into<String>) -> Self {
        Self { username: None, password: Some(password.into()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Where credentials come from.
#[derive(Clone)]
pub(crate) enum Login {
    Fixed(Credentials),
    /// Asked before each attempt to connect, so that a changed password needs no restart.
    Provider(Arc<dyn Fn() -> Result<Credentials, BoxError> + Send + Sync>),
}

impl Login {
    pub(crate) fn now(&self) -> Result<Credentials, BoxError> {
        match self {
            Self::Fixed(credentials) => Ok(credentials.clone()),
            Self::Provider(provide) => provide(),
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        Self::Fixed(Credentials::default())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// How to trust the servers, and to be trusted by them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// Whom to trust instead of the authorities that the system trusts.
    pub(crate) authorities: Option<Pem>,
    pub(crate) client: Option<ClientCertificate>,
    /// Accept any certificate: encrypted, but not authenticated.
    pub(crate) insecure: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: Pem,
    pub(crate) key: Pem,
}

/// PEM text, or the file that it is read from at each attempt to connect: certificates are renewed
/// while a service runs.
#[derive(Clone)]
pub(crate) enum Pem {
    Text(Vec<u8>),
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Target {
    /// # Errors
    ///
    /// [`Error::Config`], which never quotes the URL: it may hold a password.
    pub(crate) fn from_url(url: &str) -> Result<Self, Error> {
        super::url::parse(url)
    }
}
