//! The application in warp.

use std::net::TcpListener;

use session_store::{Session, SessionLayer};
use warp::http::StatusCode;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply as _};

use super::tower::{Parts, part, serve_parts};
use super::{Host, Serving, guarded};
use crate::lab::{self, Lab, Notes, Reply, ReplyBody, Theme};

mod rejections;

pub(crate) const HOST: Host = Host {
    serve,
    remedy: "put the routes into `SessionLayer::new(manager).around(routes)`",
    notices_hang_ups: true,
};

fn serve(lab: &Lab, listener: TcpListener) -> Serving {
    let parts = Parts {
        routes: part(SessionLayer::new(lab.notes.clone()).around(routes(lab))),
        ambiguous: part(SessionLayer::new(lab.other.clone()).around(routes(lab))),
        bare: part(SessionLayer::new(lab.themes.clone()).around(routes(lab))),
    };
    serve_parts(lab, listener, parts)
}

fn routes(lab: &Lab) -> impl Filter<Extract: warp::Reply, Error = Rejection> + Clone + Send + Sync + 'static {
    let (notes, theme) = (Session::<Notes>::filter, Session::<Theme>::filter);
    let style = warp::path!("static").or(warp::path!("ambiguous" / "static")).unify().map(|| "style");
    let area = warp::path("notes").or(warp::path("inner")).unify();
    let area = area.or(warp::path("ambiguous")).unify().or(warp::path("bare")).unify();
    let area = area.or(warp::path("guarded")).unify();
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    let lab = lab.clone();
    // Its errors become rejections, those of the others responses: both are answered alike.
    let steps = area.and(warp::path::full()).and(query).and(notes()).and_then(
        move |path: FullPath, query: Option<String>, session| {
            let lab = lab.clone();
            async move {
                let steps = lab.steps(session, path.as_str(), query.as_deref());
                if !path.as_str().starts_with("/guarded/") {
                    return Ok::<_, Rejection>(respond(steps.await?));
                }
                match guarded(steps).await {
                    Ok(reply) => Ok(respond(reply?)),
                    Err(status) => Ok(StatusCode::from_u16(status).expect("a status").into_response()),
                }
            }
        },
    );
    let twice = warp::path!("twice").and(notes()).and(notes()).map(|one, other| lab::twice(&one, &other));
    let name = warp::path!("theme").map(|| None).or(warp::path!("theme" / String).map(Some)).unify();
    let themed = name.and(theme()).then(async |name, session| lab::theme(&session, name).await);
    let both = warp::path!("both" / String).and(notes()).and(theme());
    let both = both.map(|name: String, notes, theme| lab::both(&notes, &theme, &name));
    style.or(steps).or(twice).or(themed).or(both)
}

fn respond(reply: Reply) -> Response {
    let mut response = match reply.body {
        ReplyBody::Whole(text) => Response::new(text.into()),
        ReplyBody::Parts(gate) => warp::reply::stream(lab::parts(gate)).into_response(),
    };
    *response.status_mut() = reply.status.try_into().expect("a status that exists");
    for (name, value) in reply.headers {
        let name = warp::http::HeaderName::try_from(name).expect("a name");
        response.headers_mut().append(name, value.try_into().expect("a value"));
    }
    response
}
