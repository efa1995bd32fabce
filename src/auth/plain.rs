//! PLAIN (RFC 4616): the password itself, fit for encrypted connections only.

use zeroize::Zeroizing;

use super::credentials::Credentials;

pub fn payload(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    let (user, password) = (credentials.user(), credentials.password.as_str());
    Zeroizing::new([b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat())
}
