//! session-store on actix-web, with its default policy.

use actix_web::error::ErrorUnauthorized;
use actix_web::{App, HttpServer, web};
use session_store::SessionMiddleware;

use super::ours::{self, Session};
use super::{Outcome, WORKERS};
use crate::payload::{Shopper, greeting};

async fn sign_in(session: Session) -> Result<&'static str, session_store::Error> {
    session.write(|shopper| *shopper = Shopper::ada())?;
    Ok("in")
}

async fn read(session: Session) -> actix_web::Result<String> {
    session.read(greeting).ok_or_else(|| ErrorUnauthorized("nobody"))
}

async fn count(session: Session) -> actix_web::Result<String> {
    let answer = session.write(|shopper| {
        shopper.visits += 1;
        greeting(shopper)
    })?;
    answer.ok_or_else(|| ErrorUnauthorized("nobody"))
}

pub fn serve(mode: &str, redis: &str) -> Outcome {
    actix_web::rt::System::new().block_on(async {
        let manager = ours::manager(mode, redis).await?;
        let app = move || {
            let app = App::new().route("/sign_in", web::get().to(sign_in));
            let app = app.route("/read", web::get().to(read)).route("/count", web::get().to(count));
            app.wrap(SessionMiddleware::new(manager.clone()))
        };
        let server = HttpServer::new(app).workers(WORKERS).bind(("127.0.0.1", 0))?;
        println!("listening on http://{}", server.addrs()[0]);
        Ok(server.run().await?)
    })
}
