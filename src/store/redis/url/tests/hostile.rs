//! SECURITY 21 and 27: any bytes, and no word of a secret.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

const FORMS: [(&str, &str); 9] = [
    ("redis://", "@localhost:6379/0"),
    ("rediss://", "@h?cacert=/ca.pem&unknown=1"),
    ("redis-cluster://", "@h1:1,h2:x/3"),
    ("redis-sentinel://", "@s1,s2/master?sentinel_user=a"),
    ("redis-sentinel://u:p@s1/m?sentinel_user=", "&sentinel_password=1"),
    ("unix:///s?user=", ""),
    ("http://", "@h"),
    ("", "@h:6379"),
    ("redis://", "@"),
];

/// Anything, and above all what means something in a URL.
fn text() -> impl Strategy<Value = String> {
    let punctuation = proptest::collection::vec(
        prop_oneof![
            Just("@"),
            Just(":"),
            Just("/"),
            Just("?"),
            Just("#"),
            Just("&"),
            Just("="),
            Just("%"),
            Just(","),
            Just("["),
            Just("]"),
            Just("%40"),
            Just("%ff"),
            Just("://"),
            Just("+"),
            Just("é"),
            Just(" "),
            Just("redis://"),
            Just("db"),
            Just("0"),
            Just("a"),
            Just("tls=true"),
            Just("\0"),
            Just("localhost"),
        ],
        0..12,
    );
    prop_oneof![punctuation.prop_map(|parts| parts.concat()), "\\PC{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics(scheme in 0..FORMS.len(), url in text(), raw in any::<String>()) {
        let _ = parse(&url);
        let _ = parse(&raw);
        let _ = parse(&format!("{}{url}", FORMS[scheme].0));
    }

    /// However wrongly they are written.
    #[test]
    fn no_message_has_a_word_of_user_or_password(
        form in 0..FORMS.len(), a in text(), b in text(), c in text(), d in text(),
    ) {
        let (before, after) = FORMS[form];
        let url = format!("{before}{a}MyUser{b}:{c}MyPassword{d}{after}");
        let said = match parse(&url) {
            Ok(target) => format!("{target:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!said.contains("MyUser") && !said.contains("MyPassword"), "{url}: {said}");
    }

    #[test]
    fn what_is_percent_encoded_comes_out_as_it_was(user in "(?s).{1,20}", password in "(?s).{1,20}") {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (&*user, &*password);
        let pair = (Some(user), Some(password));
        let userinfo = format!("{}:{}", encoded(user), encoded(password));
        for url in [
            format!("redis://{userinfo}@h"),
            format!("rediss-cluster://{userinfo}@h1,h2"),
            format!("redis-sentinel://{userinfo}@s1/m"),
            format!("unix:///s?user={}&pass={}", encoded(user), encoded(password)),
        ] {
            let target = target(&url);
            prop_assert_eq!(login(&target.login), pair);
        }
        let sentinels = format!(
            "redis-sentinel://s1/m?sentinel_user={}&sentinel_password={}",
            encoded(user),
            encoded(password)
        );
        let sentinels = target(&sentinels);
        prop_assert_eq!(login(&sentinels.sentinel_login), pair);
        let alone = target(&format!("redis://{}@h", encoded(password)));
        prop_assert_eq!(login(&alone.login), (None, Some(password)));
    }
}

#[test]
fn what_is_shown_of_a_target_is_where_it_is() {
    for url in ["redis://MyUser:MyPassword@h:1", "redis-sentinel://h:1/m?sentinel_password=MyPassword"] {
        let target = target(url);
        let shown = format!("{target:?}");
        assert!(!shown.contains("MyUser") && !shown.contains("MyPassword"), "{shown}");
        assert!(shown.contains("\"h\""), "{shown}");
    }
    let Servers::Cluster(hosts) = target("redis-cluster://:MyPassword@h:1,[::1]:2").servers else { panic!() };
    assert_eq!(hosts.iter().map(Host::to_string).collect::<Vec<_>>(), ["h:1", "[::1]:2"]);
}
