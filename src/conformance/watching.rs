//! Telling of changes. A store without a [`Feed`] has nothing to prove here.

use std::time::Duration;

use tokio::time::timeout;

use super::sample::{Session, Store, delete, hour, in_one_hour, rotate, save, touch};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::Updated;
use crate::store::feed::{Feed, Watch};

/// A change may be known late where the store lost touch with its servers. This is longer.
const AT_LEAST_BY_THEN: Duration = Duration::from_secs(10);

async fn assert_told(watch: &mut Watch, change: &str) {
    let told = timeout(AT_LEAST_BY_THEN, watch.changed()).await;
    assert!(told.is_ok(), "nobody was told of {change}");
}

/// Every write, touch and deletion is told, whoever makes it.
pub async fn a_watch_is_told_of_every_change(store: &Store) -> Result<(), Error> {
    let Some(feed) = store.feed() else { return Ok(()) };
    let session = Session::fresh();
    let mut watches = [feed.watch(&session.key), feed.watch(&session.key)];
    let told = async |watches: &mut [Watch; 2], change| {
        for watch in watches {
            assert_told(watch, change).await;
        }
    };
    store.create(&session.key, &session.record, hour()).await?;
    told(&mut watches, "a new session").await;

    let later = Timestamp::from_millis(in_one_hour().as_millis() + 60_000);
    assert!(touch(store, &session, later).await?, "it can be touched");
    told(&mut watches, "a touch").await;

    let edited = Session { record: session.edited(r#"{"cart":["tea"]}"#), ..session.clone() };
    assert_eq!(save(store, &session, &edited.record).await?, Updated::Updated);
    told(&mut watches, "an update").await;

    let renewed = edited.renewed();
    let mut at_its_new_key = feed.watch(&renewed.key);
    assert_eq!(rotate(store, &edited, &renewed).await?, Updated::Updated);
    told(&mut watches, "a rotation, at the old key").await;
    assert_told(&mut at_its_new_key, "a rotation, at the new key").await;

    assert!(delete(store, &renewed).await?);
    assert_told(&mut at_its_new_key, "a deletion").await;
    Ok(())
}

/// A watch that begins while changes are made misses none that come after it.
pub async fn a_watch_misses_nothing_from_its_beginning(store: &Store) -> Result<(), Error> {
    let Some(feed) = store.feed() else { return Ok(()) };
    for _ in 0..100 {
        let session = Session::created(store).await?;
        let deleting = tokio::spawn(delete(store, &session));
        let mut watch = feed.watch(&session.key);
        while feed.find(&session.key).await?.is_some() {
            assert_told(&mut watch, "a deletion that was on its way").await;
        }
        deleting.await.expect("a deletion does not panic")?;
    }
    Ok(())
}

/// A session is found under its latest key after renewals; one that ended is not found.
pub async fn a_session_is_found_wherever_renewals_moved_it(store: &Store) -> Result<(), Error> {
    let Some(feed) = store.feed() else { return Ok(()) };
    let first = Session::created(store).await?;
    assert_found(feed, &first.key, Some(&first)).await?;
    let mut last = first.clone();
    for _ in 0..3 {
        let next = last.renewed();
        assert_eq!(rotate(store, &last, &next).await?, Updated::Updated);
        last = next;
        assert_found(feed, &first.key, Some(&last)).await?;
        assert_found(feed, &last.key, Some(&last)).await?;
    }
    delete(store, &last).await?;
    for ended in [&first, &last, &Session::fresh()] {
        assert_found(feed, &ended.key, None).await?;
    }
    Ok(())
}

async fn assert_found(feed: &dyn Feed, key: &SessionKey, expected: Option<&Session>) -> Result<(), Error> {
    let expected = expected.map(|session| (session.key.clone(), session.record.clone()));
    assert_eq!(feed.find(key).await?, expected);
    Ok(())
}
