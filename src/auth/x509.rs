//! MONGODB-X509: TLS has proved who this is, one command asks for it to count.

use super::credentials::{Credentials, Mechanism};
use crate::wire::elements;

/// The elements of `authenticate`, as a command or within a hello.
pub fn append_command(out: &mut Vec<u8>, credentials: &Credentials) {
    elements::int32(out, "authenticate", 1);
    elements::string(out, "mechanism", Mechanism::X509.name());
    if let Some(user) = &credentials.user {
        elements::string(out, "user", user);
    }
}
