//! The map of a cluster, made anew whenever there is doubt about it.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::dialer::Address;
use super::super::{Connection, Durability, Failure, Repeat, poll};
use super::Shared;
use super::map::{self, Range};
use crate::random::{self, jittered};
use crate::store::background::{Backoff, Job, Next};

/// So many nodes are asked for the map: one that was cut off from the others is outvoted.
const ASKED: usize = 3;
/// The map is asked for again after this long, and then ever less often, while a node is missing.
pub(super) const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(50), longest: Duration::from_millis(250) };

impl Shared {
    /// Makes `ranges` the map, connected to its new masters first.
    pub(super) async fn adopt(self: &Arc<Self>, ranges: Vec<Range>) {
        if self.map.load().agrees_with(&ranges) {
            return;
        }
        let _alone = self.joining.lock().await;
        let present = self.map.load_full();
        // A node without slots is kept as long as it's connected: it may be about to get some.
        let mut members: Vec<_> = present
            .members()
            .iter()
            .filter(|member| {
                member.node.status().connected || ranges.iter().any(|range| range.master == member.host)
            })
            .cloned()
            .collect();
        let mut hosts: Vec<_> = ranges.iter().map(|range| &range.master).collect();
        hosts.retain(|host| present.member(host).is_none());
        hosts.sort_by_key(|host| (&host.name, host.port));
        hosts.dedup();
        if !hosts.is_empty() && !present.members().is_empty() {
            self.journal.reconnected();
        }
        let mut joining = JoinSet::new();
        for host in hosts {
            let (shared, host) = (Arc::clone(self), host.clone());
            joining.spawn(async move { shared.join(host).await });
        }
        while let Some(joined) = joining.join_next().await {
            members.extend(joined.ok());
        }
        self.map.store(Arc::new(self.map.load().replaced_by(&ranges, members)));
        tracing::info!("the slots of the Redis Cluster have new masters");
    }

    /// Makes the map anew in the background, until each slot has a master that is connected.
    pub(super) fn refresh(self: &Arc<Self>) {
        self.background.ask(self, Duration::ZERO);
    }

    /// Logs each new reason once, until the map is whole again.
    fn complain(&self, reason: String) {
        if self.complaint.is_new(&reason) {
            tracing::warn!("cannot find the nodes of the Redis Cluster yet: {reason}");
        }
        self.journal.failed(reason);
    }

    /// Asks nodes that are connected, or else the seeds.
    async fn ask(&self) -> Result<Vec<Range>, Failure> {
        let map = self.map.load_full();
        let connected: Vec<_> =
            map.members().iter().filter(|member| member.node.status().connected).collect();
        let [start] = random::bytes();
        let chosen = connected.iter().cycle().skip(start.into()).take(ASKED.min(connected.len()));
        let questions = chosen.map(|member| {
            let member = Arc::clone(member);
            async move {
                Ok(map::vote(
                    member.node.run(Durability::Ordinary, Repeat::Read, describe).await?,
                    &member.host,
                )?)
            }
        });
        match poll::latest(self.settings.timeout, questions).await {
            Ok(vote) => Ok(vote.opinion),
            Err(_) => timeout(self.settings.timeout, self.ask_seeds())
                .await
                .unwrap_or(Err(Failure::TimedOut(self.settings.timeout))),
        }
    }

    pub(super) async fn ask_seeds(&self) -> Result<Vec<Range>, Failure> {
        let questions = self.seeds.iter().map(|seed| {
            let (dialer, seed) = (self.dialer.clone(), seed.clone());
            async move {
                let link = dialer.dial_briefly(&Address::Host(seed.clone())).await?;
                Ok(map::vote(describe(Connection::new(link)).await?, &seed)?)
            }
        });
        Ok(poll::latest(self.settings.timeout, questions).await?.opinion)
    }
}

/// Asks a node for its map and how recent that is.
async fn describe(mut connection: Connection) -> Result<Value, Failure> {
    let mut answers = Vec::new();
    for question in ["SLOTS", "INFO"] {
        answers.push(connection.send(redis::cmd("CLUSTER").arg(question)).await?);
    }
    Ok(Value::Array(answers))
}

impl Job for Shared {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        match self.ask().await {
            Ok(ranges) => self.adopt(ranges).await,
            Err(failure) => self.complain(failure.at(self).into_reason()),
        }
        if self.is_needed() {
            return Next::Retry(BACKOFF.after(waited));
        }
        self.complaint.settle();
        // A migration redirects many operations at once, and one refresh is enough.
        sleep(jittered(BACKOFF.after(waited))).await;
        Next::Done(Duration::ZERO)
    }

    fn is_needed(&self) -> bool {
        !self.map.load().status().connected
    }
}
