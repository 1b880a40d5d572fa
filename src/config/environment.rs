//! Reads variables, and says what is wrong with them.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
#[cfg(feature = "redis")]
use crate::store::redis::RedisStoreBuilder;

/// Where variables are looked up.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup }
    }

    /// A variable's value; one that is set to nothing counts as not set.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match (self.lookup)(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) if text.is_empty() => Ok(None),
            // For a service named redis, Kubernetes gives every container that comes after it a
            // REDIS_PORT=tcp://10.0.0.11:6379. That is nobody's setting.
            Some(Ok(text)) if name == "REDIS_PORT" && text.starts_with("tcp://") => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(Error::Config(format!("{name} is not text (UTF-8)"))),
        }
    }

    pub(super) fn is_set(&self, name: &str) -> Result<bool, Error> {
        Ok(self.text(name)?.is_some())
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match &*text.to_ascii_lowercase() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(wrong(name, &text, "give `true` or `false`")),
        }
    }

    /// A whole number within `range`.
    pub(super) fn number<N: FromStr + PartialOrd>(
        &self,
        name: &str,
        range: RangeInclusive<N>,
        advice: &str,
    ) -> Result<Option<N>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = whole_number(&text).filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| wrong(name, &text, advice))
    }

    /// A positive whole number of seconds, or of what its unit says.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let (number, unit) = match text.bytes().last() {
            Some(b's') => (&text[..text.len() - 1], 1),
            Some(b'm') => (&text[..text.len() - 1], 60),
            Some(b'h') => (&text[..text.len() - 1], 60 * 60),
            Some(b'd') => (&text[..text.len() - 1], 24 * 60 * 60),
            _ => (&*text, 1),
        };
        let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        match seconds {
            Some(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => {
                let advice = "give a positive duration such as `30m`, `24h`, `7d`, or seconds";
                Err(wrong(name, &text, advice))
            }
        }
    }

    /// A number of milliseconds or seconds, as its unit says, up to an hour. Without a unit, whichever it was taken
    /// for, it would be wrong by a factor of 1,000 for somebody.
    #[cfg(feature = "redis")]
    pub(super) fn brief(&self, name: &str) -> Result<Option<Duration>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let duration = match text.strip_suffix("ms") {
            Some(number) => whole_number(number).map(Duration::from_millis),
            None => text.strip_suffix('s').and_then(whole_number).map(Duration::from_secs),
        };
        match duration.filter(|duration| !duration.is_zero() && *duration <= RedisStoreBuilder::LONGEST) {
            Some(duration) => Ok(Some(duration)),
            None if whole_number::<u64>(&text).is_some() => {
                let advice = "give its unit, such as `500ms` or `2s`: a number alone is milliseconds to some (ioredis), \
                              and seconds to others";
                Err(wrong(name, &text, advice))
            }
            None => Err(wrong(name, &text, "give `1ms` to `3600s`, such as `500ms` or `2s`")),
        }
    }
}

/// `parse` by itself would take `+1`, too.
pub(super) fn whole_number<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Shows the value if it is something like a number or a word. Anything else may be a secret that
/// somebody put into the wrong variable.
pub(super) fn wrong(name: &str, value: &str, advice: &str) -> Error {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+_".contains(&byte);
    Error::Config(if value.len() <= 20 && value.bytes().all(is_plain) {
        format!("{name} is {value:?}: {advice}")
    } else {
        format!("{name} cannot be used: {advice}")
    })
}
