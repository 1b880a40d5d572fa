//! An entry of a history. What is understood of it survives being written again, and what a later version added is passed
//! over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_store::HistoryEntry;

/// Where the label begins.
const HEAD: usize = 44;

fuzz_target!(|bytes: &[u8]| {
    if let Some(entry) = HistoryEntry::from_bytes(bytes) {
        let again = entry.to_bytes();
        let head = HEAD + entry.label.as_ref().map_or(0, |label| label.as_str().len());
        assert_eq!(again[..head], bytes[..head]);
        // A sealed label is a field, and stands among others in any place.
        assert!(again.len() <= bytes.len());
        drop((entry.what.to_string(), format!("{entry:?}")));
        assert_eq!(HistoryEntry::from_bytes(&again), Some(entry));
    }
});
