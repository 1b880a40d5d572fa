//! The URL of a store. An error about it shows neither a password nor a line that is not its own.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for scheme in ["", "redis://", "rediss-cluster://", "redis-sentinel://", "redis+unix:///"] {
        if let Err(error) = session_store::fuzzing::url(&format!("{scheme}{text}")) {
            assert!(!error.to_string().contains('\n'), "{error:?}");
        }
    }
    let with_password = format!("redis://ada:hunter2%{text}@host/0");
    if let Err(error) = session_store::fuzzing::url(&with_password) {
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
});
