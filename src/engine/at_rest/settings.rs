//! What a builder is told of how its sessions are to rest.

#[cfg(feature = "seal")]
use super::Sealing;
use crate::engine::{SessionData, SessionManagerBuilder};

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Encrypts what is stored: see [`Sealing`]. Default: nothing is encrypted.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, Sealing, SessionManager, Values};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # use std::sync::Arc;
    /// # use session_store::{Loaded, SessionStore};
    /// let store = Arc::new(MemoryStore::new());
    /// let manager = SessionManager::<Values>::builder(Arc::clone(&store), KeyRing::generate())
    ///     .seal(Sealing::new(&KeyRing::generate())?)
    ///     .build()?;
    ///
    /// let session = manager.begin(None).session().await?;
    /// session.insert("diagnosis", "a cold")?;
    /// session.save().await?;
    /// let Loaded::Found(stored) = store.load(&session.key().unwrap()).await? else { panic!("it is stored") };
    /// assert!(stored.data.is_sealed());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "seal")]
    pub fn seal(mut self, sealing: Sealing) -> Self {
        self.sealing = Some(sealing);
        self
    }

    /// Compresses data of more than so many bytes (by LZ4), where that makes it shorter. Default: nothing is compressed.
    /// 1,024 is a good number: below it, a few hundred bytes at most can be saved.
    ///
    /// What others compressed is read in any case, so that instances may differ in this. Data is bounded before it is
    /// decompressed: by 2 MiB, or twice [`max_payload`](Self::max_payload) if that is more.
    ///
    /// The length of compressed data tells how alike its parts are. So don't keep a secret and text that a visitor chooses
    /// in one session where strangers see its size (as with CRIME and BREACH): those who can watch the store, or how long a
    /// load takes.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .compress(1024)
    ///     .build()?;
    /// # drop(manager);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    #[cfg(feature = "compress")]
    pub fn compress(mut self, above: usize) -> Self {
        self.compress_above = Some(above);
        self
    }
}
