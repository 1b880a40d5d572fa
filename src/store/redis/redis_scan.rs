//! Going through all sessions: by `SCAN`, on every server that has some.
//!
//! - [`step`]: one page of one server.
//! - [`reading`]: what the records say of themselves.
//! - [`pass`]: which nodes of a cluster to scan, and which again; and why nothing is missed.
//! - [`topology`]: who has which slot of a cluster. [`slots`]: sets of slots.
//! - [`cursor`]: how far one got, as a text.
//! - [`usage`]: how much there is, by a sample.

mod cursor;
mod pass;
pub(super) mod reading;
mod slots;
mod step;
mod topology;
mod usage;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use self::cursor::{NodeCursor, ScanCursor};
use self::pass::Pass;
use self::step::NodePage;
pub(super) use self::step::Sought;
use self::topology::Node;
use super::RedisStore;
use super::failure::{Effect, Failure};
use super::layout::Keyspace;
use super::redis_owner_index::KEYS as INDEXES;
use super::target::Host;
use crate::error::Error;
use crate::store::scan::{Cursor, OwnersPage, Page, Scan, Usage};

/// What the cursor of a page of owners begins with: that of a page of sessions is the rest.
const OWNERS: &str = "o:";
/// Nodes hear of a move from each other, which takes them a moment.
const BEFORE_FURTHER_PASSES: Duration = Duration::from_millis(300);
/// A node may have heard that a master is none any more, and not yet which one took over: so often it is
/// looked whether slots have an owner, before they count as unassigned.
const LOOKS_FOR_OWNERS: u32 = 10;

/// Where the masters of a cluster were when it was last looked at, by their ids. A cursor has the ids
/// alone: it may come from anywhere, and must not lead to a server that nobody else named.
#[derive(Debug, Default)]
pub(super) struct Masters(ArcSwap<HashMap<String, Host>>);

/// What a page has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whom to ask for the values.
    pub(super) host: Option<Host>,
    pub(super) names: Vec<Vec<u8>>,
    /// About which share is behind.
    pub(super) progress: f64,
    /// The text of the next page's cursor; `None` at the end.
    pub(super) next: Option<String>,
    is_last: bool,
}

#[async_trait]
impl Scan for RedisStore {
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        let sought = |keyspace: &dyn Keyspace| Sought { names: keyspace.glob(), kind: "string" };
        let (keyspace, found) = self.look_through(cursor.map(Cursor::as_str), size, sought).await?;
        let keys = found.names.iter().filter_map(|name| keyspace.named(name)).collect();
        let (sessions, unreadable) = self.read(found.host.as_ref(), keyspace, keys).await?;
        Ok(Page { sessions, unreadable, next: found.next.map(Cursor::new), progress: found.progress })
    }

    async fn usage(&self) -> Result<Usage, Error> {
        self.sampled().await
    }

    async fn owners_page(&self, cursor: Option<&Cursor>, size: usize) -> Result<OwnersPage, Error> {
        let at = cursor.map(|cursor| cursor.after(OWNERS)).transpose()?;
        let sought = |keyspace: &dyn Keyspace| Sought { names: keyspace.owners_glob(INDEXES), kind: "zset" };
        let (keyspace, found) = self.look_through(at, size, sought).await?;
        Ok(OwnersPage {
            owners: found.names.iter().filter_map(|name| keyspace.owner_named(INDEXES, name)).collect(),
            next: found.next.map(|next| Cursor::new(format!("{OWNERS}{next}"))),
            progress: found.progress,
        })
    }
}

impl RedisStore {
    /// A page of what is sought in each keyspace, and in which of them this one is.
    pub(super) async fn look_through(
        &self,
        cursor: Option<&str>,
        size: usize,
        sought: impl FnOnce(&dyn Keyspace) -> Sought,
    ) -> Result<(&dyn Keyspace, Found), Error> {
        let size = size.clamp(1, Page::MAX_SIZE);
        let mut at = match cursor {
            None => self.begin(self.keyspaces[0].letter()).await?,
            Some(cursor) => ScanCursor::parse(cursor).ok_or_else(Cursor::is_strange)?,
        };
        if at.pass.is_none() != self.connections.are_one_server() {
            return Err(Cursor::is_strange());
        }
        let keyspace = self.keyspace(at.part).ok_or_else(Cursor::is_strange)?;
        let sought = sought(keyspace);
        let found = match &mut at.pass {
            Some(pass) => self.page_in_cluster(pass, &mut at.node, &sought, size).await?,
            None => {
                let page = self.step(None, &at.node, &sought, size).await.map_err(into_error)?;
                at.node = page.next;
                let is_last = at.node.is_start();
                Found { names: page.names, progress: page.share, is_last, ..Found::default() }
            }
        };
        let progress = self.progress(at.part, found.progress);
        let next = if found.is_last { self.begin_after(at.part).await? } else { Some(at) };
        let progress = if next.is_none() { 1.0 } else { progress };
        Ok((keyspace, Found { progress, next: next.map(|next| next.to_string()), ..found }))
    }

    /// The keyspace that a cursor calls so.
    fn keyspace(&self, letter: char) -> Option<&dyn Keyspace> {
        self.keyspaces.iter().find(|keyspace| keyspace.letter() == letter).map(|keyspace| &**keyspace)
    }

    async fn begin(&self, part: char) -> Result<ScanCursor, Error> {
        let pass = if self.connections.are_one_server() {
            None
        } else {
            let unassigned = || Error::unavailable("no node of the Redis Cluster has a slot", None);
            Some(Pass::first(&self.look().await?).ok_or_else(unassigned)?)
        };
        Ok(ScanCursor { part, node: NodeCursor::default(), pass })
    }

    /// The keyspace after this one, if there is one.
    async fn begin_after(&self, part: char) -> Result<Option<ScanCursor>, Error> {
        match self.keyspaces.iter().skip_while(|it| it.letter() != part).nth(1) {
            Some(next) => self.begin(next.letter()).await.map(Some),
            None => Ok(None),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are two parts at most")]
    fn progress(&self, part: char, of_part: f64) -> f64 {
        let before = self.keyspaces.iter().take_while(|it| it.letter() != part).count();
        (before as f64 + of_part) / self.keyspaces.len() as f64
    }

    /// One page of the present node; of the next one if that is no master any more.
    async fn page_in_cluster(
        &self,
        pass: &mut Pass,
        at: &mut NodeCursor,
        sought: &Sought,
        size: usize,
    ) -> Result<Found, Error> {
        loop {
            let known = self.host_of(&pass.node);
            let answer = match &known {
                Some(host) => self.page_of_node(host, pass, at, sought, size).await,
                None => Ok(None),
            };
            if let Ok(Some((page, is_done))) = answer {
                *at = page.next;
                let progress = pass.progress(&page.nodes, page.share);
                let is_last = is_done && !self.go_on(pass, at, &page.nodes).await?;
                return Ok(Found { host: known, names: page.names, progress, is_last, next: None });
            }
            // What is known of the masters may be from long ago.
            let looked = self.look().await;
            match (answer, self.host_of(&pass.node)) {
                (Err(failure), now) if looked.is_err() || now == known => return Err(into_error(failure)),
                (_, now) if looked.is_ok() && now.is_some() && now != known => {}
                // Another one has taken over from it.
                _ if !self.go_on(pass, at, &looked?).await? => {
                    return Ok(Found { is_last: true, ..Found::default() });
                }
                _ => {}
            }
        }
    }

    /// A page of the node at `host`, and whether that is its last one; `None` if it is not that master.
    async fn page_of_node(
        &self,
        host: &Host,
        pass: &mut Pass,
        at: &NodeCursor,
        sought: &Sought,
        size: usize,
    ) -> Result<Option<(NodePage, bool)>, Failure> {
        if pass.kept.is_none() {
            return self.page_of_open_slot(host, pass).await;
        }
        let mut page = self.step(Some(host), at, sought, size).await?;
        let Some(own) = topology::asked(&page.nodes, &pass.node) else { return Ok(None) };
        pass.observe(own, page.is_first);
        if page.next.is_start() {
            page.nodes = self.nodes_as_seen_by(host).await?;
            let Some(own) = topology::asked(&page.nodes, &pass.node) else { return Ok(None) };
            pass.observe(own, false);
        }
        if !page.next.is_start() && !pass.has_kept_nothing() {
            return Ok(Some((page, false)));
        }
        pass.finish_iteration();
        page.next = NodeCursor::default();
        let own = topology::asked(&page.nodes, &pass.node);
        let is_done = own.and_then(|own| pass.open_slot(own)).is_none();
        Ok(Some((page, is_done)))
    }

    /// The same of a slot that migrates from there, wherever its keys are.
    async fn page_of_open_slot(
        &self,
        host: &Host,
        pass: &mut Pass,
    ) -> Result<Option<(NodePage, bool)>, Failure> {
        let nodes = self.nodes_as_seen_by(host).await?;
        let Some(own) = topology::asked(&nodes, &pass.node) else { return Ok(None) };
        let mut page = NodePage { share: 1.0, ..NodePage::default() };
        let Some(way) = pass.open_slot(own) else { return Ok(Some((NodePage { nodes, ..page }, true))) };
        if self.host_of(&way.1).is_none() {
            self.find_masters().await?;
        }
        // To a node that is none, nobody can follow it.
        let Some(target) = self.host_of(&way.1) else { return Ok(Some((NodePage { nodes, ..page }, true))) };
        let (before, mut found) = self.keys_in_slot(host, way.0).await?;
        let (meanwhile, of_target) = self.keys_in_slot(&target, way.0).await?;
        let (after, back_again) = self.keys_in_slot(host, way.0).await?;
        let source = topology::asked(&before, &pass.node).filter(|_| !after.is_empty());
        let is_seen = pass.finish_open_slot(&way, source, topology::asked(&meanwhile, &way.1));
        found.extend(of_target.into_iter().chain(back_again));
        found.sort_unstable();
        found.dedup();
        page.names = found;
        let is_done = !is_seen || pass.open_slot(own).is_none();
        Ok(Some((NodePage { nodes, ..page }, is_done)))
    }

    /// Goes on to the next node, if there is one.
    async fn go_on(&self, pass: &mut Pass, at: &mut NodeCursor, nodes: &[Node]) -> Result<bool, Error> {
        *at = NodeCursor::default();
        if pass.next_node(nodes) {
            return Ok(true);
        }
        if pass.unseen.is_empty() {
            return Ok(false);
        }
        for nth in 0..LOOKS_FOR_OWNERS {
            if nth > 0 || pass.number > 1 {
                tokio::time::sleep(BEFORE_FURTHER_PASSES).await;
            }
            if pass.next_pass(&self.look().await?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the master of this id is, as far as is known.
    fn host_of(&self, id: &str) -> Option<Host> {
        self.masters.0.load().get(id).cloned()
    }

    /// Where the masters of the cluster are.
    pub(super) async fn masters(&self) -> Result<Vec<Host>, Error> {
        self.look().await?;
        Ok(self.masters.0.load().values().cloned().collect())
    }

    /// The cluster as a node sees it that is in touch with most of the others.
    async fn look(&self) -> Result<Vec<Node>, Error> {
        self.find_masters().await.map_err(into_error)
    }

    async fn find_masters(&self) -> Result<Vec<Node>, Failure> {
        let mut failure = Failure::NotConnected("no node of the cluster is known yet".to_owned());
        for host in self.connections.nodes() {
            match self.nodes_as_seen_by(&host).await {
                Ok(nodes) => {
                    self.masters.0.store(Arc::new(topology::hosts(&nodes, &host)));
                    return Ok(nodes);
                }
                Err(reason) => failure = reason,
            }
        }
        Err(failure)
    }
}

fn into_error(failure: Failure) -> Error {
    failure.into_error(Effect::Read)
}

/// What a cursor's text says, as a text again.
#[cfg(all(fuzzing, feature = "express"))]
pub(crate) fn reread_cursor(text: &str) -> Option<String> {
    ScanCursor::parse(text).map(|cursor| cursor.to_string())
}
