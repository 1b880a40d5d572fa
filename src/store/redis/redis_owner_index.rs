//! Whose sessions are in Redis: an index in sorted sets, one for each owner.

mod scripts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{ToRedisArgs, Value};

use super::connection::{Connections, Durability, Repeat};
use super::failure::Effect;
use super::layout::Keyspace;
use super::script::Script;
use super::{RedisStore, unexpected};
use crate::clock::{Timestamp, millis_rounded_up};
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::owner_index::{
    Entry, Evict, IndexInsert, IndexInserted, Owned, OwnerIndex, OwnerLimit, Revocation, Stage, Verdict, add,
    list_both,
};
use crate::store::scan::Cursor;

const NO_ARGUMENTS: &[&str] = &[];
/// What the keys of indexes are called.
pub(super) const KEYS: &str = "owner";

/// The indexes of a store: one, or that of each layout while sessions go from one to the other.
#[derive(Debug)]
pub(super) struct Indexes {
    first: Index,
    second: Option<Index>,
}

/// The index of the sessions in one layout.
#[derive(Debug)]
pub(super) struct Index {
    keyspace: Arc<dyn Keyspace>,
    connections: Arc<Connections>,
}

#[async_trait]
impl OwnerIndex for RedisStore {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let mut entered = self.owners.first.insert(owner, entering).await?;
        if let Some(second) = &self.owners.second
            && entered.verdict != Verdict::Full
        {
            // The limit is seen to by the first index, or by the one in which the step before entered the session.
            let limit = entering.limit.filter(|_| entering.stage == Stage::After && !entered.known);
            let there = second.insert(owner, IndexInsert { limit, ..entering }).await?;
            if there.verdict == Verdict::Revoked {
                entered.verdict = Verdict::Revoked;
            }
            entered.known |= there.known;
            // Both have what was written since there are two.
            entered.sessions = entered.sessions.max(there.sessions);
            add(&mut entered.revoked, there.revoked);
        }
        Ok(entered)
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        match &self.owners.second {
            None => self.owners.first.list(owner, after).await,
            Some(second) => list_both([&self.owners.first, second], owner, after).await,
        }
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        self.owners.first.revoke(owner, which).await?;
        match &self.owners.second {
            None => Ok(()),
            Some(second) => second.revoke(owner, which).await,
        }
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        let mut revoked = self.owners.first.revoked(owner).await?;
        if let Some(second) = &self.owners.second {
            add(&mut revoked, second.revoked(owner).await?);
            revoked.truncate(Owned::PAGE);
        }
        Ok(revoked)
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        for index in [Some(&self.owners.first), self.owners.second.as_ref()].into_iter().flatten() {
            index.remove(owner, gone, missing).await?;
        }
        Ok(())
    }
}

impl Indexes {
    pub(super) fn new(keyspaces: &[Arc<dyn Keyspace>], connections: &Arc<Connections>) -> Self {
        let index = |keyspace: &Arc<dyn Keyspace>| Index {
            keyspace: Arc::clone(keyspace),
            connections: Arc::clone(connections),
        };
        Self { first: index(&keyspaces[0]), second: keyspaces.get(1).map(index) }
    }
}

impl Index {
    async fn run(
        &self,
        owner: OwnerHash,
        durability: Durability,
        script: &Script,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let (name, slot) = self.keyspace.owner_key(KEYS, owner);
        // Each sets what is to be so, whatever was before.
        let reply = script.run(&self.connections, slot, durability, Repeat::Write, name, arguments).await;
        reply.map_err(|failure| failure.into_error(Effect::Write))
    }

    fn member(&self, entry: &Entry) -> String {
        format!("{}@{}", self.keyspace.entry_name(&entry.key), entry.created_at.as_millis())
    }

    fn entry(&self, member: &str) -> Option<Entry> {
        let (session, created_at) = member.rsplit_once('@')?;
        let created_at = Timestamp::from_millis(created_at.parse().ok()?);
        Some(Entry { key: self.keyspace.entry_key(session)?, created_at })
    }

    fn entries(&self, members: Value) -> Result<Vec<Entry>, Error> {
        let Value::Array(members) = members else { return Err(unexpected(Effect::Write)) };
        let entry = |member: &Value| match member {
            Value::BulkString(member) => self.entry(std::str::from_utf8(member).ok()?),
            _ => None,
        };
        Ok(members.iter().filter_map(entry).collect())
    }
}

#[async_trait]
impl OwnerIndex for Index {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let IndexInsert { entry, life, stage, replaces, limit } = entering;
        let replaces = replaces.map_or(String::new(), |replaces| self.member(replaces));
        let (most, beyond) = match limit {
            None => (0, ""),
            Some(OwnerLimit { sessions, evict: Evict::Oldest }) => (sessions, "oldest"),
            Some(OwnerLimit { sessions, evict: Evict::Refuse }) => (sessions, "refuse"),
        };
        let least = if stage == Stage::Before { Duration::ZERO } else { self.keyspace.least_entry_life() };
        let life = millis_rounded_up(life.max(least));
        let stage_name = match stage {
            Stage::Before => "before",
            Stage::After => "after",
            Stage::Later => "later",
            Stage::Moving => "moving",
        };
        let session = (self.member(entry), life, replaces, stage_name);
        let durability = match stage {
            Stage::Before | Stage::Later => Durability::Ordinary,
            // What a sign-in leaves must be there for as long as its session is.
            Stage::After => Durability::Replicated,
            // What was signed in during an outage may have been ended as soon as that was over.
            Stage::Moving => Durability::Insistent,
        };
        let reply = self.run(owner, durability, &scripts::ENTER, (session, most, beyond)).await?;
        let Some([Value::Int(verdict), Value::Int(known), revoked, Value::Int(sessions)]) = parts(reply)
        else {
            return Err(unexpected(Effect::Write));
        };
        let verdict = match verdict {
            0 => Verdict::Inserted,
            1 => Verdict::Revoked,
            _ => Verdict::Full,
        };
        Ok(IndexInserted {
            revoked: self.entries(revoked)?,
            sessions: u64::try_from(sessions).ok().filter(|sessions| *sessions > 0),
            ..IndexInserted::new(verdict, known == 1)
        })
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let from = after.map_or(Ok(("", "")), |after| position(after).ok_or_else(Cursor::is_strange))?;
        let reply = self.run(owner, Durability::Ordinary, &scripts::LIST, from).await?;
        let Some([entries, Value::BulkString(score), revoked, Value::BulkString(revoked_at), pending]) =
            parts(reply)
        else {
            return Err(unexpected(Effect::Write));
        };
        let entries = self.entries(entries)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().filter(|text| !text.is_empty());
        Ok(Owned {
            next: text(score).zip(entries.last()).map(|(score, last)| {
                let member = self.member(last);
                Cursor::new(format!("{score}:{}", beginning(&member)))
            }),
            entries,
            pending: self.entries(pending)?,
            revoked: self.entries(revoked)?,
            revoked_at: text(revoked_at).and_then(|digits| digits.parse().ok()).map(Timestamp::from_millis),
        })
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        let (script, entry) = match which {
            Revocation::One(entry) => (&scripts::DOOM_ONE, self.member(entry)),
            Revocation::AllBut(entry) => (&scripts::DOOM_ALL_BUT, self.member(entry)),
            Revocation::All => (&scripts::DOOM_ALL_BUT, String::new()),
        };
        self.run(owner, Durability::Replicated, script, (entry,)).await.map(|_| ())
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        self.entries(self.run(owner, Durability::Ordinary, &scripts::REVOKED, NO_ARGUMENTS).await?)
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        for (some, are_gone) in gone
            .chunks(Owned::PAGE)
            .map(|some| (some, true))
            .chain(missing.chunks(Owned::PAGE).map(|some| (some, false)))
        {
            let members: Vec<_> = some.iter().map(|entry| self.member(entry)).collect();
            let count = if are_gone { members.len() } else { 0 };
            self.run(owner, Durability::Ordinary, &scripts::REMOVE, (count, members)).await?;
        }
        Ok(())
    }
}

fn parts<const N: usize>(reply: Value) -> Option<[Value; N]> {
    match reply {
        Value::Array(parts) => parts.try_into().ok(),
        _ => None,
    }
}

/// How many characters of an entry a cursor has: few, since in the layout of Express they are of an id.
const BEGINNING: usize = 8;

/// What a cursor has of an entry, to find its place among those of the same score.
fn beginning(member: &str) -> &str {
    let most = BEGINNING.min(member.len() / 4);
    let end = (0..=most).rev().find(|end| member.is_char_boundary(*end)).unwrap_or(0);
    let beginning = &member[..end];
    beginning.split('@').next().unwrap_or(beginning)
}

/// Score and beginning of the entry that a cursor is after.
fn position(cursor: &Cursor) -> Option<(&str, &str)> {
    let (score, beginning) = cursor.as_str().split_once(':')?;
    let is_score = (1..=20).contains(&score.len()) && score.bytes().all(|byte| byte.is_ascii_digit());
    // No entry is without an `@`, so that this is none.
    (is_score && beginning.len() <= BEGINNING && !beginning.contains('@')).then_some((score, beginning))
}
