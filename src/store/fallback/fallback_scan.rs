//! Going through the sessions of both places.

use async_trait::async_trait;

use super::{FallbackStore, Shared};
use crate::error::Error;
use crate::store::scan::{Cursor, OwnersPage, Page, Scan, Usage};

/// What cursors begin with: kind, version, and the place that the rest is of.
const MEMORY: &str = "f1:m:";
const PRIMARY: &str = "f1:p:";

/// Memory comes first: sessions move from there to the primary. One that has left memory before its page
/// is in the primary before the first page there. One that is moving may be seen in both.
#[async_trait]
impl Scan for FallbackStore {
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        let text = cursor.map_or(MEMORY, Cursor::as_str);
        if let Some(rest) = text.strip_prefix(MEMORY) {
            let page = self.0.memory.page(part(rest).as_ref(), size).await?;
            // What memory holds is little, as a rule.
            let next = page.next.as_ref().map_or(PRIMARY.to_owned(), |next| format!("{MEMORY}{next}"));
            return Ok(Page { next: Some(Cursor::new(next)), progress: 0.0, ..page });
        }
        let rest = text.strip_prefix(PRIMARY).ok_or_else(Cursor::is_strange)?;
        let page = self.0.primary()?.page(part(rest).as_ref(), size).await;
        let mut page = self.0.observe(page)?;
        // Those have ended, but for the primary's part in it.
        let ledger = self.0.ledger();
        page.sessions.retain(|session| !ledger.owes(&session.key));
        page.next = page.next.map(|next| Cursor::new(format!("{PRIMARY}{next}")));
        Ok(page)
    }

    async fn usage(&self) -> Result<Usage, Error> {
        let own = self.0.memory.usage().await?;
        let usage = self.0.observe(self.0.primary()?.usage().await)?;
        Ok(Usage { sessions: usage.sessions + own.sessions, ..usage })
    }

    /// Those of the primary: memory forgets by itself whose sessions are gone.
    async fn owners_page(&self, cursor: Option<&Cursor>, size: usize) -> Result<OwnersPage, Error> {
        self.0.observe(self.0.primary()?.owners_page(cursor, size).await)
    }
}

impl Shared {
    fn primary(&self) -> Result<&dyn Scan, Error> {
        self.primary.scan().ok_or(Error::Unsupported { what: "go through its sessions" })
    }
}

fn part(rest: &str) -> Option<Cursor> {
    (!rest.is_empty()).then(|| Cursor::new(rest))
}
