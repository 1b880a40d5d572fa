//! The nodes of a Redis Cluster, each supervised by itself.
//!
//! Not the client library's `ClusterConnection`: that never gives up a node that froze, so each of
//! the node's requests waits for its whole timeout, also when a replica has long taken over; and
//! while it makes its map anew, the requests to all nodes wait. A session has one slot, so what a
//! store needs of a cluster is little: the map, redirections, and a supervisor for each node.
//!
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>

mod map;
mod refresh;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::map::{Map, Member};
use super::dialer::{Address, Dialer};
use super::health::{Journal, Status};
use super::node::Node;
use super::standalone::Standalone;
use super::{Connection, Durability, Failure, Repeat, Settings};
use crate::store::background::Background;
use crate::store::redis::complaint::Complaint;
use crate::store::redis::failure::Redirection;
use crate::store::redis::name::Slot;
use crate::store::redis::target::Host;

/// A command that needs two keys waits for both to arrive during a migration.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// It is not tried again so late that the answer might not come in time: the outcome would be unknown,
/// where `TRYAGAIN` says that there was none.
const LAST_TRY: Duration = Duration::from_millis(50);
/// Nodes that send a command round in circles.
const MOST_MOVES: u32 = 5;

pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    seeds: Vec<Host>,
    dialer: Dialer,
    settings: Settings,
    journal: Arc<Journal>,
    map: ArcSwap<Map>,
    /// Whoever adds members to the map holds it.
    joining: Mutex<()>,
    /// Makes the map anew.
    background: Background,
    /// Why that failed, as the log has it already.
    complaint: Complaint,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Host>, dialer: Dialer, settings: Settings) -> Self {
        Self(Arc::new_cyclic(|shared: &Weak<Shared>| {
            let listener = Weak::clone(shared);
            let refresh = move || {
                if let Some(shared) = listener.upgrade() {
                    shared.refresh();
                }
            };
            Shared {
                seeds,
                dialer,
                background: Background::new(settings.home.clone()),
                settings,
                journal: Arc::new(Journal::with_listener(refresh)),
                map: ArcSwap::from_pointee(Map::empty()),
                joining: Mutex::new(()),
                complaint: Complaint::default(),
            }
        }))
    }

    /// Connects to all masters, or fails if there is none to connect to.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        let limit = self.0.settings.timeout;
        let ranges = match timeout(limit, self.0.ask_seeds()).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::TimedOut(limit)),
        };
        self.0.adopt(ranges.map_err(|failure| failure.at(&self.0))?).await;
        let map = self.0.map.load();
        if !map.members().iter().any(|member| member.node.status().connected) {
            return Err(Failure::NotConnected(self.0.journal.last_error().unwrap_or_default()));
        }
        if !map.status().connected {
            self.0.refresh();
        }
        Ok(())
    }

    /// Connects in the background.
    pub(super) fn start(&self) {
        self.0.refresh();
    }

    pub(super) async fn run<F>(
        &self,
        slot: Slot,
        durability: Durability,
        repeat: Repeat<'_>,
        operation: impl Fn(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let deadline = Instant::now() + self.0.settings.limit(durability);
        let owner = self.0.owner(slot)?;
        let result = owner.node.run(durability, repeat, &operation).await;
        match self.0.redirection(&result, &owner.host) {
            None => result,
            // In a box, since it is seldom needed and would make the future of every operation larger.
            Some(redirection) => {
                Box::pin(self.0.follow(redirection, slot, durability, repeat, operation, deadline)).await
            }
        }
    }

    /// Runs an operation on this node, whatever slots it has.
    pub(super) async fn run_at<F>(
        &self,
        host: &Host,
        operation: impl Fn(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let deadline = Instant::now() + self.0.settings.limit(Durability::Ordinary);
        let member = self.0.admit(host.clone(), None, deadline).await?;
        let result = member.node.run(Durability::Ordinary, Repeat::Read, operation).await;
        if result.as_ref().is_err_and(Failure::doubts_the_node) {
            self.0.refresh();
        }
        result
    }

    pub(super) fn nodes(&self) -> Vec<Host> {
        let map = self.0.map.load();
        if map.members().is_empty() {
            self.0.refresh();
        }
        map.members().iter().map(|member| member.host.clone()).collect()
    }

    pub(super) fn holders(&self) -> Vec<(Host, bool)> {
        self.0.map.load().holders()
    }

    pub(super) fn arrivals(&self) -> u64 {
        self.0.map.load().arrivals()
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(super) fn status(&self) -> Status {
        self.0.map.load().status()
    }
}

impl Shared {
    fn owner(self: &Arc<Self>, slot: Slot) -> Result<Arc<Member>, Failure> {
        let owner = self.map.load().owner(slot).cloned();
        owner.ok_or_else(|| {
            self.refresh();
            let unassigned = || format!("no node of the cluster serves slot {slot}");
            let not_found =
                if self.map.load().members().is_empty() { self.journal.last_error() } else { None };
            Failure::NotConnected(not_found.unwrap_or_else(unassigned))
        })
    }

    /// Where to go after this result, if anywhere. What casts doubt on the map has it made anew.
    fn redirection(self: &Arc<Self>, result: &Result<Value, Failure>, from: &Host) -> Option<Redirection> {
        let failure = result.as_ref().err()?;
        let redirection = failure.redirection(from);
        if matches!(redirection, Some(Redirection::Moved(_))) || failure.doubts_the_node() {
            self.refresh();
        }
        redirection
    }

    async fn follow<F>(
        self: &Arc<Self>,
        mut redirection: Redirection,
        slot: Slot,
        durability: Durability,
        repeat: Repeat<'_>,
        operation: impl Fn(Connection) -> F,
        deadline: Instant,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let mut moves = 0;
        loop {
            let asking = matches!(redirection, Redirection::Ask(_));
            let member = match redirection {
                Redirection::Moved(host) => {
                    moves += 1;
                    self.admit(host, Some(slot), deadline).await?
                }
                Redirection::Ask(host) => self.admit(host, None, deadline).await?,
                Redirection::TryAgain => {
                    sleep(TRY_AGAIN_AFTER).await;
                    self.owner(slot)?
                }
            };
            let operation = |connection| operation(Connection { asking, ..connection });
            let attempt = member.node.run(durability, repeat, operation);
            let Ok(result) = timeout_at(deadline, attempt).await else {
                return Err(Failure::TimedOut(self.settings.limit(durability)));
            };
            redirection = match self.redirection(&result, &member.host) {
                None => return result,
                Some(Redirection::TryAgain) if Instant::now() + LAST_TRY >= deadline => return result,
                Some(Redirection::Moved(_)) if moves >= MOST_MOVES => {
                    let words =
                        format!("the nodes of the cluster do not agree on which of them serves slot {slot}");
                    return Err(Failure::NotConnected(words));
                }
                Some(next) => next,
            };
        }
    }

    /// The node of this address, which may be new; from now on the owner of `slot`, if there is one.
    async fn admit(
        self: &Arc<Self>,
        host: Host,
        slot: Option<Slot>,
        deadline: Instant,
    ) -> Result<Arc<Member>, Failure> {
        if let Some(member) = self.assign(&host, slot) {
            return Ok(member);
        }
        let (shared, newcomer) = (Arc::clone(self), host.clone());
        // It goes on when this caller's time is over; or each would try, and wait, in vain.
        let home = self.settings.home.runtime();
        let joined = home.unwrap_or_else(Handle::current).spawn(async move {
            let _alone = shared.joining.lock().await;
            if let Some(member) = shared.assign(&newcomer, slot) {
                return member;
            }
            let member = shared.join(newcomer).await;
            shared.map.rcu(|map| map.with(&member, slot));
            member
        });
        match timeout_at(deadline, joined).await {
            Ok(Ok(member)) => Ok(member),
            _ => Err(Failure::NotConnected(format!("{host} did not let us in yet"))),
        }
    }

    /// The member of this address, if there is one: from now on the owner of `slot`.
    fn assign(&self, host: &Host, slot: Option<Slot>) -> Option<Arc<Member>> {
        let map = self.map.load();
        let member = Arc::clone(map.member(host)?);
        if let Some(slot) = slot
            && map.owner(slot).is_none_or(|owner| owner.host != *host)
        {
            self.map.rcu(|map| map.with(&member, Some(slot)));
        }
        Some(member)
    }

    /// A new member: connected, or else connecting.
    async fn join(&self, host: Host) -> Arc<Member> {
        let connector = Standalone::new(Address::Host(host.clone()), self.dialer.clone());
        let node = Node::new(&(Arc::new(connector) as _), &self.settings, &self.journal);
        if let Err(failure) = node.connect().await {
            let reason = failure.into_reason();
            tracing::warn!("cannot connect to a node of the Redis Cluster yet: {reason}");
            self.journal.failed(reason);
            node.start();
        }
        Arc::new(Member { host, node })
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Redis Cluster of")?;
        let mut separator = ' ';
        for seed in &self.seeds {
            write!(f, "{separator}{seed}")?;
            separator = ',';
        }
        Ok(())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("address", &format_args!("{}", self.0))
            .field("timeout", &self.0.settings.timeout)
            .field("connected", &self.0.map.load().status().connected)
            .finish()
    }
}

#[cfg(test)]
mod tests;
