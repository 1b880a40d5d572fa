//! What is logged on the test's thread, at every level.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing::Level;

thread_local! {
    /// A test's runtime has one thread, so all that its site logs is here.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Collects from now on, in every thread; to be called before anything is logged in any. A
/// subscriber for one thread would not do: tracing may decide for all threads, by looking at
/// another one, that nobody listens.
pub(crate) fn collect() {
    static COLLECTING: Once = Once::new();
    COLLECTING.call_once(|| {
        let everything = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
        everything.with_writer(|| Lines).init();
    });
}

/// What was logged on this thread so far.
pub(crate) fn text() -> String {
    LINES.with_borrow(|lines| String::from_utf8(lines.clone()).expect("the log is text"))
}

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
