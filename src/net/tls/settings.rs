//! What a client's TLS sessions have in common: whom to trust, and how to say who we are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::files;
use super::verifier::{Lenient, Takes};

/// As given by the user. No `Debug`: there is a password in it.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// In place of the system's certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate (with what leads to its authority) and private key.
    pub certificate_key_file: Option<PathBuf>,
    pub certificate_key_password: Option<Zeroizing<String>>,
    /// Revocation lists; the server's certificate must be covered by one.
    pub crl_file: Option<PathBuf>,
    pub allow_invalid_certificates: bool,
    pub allow_invalid_hostnames: bool,
}

/// Options whose files have been read.
pub struct TlsSettings {
    pub options: TlsOptions,
    /// The private key was encrypted, so the password was needed.
    pub key_is_encrypted: bool,
    config: ClientConfig,
}

impl TlsSettings {
    /// Reads the files; the error is for the user.
    pub fn load(options: TlsOptions) -> Result<TlsSettings, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(&options, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut key_is_encrypted = false;
        let config = match &options.certificate_key_file {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let password = options.certificate_key_password.as_ref().map(|it| it.as_str());
                let identity = files::identity(path, password)?;
                key_is_encrypted = identity.was_encrypted;
                builder
                    .with_client_auth_cert(identity.certificates, identity.key)
                    .map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        Ok(TlsSettings { options, key_is_encrypted, config })
    }

    /// Whether a certificate must be for the name of the host.
    pub fn verifies_names(&self) -> bool {
        !self.options.allow_invalid_certificates && !self.options.allow_invalid_hostnames
    }

    /// Sessions made from one answer resume each other. Each process needs its own, as the memory of
    /// sessions has a lock that a fork might catch in another thread's hands.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(REMEMBERED);
        Arc::new(config)
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}

fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let lenient = |takes| {
        let algorithms = provider.signature_verification_algorithms;
        Arc::new(Lenient { takes, algorithms })
    };
    if options.allow_invalid_certificates {
        return Ok(lenient(Takes::AnyCertificate));
    }
    let mut roots = RootCertStore::empty();
    let certificates = match &options.ca_file {
        Some(path) => files::certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    let mut builder = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    if let Some(path) = &options.crl_file {
        // As OpenSSL is told to by PyMongo, and does: the server's certificate only, by a list that
        // is still valid.
        builder = builder
            .with_crls(files::revocation_lists(path)?)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    let strict = builder.build().map_err(|error| {
        let file = match error {
            VerifierBuilderError::InvalidCrl(_) => &options.crl_file,
            _ => &options.ca_file,
        };
        match file {
            Some(path) => format!("{}: {error}", path.display()),
            None => "the system has no certificate authorities, and none were given".to_owned(),
        }
    })?;
    Ok(match options.allow_invalid_hostnames {
        true => lenient(Takes::AnyName(strict)),
        false => strict,
    })
}

/// Where the system keeps its certificate authorities in one file.
pub fn system_bundle() -> Option<PathBuf> {
    openssl_probe::probe().cert_file
}

/// Tickets of some 30 servers.
const REMEMBERED: usize = 256;
