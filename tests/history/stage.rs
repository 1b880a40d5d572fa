//! Owners who sign in, and what is remembered of them.

use session_store::{HistoryBounds, HistoryEntry, Label, SessionData, SessionManager, SessionManagerBuilder};

use crate::world::{Account, Browser, World};

pub(crate) fn remembering() -> World {
    remembering_with(|builder| builder)
}

pub(crate) fn remembering_with(
    settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
) -> World {
    World::with(|builder| settings(builder.history(HistoryBounds::default())))
}

pub(crate) async fn sign_in<T: SessionData>(
    manager: &SessionManager<T>,
    owner: &str,
    device: &str,
) -> Browser {
    let mut browser = Browser::default();
    let handler = |session: &session_store::Session<T>| {
        session.sign_in(owner, |_| ())?;
        session.set_label(device)
    };
    browser.visit(manager, handler).await.unwrap();
    browser
}

/// What happened, the latest first, and on which device.
pub(crate) fn told(history: &[HistoryEntry]) -> Vec<String> {
    let device =
        |entry: &HistoryEntry| entry.label.as_ref().map_or("?".to_owned(), |it| Label::as_str(it).to_owned());
    history.iter().map(|entry| format!("{} {}", entry.what.as_str(), device(entry))).collect()
}

pub(crate) async fn history_of<T: SessionData>(manager: &SessionManager<T>, owner: &str) -> Vec<String> {
    told(&manager.history_of(owner).await.unwrap())
}
