//! Which session is meant.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use session_store::SessionKey;

use crate::failure::Failure;
use crate::opening::{Naming, Open};
use crate::progress::Progress;

const DIGEST_LENGTH: usize = 28;
const LINEAGE_LENGTH: usize = 4;
/// Of a digest, so many characters tell a session from others: 48 bits.
const SHORTEST: usize = 8;
/// So many are listed that begin alike.
const MOST_LISTED: usize = 10;
/// Fewer round trips than a service's own scans, as somebody waits.
const PAGE_SIZE: usize = 1000;

/// What a session is called. It leads there in this crate's own layout; in those of Express only the id
/// does, and no part of that is shown.
pub(crate) fn name(key: &SessionKey, naming: &Naming) -> String {
    if naming.is_native { key.storage_name().to_owned() } else { format!(":{key}") }
}

/// What somebody wrote. It is not repeated in errors, as it may be an id.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole(SessionKey),
    Beginning(String),
}

impl Wanted {
    fn read(text: &str, naming: &Naming) -> Option<Self> {
        let text =
            text.strip_prefix(naming.prefix.as_str()).filter(|rest| rest.starts_with('{')).unwrap_or(text);
        let (lineage, digest) = text.split_once(':').unwrap_or(("", text));
        let lineage = lineage.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or(lineage);
        let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !digest.chars().all(is_base64url) || !(SHORTEST..=DIGEST_LENGTH).contains(&digest.len()) {
            return None;
        }
        if !lineage.is_empty() && lineage.len() != LINEAGE_LENGTH {
            return None;
        }
        let whole = SessionKey::from_storage_name(&format!("{{{lineage}}}:{digest}"));
        Some(match whole.filter(|_| naming.is_native) {
            Some(key) => Self::Whole(key),
            None => Self::Beginning(digest.to_owned()),
        })
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Beginning(digest) => digest.len() == DIGEST_LENGTH,
        }
    }
}

/// The sessions that are meant, in the same order; `None` for what is not there, as far as it had to be looked
/// for.
pub(crate) async fn find(open: &Open, texts: &[String]) -> Result<Vec<Option<SessionKey>>, Failure> {
    let wanted: Option<Vec<_>> = texts.iter().map(|text| Wanted::read(text, &open.naming)).collect();
    let wanted = wanted.ok_or_else(|| {
        Failure::Usage(
            "this is no key of a session: give what `list` prints, a key's whole name in Redis, or at least 8 of \
             the digest's 28 characters. An id, which is what a cookie carries, is none"
                .to_owned(),
        )
    })?;
    let mut matches = vec![HashSet::new(); wanted.len()];
    let mut missing = wanted.iter().filter(|wanted| matches!(wanted, Wanted::Beginning(_))).count();
    if missing > 0 {
        let progress = Progress::new("looking for it");
        let mut sessions = open.manager.sessions().page_size(PAGE_SIZE).on_progress(progress.callback());
        while let Some(session) = sessions.try_next().await? {
            let digest = session.key.to_string();
            for (wanted, matches) in wanted.iter().zip(&mut matches) {
                let Wanted::Beginning(beginning) = wanted else { continue };
                if digest.starts_with(beginning.as_str()) {
                    missing -= usize::from(wanted.is_complete() && matches.is_empty());
                    matches.insert(session.key.clone());
                }
            }
            if missing == 0 {
                break;
            }
        }
        // What is no session any more can be shown and ended by name, too.
        for key in sessions.unreadable() {
            for (wanted, matches) in wanted.iter().zip(&mut matches) {
                if matches!(wanted, Wanted::Beginning(beginning) if key.to_string().starts_with(beginning.as_str()))
                {
                    matches.insert(key.clone());
                }
            }
        }
    }
    wanted.into_iter().zip(matches).map(|(wanted, matches)| one(wanted, matches, &open.naming)).collect()
}

/// The same for one, which has to be there.
pub(crate) async fn find_one(open: &Open, text: &str) -> Result<SessionKey, Failure> {
    let found = find(open, &[text.to_owned()]).await?;
    found.into_iter().next().flatten().ok_or_else(not_there)
}

pub(crate) fn not_there() -> Failure {
    Failure::Missing("there is no such session (any more)".to_owned())
}

fn one(wanted: Wanted, matches: HashSet<SessionKey>, naming: &Naming) -> Result<Option<SessionKey>, Failure> {
    if let Wanted::Whole(key) = wanted {
        return Ok(Some(key));
    }
    if matches.len() > 1 {
        let mut names: Vec<_> = matches.iter().map(|key| name(key, naming)).collect();
        names.sort();
        let more = if names.len() > MOST_LISTED { "\n  and others" } else { "" };
        names.truncate(MOST_LISTED);
        let names = names.join("\n  ");
        let words = format!("several sessions begin so, give more of the digest:\n  {names}{more}");
        return Err(Failure::Usage(words));
    }
    Ok(matches.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "5okmGZOnqTYaaZ_vniTC_oSHLOGK";

    fn naming(is_native: bool) -> Naming {
        Naming { is_native, prefix: "session:".to_owned(), prefixes: Vec::new() }
    }

    #[test]
    fn a_session_has_several_names() {
        let key = SessionKey::from_storage_name(&format!("{{AAAA}}:{DIGEST}")).unwrap();
        for name in ["{AAAA}:", "AAAA:", "session:{AAAA}:"] {
            let name = format!("{name}{DIGEST}");
            assert_eq!(Wanted::read(&name, &naming(true)), Some(Wanted::Whole(key.clone())), "{name}");
            // There, a whole name does not lead to the session either.
            let digest = Wanted::Beginning(DIGEST.to_owned());
            assert_eq!(Wanted::read(&name, &naming(false)), Some(digest), "{name}");
        }
        for (name, beginning) in [
            (DIGEST, DIGEST),
            (&format!(":{DIGEST}"), DIGEST),
            ("5okmGZOn", "5okmGZOn"),
            ("AAAA:5okmGZOn", "5okmGZOn"),
            (":-okmGZOn", "-okmGZOn"),
        ] {
            let wanted = Some(Wanted::Beginning(beginning.to_owned()));
            assert_eq!(Wanted::read(name, &naming(true)), wanted, "{name}");
        }
        assert_eq!(name(&key, &naming(true)), format!("{{AAAA}}:{DIGEST}"));
        assert_eq!(name(&key, &naming(false)), format!(":{DIGEST}"));
    }

    #[test]
    fn an_id_is_no_name() {
        let id = session_store::SessionId::generate();
        let of_express = format!("sess:{}", id.as_str());
        for text in ["", "short", "AAAAA:5okmGZOn", "a b c d e f g", "ümlautümlaut", id.as_str(), &of_express]
        {
            assert_eq!(Wanted::read(text, &naming(false)), None, "{text}");
        }
    }
}
