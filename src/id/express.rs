//! Ids that express-session made, or that are kept as it keeps them.

use super::foreign::Foreign;
use super::{Form, SessionId, SessionKey};

/// The longest id, in bytes.
pub(crate) const LONGEST_ID: usize = 1024;

impl SessionId {
    /// Reads an id of express-session, which may come from a `genid` of the application: any text of
    /// 1 to 1,024 bytes without control characters.
    ///
    /// Its [key](Self::key) includes the id, since express-session stores under the id itself.
    ///
    /// ```
    /// use session_store::SessionId;
    ///
    /// let id = SessionId::express("3f2504e0-4f89-11d3-9a0c-0305e82c3301").expect("an id");
    /// assert_eq!(format!("{:?}", id.key()), "SessionKey(n4QqRLZ9XSJlHNIk9HdZicgsfjfa)");
    /// assert!(SessionId::express("").is_none());
    /// ```
    pub fn express(sid: &str) -> Option<Self> {
        let fits = (1..=LONGEST_ID).contains(&sid.len());
        let plain = !sid.chars().any(char::is_control);
        let foreign = (fits && plain).then(|| Foreign::new(sid))?;
        Some(Form::Foreign(foreign?).into())
    }

    /// Whether sessions are stored by the id itself.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self.form, Form::Foreign(_))
    }
}

impl SessionKey {
    /// What express-session calls the session, if that is how it is stored.
    pub(crate) fn express_id(&self) -> Option<&str> {
        self.foreign.as_deref()
    }
}
