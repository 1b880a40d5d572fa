//! Checks whether servers are fit to keep sessions: the answers of [`RedisStore::checkup`] and [`RedisStore::servers`].
//!
//! | subject | a warning | unsafe |
//! |---|---|---|
//! | `reachable` | an answer takes 100 ms or more | there is none |
//! | `info` | the user may not run `INFO` | |
//! | `version` | | older than Redis 6 |
//! | `topology` | a master without a replica in sync, where there should be one | a replica; a node of a cluster, configured as a single server |
//! | `cluster`, `sentinels` | a sentinel is silent, or knows no replica | the cluster is not `ok`; the master is down for a sentinel |
//! | `eviction` | `volatile-…` | `allkeys-…` |
//! | `memory` | 80 % are in use | 95 % |
//! | `persistence` | nothing is written to disk | writing to disk fails |
//! | `clock` | a second off | more than five |
//! | `encryption` | none, to another machine; or any certificate is accepted | |
//! | `login` | no password, to another machine | |
//! | `sessions`, `owners` | | a trial session cannot be kept, or entered for its owner |
//! | `scan` | sessions cannot be scanned | |
//! | `feed`, `history` | | |
//! | `records` | the Express service seems to keep sessions in a form of its own | |

// - `server`: what one server says.
// - `entrance`: what the store knows of how it gets in.
// - `trial`: whether the store may do what it does.
// - `settings`, `health`, `access`: what to think of all that; no server is asked for the judgement.

mod access;
mod entrance;
mod health;
mod server;
mod settings;
mod trial;

use std::fmt;
use std::time::Instant;

use super::RedisStore;
use crate::error::Error;

pub(super) use self::entrance::Entrance;
pub use self::server::ServerInfo;

/// The result of a [`RedisStore::checkup`], which has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Checkup {
    /// Everything that was checked, the good results included.
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// The worst of all verdicts.
    ///
    /// ```no_run
    /// use session_store::checkup::Verdict;
    ///
    /// # async fn example(store: &session_store::RedisStore) {
    /// // Before a deployment goes on.
    /// if store.checkup().await.verdict() == Verdict::Unsafe {
    ///     std::process::exit(1);
    /// }
    /// # }
    /// ```
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Fine)
    }
}

/// One result of a checkup; [`RedisStore::checkup`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Finding {
    /// The subject, a word that stays the same: `eviction`, `memory`, `persistence` …
    pub subject: &'static str,
    /// The server, as `host:port`; `None` for a finding about all of them.
    pub server: Option<String>,
    /// The judgement.
    pub verdict: Verdict,
    /// The finding, and what to do about it; for people, and without secrets.
    pub detail: String,
}

impl Finding {
    fn new(subject: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { subject, server: None, verdict, detail: detail.into() }
    }

    fn of(self, server: &ServerInfo) -> Self {
        Self { server: Some(server.address.clone()), ..self }
    }
}

/// The judgement of a [`Finding`], ordered from good to bad.
///
/// ```
/// use session_store::checkup::Verdict;
///
/// let verdicts = [Verdict::Fine, Verdict::Warning, Verdict::Unknown];
/// assert_eq!(verdicts.into_iter().max(), Some(Verdict::Warning));
/// assert_eq!(Verdict::Fine.to_string(), "ok");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    #[cfg_attr(feature = "json", serde(rename = "ok"))]
    Fine,
    /// Unknown, since the server does not tell.
    Unknown,
    /// Sessions may be lost, or overheard on the network.
    Warning,
    /// Sessions cannot be read or written, or will be lost, or a revocation may miss some.
    Unsafe,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fine => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Unsafe => "unsafe",
        })
    }
}

impl RedisStore {
    /// Asks each server that keeps sessions, the masters of a cluster one after the other, for its `INFO`: for
    /// dashboards, and to measure how long an answer takes.
    ///
    /// A user with an ACL needs `+info`, and `+cluster|nodes` in a cluster.
    ///
    /// ```no_run
    /// # async fn example(store: &session_store::RedisStore) -> Result<(), session_store::Error> {
    /// for server in store.servers().await? {
    ///     println!("{}: {:?} bytes in use", server.address, server.number("used_memory"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a [`SessionStore`](crate::SessionStore), if any of the servers fails to answer.
    pub async fn servers(&self) -> Result<Vec<ServerInfo>, Error> {
        self.ask_servers().await
    }

    /// Checks whether these servers are fit to keep sessions: their version and role, whether they evict
    /// sessions, run out of memory or lose everything at a restart, whether the connection is encrypted, whether
    /// clocks agree, and whether the store has the permissions that it needs.
    ///
    /// To check the permissions, it stores a session under a random key and ends it again; if it is interrupted,
    /// the session ends by itself after ten seconds. This is for operators and deployments, not for frequent
    /// health checks: use [`status`](crate::SessionStore::status) for those, which asks no server.
    ///
    /// A user with an ACL needs `+info` in addition to the store's commands, and `+cluster|nodes` in a cluster;
    /// `+acl|whoami +config|get` tell more, and before Redis 6.2 `+time`. Facts that a server does not tell are
    /// [unknown](Verdict::Unknown), and a failure is a finding too.
    ///
    /// ```no_run
    /// use session_store::checkup::Verdict;
    ///
    /// # async fn example(store: &session_store::RedisStore) {
    /// let checkup = store.checkup().await;
    /// for finding in checkup.findings.iter().filter(|finding| finding.verdict > Verdict::Unknown) {
    ///     eprintln!("{}: {}", finding.subject, finding.detail);
    /// }
    /// # }
    /// ```
    pub async fn checkup(&self) -> Checkup {
        let began = Instant::now();
        let servers = match self.ask_servers().await {
            Ok(servers) => servers,
            Err(Error::Refused { message }) => {
                let detail = format!("the state of the servers is not told: {message}; this takes `+info`");
                let mut findings = vec![Finding::new("info", Verdict::Warning, detail)];
                findings.extend(self.trial().await);
                return Checkup { findings };
            }
            Err(error) => {
                let finding = Finding::new("reachable", Verdict::Unsafe, error.to_string());
                return Checkup { findings: vec![finding] };
            }
        };
        let mut findings = Vec::new();
        for server in &servers {
            findings.push(health::round_trip(server.round_trip).of(server));
            findings.push(settings::version(server).of(server));
            findings.push(health::role(server, self.connections.topology()).of(server));
            findings.push(settings::eviction(server).of(server));
            findings.push(health::memory(server).of(server));
            let snapshots = self.snapshots(server).await;
            findings.push(settings::persistence(server, snapshots).of(server));
            findings.push(health::clock(server.clock_ahead_millis).of(server));
        }
        findings.extend(self.cluster_state(&servers).await);
        let sentinels = self.connections.sentinels().await;
        findings.extend(health::sentinels(&sentinels));
        findings.push(access::encryption(&self.entrance, &servers));
        findings.push(access::login(&self.entrance, &servers, self.whoami(&servers).await.as_deref()));
        findings.extend(self.trial().await);
        tracing::debug!("the servers were checked in {:?}", began.elapsed());
        Checkup { findings }
    }
}
