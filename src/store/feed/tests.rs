use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::SessionId;

fn key() -> SessionKey {
    SessionId::generate().key()
}

/// Whether the watch has something to tell at present.
async fn has_changed(watch: &mut Watch) -> bool {
    timeout(Duration::ZERO, watch.changed()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once_to_each_watch_of_its_key() {
    let (watches, ours, others) = (Watches::default(), key(), key());
    let [mut first, mut second] = [watches.watch(&ours), watches.watch(&ours)];
    let mut other = watches.watch(&others);
    assert!(!has_changed(&mut first).await);
    watches.tell(&ours);
    watches.tell(&ours);
    for watch in [&mut first, &mut second] {
        assert!(has_changed(watch).await);
        assert!(!has_changed(watch).await);
    }
    assert!(!has_changed(&mut other).await);
    watches.tell_all();
    for watch in [&mut first, &mut second, &mut other] {
        assert!(has_changed(watch).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_while_it_is_waited_for() {
    let (watches, key) = (Watches::default(), key());
    let mut watch = watches.watch(&key);
    let waiting = tokio::spawn(async move { watch.changed().await });
    tokio::task::yield_now().await;
    watches.tell(&key);
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_two_stores_hears_of_both() {
    let (one, another, key) = (Watches::default(), Watches::default(), key());
    let mut watch = one.watch(&key).or(another.watch(&key));
    for watches in [&one, &another] {
        assert!(!has_changed(&mut watch).await);
        watches.tell(&key);
        assert!(has_changed(&mut watch).await);
    }
}

#[test]
fn nothing_is_kept_of_a_watch_that_ended() {
    let (watches, key) = (Watches::default(), key());
    let [first, second] = [watches.watch(&key), watches.watch(&key)];
    drop(first);
    assert!(!watches.is_empty());
    drop(second);
    assert!(watches.is_empty());
    assert!(watches.0.shards.iter().all(|shard| lock(shard).is_empty()));
}

#[test]
fn many_threads_may_watch_and_tell_and_stop() {
    let (watches, keys) = (Watches::default(), [key(), key()]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..1000 {
                    let watch = watches.watch(&keys[round % 2]);
                    watches.tell(&keys[round % 2]);
                    drop(watch);
                }
            });
        }
    });
    assert!(watches.is_empty());
}
