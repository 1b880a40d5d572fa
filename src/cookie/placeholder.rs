//! Tells a secret that somebody wrote to have one from a secret that was drawn at random.

use std::collections::HashSet;

/// A secret of which at least so many characters are unexplained was not made up by anybody.
const ENOUGH: usize = 16;
/// So many bytes that follow each other, as `aaaa`, `2345` or `edcb` do, are no accident.
const RUN: usize = 4;

/// What people put where a secret belongs.
const TELLTALES: [&str; 22] = [
    "secret",
    "change",
    "password",
    "passwd",
    "placeholder",
    "example",
    "keyboard",
    "insecure",
    "replace",
    "default",
    "development",
    "production",
    "testing",
    "please",
    "random",
    "session",
    "signing",
    "supersafe",
    "donotuse",
    "dummy",
    "sample",
    "fixme",
];
/// What stands around that.
const OTHERS: [&str; 29] = [
    "your",
    "this",
    "that",
    "here",
    "with",
    "some",
    "very",
    "long",
    "super",
    "must",
    "need",
    "only",
    "test",
    "tests",
    "value",
    "string",
    "insert",
    "enter",
    "cookie",
    "token",
    "least",
    "bytes",
    "characters",
    "chars",
    "qwerty",
    "asdf",
    "hunter",
    "correct",
    "admin",
];

/// Why this is no secret, if it is none.
///
/// What is drawn at random passes, in whatever alphabet: for 24 bytes in hex or base64 the odds of a mistake are
/// below 10⁻⁹. What somebody thought of may pass, too: no rule can tell how.
pub(super) fn fault(secret: &[u8]) -> Option<&'static str> {
    if repeats(secret) {
        return Some("repeats itself");
    }
    let text = folded(secret);
    let mut explained = vec![false; text.len()];
    for word in TELLTALES.iter().chain(&OTHERS) {
        mark(&text, word.as_bytes(), &mut explained);
    }
    let has_words = explained.contains(&true);
    mark_runs(secret, &mut explained);
    // Separators tell nothing, whoever chose them.
    let unexplained =
        secret.iter().zip(&explained).filter(|(byte, known)| !**known && !b" -_./:,".contains(byte)).count();
    if unexplained < ENOUGH {
        return Some(if has_words { "reads like a placeholder" } else { "is a sequence" });
    }
    let is_telltale =
        TELLTALES.iter().any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()));
    (is_telltale && is_prose(secret)).then_some("reads like a placeholder")
}

/// Whether it holds little more than a pattern of up to 31 bytes, again and again.
fn repeats(secret: &[u8]) -> bool {
    // Random hex has under 6 of its 16 digits with odds of 10⁻¹³.
    let few = secret.iter().collect::<HashSet<_>>().len() < 6;
    let longest = (secret.len() / 2).min(31);
    few || (1..=longest).any(|period| {
        let again = secret.iter().zip(&secret[period..]).filter(|(one, other)| one == other).count();
        // Something else may stand at its end.
        again * 4 >= (secret.len() - period) * 3
    })
}

/// In lower case, with letters for the digits and signs that people write for them.
fn folded(secret: &[u8]) -> Vec<u8> {
    let fold = |byte: &u8| match byte.to_ascii_lowercase() {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        byte => byte,
    };
    secret.iter().map(fold).collect()
}

fn mark(text: &[u8], word: &[u8], explained: &mut [bool]) {
    for (start, part) in text.windows(word.len()).enumerate() {
        if part == word {
            explained[start..start + word.len()].fill(true);
        }
    }
}

/// Marks what goes up, down or stays the same for a while.
fn mark_runs(secret: &[u8], explained: &mut [bool]) {
    for step in [-1, 0, 1] {
        let mut start = 0;
        for end in 1..=secret.len() {
            let goes_on = end < secret.len() && i16::from(secret[end]) - i16::from(secret[end - 1]) == step;
            if !goes_on {
                if end - start >= RUN {
                    explained[start..end].fill(true);
                }
                start = end;
            }
        }
    }
}

/// Whether it consists of words and numbers, each by itself. Whatever a generator makes mixes them, or goes on
/// for longer than words do.
fn is_prose(secret: &[u8]) -> bool {
    let mut words = secret.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.all(|word| {
        let one_kind = word.iter().all(u8::is_ascii_alphabetic) || word.iter().all(u8::is_ascii_digit);
        let one_case = word.is_empty()
            || !word[1..].iter().any(u8::is_ascii_uppercase)
            || !word.iter().any(u8::is_ascii_lowercase);
        one_kind && one_case && word.len() <= 15
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    #[test]
    fn placeholders_are_found() {
        for placeholder in [
            "your-secret-key-change-in-production",
            "your-super-secret-key-change-me-in-production-please",
            "YOUR_SECRET_KEY_CHANGE_IN_PRODUCTION",
            "yoursecretkeychangeinproduction1234",
            "mysupersecretkey1234567890abcdefgh",
            "changemechangemechangemechangeme",
            "changeme-changeme-changeme-changeme!",
            "ChangeMe!ChangeMe!ChangeMe!ChangeMe!",
            "changeme123456789012345678901234567890",
            "CHANGE_THIS_TO_A_LONG_RANDOM_STRING",
            "change-this-secret-before-you-deploy-it-anywhere",
            "please replace this with a real secret",
            "this is a very long secret for my app, replace it",
            "replace-me-with-the-output-of-openssl-rand",
            "p4ssw0rdp4ssw0rdp4ssw0rdp4ssw0rd!",
            "s3cr3t-s3cr3t-k3y-k33p-1t-s3cr3t",
            "keyboard cat keyboard cat keyboard cat",
            "keyboard cat, but made long enough",
            "insecure-development-secret-do-not-use",
            "dev-secret-not-for-production-use-only",
            "secret-secret-secret-secret-secret",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "zyxwvutsrqponmlkjihgfedcba9876543210",
            "12345678901234567890123456789012",
            "98765432109876543210987654321098",
            "00000000000000000000000000000001",
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
            "abababababababababababababababab",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "deadbeefcafebabedeadbeefcafebabe",
            "qwertyqwertyqwertyqwertyqwerty12",
            "only-for-tests-0123456789abcdefghijklmnop",
            "secret_key_base_example_0123456789",
            "--------------------------------",
            "                                ",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ] {
            assert!(placeholder.len() >= 32 || placeholder.contains("secret"), "{placeholder}");
            assert!(fault(placeholder.as_bytes()).is_some(), "{placeholder}");
        }
        for byte in 0..=u8::MAX {
            for length in [32, 33, 64, 1000] {
                assert!(fault(&vec![byte; length]).is_some(), "{byte}");
            }
        }
        let ascending: Vec<u8> = (0..=u8::MAX).collect();
        assert!(fault(&ascending).is_some() && fault(&ascending[..32]).is_some());
    }

    /// What generators make, with a name before it, too; and words that were drawn by dice.
    #[test]
    fn secrets_are_not() {
        for secret in [
            "N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o",
            "secret-N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o",
            "session_secret_3c1f0f6e9d2b4a8875e1c0d9b7a6f5e4",
            "production:3c1f0f6e9d2b4a8875e1c0d9b7a6f5e4",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "glacier-tuba-onward-velvet-quarry-hemp-mango",
            "31415926535897932384626433832795",
            "Zr4u7x!A%D*G-KaPdSgVkYp3s6v9y$B&",
        ] {
            assert_eq!(fault(secret.as_bytes()), None, "{secret}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn what_is_random_passes(bytes in any::<[u8; 24]>(), more in any::<[u8; 48]>(), digits in "[0-9]{40}",
                                 letters in "[a-z]{32}", printable in "[!-~]{32}") {
            for text in [hex(&bytes), hex(&more), hex(&bytes[..16]), hex(&bytes).to_uppercase(), STANDARD.encode(bytes),
                         STANDARD.encode(more), URL_SAFE_NO_PAD.encode(more), digits, letters, printable] {
                prop_assert_eq!(fault(text.as_bytes()), None, "{}", text);
            }
            prop_assert_eq!(fault(&more), None);
        }

        #[test]
        fn a_pattern_repeats_whatever_it_is(pattern in prop::collection::vec(any::<u8>(), 1..=16), length in 32..100_usize) {
            let repeated: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
            prop_assert_eq!(fault(&repeated), Some("repeats itself"));
        }

        #[test]
        fn any_bytes_are_judged(bytes in any::<Vec<u8>>()) {
            fault(&bytes);
        }
    }
}
