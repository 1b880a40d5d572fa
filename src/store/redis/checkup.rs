//! Whether servers are fit to keep sessions: what [`RedisStore::checkup`] and [`RedisStore::servers`] answer.
//!
//! | subject | a warning | unsafe |
//! |---|---|---|
//! | `reachable` | an answer takes 100 ms or more | there is none |
//! | `info` | the user may not ask what the servers are like | |
//! | `version` | | older than Redis 6 |
//! | `topology` | a master without a replica in step, where there should be one | a replica; a node of a cluster, named as if it were alone |
//! | `cluster`, `sentinels` | a sentinel is silent, or knows no replica | the cluster is not `ok`; the master is down for a sentinel |
//! | `eviction` | `volatile-…` | `allkeys-…` |
//! | `memory` | 80 % are in use | 95 % |
//! | `persistence` | nothing is written to disk | what should be cannot be |
//! | `clock` | a second off | more than five |
//! | `encryption` | none, and another machine; or any certificate is accepted | |
//! | `login` | no password, and another machine | |
//! | `sessions`, `owners` | | a session of nobody cannot be kept, or entered for its owner |
//! | `scan` | sessions cannot be gone through | |
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

/// What a [`RedisStore::checkup`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Checkup {
    /// Everything that was looked at, also where all is well.
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// The worst of all verdicts.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Fine)
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Finding {
    /// What it is about, in a word that stays the same: `eviction`, `memory`, `persistence` …
    pub subject: &'static str,
    /// The server that it is about, as `host:port`; `None` for what is about all of them.
    pub server: Option<String>,
    /// What to think of it.
    pub verdict: Verdict,
    /// What was found, and what to do about it; for people, and without secrets.
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

/// What to think of a [`Finding`]; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    #[cfg_attr(feature = "json", serde(rename = "ok"))]
    Fine,
    /// The server does not tell.
    Unknown,
    /// Sessions may be lost, or somebody may listen.
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
    /// Asks each server that sessions are on, masters of a cluster one after the other, for what it says of
    /// itself: for dashboards, and to measure how long an answer takes.
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

    /// Looks at whether these servers are fit to keep sessions: their version and role, whether they evict
    /// sessions, run out of memory or forget all at a restart, whether the connection is encrypted, whether
    /// clocks agree, and whether the store may do what it has to.
    ///
    /// To find out the latter, it stores a session under a random key and ends it again; if it is cut short,
    /// that ends by itself after ten seconds. It is for operators and deployments, and not for each second's
    /// health check: that is [`status`](crate::SessionStore::status), which asks nobody.
    ///
    /// A user with an ACL needs `+info` besides what the store needs, and `+cluster|nodes` in a cluster;
    /// `+acl|whoami +config|get` tell more, and before Redis 6.2 `+time`. What a server does not tell is
    /// [unknown](Verdict::Unknown), and what fails is a finding too.
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
                let detail = format!("what the servers are like is not told: {message}; this takes `+info`");
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
        tracing::debug!("the servers were looked at in {:?}", began.elapsed());
        Checkup { findings }
    }
}
