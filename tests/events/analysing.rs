//! What stats make of events.

use std::time::Duration;

use session_store::{Evict, Hour, Session};

use crate::told::Told;
use crate::world::{Account, Browser, IDLE, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn sign_in(world: &World, browser: &mut Browser, owner: &str) {
    browser.visit(&world.manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
}

fn ends(hour: &Hour) -> [u64; 5] {
    [hour.destroyed, hour.replaced, hour.revoked, hour.evicted, hour.expired]
}

#[tokio::test]
async fn sign_ins_and_ends_are_counted_by_the_hour_and_by_reason() {
    let world = World::with(|builder| builder.max_sessions_per_owner(3, Evict::Oldest));
    let mut browsers = vec![Browser::default(); 5];
    for browser in &mut browsers {
        sign_in(&world, browser, "ada").await;
        world.clock.advance(MINUTE / 60);
    }
    // Two were evicted; the third one signs in again, the fourth signs out, the fifth is revoked.
    sign_in(&world, &mut browsers[2], "ada").await;
    browsers[3].begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let key = browsers[4].key(&world.manager).await;
    world.manager.revoke(&key).await.unwrap();
    world.clock.advance(2 * IDLE);
    for _ in 0..2 {
        browsers[2].sees(&world.manager).await;
    }
    let stats = world.manager.stats().await;
    assert_eq!(stats.last_24_hours.len(), 24);
    let signed_in = stats.last_24_hours.iter().map(|hour| hour.signed_in).sum::<u64>();
    let ended = stats.last_24_hours.iter().map(ends);
    let ended = ended.fold([0; 5], |sum, hour| std::array::from_fn(|end| sum[end] + hour[end]));
    assert_eq!((signed_in, ended), (6, [1, 1, 1, 2, 1]));
    let counts = stats.counts;
    let counted = [counts.destroyed, counts.replaced, counts.revoked, counts.evicted, counts.expired];
    assert_eq!((counts.signed_in, counted), (6, [1, 1, 1, 2, 1]));
    // Each sign-in has come to an end.
    assert_eq!(stats.session_durations.count, 6);

    let last = world.manager.stats().await.last_24_hours[23];
    world.clock.advance(HOUR);
    sign_in(&world, &mut browsers[0], "ada").await;
    let hours = world.manager.stats().await.last_24_hours;
    assert_eq!((hours[22], hours[23].signed_in, ends(&hours[23])), (last, 1, [0; 5]));
    assert_eq!(hours[23].since_unix_seconds - hours[22].since_unix_seconds, 3600);
    world.clock.advance(24 * HOUR);
    let hours = world.manager.stats().await.last_24_hours;
    assert!(hours.iter().all(|hour| hour.signed_in == 0 && ends(hour) == [0; 5]));
    assert_eq!(world.manager.counts().signed_in, 7, "this counts on");
}

#[tokio::test]
async fn sessions_last_from_their_sign_in_whatever_ends_them() {
    let world = World::new();
    let (mut ada, mut bob) = (Browser::default(), Browser::default());
    sign_in(&world, &mut ada, "ada").await;
    sign_in(&world, &mut bob, "bob").await;
    world.clock.advance(2 * MINUTE);
    sign_in(&world, &mut ada, "eve").await;
    world.clock.advance(MINUTE);
    world.manager.revoke_all("bob").await.unwrap();
    ada.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    let durations = world.manager.stats().await.session_durations;
    assert_eq!(durations.count, 3);
    assert!((durations.sum_seconds - 120.0 - 180.0 - 60.0).abs() < 1e-6, "{durations:?}");
}

#[tokio::test]
async fn an_owners_sessions_are_counted_at_each_that_is_added() {
    let world = World::new();
    let mut browsers = vec![Browser::default(); 4];
    for browser in &mut browsers {
        sign_in(&world, browser, "ada").await;
    }
    sign_in(&world, &mut Browser::default(), "bob").await;
    // Adds none.
    browsers[0].visit(&world.manager, Session::renew).await.unwrap();
    sign_in(&world, &mut browsers[1], "ada").await;
    let buckets = world.manager.stats().await.sessions_per_owner;
    let counted = buckets.iter().filter(|bucket| bucket.sign_ins > 0);
    assert!(
        counted.map(|bucket| (bucket.up_to, bucket.sign_ins)).eq([
            (Some(1), 2),
            (Some(2), 1),
            (Some(3), 1),
            (Some(5), 1)
        ]),
        "{buckets:?}"
    );
}

/// Whether the browser that signs in was here before.
#[tokio::test]
async fn devices_are_new_or_come_again() {
    let told = Told::default();
    let world = World::with(|builder| told.listen(builder));
    let returns = async |browser: &mut Browser| {
        told.take(&world.manager).await;
        sign_in(&world, browser, "ada").await;
        told.take(&world.manager).await.last().unwrap().returning.unwrap()
    };
    assert!(!returns(&mut Browser::default()).await, "no cookie");
    assert!(!returns(&mut Browser { cookie: Some("id=forged".to_owned()) }).await, "none of ours");
    let mut visitor = world.visitor(1).await;
    world.clock.advance(29 * MINUTE / 2);
    assert!(!returns(&mut visitor).await, "on the first visit");
    assert!(returns(&mut visitor).await, "signed in before");

    let mut visitor = world.visitor(1).await;
    for _ in 0..2 {
        world.clock.advance(15 * MINUTE);
        visitor
            .visit(&world.manager, |session| session.write(|a: &mut Account| a.visits += 1))
            .await
            .unwrap();
    }
    assert!(returns(&mut visitor).await, "a visitor of half an hour ago");

    let ended = visitor.clone();
    world.manager.revoke_all("ada").await.unwrap();
    assert!(returns(&mut ended.clone()).await, "with a cookie of a session that is over");
    let counts = world.manager.counts();
    assert_eq!((counts.new_devices, counts.returning_devices, counts.signed_in), (3, 3, 6));
}
