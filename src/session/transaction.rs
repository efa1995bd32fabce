//! One transaction's state machine. Decides, never sends; messages mean what PyMongo's mean.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use crate::error::{
    Error, Kind, MAX_TIME_EXPIRED, Result, TRANSIENT_TRANSACTION, UNKNOWN_COMMIT_RESULT,
};
use crate::topology::read_preference::{ReadMode, ReadPreference};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    None,
    /// Started here; the server hears of it with the first command.
    Starting,
    InProgress,
    Committed,
    /// Committed without a single command: there is nothing to send, even again.
    CommittedEmpty,
    Aborted,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `readConcern` document without `afterClusterTime`, if it says anything.
    pub read_concern: Option<RawDocumentBuf>,
    pub write_concern: Option<RawDocumentBuf>,
    pub read_preference: Arc<ReadPreference>,
    pub max_commit_time_ms: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub state: State,
    pub options: Options,
    /// Commits that the server may have seen: a further one asks for `w: majority`.
    commits_sent: u32,
    /// The server has run a command of it, or may have.
    has_run: bool,
    /// The first error that may have ended it: later ones only say that it has ended.
    failure: Option<Error>,
    /// With it another mongos can find out how the transaction ended.
    pub recovery_token: Option<RawDocumentBuf>,
}

/// What ending a transaction takes.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    Nothing,
    Send,
}

impl Transaction {
    pub fn is_active(&self) -> bool {
        matches!(self.state, State::Starting | State::InProgress)
    }

    /// Where its reads may go: only to the primary.
    pub fn read_preference(&self) -> Result<&Arc<ReadPreference>> {
        match self.options.read_preference.mode {
            ReadMode::Primary => Ok(&self.options.read_preference),
            mode => Err(Error::invalid_operation(format!(
                "read preference in a transaction must be primary, not: {}",
                mode.name()
            ))),
        }
    }

    pub fn start(&mut self, options: Options) -> Result<()> {
        if self.is_active() {
            return Err(Error::invalid_operation("Transaction already in progress"));
        }
        *self = Transaction { state: State::Starting, options, ..Transaction::default() };
        Ok(())
    }

    /// An operation outside of a transaction forgets the one that ended before.
    pub fn forget_ended(&mut self) {
        if !self.is_active() && self.state != State::None {
            *self = Transaction::default();
        }
    }

    /// The first command of a transaction starts it on the server.
    pub fn note_sent(&mut self) -> bool {
        let first = self.state == State::Starting;
        if first {
            self.state = State::InProgress;
        }
        first
    }

    /// Whether a commit was sent before the last one.
    pub fn was_sent_again(&self) -> bool {
        self.commits_sent > 1
    }

    /// A command was answered; `failed` is a statement of it that was not carried out.
    pub fn note_run(&mut self, failed: Option<Error>) {
        self.has_run = true;
        if self.failure.is_none() {
            self.failure = failed;
        }
    }

    /// What to tell of an error that an operation ends with. The server has aborted the transaction at
    /// its first error; of the operations after that it only says that there is no such transaction.
    pub fn explain(&mut self, error: Error) -> Error {
        let heard = error.code().is_some() || error.is_network();
        // What was refused or never sent has taken the state back before.
        self.has_run |= heard && self.state == State::InProgress;
        match (error.code(), &self.failure) {
            (Some(NO_SUCH_TRANSACTION), Some(first)) => error.because_of(first.clone()),
            (Some(NO_SUCH_TRANSACTION), None) => error,
            (_, None) if self.state != State::None && heard => {
                self.failure = Some(error.clone());
                error
            }
            _ => error,
        }
    }

    /// A command, or the end, was not looked at: an overloaded server has refused it, or it was too large
    /// to be sent.
    pub fn note_refused(&mut self) {
        if self.state == State::InProgress && !self.has_run {
            self.state = State::Starting;
        }
        self.commits_sent = self.commits_sent.saturating_sub(1);
    }

    pub fn begin_commit(&mut self) -> Result<Ending> {
        match self.state {
            State::None => Err(Error::invalid_operation("No transaction started")),
            State::Aborted => Err(Error::invalid_operation(
                "Cannot call commitTransaction after calling abortTransaction",
            )),
            State::Starting | State::CommittedEmpty => {
                self.state = State::CommittedEmpty;
                Ok(Ending::Nothing)
            }
            State::InProgress | State::Committed => {
                self.state = State::Committed;
                Ok(Ending::Send)
            }
        }
    }

    pub fn begin_abort(&mut self) -> Result<Ending> {
        let refuse = |text| Err(Error::invalid_operation(text));
        match self.state {
            State::None => refuse("No transaction started"),
            State::Aborted => refuse("Cannot call abortTransaction twice"),
            State::Committed | State::CommittedEmpty => {
                refuse("Cannot call abortTransaction after calling commitTransaction")
            }
            State::Starting => {
                self.state = State::Aborted;
                Ok(Ending::Nothing)
            }
            State::InProgress => {
                self.state = State::Aborted;
                Ok(Ending::Send)
            }
        }
    }

    /// The write concern of a commit or abort about to be sent; later commits ask for a majority,
    /// so that one acknowledged answer is final.
    pub fn ending_write_concern(&mut self, commit: bool) -> Option<RawDocumentBuf> {
        let again = commit && self.commits_sent > 0;
        self.commits_sent += u32::from(commit);
        if !again {
            return self.options.write_concern.clone();
        }
        let mut stronger = bson::rawdoc! { "w": "majority" };
        let mut has_timeout = false;
        let given = self.options.write_concern.as_deref();
        for (key, value) in given.into_iter().flat_map(RawDocument::iter).flatten() {
            if key.as_str() != "w" {
                has_timeout |= key.as_str() == "wtimeout";
                stronger.append(key, value);
            }
        }
        if !has_timeout {
            stronger.append(bson::raw::cstr!("wtimeout"), 10_000);
        }
        Some(stronger)
    }
}

/// Labels an error of a statement inside a transaction.
pub fn label_statement_error(error: &mut Error) {
    if error.is_network() || matches!(error.kind(), Kind::ServerSelection | Kind::WaitQueueTimeout)
    {
        error.add_label(TRANSIENT_TRANSACTION);
    }
}

/// Labels an error of commitTransaction: may it have been committed? `sent_before`: an earlier commit
/// got no answer that counts, and may have gone through.
pub fn label_commit_error(error: &mut Error, sent_before: bool) {
    let unknown = match error.kind() {
        Kind::ServerSelection | Kind::WaitQueueTimeout => true,
        Kind::Command { code } if error.is_write_concern() => {
            !IMPOSSIBLE_WRITE_CONCERNS.contains(&code)
        }
        Kind::Command { code } => {
            error.is_retryable_ending()
                || error.is_retryable_read()
                || matches!(code, MAX_TIME_EXPIRED | WRITE_CONCERN_TIMEOUT)
                // Only the word that there is no such transaction is final.
                || sent_before && !error.has_label(TRANSIENT_TRANSACTION)
        }
        _ => error.is_network(),
    };
    if unknown {
        error.remove_label(TRANSIENT_TRANSACTION);
        error.add_label(UNKNOWN_COMMIT_RESULT);
    }
}

const NO_SUCH_TRANSACTION: i32 = 251;
const WRITE_CONCERN_TIMEOUT: i32 = 64;
/// Committed; to ask again would get no other answer.
const IMPOSSIBLE_WRITE_CONCERNS: [i32; 2] = [79, 100];

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn an_empty_transaction_sends_nothing() {
        let mut transaction = Transaction::default();
        transaction.start(Options::default()).unwrap();
        assert_eq!(transaction.begin_commit().unwrap(), Ending::Nothing);
        assert_eq!(transaction.begin_commit().unwrap(), Ending::Nothing);
        transaction.start(Options::default()).unwrap();
        assert_eq!(transaction.begin_abort().unwrap(), Ending::Nothing);
    }

    #[test]
    fn every_misuse_is_named() {
        let mut transaction = Transaction::default();
        assert_eq!(message(transaction.begin_commit()), "No transaction started");
        assert_eq!(message(transaction.begin_abort()), "No transaction started");
        transaction.start(Options::default()).unwrap();
        assert_eq!(
            message(transaction.start(Options::default())),
            "Transaction already in progress"
        );
        assert!(transaction.note_sent());
        assert!(!transaction.note_sent());
        assert_eq!(transaction.begin_abort().unwrap(), Ending::Send);
        assert_eq!(message(transaction.begin_abort()), "Cannot call abortTransaction twice");
        assert!(message(transaction.begin_commit()).contains("after calling abortTransaction"));
        transaction.forget_ended();
        assert_eq!(transaction.state, State::None);
    }

    #[test]
    fn what_was_refused_was_not_sent() {
        let mut transaction = Transaction::default();
        transaction.start(Options::default()).unwrap();
        assert!(transaction.note_sent());
        transaction.note_refused();
        assert!(transaction.note_sent());
        transaction.note_run(None);
        transaction.note_refused();
        assert!(!transaction.note_sent());
        assert_eq!(transaction.begin_commit().unwrap(), Ending::Send);
        assert_eq!(transaction.ending_write_concern(true), None);
        transaction.note_refused();
        assert_eq!(transaction.ending_write_concern(true), None);
        assert!(transaction.ending_write_concern(true).is_some());
    }

    #[test]
    fn what_the_server_may_have_begun_is_not_begun_again() {
        let answered = Error::command(112, "no", Vec::new(), RawDocumentBuf::new());
        for error in [answered, Error::new(Kind::Network, "cut")] {
            let mut transaction = Transaction::default();
            transaction.start(Options::default()).unwrap();
            transaction.note_sent();
            transaction.explain(error);
            transaction.note_refused();
            assert!(!transaction.note_sent());
            assert_eq!(transaction.begin_commit().unwrap(), Ending::Send);
        }
    }

    #[test]
    fn later_errors_name_the_first() {
        let refused =
            |code| Error::command(code, code.to_string(), Vec::new(), RawDocumentBuf::new());
        let reason = |error: &Error| error.reason().map(|first| first.to_string());
        let mut transaction = Transaction::default();
        assert_eq!(reason(&transaction.explain(refused(8))), None); // outside of a transaction
        transaction.start(Options::default()).unwrap();
        assert_eq!(reason(&transaction.explain(refused(251))), None);
        transaction.explain(Error::invalid_operation("never sent"));
        transaction.note_run(Some(refused(11000)));
        transaction.note_run(Some(refused(9)));
        assert_eq!(reason(&transaction.explain(refused(7))), None);
        assert_eq!(reason(&transaction.explain(refused(251))).as_deref(), Some("11000"));
        transaction.begin_abort().unwrap();
        transaction.start(Options::default()).unwrap();
        assert_eq!(reason(&transaction.explain(refused(251))), None);
    }

    #[test]
    fn the_second_commit_asks_for_a_majority() {
        let mut transaction = Transaction::default();
        let write_concern = Some(bson::rawdoc! { "w": 1, "j": true });
        transaction
            .start(Options { write_concern: write_concern.clone(), ..Options::default() })
            .unwrap();
        transaction.note_sent();
        assert_eq!(transaction.begin_commit().unwrap(), Ending::Send);
        assert_eq!(transaction.ending_write_concern(true), write_concern);
        assert_eq!(transaction.begin_commit().unwrap(), Ending::Send);
        let stronger = bson::rawdoc! { "w": "majority", "j": true, "wtimeout": 10_000 };
        assert_eq!(transaction.ending_write_concern(true), Some(stronger));
    }

    #[test]
    fn labels_say_what_may_be_tried_again() {
        let mut error = Error::new(Kind::Network, "cut");
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
        for kind in [Kind::Network, Kind::NetworkTimeout, Kind::PoolCleared, Kind::ServerSelection]
        {
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
