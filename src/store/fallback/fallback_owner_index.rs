//! Whose sessions there are: memory knows its own, and the primary the rest. What memory has is entered
//! there too before it moves.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FallbackStore, Shared};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{OwnerHash, Record};
use crate::store::SessionStore as _;
use crate::store::owner_index::{
    Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage, Verdict, add, list_both,
};
use crate::store::scan::Cursor;
use crate::ttl::Ttl;

#[async_trait]
impl OwnerIndex for FallbackStore {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let shared = &self.0;
        let held = |entry: &Entry| Ok::<_, Error>(shared.held(&entry.key)?.is_some());
        let is_new = entering.stage == Stage::Before;
        let is_in_memory = match entering.replaces {
            Some(replaced) if is_new => held(replaced)?,
            None if is_new => shared.new_sessions_go_to_memory(),
            _ => held(entering.entry)?,
        };
        if is_in_memory {
            return shared.memory.insert(owner, entering).await;
        }
        match shared.observe(shared.index()?.insert(owner, entering).await) {
            // As a create would; which follows.
            Err(error @ Error::Unavailable { outcome_unknown: false, .. })
                if is_new && entering.replaces.is_none() && shared.breaker.allows_memory() =>
            {
                shared.open(&error);
                shared.memory.insert(owner, entering).await
            }
            answer => answer,
        }
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let page = list_both([self.0.index()?, &self.0.memory], owner, after).await;
        self.0.observe(page)
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        let shared = &self.0;
        if shared.is_engaged() {
            shared.memory.revoke(owner, which).await?;
        }
        shared.observe(shared.index()?.revoke(owner, which).await)?;
        // The one that is spared is known there from now on, or it could not move any more.
        if let Revocation::AllBut(spared) = which
            && let Some((record, ttl)) = shared.memory.settled(&spared.key)
        {
            let life = Entry::life(&record, ttl.as_duration());
            let entering = IndexInsert::new(spared, life, Stage::Later);
            shared.observe(shared.index()?.insert(owner, entering).await)?;
        }
        Ok(())
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        let mut revoked = self.0.observe(self.0.index()?.revoked(owner).await)?;
        if self.0.is_engaged() {
            add(&mut revoked, self.0.memory.revoked(owner).await?);
            revoked.truncate(Owned::PAGE);
        }
        Ok(revoked)
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        OwnerIndex::remove(&self.0.memory, owner, gone, missing).await?;
        self.0.observe(self.0.index()?.remove(owner, gone, missing).await)
    }
}

impl Shared {
    fn index(&self) -> Result<&dyn OwnerIndex, Error> {
        self.primary.owners().ok_or(Error::Unsupported { what: "list sessions by owner" })
    }

    /// A session that is about to be written to the primary, for the first time or later, was entered by the state of a
    /// moment ago, and so perhaps in memory.
    pub(super) async fn enter_where_it_goes(
        self: &Arc<Self>,
        key: &SessionKey,
        record: &Record,
        ttl: Ttl,
        stage: Stage,
    ) -> Result<(), Error> {
        let (Some(owner), Some(index)) = (&record.owner, self.primary.owners()) else { return Ok(()) };
        let (owner, entry) = (OwnerHash::of(owner), Entry::of(key.clone(), record));
        if self.memory.is_entered(owner, &entry) == Some(true) {
            let life = match (stage, Entry::life(record, ttl.as_duration())) {
                // What is never written is soon forgotten.
                (Stage::Before, life) => life.min(Entry::ON_ITS_WAY),
                (_, life) => life,
            };
            self.observe(index.insert(owner, IndexInsert::new(&entry, life, stage)).await)?;
            OwnerIndex::remove(&self.memory, owner, &[entry], &[]).await?;
        }
        Ok(())
    }

    /// Drops a session of memory if its owner's sessions were ended by an instance that reached the primary,
    /// which is asked if it can be. A primary that does not answer, or refuses, has no say.
    pub(super) async fn ask_whether_it_was_revoked(self: &Arc<Self>, key: &SessionKey) {
        let Some((session, ttl)) = self.memory.settled(key) else { return };
        if let Ok(false) = self.may_move(key, &session, ttl).await {
            self.drop_revoked(key);
        }
    }

    /// Enters a session of memory in the primary, where it is to move. `false` if it was ended: by its key,
    /// or together with all of its owner's, at a time when the primary knew nothing of it.
    pub(super) async fn may_move(
        self: &Arc<Self>,
        key: &SessionKey,
        session: &Record,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        let (Some(owner), Some(index)) = (&session.owner, self.primary.owners()) else { return Ok(true) };
        let (owner, entry) = (OwnerHash::of(owner), Entry::of(key.clone(), session));
        if self.memory.is_entered(owner, &entry) == Some(false) {
            return Ok(false);
        }
        let life = Entry::life(session, ttl.as_duration());
        let entered =
            self.observe(index.insert(owner, IndexInsert::new(&entry, life, Stage::Moving)).await)?;
        Ok(entered.verdict != Verdict::Revoked)
    }
}
