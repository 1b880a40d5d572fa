//! Reads `Cookie` headers.

/// The values of the cookies that are called exactly `name`, in the order of the header.
///
/// A sibling subdomain can set a cookie whose name differs from `name` by any bytes that a browser keeps,
/// such as U+2000 before it. Trimmed away, they would let it take the place of a `__Host-` cookie, which the
/// browser keeps such a sibling from setting. So only what browsers themselves trim off a name is no part of
/// it: SP and TAB (RFC 6265bis section 5.6). For the same reason nothing is unescaped or unquoted, and names
/// differ by case. A cookie without a name (`=name=value`) has none, whatever its value looks like.
///
/// Values that are no text are nobody's: they are left out.
pub(super) fn values<'h>(header: &'h [u8], name: &'h str) -> impl Iterator<Item = &'h str> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (its_name, value) = (trim(&pair[..equals]), trim(&pair[equals + 1..]));
        if its_name == name.as_bytes() { str::from_utf8(value).ok() } else { None }
    })
}

/// Without SP and TAB at both ends.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "__Host-Http-id";

    fn read(header: &[u8]) -> Vec<&str> {
        values(header, NAME).collect()
    }

    #[test]
    fn every_cookie_of_the_name_is_read_whatever_stands_beside_it() {
        let header = b"a=b; id=one; junk; =; ID=no; id=two;id=three; xid=no; id; \xff=\xff; id=; id=a=b";
        assert_eq!(values(header, "id").collect::<Vec<_>>(), ["one", "two", "three", "", "a=b"]);
        assert_eq!(values(b"", "id").count(), 0);
    }

    #[test]
    fn spaces_and_tabs_are_trimmed() {
        for header in ["{}=v", " {}=v ", "\t {}\t =\t v \t", "a=b;{}=v;c=d", ";;{} = v;;"] {
            assert_eq!(read(header.replace("{}", NAME).as_bytes()), ["v"], "{header:?}");
        }
        assert_eq!(read(b"__Host-Http-id=a b\tc"), ["a b\tc"]);
    }

    /// SECURITY 29: raw bytes of which a browser could make a cookie that a sibling subdomain set.
    #[test]
    fn a_name_that_only_resembles_ours_is_another() {
        for resembling in [
            // White space of Unicode, and other characters that nobody sees.
            "\u{2000}{}",
            "\u{85}{}",
            "\u{a0}{}",
            "\u{1680}{}",
            "\u{2028}{}",
            "\u{3000}{}",
            "\u{feff}{}",
            "\u{200b}{}",
            "\u{ad}{}",
            "{}\u{2000}",
            "{}\u{a0}",
            "\u{2000} {}",
            " \u{2000}{}",
            // White space and controls of ASCII that no standard trims.
            "\u{b}{}",
            "\u{c}{}",
            "\r{}",
            "\n{}",
            "\0{}",
            "\u{1}{}",
            "\u{7f}{}",
            "{}\0",
            "{}\u{b}",
            "{}\u{c}",
            // No name, or another one.
            "={}",
            " ={}",
            "a={}",
            "=\t{}",
            "={}=",
            "a ={} ",
            "{} x",
            "x {}",
            "$Version=1,{}",
            "x,{}",
            "{},x",
            // Case, escapes and quotes.
            "__host-http-id",
            "__HOST-HTTP-ID",
            "__Host-Http-Id",
            "%5F_Host-Http-id",
            "__Host%2DHttp-id",
            "__Host-Http-i%64",
            "__Host-Http-id%20",
            "+{}",
            "\"{}\"",
            "'{}'",
            "\"{}",
            "{}\"",
            "\\{}",
            // Look-alikes.
            "__H\u{43e}st-Http-id",
            "\u{ff3f}_Host-Http-id",
            "__Host\u{2010}Http-id",
            "__Host-Http-\u{131}d",
        ] {
            let header = format!("{}=v", resembling.replace("{}", NAME));
            assert_eq!(read(header.as_bytes()), [""; 0], "{header:?}");
            let beside = format!("a=b; {header}; {NAME}=own; {header}");
            assert_eq!(read(beside.as_bytes()), ["own"], "{beside:?}");
        }
        for byte in (0..=u8::MAX).filter(|byte| !b" \t;".contains(byte)) {
            for header in
                [[&[byte], NAME.as_bytes(), b"=v"].concat(), [NAME.as_bytes(), &[byte], b"=v"].concat()]
            {
                let is_value = byte == b'=' && header.starts_with(NAME.as_bytes());
                assert_eq!(read(&header).len(), usize::from(is_value), "{byte:#x}");
            }
        }
    }

    /// Some servers read up to the closing quote, and so hide what is between two other cookies.
    #[test]
    fn a_cookie_cannot_swallow_another() {
        for header in [
            "a=\"; __Host-Http-id=own; b=\"",
            "$Version=1; a=\"b; __Host-Http-id=own; c=\"",
            "a=b,; __Host-Http-id=own",
            "a=\\; __Host-Http-id=own",
            "a=(; __Host-Http-id=own; b=)",
            "=; __Host-Http-id=own",
            "__Host-Http-id; __Host-Http-id=own",
        ] {
            assert_eq!(read(header.as_bytes()), ["own"], "{header}");
        }
    }

    #[test]
    fn a_value_that_is_no_text_does_not_hide_one_that_is() {
        let header = b"__Host-Http-id=\xe9t\xe9; a=\xff; __Host-Http-id=own; \xa0__Host-Http-id=no; __Host-Http-id=\xff";
        assert_eq!(read(header), ["own"]);
    }

    /// Whatever can stand beside a name in one pair of a header.
    fn padding() -> impl Strategy<Value = Vec<u8>> {
        let byte = any::<u8>().prop_filter("ends the name", |byte| !b";=".contains(byte));
        let blank = prop_oneof![Just(b' '), Just(b'\t')];
        prop_oneof![prop::collection::vec(byte, 0..4), prop::collection::vec(blank, 0..4)]
    }

    proptest! {
        /// SECURITY 27 and 29.
        #[test]
        fn nothing_but_spaces_and_tabs_may_surround_the_name(before in padding(), after in padding()) {
            let header = [&before, NAME.as_bytes(), &after, b"=v"].concat();
            let blank = [before, after].concat().iter().all(|byte| b" \t".contains(byte));
            prop_assert_eq!(read(&header).len(), usize::from(blank));
        }

        /// SECURITY 27.
        #[test]
        fn hostile_headers_never_panic(header in any::<Vec<u8>>()) {
            read(&header);
        }
    }
}
