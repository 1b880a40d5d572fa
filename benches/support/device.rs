//! A browser whose session is bound to its key, which is one of software.

use std::convert::Infallible;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Builder;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use session_store::{DeviceBinding, KeyRing, Session, SessionLayer, SessionManager, SessionStore};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::operation::DAY;
use super::shopper::Shopper;
use super::visitor::sent_back;

pub fn binding_manager(store: impl SessionStore) -> SessionManager<Shopper> {
    let binding = DeviceBinding::at("/.session").lifetime(DAY);
    let builder = SessionManager::builder(store, KeyRing::generate()).device_bound(binding);
    builder.build().expect("the settings agree")
}

/// A browser, with what it knows of its session's binding.
pub struct Device {
    /// The session's cookie alone.
    pub cookie: String,
    /// Both cookies.
    pub cookies: String,
    name: String,
    challenge: String,
}

impl Device {
    /// Signs in, registers a key, and gets a challenge.
    pub async fn bind(manager: &SessionManager<Shopper>) -> Self {
        let (_, _, fields) = ask(manager, Request::post("/sign_in")).await;
        let cookie = set_cookie(&fields);
        let offer = quoted(&fields, "secure-session-registration").next_back().expect("a challenge");

        let key = key(1);
        let point = key.verifying_key().to_sec1_point(false);
        let coordinate = |range: Range<usize>| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65) });
        let proof = sign(&key, &json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": jwk }), offer);
        let register = Request::post("/.session/register").header("cookie", &cookie);
        let (_, instructions, fields) = ask(manager, register.header("secure-session-response", proof)).await;
        let name = instructions["session_identifier"].as_str().expect("a name").to_owned();
        let cookies = format!("{cookie}; {}", set_cookie(&fields));

        let mut device = Self { cookie, cookies, name, challenge: String::new() };
        let (_, _, fields) = ask(manager, device.refresh(None)).await;
        let challenge = quoted(&fields, "secure-session-challenge").next().expect("a challenge");
        challenge.clone_into(&mut device.challenge);
        device
    }

    /// Asks for another bound cookie; answers the challenge, if there is a proof.
    pub fn refresh(&self, proof: Option<&str>) -> Builder {
        let name = format!("\"{}\"", self.name);
        let request = Request::post("/.session/refresh").header("cookie", &self.cookies);
        let request = request.header("sec-secure-session-id", name);
        match proof {
            Some(proof) => request.header("secure-session-response", proof),
            None => request,
        }
    }

    /// The answer of somebody with another key. To refuse it takes the verification that any proof takes, and the
    /// challenge stays open.
    pub fn impostors_proof(&self) -> String {
        sign(&key(2), &json!({ "typ": "dbsc+jwt", "alg": "ES256" }), &self.challenge)
    }
}

/// What the service that binds sessions answers: status, body and headers. Its only route signs in.
pub async fn ask(manager: &SessionManager<Shopper>, request: Builder) -> (StatusCode, Value, HeaderMap) {
    let service = service_fn(async |request: Request<String>| {
        let session =
            Session::<Shopper>::from_extensions(request.extensions()).await.expect("it is in memory");
        session.sign_in("ada", |shopper| *shopper = Shopper::ada()).expect("the response is not on its way");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let request = request.body(String::new()).expect("a request");
    let response = SessionLayer::new(manager.clone()).layer(service).oneshot(request).await;
    let (head, body) = response.expect("it is infallible").into_parts();
    let body = body.collect().await.expect("a body of one piece").to_bytes();
    (head.status, serde_json::from_slice(&body).unwrap_or_default(), head.headers)
}

fn set_cookie(fields: &HeaderMap) -> String {
    sent_back(fields["set-cookie"].to_str().expect("text"))
}

/// What stands in quotes in a field.
fn quoted<'f>(fields: &'f HeaderMap, name: &str) -> impl DoubleEndedIterator<Item = &'f str> {
    let parts: Vec<_> = fields[name].to_str().expect("text").split('"').collect();
    parts.into_iter().skip(1).step_by(2)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).expect("a number below the order")
}

fn sign(key: &SigningKey, header: &Value, challenge: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(&json!({ "jti": challenge })));
    let signature: Signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
