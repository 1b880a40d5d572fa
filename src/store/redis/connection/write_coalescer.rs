//! A stream that lets commands gather before they are written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// After so many waits in vain (as a power of two) the next one follows, where commands come singly.
const MOST_DOUBLINGS: u32 = 6;

/// The client's driver wakes up at the first command of several that are about to come, and would write
/// it alone. Here it stands back once in the scheduler's queue, so that tasks which are ready have their
/// turn, and what they send travels in the same segment: as under Nagle's algorithm, without waiting
/// for the network. Where that brings nothing, because one task sends at a time, it happens ever more
/// seldom.
pub(super) struct WriteCoalescer<S> {
    stream: S,
    /// How many bytes there were to write when it stood back.
    before: Option<usize>,
    /// How often in a row that brought nothing.
    in_vain: u32,
    /// How many writes go out at once before it is tried again.
    skipping: u32,
}

impl<S> WriteCoalescer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, before: None, in_vain: 0, skipping: 0 }
    }

    /// Whether to stand back, with so many bytes at hand.
    fn stands_back(&mut self, bytes: usize) -> bool {
        match self.before.take() {
            None if self.skipping == 0 => {
                self.before = Some(bytes);
                return true;
            }
            None => self.skipping -= 1,
            Some(before) if before < bytes => self.in_vain = 0,
            Some(_) => {
                self.in_vain = (self.in_vain + 1).min(MOST_DOUBLINGS);
                self.skipping = (1 << self.in_vain) - 1;
            }
        }
        false
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteCoalescer<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.stands_back(bytes.len()) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteCoalescer<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often it stands back before it writes, where `growth` bytes come meanwhile.
    fn rounds(stream: &mut WriteCoalescer<Vec<u8>>, growth: usize) -> usize {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut bytes = vec![0; 10];
        while Pin::new(&mut *stream).poll_write(&mut Context::from_waker(&waker), &bytes).is_pending() {
            bytes.resize(bytes.len() + growth, 0);
        }
        wakes.0.load(Ordering::Relaxed)
    }

    #[test]
    fn it_stands_back_once_and_wakes_itself() {
        let mut stream = WriteCoalescer::new(Vec::new());
        for _ in 0..100 {
            assert_eq!(rounds(&mut stream, 10), 1);
        }
        assert_eq!(stream.stream.len(), 100 * 20);
    }

    #[test]
    fn where_commands_come_singly_it_soon_writes_at_once() {
        let mut stream = WriteCoalescer::new(Vec::new());
        let stood_back = |writes: usize, stream: &mut WriteCoalescer<Vec<u8>>| -> usize {
            (0..writes).map(|_| rounds(stream, 0)).sum()
        };
        assert_eq!(stood_back(128, &mut stream), 7);
        assert_eq!(stood_back(640, &mut stream), 10);
        // Until several come again.
        while rounds(&mut stream, 10) == 0 {}
        assert_eq!(rounds(&mut stream, 10), 1);
        assert_eq!(rounds(&mut stream, 10), 1);
    }
}
