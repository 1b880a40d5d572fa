//! A session's value as connect-redis stores it. What is read and can be written is read as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_store::{SessionId, fuzzing::express_value};

fuzz_target!(|value: &[u8]| {
    let key = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").expect("it has the shape of one").key();
    let Ok((record, Some(written))) = express_value(&key, value) else { return };
    let (again, _) = express_value(&key, written.as_bytes()).expect("it was written by us");
    assert_eq!(again.data, record.data);
    assert_eq!((&again.owner, &again.label), (&record.owner, &record.label));
    assert_eq!(again.created_at, record.created_at);
});
