//! What readers make of data that stays in this process: decoded once, as long as there is room.

use std::any::Any;
#[cfg(feature = "json")]
use std::mem::size_of;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

#[cfg(feature = "json")]
use bytes::Bytes;

#[cfg(feature = "json")]
use super::Label;

/// How many more bytes of decoded data a store may hold beside the encoded: decoded data is larger,
/// often several times.
#[derive(Debug)]
pub(crate) struct MemoryBudget(AtomicUsize);

impl MemoryBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        let rest = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The decoded form of certain bytes, for all who hold them.
pub(super) struct Decoded {
    held: OnceLock<Held>,
    #[cfg(feature = "json")]
    opened: OnceLock<Opened>,
    room: Arc<MemoryBudget>,
}

struct Held {
    data: Arc<dyn Any + Send + Sync>,
    size: usize,
}

/// What sealed or compressed bytes were opened to.
#[cfg(feature = "json")]
pub(super) struct Opened {
    /// Who did: another one may lack the key.
    pub(super) opener: u64,
    pub(super) codec: u8,
    pub(super) bytes: Bytes,
    pub(super) label: Option<Label>,
}

#[cfg(feature = "json")]
impl Opened {
    fn size(&self) -> usize {
        let label = self.label.as_ref().map_or(0, |label| label.as_str().len());
        size_of::<Self>() + self.bytes.len() + label
    }
}

impl Decoded {
    pub(super) fn new(room: Arc<MemoryBudget>) -> Self {
        Self {
            held: OnceLock::new(),
            #[cfg(feature = "json")]
            opened: OnceLock::new(),
            room,
        }
    }

    /// What this opener has opened.
    #[cfg(feature = "json")]
    pub(super) fn opened(&self, opener: u64) -> Option<&Opened> {
        self.opened.get().filter(|opened| opened.opener == opener)
    }

    /// Keeps what was opened, if nothing is kept yet and there is room for it.
    #[cfg(feature = "json")]
    pub(super) fn keep_opened(&self, opened: Opened) {
        let size = opened.size();
        if self.opened.get().is_none() && self.room.take(size) && self.opened.set(opened).is_err() {
            self.room.give_back(size);
        }
    }

    /// What is held, unless the first reader read it as another type.
    pub(super) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.held.get()?.data).downcast().ok()
    }

    /// Holds `data` if nothing is held yet and there is room for its size in bytes.
    pub(super) fn hold<T>(&self, data: &Arc<T>, size: impl FnOnce(&T) -> usize)
    where
        T: Send + Sync + 'static,
    {
        if self.held.get().is_some() {
            return;
        }
        let size = size(data);
        if self.room.take(size) {
            let data = Arc::<T>::clone(data);
            if self.held.set(Held { data, size }).is_err() {
                self.room.give_back(size);
            }
        }
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        if let Some(held) = self.held.get() {
            self.room.give_back(held.size);
        }
        #[cfg(feature = "json")]
        if let Some(opened) = self.opened.get() {
            self.room.give_back(opened.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(room: &MemoryBudget) -> usize {
        room.0.load(Ordering::Relaxed)
    }

    #[test]
    fn the_first_form_is_held_while_there_is_room_and_gives_it_back() {
        let room = Arc::new(MemoryBudget::new(100));
        let [first, second] = [(); 2].map(|()| Decoded::new(Arc::clone(&room)));
        let number = Arc::new(17_u32);

        first.hold(&number, |_| 60);
        assert!(Arc::ptr_eq(&first.get().unwrap(), &number));
        assert_eq!(first.get::<String>(), None);
        first.hold(&Arc::new("another type".to_owned()), |_| 10);
        assert_eq!(left(&room), 40);

        second.hold(&number, |_| 60);
        assert_eq!(second.get::<u32>(), None, "there is no room for it");
        drop(first);
        assert_eq!(left(&room), 100);
        second.hold(&number, |_| 60);
        assert_eq!(second.get(), Some(number));
    }

    #[cfg(feature = "json")]
    #[test]
    fn what_was_opened_is_for_its_opener_alone() {
        let opened = |opener| Opened { opener, codec: 1, bytes: Bytes::from_static(b"{}"), label: None };
        let size = opened(1).size();
        let room = Arc::new(MemoryBudget::new(size + 10));
        let [first, second] = [(); 2].map(|()| Decoded::new(Arc::clone(&room)));
        first.keep_opened(opened(1));
        first.keep_opened(opened(2));
        assert!(first.opened(1).is_some() && first.opened(2).is_none());
        assert_eq!(left(&room), 10);
        second.keep_opened(opened(1));
        assert!(second.opened(1).is_none(), "there is no room for it");
        drop(first);
        assert_eq!(left(&room), size + 10);
    }
}
