//! An entry of a history. What is understood of it comes first, and what a later version added is passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_store::HistoryEntry;

fuzz_target!(|bytes: &[u8]| {
    if let Some(entry) = HistoryEntry::from_bytes(bytes) {
        assert!(bytes.starts_with(&entry.to_bytes()));
        drop((entry.what.to_string(), format!("{entry:?}")));
    }
});
