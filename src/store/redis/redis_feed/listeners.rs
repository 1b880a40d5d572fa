//! The stores that hear of changes by the same connections.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use super::Keyspace;
use crate::store::feed::Watches;

/// Who watches the sessions of one store.
pub(super) struct Listener {
    pub(super) keyspaces: Arc<[Arc<dyn Keyspace>]>,
    pub(super) watches: Watches,
    /// Whether all servers tell of its keys, as far as is known.
    hears: AtomicBool,
    /// Whether the task was told to look, for it does not hear.
    waits: AtomicBool,
}

impl Listener {
    pub(super) fn hears(&self) -> bool {
        self.hears.load(Ordering::Acquire)
    }

    /// All servers tell of its keys, and it was told of what may have happened before.
    pub(super) fn begin_to_hear(&self) {
        self.hears.store(true, Ordering::Release);
    }

    /// Whether the task has to look, so that it hears; only at the first time.
    pub(super) fn begins_to_wait(&self) -> bool {
        !self.hears() && !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether somebody watches. What nobody does, servers may cease to tell of.
    fn is_listening(&self) -> bool {
        if self.watches.is_empty() {
            self.hears.store(false, Ordering::Release);
            self.waits.store(false, Ordering::Release);
        }
        // Who began in between, and thinks that it hears, is seen here.
        !self.watches.is_empty()
    }
}

/// All that there are, found by what the name of a key begins with.
#[derive(Default)]
pub(super) struct Listeners(RwLock<Registry>);

#[derive(Default)]
struct Registry {
    all: Vec<Weak<Listener>>,
    by_prefix: HashMap<Vec<u8>, Vec<Place>>,
    lengths: BTreeSet<usize>,
}

/// Where the keys with a prefix are heard of.
struct Place {
    keyspace: Arc<dyn Keyspace>,
    listener: Weak<Listener>,
}

impl Listeners {
    pub(super) fn add(&self, keyspaces: &Arc<[Arc<dyn Keyspace>]>) -> Arc<Listener> {
        let [hears, waits] = [(); 2].map(|()| AtomicBool::new(false));
        let (keyspaces, watches) = (Arc::clone(keyspaces), Watches::default());
        let listener = Arc::new(Listener { keyspaces, watches, hears, waits });
        self.write().add(&listener);
        listener
    }

    /// Those of stores that are still there, and are watched.
    pub(super) fn listening(&self) -> Vec<Arc<Listener>> {
        let all = self.present();
        if all.len() < self.read().all.len() {
            let mut registry = self.write();
            registry.forget_those_that_are_gone();
        }
        all.into_iter().filter(|listener| listener.is_listening()).collect()
    }

    pub(super) fn are_needed(&self) -> bool {
        self.present().iter().any(|listener| !listener.watches.is_empty())
    }

    /// Tells of a change of the key of this name.
    pub(super) fn tell(&self, name: &[u8]) {
        let registry = self.read();
        for length in registry.lengths.range(..=name.len()) {
            for Place { keyspace, listener } in registry.by_prefix.get(&name[..*length]).into_iter().flatten()
            {
                if let Some(listener) = listener.upgrade()
                    && let Some(named) = keyspace.named(name)
                {
                    listener.watches.tell(&named.key);
                }
            }
        }
    }

    /// Tells that anything may have changed.
    pub(super) fn tell_all(&self) {
        for listener in self.present() {
            listener.watches.tell_all();
        }
    }

    fn present(&self) -> Vec<Arc<Listener>> {
        self.read().all.iter().filter_map(Weak::upgrade).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn add(&mut self, listener: &Arc<Listener>) {
        self.all.push(Arc::downgrade(listener));
        for keyspace in &*listener.keyspaces {
            let prefix = keyspace.prefix().as_str().as_bytes();
            self.lengths.insert(prefix.len());
            let place = Place { keyspace: Arc::clone(keyspace), listener: Arc::downgrade(listener) };
            self.by_prefix.entry(prefix.to_vec()).or_default().push(place);
        }
    }

    fn forget_those_that_are_gone(&mut self) {
        self.all.retain(|listener| listener.strong_count() > 0);
        for places in self.by_prefix.values_mut() {
            places.retain(|place| place.listener.strong_count() > 0);
        }
        self.by_prefix.retain(|_, places| !places.is_empty());
        self.lengths = self.by_prefix.keys().map(Vec::len).collect();
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").field(&self.read().all.len()).finish()
    }
}
