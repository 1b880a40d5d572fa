//! How many sessions somebody may have, as `SESSION_MAX_PER_OWNER` says.

use super::environment::{Environment, wrong};
use crate::error::Error;
use crate::store::owner_index::{Evict, OwnerLimit};

pub(super) fn owner_limit(
    environment: &Environment<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<OwnerLimit>, Error> {
    let evict = match environment.text("SESSION_OVER_LIMIT")?.as_deref() {
        None => None,
        Some("oldest") => Some(Evict::Oldest),
        Some("refuse") => Some(Evict::Refuse),
        Some(other) => return Err(wrong("SESSION_OVER_LIMIT", other, "give `oldest` or `refuse`")),
    };
    let most = OwnerLimit::MOST;
    let advice = format!("give 1 to {most} sessions, such as `5`, or leave it out for any number");
    let sessions = environment.number("SESSION_MAX_PER_OWNER", 1..=most, &advice)?;
    if sessions.is_none() && evict.is_some() {
        warnings.push("SESSION_OVER_LIMIT has no effect: SESSION_MAX_PER_OWNER is not set".to_owned());
    }
    Ok(sessions.map(|sessions| OwnerLimit::new(sessions, evict.unwrap_or(Evict::Oldest))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fault, read};
    use super::*;

    #[test]
    fn beyond_the_limit_the_oldest_session_ends_unless_the_sign_in_is_refused() {
        let limit = |vars: &[(&str, &str)]| {
            let settings = read(vars).unwrap();
            assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
            settings.owner_limit
        };
        let max = |count| ("SESSION_MAX_PER_OWNER", count);
        let over = |what| ("SESSION_OVER_LIMIT", what);
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[max("1")]), Some(OwnerLimit::new(1, Evict::Oldest)));
        assert_eq!(limit(&[max("5"), over("oldest")]), Some(OwnerLimit::new(5, Evict::Oldest)));
        assert_eq!(limit(&[max("1000"), over("refuse")]), Some(OwnerLimit::new(1000, Evict::Refuse)));
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused() {
        for wrong in ["0", "1001", "-1", "+5", "5.0", "five", "99999999999"] {
            let message = fault(&[("SESSION_MAX_PER_OWNER", wrong)]);
            assert!(message.contains("SESSION_MAX_PER_OWNER is ") && message.contains("`5`"), "{message}");
        }
        assert!(fault(&[("SESSION_OVER_LIMIT", "newest")]).contains("`oldest` or `refuse`"));
    }

    #[test]
    fn what_happens_beyond_no_limit_gets_a_warning() {
        let settings = read(&[("SESSION_OVER_LIMIT", "refuse")]).unwrap();
        assert!(settings.warnings[0].starts_with("SESSION_OVER_LIMIT has no effect: SESSION_MAX_PER_OWNER"));
        assert_eq!((settings.warnings.len(), settings.owner_limit), (1, None));
    }
}
