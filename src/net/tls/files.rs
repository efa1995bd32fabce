//! Certificates, keys and revocation lists from PEM files. No error shows what a file holds.

use std::path::Path;

use pkcs8::der::asn1::OctetString;
use pkcs8::{EncryptedPrivateKeyInfo, der::Decode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};

/// Who the client is.
pub struct Identity {
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub was_encrypted: bool,
}

pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    all(&read(path)?, path, "certificate")
}

pub fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    // OpenSSL takes a file without one and then trusts nobody: better said at once.
    all(&read(path)?, path, "revocation list")
}

pub fn identity(path: &Path, password: Option<&str>) -> Result<Identity, String> {
    let text = read(path)?;
    let file = path.display();
    // Read as such, for the headers that say how a key was encrypted.
    let sections = pem::parse_many(&text).map_err(|error| format!("{file}: {error}"))?;
    if sections.iter().any(|section| section.headers().get("Proc-Type").is_some()) {
        return Err(format!("{file}: the private key is encrypted in an old way. {CONVERT}"));
    }
    let certificates = all(&text, path, "certificate")?;
    let encrypted = sections.iter().find(|section| section.tag() == "ENCRYPTED PRIVATE KEY");
    let key = match (encrypted, password) {
        (None, _) => PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| format!("{file}: no private key that could be read"))?,
        (Some(_), None) => return Err(format!("{file}: the private key needs a password")),
        (Some(section), Some(password)) => {
            let key = EncryptedPrivateKeyInfo::<OctetString>::from_der(section.contents())
                .map_err(|_| {
                    format!("{file}: the private key is malformed, or encrypted in an old way. {CONVERT}")
                })?
                .decrypt(password)
                .map_err(|error| format!("{file}: could not decrypt the private key: {error}"))?;
            PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()
        }
    };
    Ok(Identity { certificates, key, was_encrypted: encrypted.is_some() })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn all<T: PemObject>(text: &[u8], path: &Path, what: &str) -> Result<Vec<T>, String> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{}: no {what} in it", path.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{}: malformed {what}: {error:?}", path.display())),
    }
}

const CONVERT: &str = "PKCS #8 with PBES2 is supported: `openssl pkcs8 -topk8 -v2 aes-256-cbc`";
