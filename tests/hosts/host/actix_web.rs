//! The application in actix-web.

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorForbidden, ErrorGatewayTimeout, InternalError};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::System;
use actix_web::web::{self, Data, Path, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use session_store::{Error, Session, SessionMiddleware};

use super::{Host, Serving, guarded};
use crate::lab::{self, Lab, Notes, Reply, ReplyBody, Theme};

pub(crate) const HOST: Host = Host {
    serve,
    remedy: "wrap its app or scope: `.wrap(SessionMiddleware::new(manager))`",
    notices_hang_ups: false,
};

fn serve(lab: &Lab, listener: TcpListener) -> Serving {
    let lab = lab.clone();
    let (sender, receiver) = mpsc::channel();
    // Its system can't run in the test's runtime.
    thread::spawn(move || {
        System::new().block_on(async move {
            let server = HttpServer::new(move || {
                // A worker has a thread of its own.
                lab.log.continue_here();
                App::new()
                    .app_data(Data::new(lab.clone()))
                    .service(web::resource("/bare/{steps:.*}").get(steps))
                    .service(inside_layers(&lab))
                    .wrap(from_fn(attend))
            });
            let server = server.workers(1).disable_signals().listen(listener).expect("it listens").run();
            sender.send(server.handle()).expect("the test waits for it");
            server.await
        })
    });
    Box::new(Stop(receiver.recv().expect("the server starts")))
}

struct Stop(ServerHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        // The command is given at once; what comes back would be that it has ended.
        drop(self.0.stop(false));
    }
}

fn inside_layers(lab: &Lab) -> impl HttpServiceFactory + 'static {
    let inner = web::resource("/inner/{steps:.*}")
        .wrap(SessionMiddleware::new(lab.notes.clone()))
        .wrap(from_fn(count));
    let guarded = web::resource("/guarded/{steps:.*}").wrap(from_fn(guard));
    let refused = web::resource("/refused").wrap(from_fn(refuse));
    let ambiguous = web::scope("/ambiguous")
        .wrap(SessionMiddleware::new(lab.other.clone()))
        .route("/static", get().to(style))
        .route("/{steps:.*}", get().to(steps));
    web::scope("")
        .wrap(lab.notes_middleware())
        .wrap(SessionMiddleware::new(lab.themes.clone()))
        .route("/notes/{steps:.*}", get().to(steps))
        .route("/twice", get().to(twice))
        .route("/theme", get().to(theme))
        .route("/theme/{name}", get().to(theme))
        .route("/both/{name}", get().to(both))
        .route("/static", get().to(style))
        .service(inner.get(steps))
        .service(guarded.get(steps))
        .service(refused.get(style))
        .service(ambiguous)
}

async fn steps(session: Session<Notes>, lab: Data<Lab>, request: HttpRequest) -> Result<HttpResponse, Error> {
    lab.steps(session, request.path(), request.uri().query()).await.map(respond)
}

async fn count(
    session: Session<Notes>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    lab::count(&session)?;
    next.call(request).await
}

async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    guarded(next.call(request)).await.unwrap_or_else(|status| {
        let status = StatusCode::from_u16(status).expect("a status");
        Err(InternalError::new("it did not get to its end", status).into())
    })
}

async fn refuse(
    session: Session<Notes>,
    _: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    lab::count(&session)?;
    Err(ErrorForbidden("not you"))
}

async fn twice(one: Session<Notes>, other: Session<Notes>) -> Result<String, Error> {
    lab::twice(&one, &other)
}

async fn theme(session: Session<Theme>, name: Option<Path<String>>) -> Result<String, Error> {
    lab::theme(&session, name.map(Path::into_inner)).await
}

async fn both(notes: Session<Notes>, theme: Session<Theme>, name: Path<String>) -> Result<String, Error> {
    lab::both(&notes, &theme, &name)
}

async fn style() -> &'static str {
    "style"
}

async fn attend(
    lab: Data<Lab>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    lab.attend(next.call(request)).await.unwrap_or_else(|| Err(ErrorGatewayTimeout("out of patience")))
}

fn respond(reply: Reply) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(reply.status).expect("a status"));
    for header in reply.headers {
        response.append_header(header);
    }
    match reply.body {
        ReplyBody::Whole(text) => response.body(text),
        ReplyBody::Parts(gate) => response.streaming(lab::parts(gate)),
    }
}
