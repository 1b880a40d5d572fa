//! What browsers would refuse, found out before one does.

use super::{MAX_NAME_AND_VALUE, SameSite, SessionCookie, VALUE_LENGTH};

/// What can be wrong with a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Name,
    Path,
    Domain,
    Secure,
    SameSite,
    Partitioned,
}

/// Why a cookie cannot be set.
#[derive(Debug)]
pub(crate) struct CookieFault {
    /// The one that cannot be used, or two that contradict each other.
    pub(crate) attributes: &'static [Attribute],
    /// It follows the words "the session cookie".
    pub(crate) why: String,
}

impl SessionCookie {
    /// What is wrong with the attributes, each by itself and beside the others.
    pub(crate) fn fault(&self) -> Option<CookieFault> {
        use Attribute::{Domain, Name, Partitioned, Path, SameSite as Site, Secure};
        let fault = |attributes, why: String| Some(CookieFault { attributes, why });
        let name = self.full_name();

        if name.is_empty() || !name.bytes().all(is_token) {
            let why =
                "needs a name of letters, digits, `-`, `_` and the like (RFC 6265 4.1.1), such as `sid`";
            return fault(&[Name], why.to_owned());
        }
        if name.len() + VALUE_LENGTH > MAX_NAME_AND_VALUE {
            let limit = MAX_NAME_AND_VALUE - VALUE_LENGTH;
            return fault(&[Name], format!("has a name that is longer than {limit} bytes"));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(is_attribute_text) {
            return fault(&[Path], "needs a path that starts with `/`, such as `/shop`".to_owned());
        }
        if self.domain.as_deref().is_some_and(|domain| domain.is_empty() || !domain.bytes().all(is_host_text))
        {
            let why = "needs a domain that is the name of a host, such as `example.com`, or none";
            return fault(&[Domain], why.to_owned());
        }
        let prefix = prefix(name);
        if !self.secure {
            let must = |what: &str| format!("{what} and so must be Secure: browsers refuse it otherwise");
            if let Some(prefix) = prefix {
                return fault(&[Name, Secure], must(&format!("has the prefix `{prefix}`")));
            }
            if self.same_site == SameSite::None {
                return fault(&[Site, Secure], must("is SameSite=None"));
            }
            if self.partitioned {
                return fault(&[Partitioned, Secure], must("is Partitioned"));
            }
        }
        if let Some(prefix @ ("__Host-" | "__Host-Http-")) = prefix {
            let why = || format!("has the prefix `{prefix}` and so may have no Domain and no Path but `/`");
            if self.domain.is_some() {
                return fault(&[Name, Domain], why());
            }
            if self.path != "/" {
                return fault(&[Name, Path], why());
            }
        }
        None
    }
}

/// The prefix by which browsers ask for attributes: `Secure` for each of them, `HttpOnly`, which every cookie
/// here is, for those of `Http`, and no Domain and the Path `/` for those of `Host`. They match without
/// regard to case (RFC 6265bis sections 4.1.3 and 5.7).
fn prefix(name: &str) -> Option<&'static str> {
    let prefixes = ["__Host-Http-", "__Host-", "__Http-", "__Secure-"];
    let has =
        |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    prefixes.into_iter().find(has)
}

/// A character of an RFC 9110 token, which is what names of cookies are made of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn is_attribute_text(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b';'
}

pub(super) fn is_host_text(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'
}
