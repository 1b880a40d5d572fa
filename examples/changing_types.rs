//! How a session's type changes while sessions are live: a field is added, one is renamed, and one becomes
//! a type of its own. Nobody is signed out, and instances of the version before run beside it.
//!
//! `cargo run --example changing_types`

use serde::{Deserialize, Serialize};
use session_store::{Error, KeyRing, MemoryStore, SessionData, SessionManager};
use std::sync::Arc;

/// What is live.
mod version_1 {
    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    pub struct Account {
        pub user_name: String,
        pub visits: u32,
    }
}

/// A field is added and one is renamed. `default` is for sessions that lack the field, `alias` for those
/// that have it under its old name.
///
/// From its first write on, a session has the new name alone, and version 1 no longer finds the old one.
/// Where both versions serve the same visitors for a while, deploy the alias first and the rename second.
mod version_2 {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    pub struct Account {
        #[serde(alias = "user_name")]
        pub name: String,
        pub visits: u32,
        #[serde(default)]
        pub theme: Option<String>,
    }
}

/// The name becomes a type of its own. `from` tells how each stored form is read, `into` how it is written.
mod version_3 {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(from = "Stored", into = "Stored")]
    pub struct Account {
        pub name: FullName,
        pub visits: u32,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub struct FullName {
        pub first: String,
        pub last: String,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        New { full_name: FullName, visits: u32 },
        Old { name: String, visits: u32 },
    }

    impl From<Stored> for Account {
        fn from(stored: Stored) -> Self {
            match stored {
                Stored::New { full_name, visits } => Self { name: full_name, visits },
                Stored::Old { name, visits } => {
                    let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
                    Self { name: FullName { first: first.to_owned(), last: last.to_owned() }, visits }
                }
            }
        }
    }

    impl From<Account> for Stored {
        fn from(Account { name, visits }: Account) -> Self {
            Self::New { full_name: name, visits }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (store, keys) = (Arc::new(MemoryStore::new()), KeyRing::generate());
    let first = manager::<version_1::Account>(&store, &keys)?;
    let second = manager::<version_2::Account>(&store, &keys)?;
    let third = manager::<version_3::Account>(&store, &keys)?;

    let cookie = request(&first, None, |account| account.user_name = "Ada Lovelace".into()).await?;
    let cookie = cookie.as_deref();

    // The field is added. Version 1 does not know it, and keeps it when it writes.
    request(&second, cookie, |account| account.theme = Some("dark".into())).await?;
    show("version 2 wrote", &second, cookie).await?;
    request(&second, cookie, |account| account.visits += 1).await?;

    // The name gets a type of its own; it is stored so when version 3 first writes.
    show("version 3 reads", &third, cookie).await?;
    request(&third, cookie, |account| account.name.last = "King".into()).await?;
    show("version 3 wrote", &third, cookie).await?;

    let account = third.begin(cookie).session().await?.read(version_3::Account::clone);
    let name = version_3::FullName { first: "Ada".into(), last: "King".into() };
    assert_eq!(account, version_3::Account { name, visits: 1 });
    Ok(())
}

fn manager<T: SessionData>(store: &Arc<MemoryStore>, keys: &KeyRing) -> Result<SessionManager<T>, Error> {
    SessionManager::builder(Arc::clone(store), keys.clone()).build()
}

/// A request whose handler changes the session. Answers the visitor's cookie, if there is a new one.
async fn request<T: SessionData>(
    manager: &SessionManager<T>,
    cookie: Option<&str>,
    change: impl FnOnce(&mut T),
) -> Result<Option<String>, Error> {
    let request = manager.begin(cookie);
    request.session().await?.write(change)?;
    let effects = request.finish(200).await;
    let first_part = |header: String| header.split(';').next().map(str::to_owned);
    effects.failure.map_or(Ok(effects.set_cookie.and_then(first_part)), Err)
}

async fn show<T: SessionData + std::fmt::Debug>(
    what: &str,
    manager: &SessionManager<T>,
    cookie: Option<&str>,
) -> Result<(), Error> {
    manager.begin(cookie).session().await?.read(|account| println!("{what}: {account:?}"));
    Ok(())
}
