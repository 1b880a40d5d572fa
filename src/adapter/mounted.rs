//! What the middlewares around a route leave in the request's extensions, whatever their types.

use std::any::type_name;
use std::sync::Arc;

use crate::engine::SessionManager;
use crate::engine::{AnyRequestSession, RequestHead, RequestSession, SessionData};
use crate::error::Error;

/// The session layers around a route.
#[derive(Clone)]
pub(super) struct Mounted {
    first: Layer,
    /// Allocated by the second layer of a route.
    others: Vec<Layer>,
}

/// One of them.
#[derive(Clone)]
struct Layer {
    request_session: Arc<dyn AnyRequestSession>,
    /// What keeps its session from being used inside some other layer.
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// A layer of the same type names another cookie: nobody can say which one a handler means.
    TwoCookies,
    /// Another manager uses the same cookie: each would take the other's session away.
    TwoManagers,
}

impl Layer {
    fn is_for<T: SessionData>(&self) -> bool {
        RequestSession::<T>::is_type_of(&*self.request_session)
    }
}

impl Mounted {
    /// What a layer leaves in the extensions, given what the ones around it did and the values of the
    /// `Cookie` headers; and the request that it has to finish, unless an outer layer does.
    pub(super) fn mount<T: SessionData>(
        manager: &SessionManager<T>,
        outer: Option<&Self>,
        head: &impl RequestHead,
    ) -> (Self, Option<RequestSession<T>>) {
        let Some(outer) = outer else {
            let request_session = manager.begin_with(head);
            let first = Layer { request_session: request_session.erased(), fault: None };
            return (Self { first, others: Vec::new() }, Some(request_session));
        };
        let mut mounted = outer.clone();
        let (mut shares, mut clashes) = (false, false);
        for layer in std::iter::once(&mut mounted.first).chain(&mut mounted.others) {
            let same_cookie = layer.request_session.cookie_name() == manager.cookie_name();
            if same_cookie && layer.request_session.manager() == manager.address() {
                shares = true;
            } else if same_cookie {
                clashes = true;
                layer.fault = Some(Fault::TwoManagers);
            } else if layer.is_for::<T>() {
                clashes = true;
                layer.fault = Some(Fault::TwoCookies);
            }
        }
        if shares {
            return (mounted, None);
        }
        let request_session = manager.begin_with(head);
        // A type that has no layer of its own gets the reason as well.
        let fault = clashes.then(|| {
            let same_type = mounted.layers().find(|layer| layer.is_for::<T>()).and_then(|layer| layer.fault);
            same_type.unwrap_or(Fault::TwoManagers)
        });
        mounted.others.push(Layer { request_session: request_session.erased(), fault });
        (mounted, fault.is_none().then_some(request_session))
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The session that a handler means; `remedy` says how a layer is added.
    pub(super) fn request_session<T: SessionData>(
        mounted: Option<&Self>,
        remedy: &str,
    ) -> Result<RequestSession<T>, Error> {
        let layer = mounted.into_iter().flat_map(Self::layers).find(|layer| layer.is_for::<T>());
        let Some(layer) = layer else {
            return Err(Error::Config(format!(
                "there is no session layer for {} around this route: {remedy}",
                type_name::<T>(),
            )));
        };
        match layer.fault {
            None => Ok(RequestSession::of(&layer.request_session).expect("its type was compared")),
            Some(Fault::TwoCookies) => Err(Error::Config(format!(
                "two session layers for {} name different cookies: give each session its own type",
                type_name::<T>(),
            ))),
            Some(Fault::TwoManagers) => Err(Error::Config(format!(
                "two session managers around this route use the cookie {:?}, and each takes the other's \
                 session away: mount clones of one manager, or name another cookie by \
                 `SessionCookie::name`",
                layer.request_session.cookie_name(),
            ))),
        }
    }
}
