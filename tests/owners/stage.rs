//! Managers on real servers, and browsers that sign in.

use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Error, Expiry, KeyRing, RedisStore, ResponseActions, Session, SessionManager, SessionManagerBuilder,
};

pub(crate) type Manager = SessionManager<u64>;

pub(crate) const IDLE: Duration = Duration::from_secs(1000);

pub(crate) async fn manager_at(url: &str) -> Manager {
    manager_with(url, |builder| builder).await
}

pub(crate) async fn manager_with(
    url: &str,
    settings: impl FnOnce(SessionManagerBuilder<u64>) -> SessionManagerBuilder<u64>,
) -> Manager {
    // A loaded machine must not pass for a silent server.
    let store = RedisStore::builder(url).timeout(Duration::from_secs(10)).connect().await.unwrap();
    manager_on(Arc::new(store), settings)
}

pub(crate) fn manager_on(
    store: Arc<RedisStore>,
    settings: impl FnOnce(SessionManagerBuilder<u64>) -> SessionManagerBuilder<u64>,
) -> Manager {
    let builder = SessionManager::builder(store, KeyRing::generate()).expiry(Expiry::idle(IDLE));
    settings(builder).build().unwrap()
}

/// A client that keeps its cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    cookie: Option<String>,
}

impl Browser {
    pub(crate) async fn signed_in(manager: &Manager, owner: &str) -> Self {
        let mut browser = Self::default();
        browser.visit(manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
        browser
    }

    /// A whole request; what its response failed with, if it did.
    pub(crate) async fn visit(
        &mut self,
        manager: &Manager,
        handler: impl FnOnce(&Session<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let request = manager.begin(self.cookie.as_deref());
        handler(&request.session().await?)?;
        let actions = request.finish(200).await;
        self.receive(&actions);
        actions.failure.map_or(Ok(()), Err)
    }

    fn receive(&mut self, actions: &ResponseActions) {
        if let Some(header) = &actions.set_cookie {
            self.cookie = header.split(';').next().map(str::to_owned);
        }
    }

    pub(crate) async fn session(&self, manager: &Manager) -> Session<u64> {
        manager.begin(self.cookie.as_deref()).session().await.unwrap()
    }

    pub(crate) async fn is_signed_in(&self, manager: &Manager) -> bool {
        self.session(manager).await.owner().is_some()
    }
}
