//! Which keys of a Redis are sessions of one store: others have theirs beside them.

use super::*;

const NAME: &str = "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK";

fn native(prefix: &str) -> Box<dyn Keyspace> {
    Box::new(native::keyspace::NativeKeys { prefix: Prefix::new(prefix.to_owned()).unwrap() })
}

fn reads(keyspace: &dyn Keyspace, name: &str) -> bool {
    keyspace.named(name.as_bytes()).is_some()
}

#[test]
fn a_pattern_takes_the_prefix_literally() {
    for (prefix, escaped) in [
        ("app:", "app:"),
        ("a*c:", r"a\*c:"),
        ("a[b]c:", r"a\[b\]c:"),
        ("a?c:", r"a\?c:"),
        (r"a\c:", r"a\\c:"),
        ("", ""),
    ] {
        assert_eq!(native(prefix).glob(), format!("{escaped}{{????}}:{}", "?".repeat(28)));
    }
}

#[test]
fn a_name_belongs_to_one_prefix_alone() {
    let prefixes = ["", "app", "app:", "app:admin:", "a*c:", "a?c:"];
    for own in prefixes {
        for asked in prefixes {
            let name = format!("{own}{NAME}");
            assert_eq!(reads(&*native(asked), &name), own == asked, "{asked:?} sees {name:?}");
        }
    }
    assert!(!reads(&*native("app:"), "app:{AAAA}:short"));
}

#[cfg(feature = "express")]
#[test]
fn an_id_of_express_has_no_colon() {
    for (prefix, name, expected) in [
        ("sess:", "sess:abc", true),
        ("sess:", "sess:admin:abc", false),
        ("sess", "sess:abc", false),
        ("sess:", "sess:", false),
        ("sess:", "other:abc", false),
        ("app:", &format!("app:{NAME}"), false),
    ] {
        let keyspace = express::keyspace::ExpressKeys::new(Prefix::foreign(prefix.to_owned()));
        assert_eq!(reads(&keyspace, name), expected, "{prefix} {name}");
    }
}
