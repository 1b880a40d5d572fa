//! Which keys of a Redis are sessions of one store: others have theirs beside them.

use crate::id::SessionKey;
#[cfg(feature = "express")]
use crate::store::redis::name;
use crate::store::redis::name::{Prefix, Slot};

/// A layout that sessions are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Native,
    #[cfg(feature = "express")]
    Express,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    prefix: &'a Prefix,
    pub(super) part: Part,
}

/// The key of a session, and what it is called in Redis.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    pub(super) key: SessionKey,
}

impl<'a> Names<'a> {
    pub(super) fn new(prefix: &'a Prefix, part: Part) -> Self {
        Self { prefix, part }
    }

    /// What the names look like, for `MATCH`. It lets through a few that [`read`](Self::read) does not.
    pub(super) fn pattern(self) -> String {
        let mut pattern = String::new();
        for c in self.prefix.as_str().chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push_str(match self.part {
            Part::Native => "{????}:????????????????????????????",
            #[cfg(feature = "express")]
            Part::Express => "*",
        });
        pattern
    }

    /// The session of this name, if it can be one.
    pub(super) fn read(self, name: &[u8]) -> Option<Named> {
        let rest = name.strip_prefix(self.prefix.as_str().as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?;
        let key = match self.part {
            Part::Native => SessionKey::from_storage_name(rest)?,
            // Behind a colon begins what belongs to a longer prefix.
            #[cfg(feature = "express")]
            Part::Express => crate::id::SessionId::express(rest).filter(|_| !rest.contains(':'))?.key(),
        };
        Some(Named { name: name.to_owned(), key })
    }

    pub(super) fn slot(self, named: &Named) -> Slot {
        match self.part {
            Part::Native => self.prefix.name(&named.key).slot(),
            // Neither prefix nor id has braces.
            #[cfg(feature = "express")]
            Part::Express => name::slot(&named.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK";

    fn reads(prefix: &str, part: Part, name: &str) -> bool {
        let prefix = Prefix::new(prefix.to_owned()).unwrap();
        Names::new(&prefix, part).read(name.as_bytes()).is_some()
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
            let prefix = Prefix::new(prefix.to_owned()).unwrap();
            let pattern = Names::new(&prefix, Part::Native).pattern();
            assert_eq!(pattern, format!("{escaped}{{????}}:{}", "?".repeat(28)));
        }
    }

    #[test]
    fn a_name_belongs_to_one_prefix_alone() {
        let prefixes = ["", "app", "app:", "app:admin:", "a*c:", "a?c:"];
        for own in prefixes {
            for asked in prefixes {
                let name = format!("{own}{NAME}");
                assert_eq!(reads(asked, Part::Native, &name), own == asked, "{asked:?} sees {name:?}");
            }
        }
        assert!(!reads("app:", Part::Native, "app:{AAAA}:short"));
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
            assert_eq!(reads(prefix, Part::Express, name), expected, "{prefix} {name}");
        }
    }
}
