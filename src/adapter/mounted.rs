//! What the middleware around a route leaves in the request's extensions, whatever their type.

use std::any::type_name;

use crate::error::Error;
use crate::manager::SessionManager;
use crate::session::{Exchange, SessionData};

pub(super) enum Mounted<T: SessionData> {
    One(Exchange<T>),
    /// Two layers of one `T` name different cookies: nobody can say which one a handler means.
    Ambiguous,
}

// Derived, this would ask for `T: Clone`.
impl<T: SessionData> Clone for Mounted<T> {
    fn clone(&self) -> Self {
        match self {
            Self::One(exchange) => Self::One(exchange.clone()),
            Self::Ambiguous => Self::Ambiguous,
        }
    }
}

impl<T: SessionData> Mounted<T> {
    /// What a layer leaves in the extensions, given what the one around it did and the values of the
    /// `Cookie` headers; and the exchange that it has to finish, unless an outer layer does.
    pub(super) fn mount<'v>(
        manager: &SessionManager<T>,
        outer: Option<&Self>,
        cookies: impl Iterator<Item = &'v [u8]>,
    ) -> (Self, Option<Exchange<T>>) {
        match outer {
            None => {
                let exchange = manager.begin_with(cookies);
                (Self::One(exchange.clone()), Some(exchange))
            }
            Some(Self::One(outer)) if outer.cookie_name() == manager.cookie_name() => {
                (Self::One(outer.clone()), None)
            }
            Some(_) => (Self::Ambiguous, None),
        }
    }

    /// The exchange that a handler means; `remedy` says how a layer is added.
    pub(super) fn exchange<'m>(mounted: Option<&'m Self>, remedy: &str) -> Result<&'m Exchange<T>, Error> {
        match mounted {
            Some(Self::One(exchange)) => Ok(exchange),
            Some(Self::Ambiguous) => Err(Error::Config(format!(
                "two session layers for {} name different cookies: give each session a type of its own",
                type_name::<T>(),
            ))),
            None => Err(Error::Config(format!(
                "there is no session layer for {} around this route: {remedy}",
                type_name::<T>(),
            ))),
        }
    }
}
