//! What a logout asks the browser to forget besides the cookie.

use super::{SessionData, SessionManagerBuilder};

/// What `Clear-Site-Data` names: see [`SessionManagerBuilder::clear_site_data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SiteData {
    /// Cached responses of the origin, among them the pages of whoever signed out.
    Cache,
    /// All cookies of the registrable domain, those of other services on its subdomains included.
    Cookies,
    /// Local and session storage, databases and service workers of the origin.
    Storage,
}

impl SiteData {
    const fn directive(self) -> &'static str {
        match self {
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
        }
    }
}

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Has a logout by [`Session::destroy`](crate::Session::destroy) ask the browser to forget this too
    /// ([Clear-Site-Data](https://www.w3.org/TR/clear-site-data/), OWASP ASVS 14.3.1). Browsers heed it over HTTPS only, and may
    /// take a second for the cache. Nothing is sent if this is not called.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager, SiteData, Values};
    ///
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .clear_site_data([SiteData::Cache, SiteData::Storage])
    ///     .build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn clear_site_data(mut self, data: impl IntoIterator<Item = SiteData>) -> Self {
        let directives: Vec<_> = data.into_iter().map(SiteData::directive).collect();
        self.clear_site_data = (!directives.is_empty()).then(|| directives.join(", "));
        self
    }
}
