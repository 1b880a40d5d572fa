//! Texts of JavaScript that are none in UTF-8.

use std::borrow::Cow;

/// JSON in which halves of a character, such as `"\ud83d"`, are replaced by U+FFFD.
///
/// `"😀".slice(0, 1)` is such a half. `JSON.stringify` escapes it, and no text of Rust can hold it:
/// because of one name that was cut short, the whole session would not be read.
pub(super) fn mended(json: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(json);
    if !json.contains(&b'\\') {
        return mended;
    }
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        match (unit(json, at), unit(json, at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            // What is escaped may be a backslash.
            _ => at = (at + 2).min(json.len()),
        }
    }
    mended
}

/// The unit of UTF-16 that six bytes such as `\u00e9` stand for.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_are_replaced_and_all_else_stays() {
        for (json, expected) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00x""#, r#""\ufffdx""#),
            (r#""a\ud83d\n\ud83d\ude00\ude00""#, r#""a\ufffd\n\ud83d\ude00\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d \u00e9 \" \ud83d\\ude00""#, r#""\\ud83d \u00e9 \" \ufffd\\ude00""#),
            (r#""\ud83"#, r#""\ud83"#),
            (r"\", r"\"),
            (r#""\u+83d""#, r#""\u+83d""#),
        ] {
            assert_eq!(mended(json.as_bytes()), expected.as_bytes(), "{json}");
        }
        assert!(matches!(mended(br#"{"fine":"\u00e9\ud83d\ude00"}"#), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn what_rust_reads_stays_as_it_is(text in any::<String>()) {
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(&*mended(&json), &json[..]);
        }

        /// As `JSON.stringify` writes any text of JavaScript.
        #[test]
        fn whatever_javascript_writes_is_read(units in proptest::collection::vec(any::<u16>(), 0..20)) {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{json}\"");
            let read: String = serde_json::from_slice(&mended(json.as_bytes())).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
