//! Cursors of listings, which clients hand back: of Redis, and of memory.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_store::fuzzing::redis_cursor;
use session_store::{Cursor, Error, MemoryStore, Scan as _};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime without drivers"));
static STORE: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);

fuzz_target!(|text: &str| {
    if let Some(written) = redis_cursor(text) {
        assert_eq!(redis_cursor(&written).as_ref(), Some(&written), "a cursor leads where it led");
    }
    for text in [text.to_owned(), format!("m1:{text}")] {
        match RUNTIME.block_on(STORE.page(Some(&Cursor::new(text)), 10)) {
            Ok(page) => assert!(page.sessions.is_empty()),
            Err(error) => assert!(matches!(error, Error::InvalidInput { .. }), "{error:?}"),
        }
    }
});
