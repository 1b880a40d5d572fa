//! actix-session on actix-web, with its Redis store. Its cookie is encrypted, as it is by default, and a
//! browser session, as ours is: with `PersistentSession` a rolling session would be sent again, too.

use actix_session::config::{BrowserSession, TtlExtensionPolicy};
use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::error::ErrorUnauthorized;
use actix_web::{App, HttpServer, web};

use super::{Outcome, SECRET, WORKERS, day, unknown};
use crate::payload::{KEY, Shopper, greeting};

async fn sign_in(session: Session) -> actix_web::Result<&'static str> {
    session.insert(KEY, Shopper::ada())?;
    Ok("in")
}

fn shopper(session: &Session) -> actix_web::Result<Shopper> {
    session.get(KEY)?.ok_or_else(|| ErrorUnauthorized("nobody"))
}

fn answer(shopper: &Shopper) -> actix_web::Result<String> {
    greeting(shopper).ok_or_else(|| ErrorUnauthorized("nobody"))
}

async fn read(session: Session) -> actix_web::Result<String> {
    answer(&shopper(&session)?)
}

async fn count(session: Session) -> actix_web::Result<String> {
    let mut shopper = shopper(&session)?;
    shopper.visits += 1;
    session.insert(KEY, &shopper)?;
    answer(&shopper)
}

pub fn serve(mode: &str, redis: &str) -> Outcome {
    let policy = match mode {
        "read" => TtlExtensionPolicy::OnStateChanges,
        "rolling" => TtlExtensionPolicy::OnEveryRequest,
        other => return unknown(other),
    };
    actix_web::rt::System::new().block_on(async {
        let store = RedisSessionStore::new(redis).await?;
        let app = move || {
            let sessions = SessionMiddleware::builder(store.clone(), Key::from(SECRET)).session_lifecycle(
                BrowserSession::default().state_ttl(day()).state_ttl_extension_policy(policy.clone()),
            );
            let app = App::new().route("/sign_in", web::get().to(sign_in));
            let app = app.route("/read", web::get().to(read)).route("/count", web::get().to(count));
            app.wrap(sessions.build())
        };
        let server = HttpServer::new(app).workers(WORKERS).bind(("127.0.0.1", 0))?;
        println!("listening on http://{}", server.addrs()[0]);
        Ok(server.run().await?)
    })
}
