//! Sessions that are bound to a device, and browsers that prove to be it. The browser's key is one of software, and
//! everything else goes over HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use session_store::{DeviceBinding, MissingProof};

use crate::browser::{Answer, Browser};
use crate::lab::Notes;
use crate::site::{Site, Stage, cookie};
use crate::store::Call;

const LIFETIME: Duration = Duration::from_secs(600);
/// Until then a request may have been on its way since before the registration.
const GRACE: Duration = Duration::from_secs(60);
const BOUND: &str = "id-device";

fn open(stage: Stage, missing: MissingProof) -> Site {
    let binding = DeviceBinding::at("/.session").lifetime(LIFETIME).missing(missing);
    stage.open_with(|notes| notes.cookie(cookie("id")).device_bound(binding))
}

/// A browser's key, and what it knows of the binding.
struct Device {
    key: SigningKey,
    name: String,
    challenge: Option<String>,
}

impl Device {
    fn new(number: u8) -> Self {
        let key = SigningKey::from_slice(&[number; 32]).expect("a number below the order");
        Self { key, name: String::new(), challenge: None }
    }

    fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
        json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65) })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    fn registration(&self, challenge: &str) -> String {
        let header = json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": self.jwk() });
        self.sign(&header, &json!({ "jti": challenge }))
    }

    fn proof(&self, challenge: &str) -> String {
        self.sign(&json!({ "typ": "dbsc+jwt", "alg": "ES256" }), &json!({ "jti": challenge }))
    }

    /// Signs in, and registers the key as the response asks for.
    async fn sign_in(&mut self, browser: &mut Browser, user: &str) {
        let answer = browser.get(&format!("/notes/sign_in/{user}")).await.expect_status(200);
        self.register(browser, &offered(&answer).expect("an offer")).await.expect_status(200);
    }

    async fn register(&mut self, browser: &mut Browser, challenge: &str) -> Answer {
        let answer = browser.post("/.session/register", &[response(&self.registration(challenge))]).await;
        if answer.status == 200 {
            let instructions: Value = serde_json::from_str(&answer.body).expect("JSON");
            instructions["session_identifier"].as_str().expect("a name").clone_into(&mut self.name);
        }
        answer
    }

    /// Refreshes as browsers do: at once if it has a challenge, and else when it got one.
    async fn refresh(&mut self, browser: &mut Browser) -> Answer {
        for _ in 0..2 {
            let proof = self.challenge.take().map(|challenge| self.proof(&challenge));
            let answer = self.ask(browser, proof.as_deref()).await;
            self.challenge = challenge(&answer);
            if answer.status != 403 {
                return answer;
            }
        }
        panic!("two challenges in a row");
    }

    async fn ask(&self, browser: &mut Browser, proof: Option<&str>) -> Answer {
        let mut headers = vec![("sec-secure-session-id", format!("\"{}\"", self.name))];
        headers.extend(proof.map(response));
        browser.post("/.session/refresh", &headers).await
    }
}

fn response(proof: &str) -> (&'static str, String) {
    ("secure-session-response", format!("\"{proof}\""))
}

/// The challenge of an offer to register.
fn offered(answer: &Answer) -> Option<String> {
    let offer = answer.header("secure-session-registration")?;
    let challenge = offer.strip_prefix("(ES256);path=\"/.session/register\";challenge=\"").expect("an offer");
    Some(challenge.strip_suffix('"').expect("an end").to_owned())
}

fn challenge(answer: &Answer) -> Option<String> {
    let field = answer.header("secure-session-challenge")?;
    let (challenge, _) = field.split_once(';')?;
    Some(challenge.trim_matches('"').to_owned())
}

async fn device(browser: &mut Browser) -> String {
    browser.get("/notes/device").await.expect_status(200).body
}

fn is_over(answer: &Answer) -> bool {
    answer.status == 200 && answer.body == r#"{"continue":false}"# && answer.set_cookies.is_empty()
}

pub(crate) async fn a_sign_in_offers_to_bind_and_a_proof_binds(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser_with_text("hello").await, Device::new(1));
    assert_eq!(device(&mut browser).await, "Unbound");
    let answer = browser.get("/notes/sign_in/ada").await.expect_status(200);
    site.store().calls();

    let answer = key.register(&mut browser, &offered(&answer).expect("an offer")).await.expect_status(200);
    assert_eq!(site.store().calls(), [Call::Load, Call::Update]);
    let instructions: Value = serde_json::from_str(&answer.body).unwrap();
    let expected = json!({
        "session_identifier": key.name, "refresh_url": "/.session/refresh", "scope": { "include_site": false },
        "credentials": [{ "type": "cookie", "name": BOUND, "attributes": "HttpOnly; SameSite=Lax; Path=/" }],
    });
    assert_eq!(instructions, expected);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    // Browsers complain about one here.
    assert_eq!(challenge(&answer), None);

    assert_eq!(browser.cookie_names(), ["id", BOUND]);
    assert_eq!(device(&mut browser).await, "Bound for 0 s, proved 0 s ago");
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    assert_eq!(site.store().calls(), [Call::Load, Call::Load], "nothing more for an ordinary request");
    assert_eq!(site.lab.notes.counts().device_bound, 1);

    site.clock.advance(LIFETIME / 2);
    key.refresh(&mut browser).await.expect_status(200).expect_cookie();
    assert_eq!(site.store().calls(), [Call::Load, Call::Load, Call::Update]);
    let half = LIFETIME.as_secs() / 2;
    assert_eq!(device(&mut browser).await, format!("Bound for {half} s, proved 0 s ago"));
    // The last answer brought a challenge.
    key.refresh(&mut browser).await.expect_status(200);
    assert_eq!(site.store().calls(), [Call::Load, Call::Load, Call::Update]);
    assert_eq!(site.lab.notes.counts().device_refreshed, 2);
}

pub(crate) async fn a_stolen_cookie_is_of_use_until_its_proof_is_too_old(stage: Stage) {
    let site = open(stage, MissingProof::Anonymous);
    let (mut browser, mut key) = (site.browser_with_text("hello").await, Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    let mut thief = browser.clone();
    assert_eq!(thief.notes().await, Notes::with_text("hello"));

    site.clock.advance(LIFETIME);
    assert_eq!(thief.notes().await, Notes::default());
    assert_eq!(device(&mut thief).await, "Stale");
    thief.get("/notes/text/mine").await.expect_status(403).expect_no_cookie();
    thief.get("/notes/update/mine").await.expect_status(403).expect_no_cookie();
    thief.get("/notes/renew").await.expect_status(403).expect_no_cookie();
    assert_eq!(site.lab.notes.counts().device_lost, 5);
    // Nor can a thief prove anything, or offer a key of their own.
    let mut other = Device::new(2);
    other.name.clone_from(&key.name);
    other.challenge = challenge(&other.ask(&mut thief, None).await.expect_status(403));
    let proof = other.proof(other.challenge.as_deref().unwrap());
    other.ask(&mut thief, Some(&proof)).await.expect_status(403).expect_no_cookie();

    key.refresh(&mut browser).await.expect_status(200).expect_cookie();
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    // A sign-in of the thief's own is theirs, and nobody else's.
    thief.get("/notes/sign_in/mallory/text/mine").await.expect_status(200).expect_cookie();
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

pub(crate) async fn a_missing_proof_is_treated_as_the_policy_says(stage: Stage) {
    let site = open(stage, MissingProof::Report);
    let (mut browser, mut key) = (site.browser_with_text("hello").await, Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    browser.cookies.remove(BOUND);
    assert_eq!(device(&mut browser).await, "Unbound", "it may have been on its way");
    site.clock.advance(GRACE);
    assert_eq!(device(&mut browser).await, "Stale");
    browser.get("/notes/text/changed").await.expect_status(200);
    assert_eq!(browser.notes().await, Notes::with_text("changed"));
    let counts = site.lab.notes.counts();
    assert_eq!((counts.device_lost, counts.device_skipped), (3, 0));

    let site = open(site.close(), MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser_with_text("hello").await, Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    site.clock.advance(GRACE);
    let mut lost = browser.clone();
    lost.cookies.remove(BOUND);
    let refused = lost.get("/notes/read").await.expect_status(403).expect_no_cookie();
    assert_eq!(refused.body, "Forbidden");
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

pub(crate) async fn a_skipped_proof_signs_nobody_out(stage: Stage) {
    let site = open(stage, MissingProof::Anonymous);
    let (mut browser, mut key) = (site.browser_with_text("hello").await, Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    site.clock.advance(GRACE);
    let bound = browser.cookies.remove(BOUND).expect("a bound cookie");
    let skipped = ("secure-session-skipped", format!("quota_exceeded;session_identifier=\"{}\"", key.name));
    let notes = browser.get_with("/notes/read", &[skipped]).await.expect_no_cookie().notes();
    assert_eq!(notes, Notes::default());
    assert_eq!(site.lab.notes.counts().device_skipped, 1);
    browser.cookies.insert(BOUND.to_owned(), bound);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

/// What stands for a registration of `key` that answers `offer`, and is none; `foreign` was offered to somebody else.
fn no_registrations(key: &Device, offer: &str, foreign: &str) -> Vec<(&'static str, String)> {
    let with = |header: Value| key.sign(&header, &json!({ "jti": offer }));
    let jwk = key.jwk();
    let right = json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": jwk });
    let changed = |name: &str, value: Value| {
        let mut header = right.clone();
        header[name] = value;
        header
    };
    let without = |name: &str| {
        let mut header = right.clone();
        header.as_object_mut().unwrap().remove(name);
        header
    };
    let mut long = right.clone();
    long["x5c"] = json!("A".repeat(4096));
    let mut tampered = key.registration(offer).into_bytes();
    let end = tampered.len() - 3;
    tampered[end] = if tampered[end] == b'A' { b'B' } else { b'A' };
    let mut lying = changed("jwk", Device::new(2).jwk());
    lying["kid"] = json!("1");
    let [header, claims, signature] =
        key.registration(offer).split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    vec![
        ("nothing", String::new()),
        ("no JWS", "a.b".to_owned()),
        ("another session's challenge", key.registration(foreign)),
        ("a challenge of the client's own", key.registration("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("a challenge that is cut", key.registration(&offer[..20])),
        ("no challenge", key.registration("")),
        ("alg: none", with(changed("alg", json!("none")))),
        (
            "alg: none, unsigned",
            format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(changed("alg", json!("none")).to_string())),
        ),
        ("RS256", with(changed("alg", json!("RS256")))),
        ("HS256", with(changed("alg", json!("HS256")))),
        ("no alg", with(without("alg"))),
        ("another typ", with(changed("typ", json!("JWT")))),
        ("no typ", with(without("typ"))),
        ("no key", with(without("jwk"))),
        (
            "a key of another curve",
            with(changed("jwk", json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}))),
        ),
        (
            "a key of another kind",
            with(changed("jwk", json!({"kty": "oct", "k": "AA", "crv": "P-256", "x": "", "y": ""}))),
        ),
        (
            "a point that is not on the curve",
            with(changed(
                "jwk",
                json!({
                    "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32]),
                }),
            )),
        ),
        ("another's key", with(lying)),
        ("critical members", with(changed("crit", json!(["exp"])))),
        ("an oversized one", with(long)),
        ("a changed signature", String::from_utf8(tampered).unwrap()),
        (
            "a changed claim",
            format!(
                "{header}.{}.{signature}",
                URL_SAFE_NO_PAD.encode(json!({"jti": offer, "a": 1}).to_string())
            ),
        ),
        ("no signature", format!("{header}.{claims}.")),
        ("a part too many", format!("{header}.{claims}.{signature}.{signature}")),
        ("padding", format!("{header}=.{claims}.{signature}")),
        ("a key that is there twice", {
            let header = format!(r#"{{"typ":"dbsc+jwt","alg":"none","alg":"ES256","jwk":{jwk}}}"#);
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header))
        }),
    ]
}

/// All are refused and counted, and change nothing.
pub(crate) async fn what_is_no_registration_is_refused(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    let foreign = offered(&site.browser().get("/notes/sign_in/bob").await).expect("an offer");
    let offer = offered(&browser.get("/notes/sign_in/ada").await).expect("an offer");
    let mut refused = 0;
    for (what, proof) in no_registrations(&key, &offer, &foreign) {
        site.store().calls();
        let answer = browser.post("/.session/register", &[response(&proof)]).await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        assert!(answer.set_cookies.is_empty(), "{what}");
        assert_eq!(site.store().calls(), [Call::Load], "{what}");
        refused += 1;
        assert_eq!(site.lab.notes.counts().device_refused, refused, "{what}");
    }
    assert_eq!(device(&mut browser).await, "Unbound");

    // Once bound, nobody else registers.
    key.register(&mut browser, &offer).await.expect_status(200);
    Device::new(2).register(&mut browser, &offer).await.expect_status(403);
    key.register(&mut browser, &offer).await.expect_status(403);
    refused += 2;
    assert_eq!(site.lab.notes.counts().device_refused, refused);
}

/// So are these.
pub(crate) async fn what_is_no_proof_is_refused(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    let (mut stranger, mut other) = (site.browser(), Device::new(3));
    let offer = offered(&browser.get("/notes/sign_in/ada").await).expect("an offer");
    key.register(&mut browser, &offer).await.expect_status(200);
    other.sign_in(&mut stranger, "bob").await;
    let mut refused = 0;
    let foreign = challenge(&other.ask(&mut stranger, None).await.expect_status(403)).unwrap();
    let fresh = challenge(&key.ask(&mut browser, None).await.expect_status(403)).unwrap();
    let mut impostor = Device::new(2);
    impostor.name.clone_from(&key.name);
    for (what, proof) in [
        ("another key", impostor.proof(&fresh)),
        ("another key, brought along", impostor.registration(&fresh)),
        ("another session's challenge", key.proof(&foreign)),
        ("the challenge of the registration", key.proof(&offer)),
    ] {
        site.store().calls();
        let answer = key.ask(&mut browser, Some(&proof)).await;
        assert_eq!(answer.status, 403, "{what}");
        assert!(challenge(&answer).is_some() && answer.set_cookies.is_empty(), "{what}");
        assert_eq!(site.store().calls(), [Call::Load], "{what}");
        refused += 1;
        assert_eq!(site.lab.notes.counts().device_refused, refused, "{what}");
    }
    // Answered once; then again; then too late.
    key.ask(&mut browser, Some(&key.proof(&fresh))).await.expect_status(200).expect_cookie();
    let again = key.ask(&mut browser, Some(&key.proof(&fresh))).await.expect_status(403).expect_no_cookie();
    site.clock.advance(LIFETIME + Duration::from_secs(3601));
    // The session idled too long meanwhile, but for this.
    let late = key.proof(&challenge(&again).unwrap());
    assert!(is_over(&key.ask(&mut browser, Some(&late)).await));
    assert_eq!(site.lab.notes.counts().device_refused, refused + 1);
}

pub(crate) async fn a_proof_of_an_old_challenge_is_refused(stage: Stage) {
    let binding = DeviceBinding::at("/.session").lifetime(LIFETIME);
    let lasting = session_store::Expiry::idle(Duration::from_secs(30 * 24 * 3600));
    let site = stage.open_with(|notes| notes.cookie(cookie("id")).expiry(lasting).device_bound(binding));
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    let open = challenge(&key.ask(&mut browser, None).await).unwrap();
    site.clock.advance(LIFETIME + Duration::from_secs(3601));
    let answer = key.ask(&mut browser, Some(&key.proof(&open))).await.expect_status(403).expect_no_cookie();
    assert_eq!(site.lab.notes.counts().device_refused, 1);
    let open = challenge(&answer).unwrap();
    key.ask(&mut browser, Some(&key.proof(&open))).await.expect_status(200).expect_cookie();
}

pub(crate) async fn a_renewal_keeps_the_binding_and_a_sign_in_begins_anew(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    let before = browser.cookies["id"].clone();
    let answer = browser.get("/notes/renew").await.expect_status(200);
    assert_ne!(browser.cookies["id"], before);
    // A browser may have asked at the same time, by the old id: that ends nothing.
    let mut late = browser.clone();
    late.cookies.insert("id".to_owned(), before);
    assert_eq!(key.ask(&mut late, None).await.expect_status(200).expect_no_cookie().body, "");
    assert_eq!(offered(&answer), None);
    assert_eq!(device(&mut browser).await, "Bound for 0 s, proved 0 s ago");
    key.refresh(&mut browser).await.expect_status(200).expect_cookie();

    let answer = browser.get("/notes/sign_in/ada").await.expect_status(200);
    assert_eq!(device(&mut browser).await, "Unbound");
    // The browser still has the old binding, and lets go of it.
    assert!(is_over(&key.ask(&mut browser, None).await));
    let mut renewed = Device::new(2);
    renewed.register(&mut browser, &offered(&answer).expect("an offer")).await.expect_status(200);
    assert_eq!(device(&mut browser).await, "Bound for 0 s, proved 0 s ago");
    assert!(is_over(&key.ask(&mut browser, None).await));
}

/// SECURITY 12. A browser may ask long after a logout.
pub(crate) async fn nothing_brings_a_bound_cookie_back_after_the_end(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    key.sign_in(&mut browser, "ada").await;
    let mut left_behind = browser.clone();
    browser.get("/notes/log_out").await.expect_status(200);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    for browser in [&mut browser, &mut left_behind] {
        assert!(is_over(&key.ask(browser, None).await));
        let open = key.challenge.take().unwrap_or_default();
        assert!(is_over(&key.ask(browser, Some(&key.proof(&open))).await));
        assert!(is_over(&browser.post("/.session/register", &[response(&key.registration(&open))]).await));
    }

    key.sign_in(&mut browser, "ada").await;
    site.lab.notes.revoke_all(&session_store::Owner::new("ada").unwrap()).await.unwrap();
    assert!(is_over(&key.ask(&mut browser, None).await));
}

pub(crate) async fn what_is_sensitive_waits_for_a_proof(stage: Stage) {
    let site = open(stage, MissingProof::Anonymous);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    // Who can't prove anything is let on, and the handler is told.
    browser.get("/notes/sign_in/ada").await;
    browser.get("/notes/prove/60").await.expect_status(200);
    key.sign_in(&mut browser, "ada").await;
    browser.get("/notes/prove/60").await.expect_status(200);

    site.clock.advance(Duration::from_secs(61));
    for (target, location) in
        [("/notes/prove/60", "?"), ("/notes/prove/60?x-note=1&x-other=2", "?x-note=1&x-other=2")]
    {
        let answer = browser.clone().get(target).await.expect_status(307);
        assert_eq!(answer.header("location").as_deref(), Some(location));
        let removal =
            "id-device=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(answer.set_cookies, [removal]);
    }
    let mut thief = browser.clone();
    thief.get("/notes/prove/60").await.expect_status(307);
    thief.get("/notes/prove/60").await.expect_status(403);
    assert_eq!(device(&mut thief).await, "Stale");
    browser.get("/notes/prove/60").await.expect_status(307);
    key.refresh(&mut browser).await.expect_status(200);
    browser.get("/notes/prove/60").await.expect_status(200);
}

pub(crate) async fn a_store_that_is_away_ends_no_binding(stage: Stage) {
    let site = open(stage, MissingProof::Refuse);
    let (mut browser, mut key) = (site.browser(), Device::new(1));
    let offer = offered(&browser.get("/notes/sign_in/ada").await).unwrap();
    for call in [Call::Load, Call::Update] {
        site.store().fail(call);
        key.register(&mut browser, &offer).await.expect_status(503).expect_no_cookie();
    }
    site.store().recover();
    key.register(&mut browser, &offer).await.expect_status(200);
    let open = challenge(&key.ask(&mut browser, None).await).unwrap();
    let proof = key.proof(&open);
    for call in [Call::Load, Call::Update] {
        site.store().fail(call);
        key.ask(&mut browser, Some(&proof)).await.expect_status(503).expect_no_cookie();
    }
    site.store().recover();
    key.ask(&mut browser, Some(&proof)).await.expect_status(200).expect_cookie();
}
