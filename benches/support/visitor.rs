//! The visitors of a service: what signs them up, and the cookies that they come with.

use session_store::{KeyRing, SessionManager, SessionStore};

use super::shopper::Shopper;

pub fn manager(store: impl SessionStore, keys: KeyRing) -> SessionManager<Shopper> {
    SessionManager::builder(store, keys).build().expect("the settings agree")
}

/// The cookie of a new session, as a browser sends it.
pub async fn sign_up(manager: &SessionManager<Shopper>) -> String {
    let request = manager.begin(None);
    let session = request.session().await.expect("nothing is asked for yet");
    session.write(|shopper| *shopper = Shopper::ada()).expect("the response is not on its way");
    sent_back(&request.finish(200).await.set_cookie.expect("there is something to remember"))
}

/// The `Cookie` header of a browser that got this `Set-Cookie`.
pub fn sent_back(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap_or_default().to_owned()
}

/// The same cookie under a signature that no key made.
pub fn forge(cookie: &str) -> String {
    format!("{}AAAA", &cookie[..cookie.len() - 4])
}
