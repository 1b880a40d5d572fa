//! The `Cookie` header of a request, in this crate's own form of the cookie.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_store::{KeyRing, MemoryStore, SessionManager};

static MANAGER: LazyLock<SessionManager> = LazyLock::new(|| {
    let keys = KeyRing::parse("oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x").expect("it is long enough");
    SessionManager::builder(MemoryStore::with_capacity(0), keys).build().expect("its settings fit")
});

fuzz_target!(|header: &str| {
    drop(MANAGER.begin(Some(header)));
    // The same as the value of the session's cookie, beside others.
    drop(MANAGER.begin(Some(&format!("a=b; {}={header}; c=d", MANAGER.cookie_name()))));
});
