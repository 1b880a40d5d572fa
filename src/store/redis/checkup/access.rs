//! What to think of how the store gets in.

use super::entrance::{Encryption, Entrance, Given};
use super::server::ServerInfo;
use super::{Finding, Verdict};

/// The user whom Redis takes everybody for who names no other.
const DEFAULT_USER: &str = "default";

pub(super) fn encryption(entrance: &Entrance, servers: &[ServerInfo]) -> Finding {
    let (verdict, detail) = match entrance.encryption {
        Encryption::NotNeeded => (Verdict::Fine, "a socket of this machine"),
        Encryption::Tls => {
            (Verdict::Fine, "the connection is encrypted, and the server's certificate verified")
        }
        Encryption::Unverified => (
            Verdict::Warning,
            "the connection is encrypted, and any certificate is accepted: a machine in the middle can read and \
             change everything; name the authority by `cacert` or REDIS_TLS_CACERT",
        ),
        Encryption::None if servers.iter().all(|server| server.is_local) => {
            (Verdict::Fine, "not encrypted, and does not leave this machine")
        }
        Encryption::None => (
            Verdict::Warning,
            "not encrypted: anybody on the network path can read passwords, and all data of the sessions; use \
             `rediss://`",
        ),
    };
    Finding::new("encryption", verdict, detail)
}

/// `user` is whom the server takes the store for, if it tells.
pub(super) fn login(entrance: &Entrance, servers: &[ServerInfo], user: Option<&str>) -> Finding {
    let open = "no password: anybody who reaches the port can read, change and end all sessions";
    let by_password = "the default user, with a password and all permissions; a separate user with only the \
        permissions that the store needs is safer";
    let (verdict, detail) = match (entrance.login, user) {
        (_, Some(name)) if name != DEFAULT_USER => (Verdict::Fine, "a separate user".to_owned()),
        (Given::User, None) => (Verdict::Fine, "a separate user".to_owned()),
        (Given::Nothing, None) => (Verdict::Unknown, "no password was needed".to_owned()),
        (Given::Nothing, Some(_)) if servers.iter().all(|server| server.is_local) => {
            (Verdict::Fine, "no password, on this machine".to_owned())
        }
        (Given::Nothing, Some(_)) => (Verdict::Warning, open.to_owned()),
        (Given::Password | Given::User | Given::Somehow, _) => (Verdict::Fine, by_password.to_owned()),
    };
    Finding::new("login", verdict, detail)
}

#[cfg(test)]
mod tests {
    use super::super::server::example;
    use super::*;

    fn servers(local: bool) -> [ServerInfo; 2] {
        let server = |is_local| {
            let mut server = example("");
            server.is_local = is_local;
            server
        };
        [server(local), server(true)]
    }

    #[test]
    fn encryptions() {
        for (encryption, local, verdict) in [
            (Encryption::NotNeeded, true, Verdict::Fine),
            (Encryption::Tls, false, Verdict::Fine),
            (Encryption::Unverified, true, Verdict::Warning),
            (Encryption::None, true, Verdict::Fine),
            (Encryption::None, false, Verdict::Warning),
        ] {
            let entrance = Entrance { encryption, login: Given::Nothing };
            assert_eq!(
                super::encryption(&entrance, &servers(local)).verdict,
                verdict,
                "{encryption:?} {local}"
            );
        }
    }

    #[test]
    fn logins() {
        for (login, user, local, verdict) in [
            (Given::Nothing, Some("default"), true, Verdict::Fine),
            (Given::Nothing, Some("default"), false, Verdict::Warning),
            (Given::Nothing, None, false, Verdict::Unknown),
            (Given::Password, Some("default"), false, Verdict::Fine),
            (Given::User, Some("sessions"), false, Verdict::Fine),
            (Given::User, None, false, Verdict::Fine),
            (Given::Somehow, Some("sessions"), false, Verdict::Fine),
        ] {
            let entrance = Entrance { encryption: Encryption::Tls, login };
            let finding = super::login(&entrance, &servers(local), user);
            assert_eq!(finding.verdict, verdict, "{login:?} {user:?} {local}: {}", finding.detail);
        }
    }
}
