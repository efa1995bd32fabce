//! What an error says of the transaction it happened in: may the whole be tried again, may it have been committed?

use crate::error::{
    Error, ErrorKind, MAX_TIME_EXPIRED, TRANSIENT_TRANSACTION, UNKNOWN_COMMIT_RESULT,
};

/// Labels an error of a statement inside a transaction.
pub fn label_statement_error(error: &mut Error) {
    if error.is_network()
        || matches!(error.kind(), ErrorKind::ServerSelection | ErrorKind::WaitQueueTimeout)
    {
        error.add_label(TRANSIENT_TRANSACTION);
    }
}

/// Labels an error of commitTransaction: may it have been committed? `sent_before`: an earlier commit
/// got no answer that counts, and may have gone through. If it may, whether another commit may bring another
/// answer.
pub(super) fn label_commit_error(error: &mut Error, sent_before: bool) -> Option<bool> {
    let unknown = doubt(error, sent_before);
    if unknown.is_some() {
        error.remove_label(TRANSIENT_TRANSACTION);
        error.add_label(UNKNOWN_COMMIT_RESULT);
    }
    unknown
}

fn doubt(error: &Error, sent_before: bool) -> Option<bool> {
    // The server has had as long as it was allowed.
    let in_time = error.code() != Some(MAX_TIME_EXPIRED);
    let open = |doubtful: bool| doubtful.then_some(in_time);
    match error.kind() {
        ErrorKind::ServerSelection | ErrorKind::WaitQueueTimeout => Some(true),
        _ if error.has_label(UNKNOWN_COMMIT_RESULT) => Some(in_time),
        ErrorKind::Command { code } if error.is_write_concern() => {
            open(!IMPOSSIBLE_WRITE_CONCERNS.contains(&code))
        }
        ErrorKind::Command { code } => {
            let may_pass = error.is_retryable_ending()
                || error.is_retryable_read()
                || matches!(code, MAX_TIME_EXPIRED | WRITE_CONCERN_TIMEOUT);
            // Only the word that there is no such transaction is final; another one would be repeated.
            let earlier = sent_before && !error.has_label(TRANSIENT_TRANSACTION);
            open(may_pass).or_else(|| earlier.then_some(false))
        }
        _ => error.is_network().then_some(true),
    }
}

pub(super) fn is_only_its_end(error: &Error) -> bool {
    error.code() == Some(NO_SUCH_TRANSACTION)
}

const NO_SUCH_TRANSACTION: i32 = 251;
const WRITE_CONCERN_TIMEOUT: i32 = 64;
/// Committed; to ask again would get no other answer.
const IMPOSSIBLE_WRITE_CONCERNS: [i32; 2] = [79, 100];

#[cfg(test)]
mod tests {
    use bson::RawDocumentBuf;

    use super::*;

    #[test]
    fn labels_say_what_may_be_tried_again() {
        let mut error = Error::new(ErrorKind::Network, "cut");
        label_statement_error(&mut error);
        assert!(error.has_label(TRANSIENT_TRANSACTION));
        label_commit_error(&mut error, false);
        assert!(!error.has_label(TRANSIENT_TRANSACTION));
        assert!(error.has_label(UNKNOWN_COMMIT_RESULT));
    }

    fn is_unknown(mut error: Error, sent_before: bool) -> bool {
        label_commit_error(&mut error, sent_before);
        error.has_label(UNKNOWN_COMMIT_RESULT)
    }

    #[test]
    fn a_commit_refused_in_a_change_of_primary_may_be_tried_again() {
        let refused = |code| Error::command(code, "no", Vec::new(), RawDocumentBuf::new());
        for (code, unknown) in
            [(189, true), (10107, true), (50, true), (64, true), (251, false), (13, false)]
        {
            assert_eq!(is_unknown(refused(code), false), unknown, "{code}");
        }
    }

    #[test]
    fn whoever_does_not_reach_the_server_again_knows_nothing() {
        for kind in [
            ErrorKind::Network,
            ErrorKind::NetworkTimeout,
            ErrorKind::PoolCleared,
            ErrorKind::ServerSelection,
        ] {
            assert!(is_unknown(Error::new(kind, "no"), false), "{kind:?}");
        }
        let refused = |code, labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            Error::command(code, "no", labels, bson::rawdoc! { "ok": 0 })
        };
        assert!(is_unknown(refused(11601, &[]), true));
        assert!(!is_unknown(refused(251, &[TRANSIENT_TRANSACTION]), true));
    }

    #[test]
    fn what_is_committed_but_not_by_a_majority_is_unknown() {
        for (code, unknown) in [(64, true), (11601, true), (79, false), (100, false)] {
            let reply = bson::rawdoc! { "ok": 1 };
            let error = Error::command(code, "no", Vec::new(), reply);
            assert_eq!(is_unknown(error, false), unknown, "{code}");
        }
    }
}
