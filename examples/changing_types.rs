//! How a session's type changes while sessions are live: a field is added, one is renamed, and one becomes
//! a type of its own. Nobody is signed out, and instances of the version before run beside it.
//!
//! `cargo run --example changing_types`

use session_store::{Error, KeyRing, MemoryStore, SessionData, SessionManager};
use std::sync::Arc;

/// What is live.
mod version_1 {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Default, Serialize, Deserialize)]
    pub(crate) struct Account {
        pub(crate) user_name: String,
        pub(crate) visits: u32,
    }
}

/// A field is added. `default` is for sessions that lack it. Version 1 does not know it, and leaves it
/// where it is.
mod version_2 {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Default, Serialize, Deserialize)]
    pub(crate) struct Account {
        // Reads the next version's name already, so both can run side by side.
        #[serde(alias = "name")]
        pub(crate) user_name: String,
        pub(crate) visits: u32,
        #[serde(default)]
        pub(crate) theme: Option<String>,
    }
}

/// A field is renamed. `alias` is for sessions that have it under its old name.
mod version_3 {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Default, Serialize, Deserialize)]
    pub(crate) struct Account {
        #[serde(alias = "user_name")]
        pub(crate) name: String,
        pub(crate) visits: u32,
        #[serde(default)]
        pub(crate) theme: Option<String>,
    }
}

/// The name becomes a type of its own. `from` tells how each stored form is read, `into` how it is written.
mod version_4 {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(from = "Stored", into = "Stored")]
    pub(crate) struct Account {
        pub(crate) name: FullName,
        pub(crate) visits: u32,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(crate) struct FullName {
        pub(crate) first: String,
        pub(crate) last: String,
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
    let fourth = manager::<version_4::Account>(&store, &keys)?;

    let cookie = request(&first, None, |account| account.user_name = "Ada Lovelace".into()).await?;
    let cookie = cookie.as_deref();

    request(&second, cookie, |account| account.theme = Some("dark".into())).await?;
    request(&first, cookie, |account| account.visits += 1).await?;
    show("version 2, after a write of version 1", &second, cookie).await?;

    show("version 3, before its first write", &third, cookie).await?;
    request(&third, cookie, |account| account.visits += 1).await?;
    show("version 2, after a write of version 3", &second, cookie).await?;

    request(&fourth, cookie, |account| account.name.last = "King".into()).await?;
    show("version 4, after its first write", &fourth, cookie).await?;

    let account = fourth.begin(cookie).session().await?.read(version_4::Account::clone);
    let name = version_4::FullName { first: "Ada".into(), last: "King".into() };
    assert_eq!(account, version_4::Account { name, visits: 2 });
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
    let actions = request.finish(200).await;
    let first_part = |header: String| header.split(';').next().map(str::to_owned);
    actions.failure.map_or(Ok(actions.set_cookie.and_then(first_part)), Err)
}

async fn show<T: SessionData + std::fmt::Debug>(
    what: &str,
    manager: &SessionManager<T>,
    cookie: Option<&str>,
) -> Result<(), Error> {
    manager.begin(cookie).session().await?.read(|account| println!("{what}: {account:?}"));
    Ok(())
}
