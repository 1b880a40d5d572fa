//! The session cookie: its attributes, and how it is read, set and removed.

use std::borrow::Cow;
use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::{Cookie, CookieBuilder};

use crate::error::Error;
use crate::record::Payload;

#[cfg_attr(not(feature = "express"), path = "cookie/no_express.rs")]
mod express;
pub(crate) mod fault;
mod header;
pub(crate) mod keys;
#[cfg(feature = "device-bound")]
pub(crate) mod mac_ring;
mod placeholder;
pub(crate) mod signing;

/// Browsers refuse cookies whose name and value are longer (RFC 6265bis section 5.7).
const MAX_NAME_AND_VALUE: usize = 4096;
const VALUE_LENGTH: usize = express::LONGEST_VALUE;

/// Which requests that another site started carry the session cookie.
///
/// ```
/// use session_store::{SameSite, SessionCookie};
///
/// // Signing in at another site answers by a form: its request has to find the session that began it.
/// let cookie = SessionCookie::new().same_site(SameSite::None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Top-level navigation only: a link works, a cross-site form or image does not. Note that
    /// an OAuth response by `form_post` is such a form.
    Lax,
    /// All. Needs `Secure`.
    None,
}

impl SameSite {
    pub(crate) fn as_attribute(self) -> cookie::SameSite {
        match self {
            Self::Strict => cookie::SameSite::Strict,
            Self::Lax => cookie::SameSite::Lax,
            Self::None => cookie::SameSite::None,
        }
    }
}

/// The attributes of the session cookie.
///
/// The default is the safest that browsers know: `__Host-Http-id`, `Secure`, `HttpOnly`,
/// `SameSite=Lax`, `Path=/`, no `Domain` (OWASP ASVS 3.3.1 to 3.3.4), for as long as the browser
/// runs. `HttpOnly` cannot be switched off: no script needs to read an id.
///
/// Browsers guarantee by the prefix of the name (RFC 6265bis) that only this host can have set the
/// cookie, only over HTTPS, and that no script has. A browser that does not know `__Host-Http-` yet treats it as
/// `__Host-`, and guarantees all but the last.
///
/// ```
/// use session_store::{SameSite, SessionCookie};
///
/// let cookie = SessionCookie::new().same_site(SameSite::Strict).persistent(true);
/// ```
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: Option<String>,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    pub(crate) persistent: bool,
}

impl SessionCookie {
    /// Makes the default cookie.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// // `__Host-Http-id=…; HttpOnly; SameSite=Lax; Secure; Path=/`
    /// let cookie = SessionCookie::new();
    /// ```
    pub fn new() -> Self {
        Self {
            name: None,
            path: "/".to_owned(),
            domain: None,
            secure: true,
            same_site: SameSite::Lax,
            partitioned: false,
            persistent: false,
        }
    }

    /// Sets the name.
    ///
    /// By default it is `__Host-Http-id`, or `__Secure-id` with a domain or another path, or `id` if
    /// the cookie isn't secure. Changing the name abandons all live sessions, so choose it before the
    /// first deploy.
    ///
    /// A name with the prefix `__Secure-`, `__Http-`, `__Host-` or `__Host-Http-`, in any case, must have
    /// the attributes that browsers require: they would refuse the cookie otherwise, and so does `build`.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// // Two applications on one host need two names.
    /// let cookie = SessionCookie::new().name("__Host-Http-forum");
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Limits the cookie to URLs below `path`.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// // The name is `__Secure-id` by default then: `__Host-` needs the path `/`.
    /// let cookie = SessionCookie::new().path("/shop");
    /// ```
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to every host of `domain`, not just to the one that set it.
    ///
    /// This gives up the protection of `__Host-`: every host below `domain` can set cookies of this name
    /// for all the others, and receives every visitor's. An attacker who controls one of them (a customer's page, a
    /// forgotten test server, a hijacked DNS name) can
    ///
    /// - read the ids of its visitors, and act as them;
    /// - put a visitor into the attacker's own session, by a cookie with a longer path, so that the visitor
    ///   stores private data there;
    /// - sign a visitor out, by more such cookies than [`SessionManager::begin`](crate::SessionManager::begin)
    ///   tries.
    ///
    /// Without a domain, a name that does not begin with `__Host-` still allows the last two. If hosts must
    /// share a session, make sure that you trust all of them, or hand over by a single-use token.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// // `www.example.com` and `shop.example.com` share sessions, and trust each other.
    /// let cookie = SessionCookie::new().domain("example.com");
    /// ```
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets whether the cookie travels over HTTPS only; `true` by default.
    ///
    /// `false` is for development over plain http: browsers differ on `localhost` (Safari refuses
    /// `Secure` there), and all refuse it on other hosts.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// let cookie = SessionCookie::new().secure(!cfg!(debug_assertions));
    /// ```
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets which requests from other sites carry the cookie; [`SameSite::Lax`] by default.
    ///
    /// ```
    /// use session_store::{SameSite, SessionCookie};
    ///
    /// // Nobody comes to an administrators' page by a link.
    /// let cookie = SessionCookie::new().same_site(SameSite::Strict);
    /// ```
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets whether each site that embeds this one has a separate cookie jar (CHIPS); `false` by default. Needs `Secure`.
    ///
    /// ```
    /// use session_store::{SameSite, SessionCookie};
    ///
    /// // A widget in other sites' pages: a session on each of them.
    /// let cookie = SessionCookie::new().same_site(SameSite::None).partitioned(true);
    /// ```
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Sets whether the cookie outlives the browser, by a `Max-Age` that follows the session's expiry; `false` by
    /// default. The cookie of a session with [its own expiry](crate::Session::set_expiry) does so in any case.
    ///
    /// ```
    /// use session_store::SessionCookie;
    ///
    /// // A cart that is still there tomorrow, for every visitor.
    /// let cookie = SessionCookie::new().persistent(true);
    /// ```
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Checks the attributes against each other.
    pub(crate) fn build(self) -> Result<CheckedCookie, Error> {
        if let Some(fault) = self.fault() {
            return Err(Error::Config(format!("the session cookie {}", fault.why)));
        }
        Ok(CheckedCookie { name: self.full_name().to_owned(), attributes: self })
    }

    fn full_name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.default_name())
    }

    fn default_name(&self) -> &'static str {
        match self.secure {
            true if self.domain.is_none() && self.path == "/" => "__Host-Http-id",
            true => "__Secure-id",
            false => "id",
        }
    }
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self::new()
    }
}

/// A cookie whose attributes do not contradict each other.
#[derive(Clone, Debug)]
pub(crate) struct CheckedCookie {
    name: String,
    attributes: SessionCookie,
}

impl CheckedCookie {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.attributes.persistent
    }

    /// An attribute in which it differs from another one.
    #[cfg(feature = "express")]
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let (ours, theirs) = (&self.attributes, &other.attributes);
        let attributes = [
            ("name", self.name == other.name),
            ("Path", ours.path == theirs.path),
            ("Domain", ours.domain == theirs.domain),
            ("Secure", ours.secure == theirs.secure),
            ("SameSite", ours.same_site == theirs.same_site),
            ("Partitioned", ours.partitioned == theirs.partitioned),
            ("being persistent", ours.persistent == theirs.persistent),
        ];
        attributes.into_iter().find(|(_, same)| !same).map(|(attribute, _)| attribute)
    }

    /// The values of every cookie of this name in a `Cookie` header.
    pub(crate) fn values<'h>(&'h self, header: &'h [u8]) -> impl Iterator<Item = &'h str> {
        header::values(header, &self.name)
    }

    /// A `Set-Cookie` header that gives the client `value`, for `max_age` or until its browser ends. `stored` is what
    /// Express keeps of the cookie of this session.
    pub(crate) fn set(&self, value: &str, max_age: Option<Duration>, stored: Option<&Payload>) -> String {
        let attributes = self.attributes(stored);
        let mut cookie = attributes.cookie(self.name(), value);
        if let Some(max_age) = max_age {
            // Rounded up: `Max-Age=0` would remove a cookie whose session still lives.
            let seconds = i64::try_from(max_age.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
            cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
        }
        attributes.header(cookie)
    }

    /// A `Set-Cookie` header that makes the client forget. Browsers match by name, path and domain,
    /// so it repeats the attributes.
    pub(crate) fn removal(&self, stored: Option<&Payload>) -> String {
        let attributes = self.attributes(stored);
        let cookie = attributes.cookie(self.name(), "").max_age(cookie::time::Duration::ZERO);
        attributes.header(cookie.expires(OffsetDateTime::UNIX_EPOCH))
    }

    /// The cookie that a browser gets for a proof of its device, beside this one, if requests below `path` bring both.
    #[cfg(feature = "device-bound")]
    pub(crate) fn bound_to_device(&self, path: &str) -> Result<Self, &'static str> {
        let SessionCookie { domain, path: covered, partitioned, .. } = &self.attributes;
        if domain.is_some() {
            return Err("the cookie has `Domain`, and a device is bound to one host");
        }
        if *partitioned {
            return Err("browsers bind no cookies with `Partitioned`");
        }
        let rest = path.strip_prefix(covered.trim_end_matches('/'));
        if !rest.is_some_and(|rest| rest.starts_with('/')) {
            return Err("the cookie's `Path` leaves these paths out");
        }
        // Chromium registers no cookie whose prefix says that it comes by HTTP alone.
        let name = match self.name.strip_prefix("__Host-Http-") {
            Some(name) => format!("__Host-{name}"),
            None => self.name.replacen("__Http-", "__Secure-", 1),
        };
        Ok(Self { name: format!("{name}-device"), attributes: self.attributes.clone() })
    }

    /// What a browser has to know the cookie by, but for its name.
    #[cfg(feature = "device-bound")]
    pub(crate) fn credential_attributes(&self) -> String {
        let header = self.set("", None, None);
        header.split_once("; ").map(|(_, attributes)| attributes.to_owned()).unwrap_or_default()
    }

    fn attributes(&self, stored: Option<&Payload>) -> Attributes<'_> {
        stored.and_then(express::attributes).unwrap_or_else(|| Attributes::of(&self.attributes))
    }
}

/// What a `Set-Cookie` header says beside name, value and time.
struct Attributes<'a> {
    path: Option<Cow<'a, str>>,
    domain: Option<Cow<'a, str>>,
    secure: bool,
    http_only: bool,
    same_site: Option<cookie::SameSite>,
    partitioned: bool,
    /// Of Chromium: `Low`, `Medium` or `High`.
    priority: Option<&'static str>,
}

impl<'a> Attributes<'a> {
    fn of(cookie: &'a SessionCookie) -> Self {
        Self {
            path: Some(Cow::Borrowed(&cookie.path)),
            domain: cookie.domain.as_deref().map(Cow::Borrowed),
            secure: cookie.secure,
            http_only: true,
            same_site: Some(cookie.same_site.as_attribute()),
            partitioned: cookie.partitioned,
            priority: None,
        }
    }

    fn cookie<'c>(&'c self, name: &'c str, value: &'c str) -> CookieBuilder<'c> {
        let mut cookie = Cookie::build((name, value))
            .secure(self.secure)
            .http_only(self.http_only)
            .partitioned(self.partitioned);
        if let Some(path) = &self.path {
            cookie = cookie.path(&**path);
        }
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(&**domain);
        }
        if let Some(same_site) = self.same_site {
            cookie = cookie.same_site(same_site);
        }
        cookie
    }

    fn header(&self, cookie: CookieBuilder<'_>) -> String {
        let mut header = cookie.build().to_string();
        if let Some(priority) = self.priority {
            header.push_str("; Priority=");
            header.push_str(priority);
        }
        header
    }
}

#[cfg(test)]
mod tests;
