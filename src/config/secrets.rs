//! The secrets that cookies are signed with, and sessions sealed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::environment::Environment;
use super::layout::Layout;
use crate::cookie::keys::{KeyRing, separate};
use crate::error::Error;

const LONGEST_FILE: u64 = 64 * 1024;

/// The keys that `SESSION_SECRET` or `SESSION_SECRET_FILE` holds, if one of them is set.
pub(super) fn keys(
    environment: &Environment<'_>,
    layout: &Layout,
    warnings: &mut Vec<String>,
) -> Result<Option<KeyRing>, Error> {
    let Some(secrets) = Secrets::read(environment, "SESSION_SECRET", "SESSION_SECRET_FILE")? else {
        return Ok(None);
    };
    let keys = secrets.list().and_then(|list| layout.keys(&list, secrets.name, warnings));
    keys.map(Some).map_err(|error| secrets.wrong(&error))
}

/// What a variable holds of secrets, or the file that it names.
pub(super) struct Secrets {
    name: &'static str,
    text: String,
    is_file: bool,
}

impl Secrets {
    /// Reads the variable, or the file that the other one names, if one of them is set.
    pub(super) fn read(
        environment: &Environment<'_>,
        variable: &'static str,
        file: &'static str,
    ) -> Result<Option<Self>, Error> {
        Ok(match (environment.text(variable)?, environment.text(file)?) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let message = format!("{variable} and {file} are both set: leave one of them out");
                return Err(Error::Config(message));
            }
            (Some(text), None) => Some(Self { name: variable, text, is_file: false }),
            (None, Some(path)) => {
                let text = read(Path::new(&path))
                    .map_err(|why| Error::Config(format!("{file} cannot be used: {path}: {why}")))?;
                Some(Self { name: file, text, is_file: true })
            }
        })
    }

    pub(super) fn list(&self) -> Result<Vec<&str>, Error> {
        if self.is_file { lines(&self.text) } else { separate(&self.text) }
    }

    /// The error of secrets that can't be used.
    pub(super) fn wrong(&self, error: &Error) -> Error {
        Error::Config(format!("{}: {error}", self.name))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    refuse_if_anybody_may_write(&file)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err("it is longer than 64 KiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not text (UTF-8)".to_owned())
}

/// Whoever can write it can sign ids. Being readable for all is no fault: Kubernetes and Docker mount
/// secrets so, into containers that nobody else is in.
#[cfg(unix)]
fn refuse_if_anybody_may_write(file: &File) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.is_file() && metadata.mode() & 0o002 != 0 {
        return Err("everybody may write to it: run `chmod o-w` on it".to_owned());
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_if_anybody_may_write(_: &File) -> Result<(), String> {
    Ok(())
}

/// One secret a line, as it is there: commas and blanks are part of it. Line breaks at the end of the file,
/// which editors and `echo` put there, are not.
fn lines(text: &str) -> Result<Vec<&str>, Error> {
    let lines: Vec<_> = text
        .trim_end_matches(['\r', '\n'])
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .collect();
    for (number, line) in (1..).zip(&lines) {
        let fault = if line.is_empty() {
            "is empty"
        } else if line.starts_with('\u{feff}') {
            "begins with a byte order mark, which would be part of the secret: save the file without it"
        } else if line.contains(|c: char| c.is_control() && c != '\t') {
            "has a control character in it: encode such a secret in base64"
        } else {
            continue;
        };
        return Err(Error::Config(format!("line {number} {fault}; the file holds one secret a line")));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::super::tests::{SECRET, fault, read as settings};
    use super::*;
    use crate::id::SessionId;

    /// A file that is deleted when the test ends.
    struct Written(PathBuf);

    impl Written {
        fn new(content: impl AsRef<[u8]>) -> Self {
            let path = std::env::temp_dir().join(format!("secret-{}", SessionId::generate().as_str()));
            fs::write(&path, content).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// How many keys a file with this content gives.
    fn count(content: &str) -> usize {
        let file = Written::new(content);
        let keys = settings(&[("SESSION_SECRET_FILE", file.path())]).unwrap().keys.unwrap();
        format!("{keys:?}").matches("Key(..)").count()
    }

    fn refused(content: impl AsRef<[u8]>) -> String {
        let file = Written::new(content);
        let message = fault(&[("SESSION_SECRET_FILE", file.path())]);
        assert!(message.starts_with("SESSION_SECRET_FILE"), "{message}");
        assert!(!message.contains(&SECRET[..8]), "{message}");
        message
    }

    #[test]
    fn a_file_has_one_secret_a_line() {
        assert_eq!(count(SECRET), 1);
        for end in ["\n", "\r\n", "\n\n", "\r\n\r\n"] {
            assert_eq!(count(&format!("{SECRET}{end}")), 1, "{end:?}");
            assert_eq!(count(&format!("{SECRET}\n{SECRET}2{end}")), 2, "{end:?}");
        }
        assert_eq!(count(&format!("{SECRET}\r\n{SECRET}2")), 2);
        // Neither a list nor trimmed.
        for secret in [format!("{SECRET},{SECRET}"), format!(" {SECRET}, "), format!("{SECRET}\t")] {
            assert_eq!(count(&secret), 1);
            assert_eq!(lines(&format!("{secret}\n")).unwrap(), [secret]);
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (content, words) in [
            (String::new(), "line 1 is empty"),
            ("\n".to_owned(), "line 1 is empty"),
            (format!("{SECRET}\n\n{SECRET}\n"), "line 2 is empty"),
            (format!("\n{SECRET}"), "line 1 is empty"),
            (format!("\u{feff}{SECRET}"), "byte order mark"),
            (format!("{SECRET}\0"), "control character"),
            ("short\n".to_owned(), "openssl rand"),
            ("changeme".repeat(8), "openssl rand"),
            (format!("{SECRET}\nchangeme"), "openssl rand"),
            ("x".repeat(70_000), "64 KiB"),
        ] {
            let message = refused(&content);
            assert!(message.contains(words), "{message}");
        }
        assert!(refused([0xff; 40]).contains("not text"));
        for path in ["/nowhere/to/be/found", "/"] {
            let message = fault(&[("SESSION_SECRET_FILE", path)]);
            assert!(
                message.starts_with(&format!("SESSION_SECRET_FILE cannot be used: {path}: ")),
                "{message}"
            );
        }
        let file = Written::new(SECRET);
        let both = fault(&[("SESSION_SECRET_FILE", file.path()), ("SESSION_SECRET", SECRET)]);
        assert!(both.contains("both set"), "{both}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_anybody_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = Written::new(SECRET);
        for (mode, refused) in [(0o600, false), (0o444, false), (0o644, false), (0o646, true), (0o602, true)]
        {
            fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
            let read = settings(&[("SESSION_SECRET_FILE", file.path())]);
            assert_eq!(read.is_err(), refused, "{mode:o}");
        }
    }
}
