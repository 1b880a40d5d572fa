//! A target while it is being put together, and the checks of its parts against each other.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Why;
use crate::store::redis::target::{ClientCertificate, Credentials, Login, Pem, Servers, Target, Tls};

/// No password is longer.
const MAX_PASSWORD_FILE: u64 = 64 * 1024;

/// Something that was said at most once, and by what.
#[derive(Clone)]
pub(crate) struct Setting<T>(Option<(T, &'static str)>);

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Setting<T> {
    /// Takes `value`, and refuses another than was said before.
    pub(crate) fn say(&mut self, value: T, by: &'static str) -> Result<(), Why> {
        match &self.0 {
            Some((said, first)) if *said != value => {
                Err(format!("{first} and {by} contradict each other: leave out one of them").into())
            }
            Some(_) => Ok(()),
            None => {
                self.0 = Some((value, by));
                Ok(())
            }
        }
    }

    /// Takes `value` if nothing was said before. Otherwise answers by what, if that was something else.
    pub(crate) fn fill(&mut self, value: T, by: &'static str) -> Option<&'static str> {
        match &self.0 {
            Some((said, first)) => (*said != value).then_some(first),
            None => {
                self.0 = Some((value, by));
                None
            }
        }
    }
}

impl<T> Setting<T> {
    pub(crate) fn by(&self) -> Option<&'static str> {
        self.0.as_ref().map(|(_, by)| *by)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Password {
    Text(String),
    /// Read at each attempt to connect.
    File(PathBuf),
}

/// What has been said so far. `Debug` shows none of it: there are credentials in it.
pub(crate) struct Draft {
    pub(crate) servers: Servers,
    pub(crate) database: Setting<u32>,
    pub(crate) username: Setting<String>,
    pub(crate) password: Setting<Password>,
    pub(crate) sentinel_username: Setting<String>,
    pub(crate) sentinel_password: Setting<Password>,
    pub(crate) tls: Setting<bool>,
    pub(crate) authorities: Setting<PathBuf>,
    pub(crate) certificate: Setting<PathBuf>,
    pub(crate) key: Setting<PathBuf>,
    pub(crate) insecure: Setting<bool>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(..)")
    }
}

impl Draft {
    pub(crate) fn new(servers: Servers) -> Self {
        Self {
            servers,
            database: Setting::default(),
            username: Setting::default(),
            password: Setting::default(),
            sentinel_username: Setting::default(),
            sentinel_password: Setting::default(),
            tls: Setting::default(),
            authorities: Setting::default(),
            certificate: Setting::default(),
            key: Setting::default(),
            insecure: Setting::default(),
        }
    }

    /// The target, with defaults for what was not said.
    pub(crate) fn into_target(self) -> Result<Target, Why> {
        if let (Servers::Cluster(_), Some((1.., by))) = (&self.servers, &self.database.0) {
            return Err(format!("a cluster has only database 0, and {by} gives another").into());
        }
        if let (Servers::Socket(_), Some((true, by))) = (&self.servers, &self.tls.0) {
            return Err(format!("a socket has no TLS, which {by} asks for").into());
        }
        Ok(Target {
            tls: self.trust()?,
            servers: self.servers,
            database: self.database.0.map_or(0, |(number, _)| number),
            login: login(self.username, self.password)?,
            sentinel_login: login(self.sentinel_username, self.sentinel_password)?,
        })
    }

    fn trust(&self) -> Result<Option<Tls>, Why> {
        let Self { authorities, certificate, key, .. } = self;
        let insecure = self.insecure.0.as_ref().filter(|(insecure, _)| *insecure).map(|(_, by)| *by);
        if !self.tls.0.as_ref().is_some_and(|(tls, _)| *tls) {
            return match authorities.by().or(certificate.by()).or(key.by()).or(insecure) {
                None => Ok(None),
                Some(by) => Err(format!(
                    "{by} has no effect without TLS, which is turned on by rediss in place of redis, by \
                     tls=true, or by REDIS_TLS=true"
                )
                .into()),
            };
        }
        if let (Some(insecure), Some(authorities)) = (insecure, authorities.by()) {
            return Err(format!(
                "{insecure} accepts any certificate, and {authorities} only some: leave out one of them"
            )
            .into());
        }
        let client = match (&certificate.0, &key.0) {
            (None, None) => None,
            (Some((certificate, _)), Some((key, _))) => Some(ClientCertificate {
                certificate: Pem::File(certificate.clone()),
                key: Pem::File(key.clone()),
            }),
            (Some((_, by)), None) | (None, Some((_, by))) => {
                return Err(format!("{by} is only one half: a client certificate needs its key, too").into());
            }
        };
        let authorities = authorities.0.as_ref().map(|(path, _)| Pem::File(path.clone()));
        Ok(Some(Tls { authorities, client, insecure: insecure.is_some() }))
    }
}

fn login(username: Setting<String>, password: Setting<Password>) -> Result<Login, Why> {
    let by = username.by();
    let username = username.0.map(|(name, _)| name);
    match (password.0.map(|(password, _)| password), by) {
        (Some(Password::Text(password)), _) => {
            Ok(Login::Fixed(Credentials { username, password: Some(password) }))
        }
        (Some(Password::File(path)), _) => Ok(Login::Provider(Arc::new(move || {
            let password = read_password(&path)?;
            Ok(Credentials { username: username.clone(), password: Some(password) })
        }))),
        // The client would say nothing of a user without a password, and be the default user.
        (None, Some(by)) => Err(format!("{by} is set, but no password for that user").into()),
        (None, None) => Ok(Login::default()),
    }
}

/// The password in a file, without the line break that editors and `echo` put behind it.
pub(crate) fn read_password(path: &Path) -> Result<String, String> {
    let unusable = |why: &dyn fmt::Display| format!("the password's file {}: {why}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unusable(&error))?;
    file.take(MAX_PASSWORD_FILE + 1).read_to_end(&mut bytes).map_err(|error| unusable(&error))?;
    if bytes.len() as u64 > MAX_PASSWORD_FILE {
        return Err(unusable(&"longer than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable(&"not text (UTF-8)"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable(&"empty")),
        password => Ok(password.to_owned()),
    }
}
