//! warp 0.4: a filter that extracts `Session<T>`, and what goes around the routes that use it.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;
use warp::reject::{Reject, Rejection};
use warp::{Filter, Reply};

use super::mounted::Mounted;
use super::tower::{Failed, SessionLayer, answer, tell};
use crate::engine::{Session, SessionData};
use crate::error::{BoxError, Error};

impl<T: SessionData> SessionLayer<T> {
    /// Gives warp's `routes` sessions. The result is a tower service: other layers go around it,
    /// and hyper-util (features `server-auto`, `service` and `tokio`) serves it, as in
    /// `examples/warp.rs`. It can't be a filter for `with` and `warp::serve`, since only warp's own filters can
    /// put something into a request.
    ///
    /// Rejections of the routes are answered inside the layer, so that a logout before a rejection still
    /// removes the cookie. If an [`Error`] is among the reasons, the answer is its 503, 409 or 500 with
    /// an opaque body. Routes with a better answer `recover` themselves: `rejection.find::<Error>()`.
    ///
    /// `warp::addr::remote()` answers `None`, since only `warp::serve` knows the address. Put the peer's
    /// address into the request's extensions instead, and get it by `warp::ext::get`.
    ///
    /// ```
    /// use session_store::{Error, KeyRing, MemoryStore, Session, SessionLayer, SessionManager};
    /// use tower::ServiceExt as _;
    /// use warp::Filter as _;
    ///
    /// async fn count(session: Session<u32>) -> Result<String, Error> {
    ///     session.update(|visits| *visits += 1).await?;
    ///     Ok(session.read(|visits| format!("Visit {visits}")))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let routes = warp::path::end().and(Session::filter()).then(count);
    /// let service = SessionLayer::new(manager).around(routes);
    ///
    /// let response = service.oneshot(http::Request::new(String::new())).await?;
    /// assert!(response.headers().contains_key("set-cookie"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn around<F, B>(
        self,
        routes: F,
    ) -> impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    where
        F: Filter<Extract: Reply, Error: Into<Rejection>> + Send + Sync + 'static,
        B: Body<Error: Into<BoxError>> + Send + Sync + 'static,
    {
        self.layer(warp::service(routes.boxed().recover(recover)))
    }
}

impl<T: SessionData> Session<T> {
    /// A warp filter that extracts the session. Needs [`SessionLayer::around`] the routes.
    ///
    /// Put it after the filters for path, method and body: a request for another route then never
    /// touches the store. If the session can't be loaded, warp goes on with the routes that follow, as
    /// after every rejection; one that takes any path would answer in place of the error.
    ///
    /// ```
    /// use session_store::{Error, Session};
    /// use warp::{Filter, Rejection, Reply};
    ///
    /// fn logout() -> impl Filter<Extract: Reply, Error = Rejection> + Clone {
    ///     warp::path!("logout").and(warp::post()).and(Session::filter()).and_then(async |session: Session| {
    ///         session.destroy().await?;
    ///         Ok::<_, Rejection>("Bye.")
    ///     })
    /// }
    /// ```
    pub fn filter() -> impl Filter<Extract = (Self,), Error = Rejection> + Copy {
        warp::ext::optional().and_then(|mounted: Option<Mounted>| async move {
            let remedy = "put the routes into `SessionLayer::new(manager).around(routes)`";
            Ok::<_, Rejection>(Mounted::request_session::<T>(mounted.as_ref(), remedy)?.session().await?)
        })
    }
}

/// The response to an error: 503, 409 or 500 with an opaque body; the cause goes to the log. So `then` takes a
/// handler that returns a `Result<_, Error>`.
///
/// ```
/// use session_store::{Error, Session};
/// use warp::{Filter, Rejection, Reply};
///
/// async fn count(session: Session<u32>) -> Result<String, Error> {
///     session.update(|visits| *visits += 1).await?;
///     Ok("Counted.".to_owned())
/// }
///
/// fn routes() -> impl Filter<Extract: Reply, Error = Rejection> + Clone {
///     warp::path!("count").and(Session::filter()).then(count)
/// }
/// ```
impl Reply for Error {
    fn into_response(self) -> warp::reply::Response {
        self.into()
    }
}

/// A rejection made of an error, so that a handler for `and_then` can use `?`.
impl Reject for Error {}

fn recover(rejection: Rejection) -> Ready<Result<warp::reply::Response, Rejection>> {
    // warp's own answer is a 500 that shows the client the error's `Debug` output.
    let Some(error) = rejection.find::<Error>() else { return ready(Err(rejection)) };
    let response = answer(error);
    ready(Ok(tell(response, Rejected(rejection))))
}

/// A rejection with an error of ours among its reasons.
struct Rejected(Rejection);

impl Failed for Rejected {
    fn error(&self) -> Option<&Error> {
        self.0.find()
    }
}
