//! The text of an id that another program made, by which its session is stored. Without the feature `express` there
//! is none, and it takes no room.

use std::ops::Deref;

#[cfg(feature = "express")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is none")]
mod kind {
    use std::sync::Arc;

    #[derive(Clone, PartialEq, Eq)]
    pub(in crate::id) struct Foreign(Arc<str>);

    impl Foreign {
        pub(in crate::id) fn new(text: &str) -> Option<Self> {
            Some(Self(text.into()))
        }

        pub(in crate::id) fn to_key(&self) -> Option<Self> {
            Some(self.clone())
        }

        pub(super) fn text(&self) -> &str {
            &self.0
        }
    }
}

#[cfg(not(feature = "express"))]
mod kind {
    #[derive(Clone, PartialEq, Eq)]
    pub(in crate::id) enum Foreign {}

    impl Foreign {
        pub(in crate::id) fn new(_: &str) -> Option<Self> {
            None
        }

        pub(in crate::id) fn to_key(&self) -> Option<Self> {
            match *self {}
        }

        pub(super) fn text(&self) -> &str {
            match *self {}
        }
    }
}

pub(super) use kind::Foreign;

impl Deref for Foreign {
    type Target = str;

    fn deref(&self) -> &str {
        self.text()
    }
}
