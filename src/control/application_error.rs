//! What the lane ran into, in the words of the discovery rules.

use crate::error::{Error, ErrorKind, SYSTEM_OVERLOADED};
use crate::pool::generation::Generation;
use crate::pool::server::Server;
use crate::topology::error_rules::{ApplicationError, ApplicationErrorKind, When};

/// `None` for an error that says nothing about the server.
pub fn application_error(
    server: &Server,
    generation: Generation,
    error: &Error,
) -> Option<ApplicationError> {
    let kind = match error.kind() {
        ErrorKind::Network => ApplicationErrorKind::Network,
        // Later it says nothing about other connections.
        _ if error.is_nonsense() && error.is_before_handshake() => ApplicationErrorKind::Network,
        ErrorKind::NetworkTimeout => ApplicationErrorKind::Timeout,
        ErrorKind::Command { .. } => match error.reply() {
            Some(reply) => ApplicationErrorKind::from_reply(reply)?,
            // Not the server's words: its part of an authentication did not hold.
            None => ApplicationErrorKind::Command { code: None, topology_version: None },
        },
        _ => return None,
    };
    let when = match error.is_before_handshake() {
        true => When::BeforeHandshake,
        false => When::AfterHandshake,
    };
    Some(ApplicationError {
        when,
        kind,
        generation: generation.number,
        current_generation: server.generations.current(generation.service_id).number,
        service_id: generation.service_id,
        overloaded: error.has_label(SYSTEM_OVERLOADED),
        message: error.message().to_owned(),
    })
}
