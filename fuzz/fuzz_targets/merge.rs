//! The laws of merging, on a JSON list of what both started from, ours and theirs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use session_store::fuzzing::{apply_difference, three_way};

fuzz_target!(|json: &[u8]| {
    let Ok([base, ours, theirs]) = serde_json::from_slice::<[Value; 3]>(json) else { return };
    assert_eq!(three_way(&base, &ours, &base).as_ref(), Some(&ours), "ours alone");
    assert_eq!(three_way(&base, &base, &theirs).as_ref(), Some(&theirs), "theirs alone");
    assert_eq!(three_way(&base, &ours, &ours).as_ref(), Some(&ours), "equal changes");
    let both = [three_way(&base, &ours, &theirs), three_way(&base, &theirs, &ours)];
    assert_eq!(both[0].is_some(), both[1].is_some(), "a contradiction is one from both sides");
    if let Some(merged) = &both[0] {
        assert_eq!(
            three_way(&theirs, merged, &theirs).as_ref(),
            Some(merged),
            "and is a change like any other"
        );
    }
    let mut target = base.clone();
    apply_difference(&base, &ours, &mut target);
    assert_eq!(target, ours, "the difference leads to ours");
    let mut target = theirs.clone();
    apply_difference(&base, &base, &mut target);
    assert_eq!(target, theirs, "no difference changes nothing");
});
