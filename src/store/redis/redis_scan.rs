//! Going through all sessions: by `SCAN`, on every server that has some.
//!
//! - [`step`]: one `SCAN` on one server.
//! - [`reading`]: what the records say of themselves.
//! - [`view`]: who has which slot of a cluster, and which are on their way.
//! - [`passes`]: which nodes to scan, and which again.
//! - [`tour`]: how far one got, as the text of a cursor.
//! - [`usage`]: how much there is, by a sample.

mod passes;
pub(super) mod reading;
mod step;
mod tour;
mod usage;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use self::step::{Spot, Step};
use self::tour::{Round, Tour};
use self::view::View;
use super::RedisStore;
use super::failure::{Effect, Failure};
use super::layout::Keyspace;
use super::target::Host;
use crate::error::Error;
use crate::store::scan::{Cursor, Page, Scan, Usage};

/// Where the masters of a cluster were when it was last looked at, by their ids. A cursor has the ids
/// alone: it may come from anywhere, and must not lead to a server that nobody else named.
#[derive(Debug, Default)]
pub(super) struct Masters(ArcSwap<HashMap<String, Host>>);

#[async_trait]
impl Scan for RedisStore {
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        let size = size.clamp(1, Page::MAX_SIZE);
        let mut tour = match cursor {
            None => self.set_out(self.keyspaces[0].letter()).await?,
            Some(cursor) => Tour::parse(cursor.as_str()).ok_or_else(Cursor::is_strange)?,
        };
        let one_server = matches!(tour, Tour::One { .. });
        if one_server != self.connections.are_one_server() {
            return Err(Cursor::is_strange());
        }
        let keyspace = self.keyspace(tour.part()).ok_or_else(Cursor::is_strange)?;
        let (host, step) = match &mut tour {
            Tour::One { spot, .. } => {
                let step = self.step(None, spot, keyspace, size).await.map_err(into_error)?;
                *spot = step.next.clone();
                (None, step)
            }
            Tour::Cluster { round, spot, .. } => self.step_in_cluster(round, spot, keyspace, size).await?,
        };
        let (sessions, unreadable) = self.read(host.as_ref(), keyspace, step.keys).await?;
        let progress = self.progress(&tour, step.share);
        let next = self.go_on(tour).await?.map(|tour| Cursor::new(tour.to_string()));
        let progress = if next.is_none() { 1.0 } else { progress };
        Ok(Page { sessions, unreadable, next, progress })
    }

    async fn usage(&self) -> Result<Usage, Error> {
        self.sampled().await
    }
}

impl RedisStore {
    /// The keyspace that a cursor calls so.
    fn keyspace(&self, letter: char) -> Option<&dyn Keyspace> {
        self.keyspaces.iter().find(|keyspace| keyspace.letter() == letter).map(|keyspace| &**keyspace)
    }

    async fn set_out(&self, part: char) -> Result<Tour, Error> {
        let spot = Spot::default();
        if self.connections.are_one_server() {
            return Ok(Tour::One { part, spot });
        }
        let round = Round::first(self.look().await?);
        Ok(Tour::Cluster { part, round, spot })
    }

    /// One page of the first node in the queue; of the next one if that is no master any more.
    async fn step_in_cluster(
        &self,
        round: &mut Round,
        spot: &mut Spot,
        keyspace: &dyn Keyspace,
        size: usize,
    ) -> Result<(Option<Host>, Step), Error> {
        // What is known of the masters may be from long ago, and is put right once.
        let mut fresh = false;
        while let Some(id) = round.present() {
            let known = self.host_of(id);
            let mut failure = None;
            if let Some(host) = &known {
                match self.step(Some(host), spot, keyspace, size).await {
                    Ok(step) => {
                        *spot = step.next.clone();
                        return Ok((known, step));
                    }
                    Err(reason) => failure = Some(reason),
                }
            }
            if !fresh {
                match self.look().await {
                    Ok(_) => fresh = true,
                    Err(error) if failure.is_none() => return Err(error),
                    Err(_) => {}
                }
            }
            match (failure, self.host_of(id)) {
                // It is where it was, and does not answer.
                (Some(failure), present) if present == known => return Err(into_error(failure)),
                // It is somewhere else.
                (_, Some(_)) => {}
                // Another one has taken over from it.
                (_, None) => {
                    round.skip();
                    *spot = Spot::default();
                }
            }
        }
        Ok((None, Step::default()))
    }

    /// Where the master of this id is, as far as is known.
    fn host_of(&self, id: &str) -> Option<Host> {
        self.masters.0.load().get(id).cloned()
    }

    /// What comes after a page; nothing at the end.
    async fn go_on(&self, tour: Tour) -> Result<Option<Tour>, Error> {
        let part = tour.part();
        match tour {
            Tour::One { ref spot, .. } if !spot.is_start() => return Ok(Some(tour)),
            Tour::One { .. } => {}
            Tour::Cluster { part, mut round, spot } => {
                if spot.is_start() {
                    round.finish_node();
                }
                if round.present().is_some() || round.next(self.look().await?)? {
                    return Ok(Some(Tour::Cluster { part, round, spot }));
                }
            }
        }
        let mut rest = self.keyspaces.iter().skip_while(|it| it.letter() != part).skip(1);
        match rest.next() {
            Some(next) => self.set_out(next.letter()).await.map(Some),
            None => Ok(None),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are two parts at most")]
    fn progress(&self, tour: &Tour, share: f64) -> f64 {
        let before = self.keyspaces.iter().take_while(|it| it.letter() != tour.part()).count();
        let of_part = match tour {
            Tour::One { .. } => share,
            Tour::Cluster { round, .. } => round.progress(share),
        };
        (before as f64 + of_part) / self.keyspaces.len() as f64
    }

    /// Where the masters of the cluster are that have slots.
    pub(super) async fn masters(&self) -> Result<Vec<Host>, Error> {
        self.look().await?;
        Ok(self.masters.0.load().values().cloned().collect())
    }

    /// Asks all nodes of the cluster, as each knows of its own slots only which are on their way.
    async fn look(&self) -> Result<View, Error> {
        let mut answers = Vec::new();
        let mut failures = HashMap::new();
        let mut hosts = self.connections.nodes();
        while !hosts.is_empty() {
            for host in hosts {
                match self.connections.run_at(Some(&host), view::ask).await {
                    Ok(answer) => answers.push(view::Answer::new(host, answer).map_err(into_error)?),
                    Err(failure) => drop(failures.insert(host, failure)),
                }
            }
            hosts = view::not_asked(&answers);
            hosts.retain(|host| !failures.contains_key(host));
        }
        if answers.is_empty() {
            let unknown = || Failure::NotConnected("no node of the cluster is known yet".to_owned());
            return Err(into_error(failures.into_values().next().unwrap_or_else(unknown)));
        }
        let (view, hosts) = View::of(&answers).map_err(into_error)?;
        self.masters.0.store(Arc::new(hosts));
        Ok(view)
    }
}

fn into_error(failure: Failure) -> Error {
    failure.into_error(Effect::Read)
}

/// What a cursor's text says, as a text again.
#[cfg(all(fuzzing, feature = "express"))]
pub(crate) fn reread_cursor(text: &str) -> Option<String> {
    Tour::parse(text).map(|tour| tour.to_string())
}
