//! What goes in comes out, and nothing else.

use std::time::Duration;

use super::sample::{Session, Store, assert_absent, assert_holds, data, delete, hour, save};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::{Extensions, Label, Owner, Payload, Record};
use crate::store::{Created, Loaded, Updated};

/// A key that was never stored loads as absent, and deleting it deletes nothing.
pub async fn an_unknown_key_is_absent(store: &Store) -> Result<(), Error> {
    let session = Session::fresh();
    assert_absent(store, &session, "nothing was stored").await?;
    assert!(!delete(store, &session).await?, "there was nothing to delete");
    Ok(())
}

/// A session loads as it was created.
pub async fn a_created_session_loads_as_it_was_stored(store: &Store) -> Result<(), Error> {
    let session = Session::fresh();
    let created = store.create(&session.key, &session.record, hour()).await?;
    assert_eq!(created, Created::Created);
    assert_holds(store, &session, "just created").await
}

/// Absent and extreme values of every field load unchanged.
pub async fn every_field_survives(store: &Store) -> Result<(), Error> {
    let plain = Session::fresh().record;
    let full = Record {
        created_at: Timestamp::from_millis(1),
        idle_timeout: Some(Duration::from_millis(1)),
        absolute_deadline: Some(Timestamp::from_millis(u64::MAX)),
        own_expiry: true,
        own_idle_timeout: true,
        owner: Some(Owner::new("é".repeat(Owner::MAX_LENGTH / 2))?),
        label: Some(Label::new("é".repeat(Label::MAX_LENGTH / 2))?),
        extensions: longest_extensions()?,
        data: Payload::new(255, (0..=255).cycle().take(65_536).collect::<Vec<u8>>()),
        ..plain.next()
    };
    let empty = Record { data: Payload::new(0, ""), ..plain.clone() };
    let short = Record { owner: Some(Owner::new("a")?), data: data("\0\r\n"), ..plain.next() };
    for record in [plain, full, empty, short] {
        let session = Session { record, ..Session::fresh() };
        store.create(&session.key, &session.record, hour()).await?;
        assert_holds(store, &session, "as it was created").await?;
        let edited = Session { record: session.record.next(), ..session };
        save(store, &edited, &edited.record).await?;
        assert_holds(store, &edited, "as it was updated").await?;
    }
    Ok(())
}

fn longest_extensions() -> Result<Extensions, Error> {
    let mut entry = vec![b'x'; Extensions::MAX_LENGTH];
    // A tag that no version gives a meaning, and the length of what follows.
    entry[..3].copy_from_slice(&[0x7F, 3, 0xFD]);
    Extensions::from_bytes(&Session::fresh().key, &entry)
}

/// A second create of a key changes nothing.
pub async fn a_taken_key_is_left_as_it_is(store: &Store) -> Result<(), Error> {
    let first = Session::created(store).await?;
    let second = Session { record: Session::fresh().record, ..first.clone() };
    assert_eq!(store.create(&second.key, &second.record, hour()).await?, Created::Taken);
    assert_holds(store, &first, "the first session was there before").await
}

/// Of many concurrent creates of one key, exactly one is told that it succeeded.
pub async fn one_of_many_concurrent_creates_wins(store: &Store) -> Result<(), Error> {
    for _ in 0..20 {
        let session = Session::fresh();
        let rivals: Vec<_> = (0..8)
            .map(|_| {
                let (store, key, record) = (store.clone(), session.key.clone(), Session::fresh().record);
                tokio::spawn(async move { (store.create(&key, &record, hour()).await, record) })
            })
            .collect();
        let mut winners = Vec::new();
        for rival in rivals {
            let (created, record) = rival.await.expect("the store does not panic");
            winners.extend((created? == Created::Created).then_some(record));
        }
        assert_eq!(winners.len(), 1, "so many were told that the session is theirs");
        assert_eq!(store.load(&session.key).await?, Loaded::Found(winners.remove(0)));
    }
    Ok(())
}

/// Keys that share their first part, as they do after a rotation, are different keys.
pub async fn sessions_of_one_lineage_are_apart(store: &Store) -> Result<(), Error> {
    let one = Session::created(store).await?;
    let other = Session { record: Session::fresh().record, ..one.renewed() };
    assert_eq!(store.create(&other.key, &other.record, hour()).await?, Created::Created);
    assert_eq!(save(store, &one, &one.edited("1")).await?, Updated::Updated);
    assert_holds(store, &other, "the other one was updated").await?;
    assert!(delete(store, &one).await?);
    assert_holds(store, &other, "the other one was deleted").await
}

/// A deletion answers that there was something, a second one that there was not.
pub async fn a_deleted_session_is_gone(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    assert!(delete(store, &session).await?, "there was a session to delete");
    assert_absent(store, &session, "just deleted").await?;
    assert!(!delete(store, &session).await?, "it was deleted before");
    Ok(())
}

/// New visitors can sign in even if the store is full of sessions in use: an admission policy that
/// prefers frequently used entries would turn them away.
pub async fn a_full_store_admits_new_sessions(store: &Store) -> Result<(), Error> {
    const SIZE: usize = 16 * 1024;
    let mut hot = Vec::new();
    for _ in 0..20 {
        hot.push(Session::created(store).await?);
    }
    let mut newest = Vec::new();
    for _ in 0..80 {
        for session in &hot {
            store.load(&session.key).await?;
        }
        let mut session = Session::fresh();
        session.record.data = data(vec![b'x'; SIZE]);
        assert_eq!(store.create(&session.key, &session.record, hour()).await?, Created::Created);
        assert_holds(store, &session, "just created in a full store").await?;
        newest.push(session);
    }
    // Stores that evict in batches do so by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    store.load(&hot[0].key).await?;
    for session in newest.iter().rev().take(4) {
        assert_holds(store, session, "one of the four newest sessions of a full store").await?;
    }
    Ok(())
}
