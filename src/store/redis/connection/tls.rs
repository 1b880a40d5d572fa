//! TLS by rustls, over a connection that stands.

use std::fs;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, RedisResult};
use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as Fault, RootCertStore, SignatureScheme,
};

use crate::error::Error;
use crate::store::redis::target::{ClientCertificate, Host, Pem, Tls};

/// Tries out on nobody what each attempt to connect will do.
///
/// # Errors
///
/// [`Error::Config`] for certificates and keys that can't be read, or don't fit together.
pub(super) fn check(tls: &Tls) -> Result<(), Error> {
    match config(tls) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Config(format!("TLS with Redis: {error}"))),
    }
}

/// Shakes hands; `stream` leads to `host`.
pub(super) async fn over(stream: TcpStream, host: &Host, tls: &Tls) -> RedisResult<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.name.clone()).map_err(|error| {
        RedisError::from((
            ErrorKind::InvalidClientConfig,
            "no name that a certificate can have",
            error.to_string(),
        ))
    })?;
    Ok(TlsConnector::from(Arc::new(config(tls)?)).connect(name, stream).await?)
}

fn config(tls: &Tls) -> RedisResult<ClientConfig> {
    // An application that has a provider of its own installs it in `main`.
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
    let builder = if tls.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(trusted(tls)?)
    };
    let Some(ClientCertificate { certificate, key }) = &tls.client else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(unfit)?;
    builder.with_client_auth_cert(certificates(&read(certificate)?)?, key).map_err(unfit)
}

/// Whose signature makes a server's certificate good.
fn trusted(tls: &Tls) -> RedisResult<RootCertStore> {
    let mut trusted = RootCertStore::empty();
    if let Some(authorities) = &tls.authorities {
        for certificate in certificates(&read(authorities)?)? {
            trusted.add(certificate).map_err(unfit)?;
        }
        return Ok(trusted);
    }
    let system = load_native_certs();
    // One that rustls can't read is no reason to trust none.
    trusted.add_parsable_certificates(system.certs);
    if trusted.is_empty() {
        let reason = system.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        let what =
            "the system has no certificate authorities (install ca-certificates, or name a file by `cacert`)";
        return Err((ErrorKind::InvalidClientConfig, what, reason).into());
    }
    Ok(trusted)
}

fn certificates(pem: &[u8]) -> RedisResult<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(unfit)?;
    if certificates.is_empty() {
        return Err((ErrorKind::InvalidClientConfig, "no PEM certificate where one was named").into());
    }
    Ok(certificates)
}

fn read(pem: &Pem) -> RedisResult<Vec<u8>> {
    match pem {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => fs::read(path).map_err(|error| {
            let what = format!("{}: {error}", path.display());
            RedisError::from((ErrorKind::InvalidClientConfig, "cannot read a PEM file", what))
        }),
    }
}

/// What can't be used; neither library quotes a key.
fn unfit(error: impl std::error::Error) -> RedisError {
    (ErrorKind::InvalidClientConfig, "a certificate or key that cannot be used", error.to_string()).into()
}

/// Accepts whichever certificate a server shows, once the server has proved that it is the server's own.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Fault> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Fault> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Fault> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another part of the program may want another one.
    #[test]
    fn no_cryptography_is_chosen_for_the_process() {
        check(&Tls { insecure: true, ..Tls::default() }).unwrap();
        assert!(CryptoProvider::get_default().is_none());
    }
}
