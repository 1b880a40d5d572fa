//! How sessions are kept in Redis, as `SESSION_LAYOUT` says.

use std::time::Duration;

use super::environment::{Environment, wrong};
use crate::cookie::SessionCookie;
use crate::cookie::keys::{Key, KeyRing};
use crate::engine::expiry::Expiry;
use crate::error::Error;
#[cfg(feature = "redis")]
use crate::store::redis::RedisStoreBuilder;
#[cfg(feature = "express")]
use crate::store::redis::layout::{RedisLayout, express::ExpressLayout};

const EXPRESS_COOKIE: &str = "connect.sid";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Native,
    Express,
    ExpressBeforeMove,
    MoveToNative,
}

/// How sessions are kept in Redis.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    kind: Kind,
    #[cfg_attr(not(feature = "express"), expect(dead_code, reason = "Express is refused"))]
    express_prefix: Option<String>,
}

impl Layout {
    pub(super) fn read(environment: &Environment<'_>, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let kind = match environment.text("SESSION_LAYOUT")?.as_deref() {
            None | Some("native") => Kind::Native,
            Some("express") => Kind::Express,
            Some("express-before-move") => Kind::ExpressBeforeMove,
            Some("move-to-native") => Kind::MoveToNative,
            Some(other) => {
                let fault = "give `native`, `express`, `express-before-move` or `move-to-native`";
                return Err(wrong("SESSION_LAYOUT", other, fault));
            }
        };
        if cfg!(not(feature = "express")) && kind != Kind::Native {
            return Err(Error::Config(
                "SESSION_LAYOUT names a layout of Express, but session-store was built without its feature \
                 `express`: add it \
                 in Cargo.toml"
                    .to_owned(),
            ));
        }
        let express_prefix = environment.text("SESSION_EXPRESS_PREFIX")?;
        if kind == Kind::Native && express_prefix.is_some() {
            warnings.push(
                "SESSION_EXPRESS_PREFIX has no effect: SESSION_LAYOUT is not a layout of Express".to_owned(),
            );
        }
        if kind == Kind::Express && environment.is_set("SESSION_PREFIX")? {
            let why = "with SESSION_LAYOUT=express, SESSION_EXPRESS_PREFIX applies";
            warnings.push(format!("SESSION_PREFIX has no effect: {why}"));
        }
        Ok(Self { kind, express_prefix })
    }

    pub(super) fn is_native(&self) -> bool {
        self.kind == Kind::Native
    }

    /// The cookie's name unless another is asked for.
    pub(super) fn cookie(&self) -> SessionCookie {
        match self.kind {
            Kind::Native => SessionCookie::new(),
            _ => SessionCookie::new().name(EXPRESS_COOKIE),
        }
    }

    /// How long sessions live unless the environment says otherwise. Express has no absolute timeout: one
    /// that nobody asked for would sign out who is signed in.
    pub(super) fn expiry(&self) -> Expiry {
        match self.kind {
            Kind::Native => Expiry::default(),
            _ => Expiry::idle(Duration::from_secs(24 * 3600)),
        }
    }

    /// What to say where Redis is used and there is no secret.
    pub(super) fn missing_secret(&self) -> &'static str {
        match self.kind {
            Kind::Native => {
                "SESSION_SECRET is not set: sessions in Redis outlive this process, so the keys of their cookies \
                 must too; make one with `openssl rand -base64 48`"
            }
            _ => {
                "SESSION_SECRET is not set: give the secret of the Express service, or all of them, \
                 comma-separated, or one \
                 a line in SESSION_SECRET_FILE"
            }
        }
    }

    /// The ring of these secrets, which the variable `name` holds.
    pub(super) fn keys(
        &self,
        secrets: &[&str],
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Result<KeyRing, Error> {
        if self.is_native() {
            return KeyRing::of(secrets);
        }
        if secrets.iter().any(|secret| Key::new(secret).is_err()) {
            warnings.push(format!(
                "{name} has a secret that can be guessed: it is too short or a placeholder. An attacker who \
                 guesses it can sign ids; in the Express service, list a new one before the old one, made with \
                 `openssl rand -base64 48`"
            ));
        }
        KeyRing::of_express(secrets)
    }

    /// Tells the store.
    #[cfg(feature = "express")]
    pub(super) fn apply(&self, redis: RedisStoreBuilder, cookie: &SessionCookie) -> RedisStoreBuilder {
        let mut express = ExpressLayout::new(cookie.clone());
        if let Some(prefix) = &self.express_prefix {
            express = express.prefix(prefix);
        }
        redis.layout(match self.kind {
            Kind::Native => RedisLayout::native(),
            Kind::Express => RedisLayout::express(express),
            Kind::ExpressBeforeMove => RedisLayout::express_before_move(express),
            Kind::MoveToNative => RedisLayout::move_to_native(express),
        })
    }

    #[cfg(all(feature = "redis", not(feature = "express")))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(super) fn apply(&self, redis: RedisStoreBuilder, _: &SessionCookie) -> RedisStoreBuilder {
        redis
    }
}

#[cfg(all(test, feature = "express"))]
mod tests {
    use super::super::tests::{fault, read};
    use super::*;

    #[test]
    fn each_layout_has_a_name() {
        for (name, kind) in [
            ("native", Kind::Native),
            ("express", Kind::Express),
            ("express-before-move", Kind::ExpressBeforeMove),
            ("move-to-native", Kind::MoveToNative),
        ] {
            let settings = read(&[("SESSION_LAYOUT", name)]).unwrap();
            assert_eq!(settings.layout.kind, kind);
            let cookie = settings.cookie.build().unwrap();
            assert_eq!(cookie.name() == "connect.sid", kind != Kind::Native, "{name}");
        }
        let named = read(&[("SESSION_LAYOUT", "express"), ("SESSION_COOKIE_NAME", "sid")]).unwrap();
        assert_eq!(named.cookie.build().unwrap().name(), "sid");
        let message = fault(&[("SESSION_LAYOUT", "Express")]);
        assert!(message.contains("SESSION_LAYOUT") && message.contains("`express-before-move`"), "{message}");
    }

    /// Who is signed in at the Express service stays so for as long as the sessions are in use.
    #[test]
    fn there_is_no_absolute_timeout_unless_it_is_asked_for() {
        let absolute = |vars: &[(&str, &str)]| read(vars).unwrap().expiry.absolute_timeout();
        for layout in ["express", "express-before-move", "move-to-native"] {
            let layout = ("SESSION_LAYOUT", layout);
            assert_eq!(absolute(&[layout]), None);
            assert_eq!(absolute(&[layout, ("SESSION_TTL", "1h")]), None);
            let asked = absolute(&[layout, ("SESSION_ABSOLUTE_TTL", "12h")]);
            assert_eq!(asked, Some(Duration::from_secs(12 * 3600)));
        }
        assert!(absolute(&[]).is_some());
    }

    #[test]
    fn secrets_of_express_may_be_short() {
        for secrets in ["keyboard cat", "new,old", "new-secret, changeme", "%!"] {
            let ring = |layout| read(&[("SESSION_LAYOUT", layout), ("SESSION_SECRET", secrets)]);
            let settings = ring("express").unwrap();
            assert!(settings.keys.is_some());
            assert!(
                settings.warnings.iter().any(|it| it.contains("can be guessed")),
                "{:?}",
                settings.warnings
            );
            assert!(!settings.warnings.concat().contains(secrets), "{:?}", settings.warnings);
            assert!(ring("native").is_err());
        }
        for (unusable, why) in [
            (",", "empty"),
            ("a,", "empty"),
            (" ", "blank"),
            ("keyboard cat ", "blank"),
            ("one, and the same", "commas"),
            ("new,keyboard cat", "commas"),
        ] {
            let message = fault(&[("SESSION_LAYOUT", "express"), ("SESSION_SECRET", unusable)]);
            assert!(message.starts_with("SESSION_SECRET: ") && message.contains(why), "{message}");
        }
        let strong = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
        let settings = read(&[("SESSION_LAYOUT", "express"), ("SESSION_SECRET", strong)]).unwrap();
        assert!(!settings.warnings.concat().contains("can be guessed"));
    }

    #[test]
    fn what_has_no_effect_gets_a_warning() {
        let warnings =
            |vars: &[(&str, &str)]| read(&[&[("REDIS_HOST", "h")], vars].concat()).unwrap().warnings;
        let [prefix, express] = [("SESSION_PREFIX", "a:"), ("SESSION_EXPRESS_PREFIX", "b:")];
        assert!(warnings(&[express])[0].starts_with("SESSION_EXPRESS_PREFIX has no effect"));
        assert!(
            warnings(&[("SESSION_LAYOUT", "express"), prefix])[0].starts_with("SESSION_PREFIX has no effect")
        );
        assert!(warnings(&[("SESSION_LAYOUT", "express"), express]).is_empty());
        assert!(warnings(&[("SESSION_LAYOUT", "move-to-native"), express, prefix]).is_empty());
    }
}
