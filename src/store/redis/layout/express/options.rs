//! What an Express service says of its sessions.

use crate::cookie::SessionCookie;

/// How an Express service keeps its sessions: what its `session({ cookie })` and
/// `new RedisStore({ prefix })` say.
///
/// ```
/// use session_store::{ExpressLayout, SessionCookie};
///
/// // session({ name: "connect.sid", cookie: { secure: true, sameSite: "lax", maxAge: 86_400_000 } })
/// let cookie = SessionCookie::new().name("connect.sid").persistent(true);
/// // new RedisStore({ prefix: "shop:" })
/// let layout = ExpressLayout::new(cookie).prefix("shop:");
/// ```
#[derive(Clone, Debug)]
pub struct ExpressLayout {
    pub(super) cookie: SessionCookie,
    pub(super) prefix: String,
}

impl ExpressLayout {
    /// connect-redis' prefix unless told otherwise.
    pub const DEFAULT_PREFIX: &str = "sess:";

    /// Sessions whose cookie has these attributes: the [manager](crate::SessionManager) takes them from here,
    /// and Node goes by them when it sends the cookie of a session that was made here.
    pub fn new(cookie: SessionCookie) -> Self {
        Self { cookie, prefix: Self::DEFAULT_PREFIX.to_owned() }
    }

    /// What the names of the keys begin with: connect-redis' `prefix`, `sess:` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}
