//! What an Express service says of its sessions.

use crate::cookie::SessionCookie;

/// The settings of an Express service's sessions: those of its `session({ cookie })` and
/// `new RedisStore({ prefix })`.
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
    /// The default prefix of connect-redis.
    pub const DEFAULT_PREFIX: &str = "sess:";

    /// Sets the attributes of the sessions' cookie: the [manager](crate::SessionManager) takes them from here,
    /// and Node uses them when it sends the cookie of a session that was made here. See the [example](Self).
    pub fn new(cookie: SessionCookie) -> Self {
        Self { cookie, prefix: Self::DEFAULT_PREFIX.to_owned() }
    }

    /// Sets the prefix of the keys: connect-redis' `prefix`, `sess:` by default. See the [example](Self).
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}
