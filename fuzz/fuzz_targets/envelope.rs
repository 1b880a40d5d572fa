//! What is stored under a session's key. What is accepted is understood whole: it is written the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_store::{Envelope, SessionId};

fuzz_target!(|bytes: &[u8]| {
    let key = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").expect("it has the shape of one").key();
    match Envelope::from_bytes(&key, bytes.to_vec().into()) {
        Ok(Envelope::Record(record)) => assert_eq!(record.to_bytes(), bytes),
        Ok(Envelope::Moved(marker)) => assert_eq!(marker.to_bytes(), bytes),
        Ok(other) => panic!("a new kind, to be fuzzed too: {other:?}"),
        Err(error) => drop(error.to_string()),
    }
});
