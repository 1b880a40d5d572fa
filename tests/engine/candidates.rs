//! Several cookies of the session's name in one request.

use session_store::KeyRing;

use crate::world::{Browser, SECOND, SECRET, World};

/// So many ids of one request are looked up.
const TRIED: usize = 16;

/// Cookies that were signed here, and whose sessions have ended.
async fn ended(world: &World, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        let visitor = world.visitor(1).await;
        visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
        browsers.push(visitor);
    }
    world.store.forget_calls();
    browsers
}

/// What a browser with the cookies of these sees, and how many loads it costs.
async fn see(world: &World, browsers: &[&Browser]) -> (u32, usize) {
    world.store.forget_calls();
    let visits = Browser::with_cookies_of(browsers).sees(&world.manager).await.visits;
    (visits, world.store.calls().iter().filter(|call| **call == "load").count())
}

/// SECURITY 30: four were enough once.
#[tokio::test]
async fn ended_sessions_do_not_hide_the_one_that_lives_up_to_a_bound() {
    let world = World::new();
    let alive = world.visitor(7).await;
    let ended = ended(&world, TRIED + 1).await;
    for count in 0..=TRIED + 1 {
        let mut browsers: Vec<_> = ended[..count].iter().collect();
        browsers.push(&alive);
        let expected = if count < TRIED { (7, count + 1) } else { (0, TRIED) };
        assert_eq!(see(&world, &browsers).await, expected, "{count}");
    }
}

#[tokio::test]
async fn an_id_counts_once_however_often_it_comes_and_whoever_signed_it() {
    let world = World::new();
    let alive = world.visitor(7).await;
    let ended = ended(&world, 2).await;
    let copies: Vec<_> = (0..300).map(|number| &ended[number % 2]).chain([&alive]).collect();
    assert_eq!(see(&world, &copies).await, (7, 3));

    let ring = KeyRing::parse(&format!("{SECOND},{SECRET}")).unwrap();
    let rotated = world.instance_with(ring, |builder| builder);
    let (mut again, mut visitor) = (alive.clone(), alive.clone());
    visitor.visit(&rotated, |_| ()).await;
    again.receive(&{
        let request = again.begin(&rotated);
        request.session().await.unwrap();
        request.finish(200).await
    });
    assert_ne!(again.cookie, alive.cookie);
    world.store.forget_calls();
    let both = Browser::with_cookies_of(&[&ended[0], &alive, &again]);
    assert_eq!(both.sees(&rotated).await.visits, 7);
    assert_eq!(world.store.calls(), ["load"; 2]);
}

/// What no key signed costs nothing, and takes nobody's place.
#[tokio::test]
async fn forged_cookies_do_not_count() {
    let world = World::new();
    let alive = world.visitor(7).await;
    let header = format!("{}; {}", ["id=forged"; 500].join("; "), alive.cookie.clone().unwrap());
    world.store.forget_calls();
    assert_eq!(Browser { cookie: Some(header) }.sees(&world.manager).await.visits, 7);
    assert_eq!(world.store.calls(), ["load"]);
    assert_eq!(world.manager.counts().forged, 500);
}

/// A logout ends whatever the browser could come back with.
#[tokio::test]
async fn a_logout_ends_every_session_that_would_be_tried() {
    let world = World::new();
    let mut visitors = Vec::new();
    for visits in 1..=8 {
        visitors.push(world.visitor(visits).await);
    }
    let all = Browser::with_cookies_of(&visitors.iter().collect::<Vec<_>>());
    all.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    assert_eq!(see(&world, &visitors.iter().collect::<Vec<_>>()).await, (0, 8));
}

/// SECURITY 29, in the form of Express, too.
#[cfg(feature = "express")]
#[tokio::test]
async fn a_name_that_resembles_ours_is_another_in_the_form_of_express() {
    use session_store::SessionCookie;

    let world = World::new();
    for name in ["connect.sid", "__Host-Http-connect.sid"] {
        let keys = KeyRing::express("keyboard cat").unwrap();
        let manager = world.instance_with(keys, |builder| builder.cookie(SessionCookie::new().name(name)));
        let (mut victim, mut attacker) = (Browser::default(), Browser::default());
        victim.visit(&manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
        attacker.visit(&manager, |session| session.write(|a| a.visits = 2)).await.unwrap();
        let (own, planted) = (victim.cookie.unwrap(), attacker.cookie.unwrap());
        assert!(own.starts_with(&format!("{name}=s%3A")), "{own}");
        for before in [
            "\u{2000}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2028}", "\u{3000}", "=", "a=", "\"", "\0", "x,",
            "%20",
        ] {
            for (header, visits) in
                [(format!("{before}{planted}; {own}"), 1), (format!("{before}{planted}"), 0)]
            {
                let seen = Browser { cookie: Some(header.clone()) }.sees(&manager).await.visits;
                assert_eq!(seen, visits, "{header:?}");
            }
        }
        // Cookies are not unescaped in their names, and values are.
        let escaped = Browser { cookie: Some(planted.replace(name, &name.replace('.', "%2E"))) };
        assert_eq!(escaped.sees(&manager).await.visits, 0);
    }
}
