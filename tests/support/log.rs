//! What a test's threads log, at every level.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once};

use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

/// What was logged on the threads of one test.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

thread_local! {
    /// A test's runtime has one thread, so all that runs there logs here.
    static HERE: RefCell<Log> = RefCell::default();
}

/// Collects from now on, in every thread; to be called before anything is logged in any. A
/// subscriber for one thread would not do: tracing may decide for all threads, by looking at
/// another one, that nobody listens.
pub fn collect() {
    static COLLECTING: Once = Once::new();
    COLLECTING.call_once(|| {
        let everything = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
        // With the fields that a span has in the end.
        let everything = everything.with_span_events(FmtSpan::CLOSE);
        everything.with_writer(|| Lines).init();
    });
}

/// What was logged on this thread so far.
pub fn text() -> String {
    HERE.with_borrow(Log::text)
}

impl Log {
    /// An empty log that this thread writes from now on.
    pub fn begin() -> Self {
        collect();
        let log = Self::default();
        log.continue_here();
        log
    }

    /// From now on this thread writes it too.
    pub fn continue_here(&self) {
        HERE.set(self.clone());
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("the log is text")
    }
}

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HERE.with_borrow(|log| log.0.lock().unwrap().extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
