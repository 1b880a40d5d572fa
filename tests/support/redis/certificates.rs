//! Certificates for TLS, made by the `openssl` command.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::Directory;

/// An authority, and a server and a client that it vouches for. Those of another call of
/// [`Certificates::generate`] are strangers to these. The files go when this is dropped.
#[derive(Debug)]
pub struct Certificates {
    pub authority: Identity,
    /// Valid for a server on the loopback interface and, since servers of a cluster are each
    /// other's clients, for a client.
    pub server: Identity,
    pub client: Identity,
    _directory: Directory,
}

/// A certificate and the private key to it.
#[derive(Debug)]
pub struct Identity {
    pub certificate: Pem,
    pub key: Pem,
}

/// A file in the PEM format.
#[derive(Debug)]
pub struct Pem(PathBuf);

impl Pem {
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("it was written")
    }
}

impl Certificates {
    pub fn generate() -> Self {
        Self::for_names("IP:127.0.0.1,IP:127.0.0.2,DNS:localhost")
    }

    /// The same with a server of other names, such as `DNS:elsewhere.example`.
    pub fn for_names(names: &str) -> Self {
        let directory = Directory::create();
        let unique = directory.path().file_name().expect("a directory has a name").display();
        // Nothing of the system's own configuration gets in: a certificate for TLS must not be an
        // authority's, and by default each would be.
        let configuration = format!(
            "[req]\ndistinguished_name = subject\nprompt = no\n\
             [subject]\nO = {unique}\n\
             [authority]\nbasicConstraints = critical,CA:TRUE\n\
             [server]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = {names}\n\
             extendedKeyUsage = serverAuth,clientAuth\n\
             [client]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = clientAuth\n"
        );
        std::fs::write(directory.path().join("openssl.cnf"), configuration).expect("it is ours");
        let [authority, server, client] =
            ["authority", "server", "client"].map(|name| issue(directory.path(), name));
        Self { authority, server, client, _directory: directory }
    }
}

fn issue(directory: &Path, name: &str) -> Identity {
    let file = |name: &str, end: &str| directory.join(format!("{name}.{end}"));
    let (certificate, key) = (file(name, "crt"), file(name, "key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl
        .args(["-days", "2", "-extensions", name, "-subj"])
        .arg(format!("/O={}/CN={name}", directory.display()));
    openssl.arg("-config").arg(directory.join("openssl.cnf"));
    openssl.arg("-out").arg(&certificate).arg("-keyout").arg(&key);
    if name != "authority" {
        openssl.arg("-CA").arg(file("authority", "crt")).arg("-CAkey").arg(file("authority", "key"));
    }
    match openssl.output() {
        Err(e) if e.kind() == ErrorKind::NotFound => panic!(
            "certificates are made by the `openssl` command and there is none on the PATH: install it \
             (Debian: apt-get install openssl; macOS: brew install openssl)"
        ),
        output => {
            let output = output.expect("openssl can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl makes no certificate `{name}`:\n{said}");
        }
    }
    Identity { certificate: Pem(certificate), key: Pem(key) }
}
