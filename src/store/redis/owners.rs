//! Whose sessions are in Redis: an index in sorted sets, a few keys for each owner.

mod scripts;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{ToRedisArgs, Value};
use sha2::{Digest as _, Sha256};

use super::connection::{Connections, Way};
use super::failure::Effect;
use super::name::{self, Prefix, Slot};
use super::script::Script;
use super::{RedisStore, unexpected};
use crate::clock::Timestamp;
use crate::error::Error;
#[cfg(feature = "express")]
use crate::id::SessionId;
use crate::id::SessionKey;
use crate::record::{Moved, Owner};
use crate::store::owners::{
    Doom, Entered, Entering, Entry, Evict, Owned, OwnerIndex, OwnerLimit, Verdict, add,
};
use crate::ttl::Ttl;

const OWNER_DOMAIN: &[u8] = b"session-store owner v1:";
/// As many bits of the hash as a session's key has.
const HASH_BYTES: usize = 21;
const NO_ARGUMENTS: &[&str] = &[];
/// So many entries a script takes away at once: Lua passes on no more than some thousand arguments.
const REMOVED_AT_ONCE: usize = 1000;

/// The indexes of a store: one, or that of each layout while sessions go from one to the other.
#[derive(Debug)]
pub(super) struct Indexes {
    first: Index,
    second: Option<Index>,
}

/// The index of sessions in one layout.
#[derive(Debug)]
pub(super) struct Index {
    naming: Naming,
    connections: Arc<Connections>,
}

/// What the index calls owners and sessions.
#[derive(Debug)]
enum Naming {
    /// Sessions by their keys' names. The prefix stands before it all, so that permission for the prefix's
    /// keys will do.
    Native { prefix: Prefix },
    /// Sessions by their ids, as they are stored. The prefix is in the middle: whoever lists the sessions of
    /// Express by it must not come across these keys.
    #[cfg(feature = "express")]
    Express { prefix: Prefix },
}

/// The keys of one owner.
struct Names {
    keys: [String; 3],
    slot: Slot,
}

#[async_trait]
impl OwnerIndex for RedisStore {
    async fn enter(&self, owner: &Owner, entering: Entering<'_>) -> Result<Entered, Error> {
        let mut entered = self.owners.first.enter(owner, entering).await?;
        if let Some(second) = &self.owners.second
            && entered.verdict != Verdict::Full
        {
            let there = second.enter(owner, Entering { limit: None, ..entering }).await?;
            if there.verdict == Verdict::Doomed {
                entered.verdict = Verdict::Doomed;
            }
            add(&mut entered.doomed, there.doomed);
        }
        Ok(entered)
    }

    async fn list(&self, owner: &Owner) -> Result<Owned, Error> {
        let mut owned = self.owners.first.list(owner).await?;
        if let Some(second) = &self.owners.second {
            owned.add(second.list(owner).await?);
        }
        Ok(owned)
    }

    async fn doom(&self, owner: &Owner, which: Doom<'_>) -> Result<Vec<Entry>, Error> {
        let mut doomed = self.owners.first.doom(owner, which).await?;
        if let Some(second) = &self.owners.second {
            add(&mut doomed, second.doom(owner, which).await?);
        }
        Ok(doomed)
    }

    async fn remove(&self, owner: &Owner, entries: &[Entry]) -> Result<(), Error> {
        for index in [Some(&self.owners.first), self.owners.second.as_ref()].into_iter().flatten() {
            index.remove(owner, entries).await?;
        }
        Ok(())
    }
}

impl Indexes {
    pub(super) fn of_native(prefix: &Prefix, connections: &Arc<Connections>) -> Self {
        Self { first: Index::native(prefix, connections), second: None }
    }

    #[cfg(feature = "express")]
    pub(super) fn of_express(prefix: &Prefix, connections: &Arc<Connections>) -> Self {
        let naming = Naming::Express { prefix: prefix.clone() };
        Self { first: Index { naming, connections: Arc::clone(connections) }, second: None }
    }

    /// That of Express first: it has the sessions' ids, without which they are not found there.
    #[cfg(feature = "express")]
    pub(super) fn of_both(native: &Prefix, express: &Prefix, connections: &Arc<Connections>) -> Self {
        let second = Some(Index::native(native, connections));
        Self { second, ..Self::of_express(express, connections) }
    }
}

impl Index {
    fn native(prefix: &Prefix, connections: &Arc<Connections>) -> Self {
        let naming = Naming::Native { prefix: prefix.clone() };
        Self { naming, connections: Arc::clone(connections) }
    }

    async fn enter(&self, owner: &Owner, entering: Entering<'_>) -> Result<Entered, Error> {
        let Entering { entry, ttl, written, replaces, replaced, limit } = entering;
        let member = |entry: Option<&Entry>| entry.map_or(String::new(), |entry| self.naming.member(entry));
        let (most, beyond) = match limit {
            None => (0, "oldest"),
            Some(OwnerLimit { sessions, evict: Evict::Oldest }) => (sessions, "oldest"),
            Some(OwnerLimit { sessions, evict: Evict::Refuse }) => (sessions, "refuse"),
        };
        let sessions = (member(Some(entry)), ttl.as_millis(), member(replaces), member(replaced));
        // A session's first entry must be there for as long as the session is.
        let way = if written { Way::Shared } else { Way::Durable };
        let reply = self.run(owner, way, &scripts::ENTER, (sessions, most, beyond)).await?;
        let Some([Value::Int(verdict), doomed]) = parts(reply) else { return Err(unexpected(Effect::Write)) };
        let verdict = match verdict {
            0 => Verdict::Entered,
            1 => Verdict::Doomed,
            _ => Verdict::Full,
        };
        Ok(Entered { verdict, doomed: self.entries(doomed)? })
    }

    async fn list(&self, owner: &Owner) -> Result<Owned, Error> {
        let reply = self.run(owner, Way::Shared, &scripts::LIST, NO_ARGUMENTS).await?;
        let Some([entries, doomed, revoked_at]) = parts(reply) else { return Err(unexpected(Effect::Write)) };
        let revoked_at = match revoked_at {
            Value::BulkString(digits) => std::str::from_utf8(&digits).ok().and_then(|it| it.parse().ok()),
            _ => None,
        };
        Ok(Owned {
            entries: self.entries(entries)?,
            doomed: self.entries(doomed)?,
            revoked_at: revoked_at.map(Timestamp::from_millis),
        })
    }

    async fn doom(&self, owner: &Owner, which: Doom<'_>) -> Result<Vec<Entry>, Error> {
        let (script, entry, remembered) = match which {
            Doom::One(entry) => (&scripts::DOOM_ONE, self.naming.member(entry), Moved::MAX_LIFE),
            Doom::AllBut(entry) => {
                (&scripts::DOOM_ALL_BUT, self.naming.member(entry), Owned::REVOCATION_KNOWN)
            }
            Doom::All => (&scripts::DOOM_ALL_BUT, String::new(), Owned::REVOCATION_KNOWN),
        };
        let arguments = (entry, Ttl::new(remembered).as_millis());
        self.entries(self.run(owner, Way::Durable, script, arguments).await?)
    }

    async fn remove(&self, owner: &Owner, entries: &[Entry]) -> Result<(), Error> {
        for some in entries.chunks(REMOVED_AT_ONCE) {
            let members: Vec<_> = some.iter().map(|entry| self.naming.member(entry)).collect();
            self.run(owner, Way::Shared, &scripts::REMOVE, members).await?;
        }
        Ok(())
    }

    async fn run(
        &self,
        owner: &Owner,
        way: Way,
        script: &Script,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let Names { keys, slot } = self.naming.keys(owner);
        let reply = script.run(&self.connections, slot, way, &keys[..], arguments).await;
        reply.map_err(|failure| failure.into_error(Effect::Write))
    }

    fn entries(&self, members: Value) -> Result<Vec<Entry>, Error> {
        let Value::Array(members) = members else { return Err(unexpected(Effect::Write)) };
        let entry = |member: &Value| match member {
            Value::BulkString(member) => self.naming.entry(std::str::from_utf8(member).ok()?),
            _ => None,
        };
        Ok(members.iter().filter_map(entry).collect())
    }
}

impl Naming {
    /// Owners are hashed: their names, mail addresses at times, are nothing for `KEYS` or `MONITOR`.
    fn keys(&self, owner: &Owner) -> Names {
        let hash = Sha256::new().chain_update(OWNER_DOMAIN).chain_update(owner.as_str()).finalize();
        let hash = URL_SAFE_NO_PAD.encode(&hash[..HASH_BYTES]);
        let (before, tag) = match self {
            Self::Native { prefix } => (format!("{}owner:", prefix.as_str()), hash),
            #[cfg(feature = "express")]
            Self::Express { prefix } => ("owner:".to_owned(), format!("{}{hash}", prefix.as_str())),
        };
        let key = |what: &str| format!("{before}{{{tag}}}{what}");
        Names { keys: [key(""), key(":doomed"), key(":revoked")], slot: name::slot(tag.as_bytes()) }
    }

    fn member(&self, entry: &Entry) -> String {
        let session = match self {
            Self::Native { .. } => entry.key.storage_name(),
            #[cfg(feature = "express")]
            Self::Express { .. } => entry.key.express_id().unwrap_or_else(|| entry.key.storage_name()),
        };
        format!("{session}@{}", entry.created_at.as_millis())
    }

    fn entry(&self, member: &str) -> Option<Entry> {
        let (session, created_at) = member.rsplit_once('@')?;
        let key = match self {
            Self::Native { .. } => SessionKey::from_storage_name(session),
            #[cfg(feature = "express")]
            Self::Express { .. } => SessionKey::from_storage_name(session)
                .or_else(|| SessionId::express(session).map(|id| id.key())),
        };
        Some(Entry { key: key?, created_at: Timestamp::from_millis(created_at.parse().ok()?) })
    }
}

fn parts<const N: usize>(reply: Value) -> Option<[Value; N]> {
    match reply {
        Value::Array(parts) => parts.try_into().ok(),
        _ => None,
    }
}
