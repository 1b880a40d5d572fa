//! `MemoryStore` keeps every promise, also at the smallest size that the suite asks for.
#![cfg(all(feature = "conformance", feature = "memory"))]

mod of_default_size {
    session_store::conformance_tests!(session_store::MemoryStore::new());
}

mod of_256_kib {
    session_store::conformance_tests!(session_store::MemoryStore::with_capacity(256 * 1024));
}
