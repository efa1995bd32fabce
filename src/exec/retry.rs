//! Whether an operation is tried a second time. Decides, never acts.

use super::operation::{Kind, Terms};
use crate::error::{Error, Kind as ErrorKind, NO_WRITES_PERFORMED, RETRYABLE_WRITE};
use crate::settings::Settings;

/// Adds the label that marks an error of a retryable write as worth a retry.
pub fn label(terms: &Terms, settings: &Settings, in_transaction: bool, error: &mut Error) {
    let numbered = terms.transaction_number.is_some() || is_ending(terms);
    // Before its number was drawn nothing was sent: dialling again is always right. Servers label
    // errors of operations, not those of handshakes and authentication.
    let dialling = error.is_before_handshake()
        && matches!(terms.kind, Kind::Write { retry: true })
        && settings.retry_writes
        && !in_transaction;
    if (error.is_network() && numbered) || (error.is_retryable_read() && dialling) {
        error.add_label(RETRYABLE_WRITE);
    }
}

pub fn may_retry(terms: &Terms, settings: &Settings, in_transaction: bool, error: &Error) -> bool {
    match terms.kind {
        Kind::EndTransaction { .. } => error.is_retryable_write(),
        _ if in_transaction => false,
        Kind::Command | Kind::KillCursors => false,
        Kind::Read { retry } => {
            retry && settings.retry_reads && terms.server.is_none() && error.is_retryable_read()
        }
        Kind::Write { retry } => retry && settings.retry_writes && error.is_retryable_write(),
    }
}

/// Which of two failures to tell: the second, unless it says less about what happened to the write.
pub fn choose(first: Error, second: Error) -> Error {
    let second_tells_less = second.has_label(NO_WRITES_PERFORMED)
        || matches!(
            second.kind(),
            ErrorKind::ServerSelection | ErrorKind::WaitQueueTimeout | ErrorKind::InvalidOperation
        );
    if second_tells_less { first } else { second }
}

fn is_ending(terms: &Terms) -> bool {
    matches!(terms.kind, Kind::EndTransaction { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::client::Session;

    fn labelled(retry_writes: bool, in_transaction: bool, number: Option<i64>) -> bool {
        let settings = Settings { retry_writes, ..Settings::default() };
        let session = Session::implicit(Arc::default());
        let mut terms = Terms::new("d".into(), Kind::Write { retry: true }, session);
        terms.transaction_number = number;
        let mut error = Error::new(ErrorKind::Network, "refused").in_handshake();
        label(&terms, &settings, in_transaction, &mut error);
        error.has_label(RETRYABLE_WRITE)
    }

    #[test]
    fn only_what_may_be_retried_is_labelled_so() {
        assert!(labelled(true, false, None));
        assert!(labelled(true, false, Some(1)));
        assert!(!labelled(false, false, None));
        assert!(!labelled(true, true, None));
    }
}
