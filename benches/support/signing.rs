//! Signing and verifying a session's cookie: the engine, and cookie-rs' signed jar with the same id
//! and the same attributes.

use std::hint::black_box;
use std::sync::Arc;

use cookie::{Cookie, CookieJar, Key as JarKey, SameSite};
use session_store::{
    Key, KeyRing, RequestSession, Session, SessionManager, SessionManagerBuilder, SessionStore,
};
use tokio::runtime::Runtime;

use super::at_once;
use super::shopper::Shopper;
use super::visitor::{forge, sent_back, sign_up};

/// What the engine calls its cookie.
const NAME: &str = "__Host-Http-id";

/// A browser sends other cookies too.
pub const FOREIGN: &str = "theme=dark; lang=en";

/// A service, and the same service after it got a new key: then the old one verifies in second place,
/// and its cookies are signed again.
pub struct Engine {
    runtime: Runtime,
    today: SessionManager<Shopper>,
    tomorrow: SessionManager<Shopper>,
    /// What a browser sends today.
    pub cookie: String,
    /// The same, signed by the key of tomorrow.
    renewed: String,
    pub forged: String,
}

impl Engine {
    pub fn new(runtime: Runtime, store: impl SessionStore) -> Self {
        Self::with(runtime, store, |builder| builder)
    }

    pub fn with(
        runtime: Runtime,
        store: impl SessionStore,
        settings: fn(SessionManagerBuilder<Shopper>) -> SessionManagerBuilder<Shopper>,
    ) -> Self {
        let store = Arc::new(store);
        let (old, new) = (Key::generate(), Key::generate());
        let manager = |keys| {
            let builder = SessionManager::builder(Arc::clone(&store), keys);
            settings(builder).build().expect("the settings agree")
        };
        let today = manager(KeyRing::new(old.clone()));
        let tomorrow = manager(KeyRing::new(new).with_previous(old));
        let cookie = runtime.block_on(sign_up(&today));
        let renewed = runtime.block_on(sign_up(&tomorrow));
        Self { forged: forge(&cookie), runtime, today, tomorrow, cookie, renewed }
    }

    /// Takes a request in: its cookie, if it has one, is looked for and verified.
    pub fn begin(&self, header: Option<&str>) -> RequestSession<Shopper> {
        self.today.begin(header)
    }

    /// The same with two keys, so that a forged cookie is verified twice.
    pub fn begin_with_two_keys(&self, header: Option<&str>) -> RequestSession<Shopper> {
        self.tomorrow.begin(header)
    }

    /// A whole request that only reads, and the cookie of its response, if it sets one. Cookies of
    /// today do: they are signed again, once the store said that their session is still there.
    pub fn respond(&self, header: &str) -> Option<String> {
        let request_session = self.tomorrow.begin(Some(header));
        at_once(request_session.session()).expect("the store is in memory");
        self.runtime.block_on(request_session.finish(200)).set_cookie
    }

    /// A whole request that reads the number of visits.
    pub fn read(&self) -> u32 {
        self.handle(|session| session.read(|shopper| black_box(shopper).visits))
    }

    /// A whole request that counts a visit.
    pub fn write(&self) -> u32 {
        self.handle(|session| {
            let count = |shopper: &mut Shopper| {
                shopper.visits += 1;
                shopper.visits
            };
            session.write(count).expect("the response is not on its way")
        })
    }

    /// Its cookie stays as it is.
    fn handle(&self, handler: impl FnOnce(Session<Shopper>) -> u32) -> u32 {
        self.runtime.block_on(async {
            let request_session = self.today.begin(Some(&self.cookie));
            let answer = handler(request_session.session().await.expect("the store answers"));
            assert!(
                request_session.finish(200).await.set_cookie.is_none(),
                "nothing was asked of the cookie"
            );
            answer
        })
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The response to a cookie that stays as it is.
    pub fn respond_as_it_is(&self) -> Option<String> {
        self.respond(&self.renewed)
    }

    /// What such a cookie holds.
    pub fn id(&self) -> &str {
        let value = self.cookie.split_once('=').expect("a cookie has a name").1;
        value.split_once('.').expect("a signature follows").0
    }
}

/// cookie-rs, used as the middlewares that build on it do: a jar for each request, and one for each
/// response.
pub struct SignedJar {
    key: JarKey,
    id: String,
    /// What a browser sends.
    pub cookie: String,
}

impl SignedJar {
    /// Cookies for this id.
    pub fn new(id: &str) -> Self {
        let jar = Self { key: JarKey::generate(), id: id.to_owned(), cookie: String::new() };
        Self { cookie: sent_back(&jar.sign()), ..jar }
    }

    /// From the `Cookie` header to the id, if the signature is right.
    pub fn verify(&self, header: &str) -> Option<String> {
        let mut jar = CookieJar::new();
        for cookie in Cookie::split_parse(header).filter_map(Result::ok) {
            jar.add_original(cookie.into_owned());
        }
        jar.signed(&self.key).get(NAME).map(|cookie| cookie.value().to_owned())
    }

    /// From the id to the `Set-Cookie` header.
    pub fn sign(&self) -> String {
        let cookie = Cookie::build((NAME, self.id.clone())).path("/").secure(true).http_only(true);
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key).add(cookie.same_site(SameSite::Lax));
        jar.delta().next().expect("one was added").to_string()
    }
}
