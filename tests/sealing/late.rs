//! Requests whose session gets another id, or is written, while they run.

use session_store::{Conflict, Error, Session};

use crate::stage::{Account, Browser, Store, in_memory, in_redis, instance, instance_with, sealing, stored};
use crate::support::redis::Server;

/// How a request writes, and what comes of it.
async fn written(session_of: &session_store::RequestSession<Account>, by_update: bool) -> Result<(), Error> {
    let session = session_of.session().await.unwrap();
    let count = |account: &mut Account| account.visits += 1;
    if by_update {
        return session.update(count).await;
    }
    session.write(count)?;
    session.save().await
}

async fn a_write_follows_its_session(store: Store) {
    for by_update in [false, true] {
        for owner in [None, Some("ada")] {
            let manager = instance_with(&store, sealing().labels(), |builder| builder.compress(64));
            let mut ada = Browser::with(&manager, Account::of(&"Ada".repeat(100))).await;
            let (before, late) = (ada.clone(), ada.begin(&manager));
            late.session().await.unwrap();
            let moves = |session: &Session<Account>| match owner {
                Some(owner) => session.sign_in(owner, |account| account.cart.push("tea".to_owned())),
                None => session
                    .renew()
                    .and_then(|()| session.write(|account| account.cart.push("tea".to_owned()))),
            };
            ada.visit(&manager, moves).await.unwrap();

            written(&late, by_update).await.unwrap();
            let seen = ada.sees(&manager).await.unwrap();
            assert_eq!((seen.visits, seen.cart.len()), (1, 1));
            assert_eq!(before.sees(&manager).await, None);
            assert!(stored(&store, &ada.key(&manager).await).await.data.is_sealed());
            let counts = manager.counts();
            assert_eq!((counts.updated, counts.unopened), (1, 0));
        }
    }
}

/// SECURITY 31, where it is sealed.
#[tokio::test]
async fn a_sealed_write_follows_its_session_to_its_new_id() {
    a_write_follows_its_session(in_memory()).await;
    let server = Server::start().await;
    a_write_follows_its_session(in_redis(&server).await).await;
}

/// It is looked for as far as there are markers of it.
#[tokio::test]
async fn a_sealed_write_follows_two_new_ids() {
    for by_update in [false, true] {
        let store = in_memory();
        let manager = instance(&store, sealing());
        let mut ada = Browser::with(&manager, Account::of("Ada")).await;
        let late = ada.begin(&manager);
        late.session().await.unwrap();
        for _ in 0..2 {
            ada.visit(&manager, Session::renew).await.unwrap();
        }
        written(&late, by_update).await.unwrap();
        assert_eq!(ada.sees(&manager).await.unwrap().visits, 1);
    }
}

/// What belongs to somebody else is nobody's to write.
#[tokio::test]
async fn a_sealed_write_does_not_follow_to_another_owner_and_brings_nothing_back() {
    for by_update in [false, true] {
        let store = in_memory();
        let manager = instance(&store, sealing());
        let mut ada = Browser::with(&manager, Account::of("Ada")).await;
        ada.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
        let late = [ada.begin(&manager), ada.begin(&manager)];
        for request in &late {
            request.session().await.unwrap();
        }
        ada.visit(&manager, |session| session.sign_in("bob", |_| ())).await.unwrap();
        let error = written(&late[0], by_update).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(Conflict::Owner)), "{error}");
        assert_eq!(ada.sees(&manager).await, Some(Account::default()));

        ada.session(&manager).await.destroy().await.unwrap();
        let error = written(&late[1], by_update).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(Conflict::Moved)), "{error}");
        assert_eq!(ada.sees(&manager).await, None);
        assert_eq!(manager.count_sessions().await.unwrap(), 0);
    }
}

async fn a_write_is_refused(store: Store) {
    for by_update in [false, true] {
        let manager = instance(&store, sealing().and_id());
        let mut ada = Browser::with(&manager, Account::of("Ada")).await;
        let late = ada.begin(&manager);
        late.session().await.unwrap();
        ada.visit(&manager, Session::renew).await.unwrap();

        let error = written(&late, by_update).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(Conflict::Moved)), "{error}");
        assert_eq!(error.status(), 409);
        assert_eq!(ada.sees(&manager).await, Some(Account::of("Ada")));
        let counts = manager.counts();
        assert_eq!((counts.updated, counts.unopened), (0, 0));
    }
}

/// The new id is not known to who came with the old one.
#[tokio::test]
async fn a_write_that_takes_the_new_id_is_refused() {
    a_write_is_refused(in_memory()).await;
    let server = Server::start().await;
    a_write_is_refused(in_redis(&server).await).await;
}

async fn writes_at_once_are_merged(store: Store) {
    for sealing in [sealing(), sealing().and_id()] {
        let manager = instance_with(&store, sealing, |builder| builder.compress(64));
        let ada = Browser::with(&manager, Account::of(&"Ada".repeat(100))).await;
        let requests: Vec<_> = (0..8).map(|_| ada.begin(&manager)).collect();
        for request in &requests {
            request.session().await.unwrap();
        }
        for (number, request) in requests.into_iter().enumerate() {
            let session = request.session().await.unwrap();
            session.write(|account| account.cart.push(number.to_string())).unwrap();
            session.save().await.unwrap();
            session.update(|account| account.visits += 1).await.unwrap();
            assert!(request.finish(200).await.failure.is_none());
        }
        let seen = ada.sees(&manager).await.unwrap();
        let mut cart = seen.cart;
        cart.sort();
        assert_eq!(cart, (0..8).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!((seen.visits, manager.counts().unopened), (8, 0));
    }
}

#[tokio::test]
async fn sealed_writes_at_once_are_merged() {
    writes_at_once_are_merged(in_memory()).await;
    let server = Server::start().await;
    writes_at_once_are_merged(in_redis(&server).await).await;
}
