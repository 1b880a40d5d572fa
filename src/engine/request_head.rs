//! What the engine asks of a request, whichever type a framework has for it.

/// The head of a request.
#[cfg_attr(
    not(feature = "device-bound"),
    allow(dead_code, reason = "without bound sessions, cookies are all")
)]
pub(crate) trait RequestHead {
    /// The values of the fields with this name, which is in lower case.
    fn fields<'h>(&'h self, name: &'static str) -> impl Iterator<Item = &'h [u8]>;

    /// The target's path.
    fn path(&self) -> &str;

    /// The target's query.
    fn query(&self) -> Option<&str>;

    /// Whether the method is POST.
    fn is_post(&self) -> bool;
}

/// A request of which the `Cookie` header is known, and nothing else.
pub(super) struct CookieHeader<'c>(pub(super) Option<&'c str>);

impl RequestHead for CookieHeader<'_> {
    fn fields<'h>(&'h self, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
        self.0.filter(|_| name == "cookie").map(str::as_bytes).into_iter()
    }

    fn path(&self) -> &'static str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn is_post(&self) -> bool {
        false
    }
}
