//! How a store gets in, which its servers can't tell.

use crate::store::redis::target::{Login, Servers, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// A socket of this machine.
    NotNeeded,
    None,
    Tls,
    /// Encrypted, and the server's certificate is not verified.
    Unverified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Nothing,
    Password,
    User,
    /// By a function, at each attempt to connect.
    Somehow,
}

#[derive(Clone, Debug)]
pub(in crate::store::redis) struct Entrance {
    pub(super) encryption: Encryption,
    pub(super) login: Given,
}

impl Entrance {
    pub(in crate::store::redis) fn of(target: &Target) -> Self {
        let encryption = match (&target.servers, &target.tls) {
            (Servers::Socket(_), _) => Encryption::NotNeeded,
            (_, None) => Encryption::None,
            (_, Some(tls)) if tls.insecure => Encryption::Unverified,
            (_, Some(_)) => Encryption::Tls,
        };
        let login = match &target.login {
            Login::Provider(_) => Given::Somehow,
            Login::Fixed(login) => match (&login.username, &login.password) {
                (Some(_), _) => Given::User,
                (None, Some(_)) => Given::Password,
                (None, None) => Given::Nothing,
            },
        };
        Self { encryption, login }
    }
}
