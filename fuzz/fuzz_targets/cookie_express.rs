//! The `Cookie` header of a request, in the form of express-session.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_store::{KeyRing, MemoryStore, SessionCookie, SessionManager};

static MANAGER: LazyLock<SessionManager> = LazyLock::new(|| {
    let keys = KeyRing::express("keyboard cat").and_then(|ring| ring.with_previous_express("older cat"));
    SessionManager::builder(MemoryStore::with_capacity(0), keys.expect("a secret may be anything"))
        .cookie(SessionCookie::new().name("connect.sid"))
        .build()
        .expect("its settings fit")
});

fuzz_target!(|header: &str| {
    drop(MANAGER.begin(Some(header)));
    drop(MANAGER.begin(Some(&format!("a=b; connect.sid=s%3A{header}; c=d"))));
    drop(MANAGER.begin(Some(&format!("connect.sid=s:{header}"))));
});
