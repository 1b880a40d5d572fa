//! The errors that servers answer, and the words that each version of them puts the same error into.

use std::fmt;

use redis::RedisError;

/// An error that a server answered: a code such as `READONLY`, and an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) code: &'a str,
    pub(super) words: &'a str,
}

impl<'a> Answer<'a> {
    /// `None` if there was no answer, or none that is an error.
    pub(super) fn of(error: &'a RedisError) -> Option<Self> {
        Some(Self { code: error.code()?, words: error.detail().unwrap_or_default() }.unwrapped().coded())
    }

    /// What a command inside a script answered, which servers before 7.0 wrap. After `redis.call`:
    /// `ERR Error running script (call to f_…): @user_script:7: @user_script: 7: -READONLY You can't …`,
    /// after `redis.pcall`: `@user_script: 7: -READONLY You can't …`.
    fn unwrapped(self) -> Self {
        let inner = || {
            let mut answer = match self.code {
                "ERR" => self.words.strip_prefix("Error running script")?.split_once("): ")?.1,
                "@user_script:" => self.words.split_once(": ")?.1,
                _ => return None,
            };
            while let Some(line) = answer.strip_prefix("@user_script:") {
                answer = line.split_once(": ")?.1;
            }
            let (code, words) = answer.strip_prefix('-').unwrap_or(answer).split_once(' ')?;
            let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
            is_code.then_some(Self { code, words: words.trim_end() })
        };
        inner().unwrap_or(self)
    }

    /// With the code that the same error has outside of scripts. A script that finds its keys elsewhere, or
    /// the cluster down, had no effect.
    fn coded(self) -> Self {
        let says = |words| self.words.contains(words);
        let code = match self.code {
            "ERR" if says("access a non local key") => "TRYAGAIN",
            "ERR" if says("access a slot not served") || says("while the cluster is down") => "CLUSTERDOWN",
            "ERR" if says("ACL failure in script") || says("The user executing the script can't") => "NOPERM",
            code => code,
        };
        Self { code, ..self }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An unknown command is quoted with its arguments: HELLO's are the password, SET's the session.
        let words = self.words.split(", with args").next().unwrap_or_default();
        f.write_str(self.code)?;
        if words.is_empty() { Ok(()) } else { write!(f, " {words}") }
    }
}
