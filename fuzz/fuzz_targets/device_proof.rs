//! What browsers send to prove that they have a session's key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_store::fuzzing::device_proof;

fuzz_target!(|text: &str| {
    // Its signature is compared with its own key and with another's: nobody finds one that both made.
    if let Some((is_its_own, is_by_another)) = device_proof(text) {
        assert!(!(is_its_own && is_by_another));
    }
});
