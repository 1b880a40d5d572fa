//! Sessions in the layout of Express and in this crate's own, side by side: what a service has while it
//! goes from the one to the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::express::{Destination, Express, ExpressLayout, Followed};
use super::native::Native;
use super::{Keyspace, Layout, Made, RedisLayout, in_use};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::Record;
use crate::store::record_limit::RecordLimit;
use crate::store::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
use crate::ttl::Ttl;

#[derive(Debug)]
pub(super) struct Migrating {
    native: Native,
    express: Express,
    /// Whether what is written goes to this crate's own layout. Otherwise that is read, and updated
    /// where it is, but new sessions are Express'.
    leaving: bool,
}

impl RedisLayout {
    /// Keeps sessions as [`express`](Self::express) does, and also reads sessions in this crate's own layout, under the
    /// [prefix](crate::RedisStoreBuilder::prefix), and updates them in place: the first step of a move, so that
    /// instances with [`move_to_native`](Self::move_to_native) can be rolled out beside these.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), session_store::Error> {
    /// use session_store::{ExpressLayout, RedisLayout, RedisStore, SessionCookie};
    ///
    /// let express = ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    /// let builder = RedisStore::builder("redis://127.0.0.1");
    /// let store = builder.layout(RedisLayout::express_before_move(express)).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn express_before_move(layout: ExpressLayout) -> Self {
        Self::migrating("express before the move", layout, false)
    }

    /// Keeps sessions in this crate's own layout, and also reads those of Express: each moves, under the same cookie,
    /// when it is next written; in a Redis Cluster, when it next gets a new id. The manager still needs
    /// [`KeyRing::express`](crate::KeyRing::express).
    ///
    /// No Express service may be left: it would not find moved sessions. Once every old session has
    /// ended, [`native`](Self::native) can take its place. Until then the index of owners of Express' layout is
    /// kept too, with the ids of signed-in sessions in plain text.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), session_store::Error> {
    /// use session_store::{ExpressLayout, KeyRing, RedisLayout, RedisStore, SessionCookie, SessionManager, Values};
    ///
    /// let cookie = SessionCookie::new().name("connect.sid");
    /// let store = RedisStore::builder("redis://127.0.0.1")
    ///     .layout(RedisLayout::move_to_native(ExpressLayout::new(cookie.clone())))
    ///     .connect()
    ///     .await?;
    /// let keys = KeyRing::express("keyboard cat")?;
    /// let manager = SessionManager::<Values>::builder(store, keys).cookie(cookie).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn move_to_native(layout: ExpressLayout) -> Self {
        Self::migrating("move to native", layout, true)
    }

    fn migrating(name: &'static str, layout: ExpressLayout, leaving: bool) -> Self {
        Self::new(name, move |base| {
            let express = Express::new(layout, Arc::clone(&base.connections));
            Box::new(Migrating { native: Native::new(base), express, leaving })
        })
    }
}

#[async_trait]
impl SessionStore for Migrating {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        match self.native.load(key).await? {
            // A key that was read from the index of this crate's own layout has no id.
            Loaded::Absent if key.express_id().is_none() => return Ok(Loaded::Absent),
            Loaded::Absent => {}
            found => return Ok(found),
        }
        match self.express.load(key).await? {
            Loaded::Absent => self.native.load(key).await,
            found => Ok(found),
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        if self.leaving {
            self.native.create(key, record, ttl).await
        } else {
            self.express.create(key, record, ttl).await
        }
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        if update.follow {
            return self.follow(update).await;
        }
        match self.native.update(update).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        let Update { key, record, ttl, .. } = update;
        let outcome = if self.moves_at_once() {
            let to_native = Rotation::new(key, key, record, ttl);
            self.express
                .move_to(&self.native_name(key), Destination::Native(self.native.bytes(record)?), &to_native)
                .await?
        } else {
            self.express.swap(update).await?
        };
        match outcome {
            // Another instance may have moved it in between.
            Updated::Missing => self.native.update(update).await,
            outcome => Ok(outcome),
        }
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        Ok(self.native.touch(touch).await? || self.express.touch(touch).await?)
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        match self.native.rotate(rotation).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        let outcome = if self.moves_at_once() {
            let value = Destination::Native(self.native.bytes(rotation.record)?);
            self.express.move_to(&self.native_name(rotation.new), value, &rotation).await?
        } else if self.leaving {
            let make = || self.native.make(rotation.new, rotation.record, rotation.ttl);
            let mut made = make().await?;
            if matches!(made, Made::Not) {
                // Was it this one, of a rotation that is sent twice, and ended before it was looked at?
                made = make().await?;
            }
            if matches!(made, Made::Not) {
                return Err(in_use());
            }
            let (outcome, in_vain) = self.express.leave(matches!(made, Made::Now), &rotation).await?;
            if in_vain {
                self.native.delete(rotation.new).await?;
            }
            outcome
        } else {
            self.express.rotate(rotation).await?
        };
        match outcome {
            Updated::Missing => self.native.rotate(rotation).await,
            outcome => Ok(outcome),
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        // A key that a scan found in this crate's own layout tells no id of Express.
        if key.express_id().is_none() {
            return self.native.delete(key).await;
        }
        self.express.delete_beside(key, Some(&self.native)).await
    }

    fn requirements(&self) -> Requirements {
        self.express.requirements()
    }
}

#[async_trait]
impl Layout for Migrating {
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        match self.native.load_to_copy(key).await? {
            (Loaded::Absent, _) if key.express_id().is_none() => return Ok((Loaded::Absent, None)),
            (Loaded::Absent, _) => {}
            found => return Ok(found),
        }
        match self.express.load_to_copy(key).await? {
            (Loaded::Absent, _) => self.native.load_to_copy(key).await,
            found => Ok(found),
        }
    }

    async fn successor(&self, key: &SessionKey) -> Result<Option<SessionKey>, Error> {
        if key.express_id().is_some()
            && let Some(successor) = self.express.successor(key).await?
        {
            return Ok(Some(successor));
        }
        self.native.successor(key).await
    }

    /// Express' first: its index of owners has the sessions' ids, without which they are not found there.
    fn keyspaces(&self) -> Vec<Arc<dyn Keyspace>> {
        [self.express.keyspaces(), self.native.keyspaces()].concat()
    }

    fn with_prefix(&self, _: String, _: RecordLimit) -> Result<Box<dyn Layout>, Error> {
        Err(Error::Unsupported { what: "take another prefix while sessions move between two layouts" })
    }

    fn key(&self, id: &SessionId) -> SessionKey {
        self.express.key(id)
    }

    fn warning(&self) -> Option<&'static str> {
        self.express.warning()
    }
}

impl Migrating {
    /// An update that follows the marker in Express' layout. The session behind it may be in either layout,
    /// and stays in it.
    async fn follow(&self, update: Update<'_>) -> Result<Updated, Error> {
        match self.update_in_place(update).await? {
            Updated::Moved => {}
            outcome => return Ok(outcome),
        }
        match self.express.followed(&update).await? {
            Followed::To(successor) => {
                self.update_in_place(Update { key: &successor, follow: false, ..update }).await
            }
            Followed::Before => Ok(Updated::Updated),
            // The marker is in this crate's own layout, or gone.
            Followed::Nowhere => self.native.update(update).await,
        }
    }

    async fn update_in_place(&self, update: Update<'_>) -> Result<Updated, Error> {
        match self.native.update(update).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        match self.express.swap(update).await? {
            // Another instance may have moved it in between.
            Updated::Missing => self.native.update(update).await,
            outcome => Ok(outcome),
        }
    }

    /// What a session's key is called in this crate's own layout.
    fn native_name(&self, key: &SessionKey) -> String {
        format!("{}{}", self.native.prefix().as_str(), key.storage_name())
    }

    /// Whether a write takes a session from one layout to the other in one step. In a cluster no step
    /// reaches both: there, a session moves when it gets a new id.
    fn moves_at_once(&self) -> bool {
        self.leaving && self.express.is_on_one_server()
    }
}
