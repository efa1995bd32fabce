//! One transaction's state machine. Decides, never sends; messages mean what PyMongo's mean.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::transaction_errors::{is_only_its_end, label_commit_error};
use crate::error::{Error, Result};
use crate::journal::entry;
use crate::journal::handle::{Handle, Known};
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

/// How a transaction ended, as far as this client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// It is not applied and, unless another commit is sent, never will be.
    Aborted,
    /// A commit may have gone through. `again`: to send it once more may bring another answer.
    Unknown {
        again: bool,
    },
}

impl Outcome {
    pub fn name(self) -> &'static str {
        entry::Outcome::from(self).name()
    }
}

impl From<Outcome> for entry::Outcome {
    fn from(outcome: Outcome) -> entry::Outcome {
        match outcome {
            Outcome::Committed => entry::Outcome::Committed,
            Outcome::Aborted => entry::Outcome::Aborted,
            Outcome::Unknown { .. } => entry::Outcome::Unknown,
        }
    }
}

/// What is known once a commit or an abort has returned, was cut, or was interrupted.
#[derive(Clone, Debug)]
pub struct Ended {
    pub outcome: Outcome,
    /// What the commit failed with, labelled; `None` also if it was cut.
    pub error: Option<Error>,
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
    ended: Option<Ended>,
    /// With it another mongos can find out how the transaction ended.
    pub recovery_token: Option<RawDocumentBuf>,
    /// Which attempt at the same transaction it is, where the driver makes them; else 0.
    pub attempt: u32,
    /// Its entry in the client's transaction log, from its first statement on.
    pub log: Option<Arc<Handle>>,
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

    /// The first error that may have ended it.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// `None` before it has ended.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// A command was answered; `failed` is a statement of it that was not carried out.
    pub fn note_run(&mut self, failed: Option<Error>) {
        self.has_run = true;
        if let Some(failed) = failed {
            self.note_failure(failed);
        }
    }

    /// An error that says only that the transaction has ended is the first if nothing else is known.
    fn note_failure(&mut self, error: Error) {
        if self.failure.as_ref().is_none_or(is_only_its_end) {
            self.failure = Some(error);
        }
    }

    /// The caller gave up waiting for the reply to a statement: the server may have run it or not.
    pub fn note_cut(&mut self) {
        if self.is_active() {
            let text = "an operation of the transaction was cancelled or interrupted midway";
            self.note_failure(Error::invalid_operation(text));
        }
    }

    /// What to tell of an error that an operation ends with. The server has aborted the transaction at
    /// its first error; of the operations after that it only says that there is no such transaction.
    pub fn explain(&mut self, error: Error) -> Error {
        let heard = error.code().is_some() || error.is_network() || error.is_nonsense();
        // What was refused or never sent has taken the state back before.
        self.has_run |= heard && self.state == State::InProgress;
        match self.failure.as_ref().filter(|first| !is_only_its_end(first)) {
            Some(first) if is_only_its_end(&error) => return error.because_of(first.clone()),
            None if self.state != State::None && heard => self.note_failure(error.clone()),
            _ => {}
        }
        error
    }

    /// A command, or the end, was not looked at: an overloaded server has refused it, or it was too large
    /// to be sent.
    pub fn note_refused(&mut self) {
        if self.is_active()
            && let Some(log) = &self.log
        {
            log.forget_last();
        }
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
                self.ended = Some(Ended { outcome: Outcome::Committed, error: None });
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
            State::Starting | State::InProgress => {
                let sent = self.state == State::InProgress;
                self.state = State::Aborted;
                // No commit was sent, and none will be: whatever becomes of the abort.
                self.ended = Some(Ended { outcome: Outcome::Aborted, error: None });
                Ok(if sent { Ending::Send } else { Ending::Nothing })
            }
        }
    }

    /// A commit was answered or has failed: labels its error, and decides how the transaction ended.
    pub fn end_commit(&mut self, result: Result<()>) -> Result<()> {
        let ended = |outcome, error| Some(Ended { outcome, error });
        let Err(mut error) = result else {
            self.ended = ended(Outcome::Committed, None);
            return Ok(());
        };
        let outcome = match label_commit_error(&mut error, self.commits_sent > 1) {
            Some(again) => Outcome::Unknown { again },
            None if error.is_write_concern() => Outcome::Committed,
            None if error.code().is_some() => Outcome::Aborted,
            None => self.outcome_without_answer(),
        };
        self.ended = ended(outcome, Some(error.clone()));
        Err(error)
    }

    /// The caller waits for a commit no longer.
    pub fn cut_commit(&mut self) {
        self.ended = Some(Ended { outcome: self.outcome_without_answer(), error: None });
    }

    /// A commit was not sent, and will not be.
    pub fn give_up_commit(&mut self, error: Error) {
        self.state = State::Aborted;
        self.ended = Some(Ended { outcome: Outcome::Aborted, error: Some(error) });
    }

    /// For the log. The time of the cluster, in seconds, is the session's.
    pub fn known(&self, cluster_time: Option<i64>) -> Known {
        let recovery_token = self.recovery_token.clone();
        Known { commits: self.commits_sent, recovery_token, cluster_time }
    }

    /// One of another process, as its log has it. Its commit may have been sent, so that it asks for a
    /// majority.
    pub fn recovered(
        commit: bool,
        write_concern: Option<RawDocumentBuf>,
        recovery_token: Option<RawDocumentBuf>,
    ) -> Transaction {
        Transaction {
            state: if commit { State::Committed } else { State::Aborted },
            options: Options { write_concern, ..Options::default() },
            commits_sent: u32::from(commit),
            recovery_token,
            ..Transaction::default()
        }
    }

    fn outcome_without_answer(&self) -> Outcome {
        match self.commits_sent {
            0 => Outcome::Aborted,
            _ => Outcome::Unknown { again: true },
        }
    }

    /// Whether a commit was given up before it was sent: the server still holds the transaction's locks.
    pub fn commit_was_not_sent(&self) -> bool {
        self.state == State::Committed && self.commits_sent == 0
    }

    /// After a commit that failed: whether the server may still hold the transaction's locks, and would not
    /// commit it without being asked again.
    pub fn may_be_left_open(&self) -> bool {
        self.state == State::Committed
            && match &self.ended {
                Some(Ended { outcome: Outcome::Committed, .. }) => false,
                Some(Ended { outcome: Outcome::Aborted, error }) => {
                    !error.as_ref().is_some_and(is_only_its_end)
                }
                Some(Ended { outcome: Outcome::Unknown { .. }, .. }) | None => {
                    self.commit_was_not_sent()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, TRANSIENT_TRANSACTION, UNKNOWN_COMMIT_RESULT};

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
        for error in [answered, Error::new(ErrorKind::Network, "cut")] {
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

    fn answer(code: i32, labels: &[&str], ok: i32) -> Error {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        Error::command(code, "no", labels, bson::rawdoc! { "ok": ok })
    }

    /// Of a transaction with one statement, whose commit was sent `sent` times.
    fn committing(sent: u32) -> Transaction {
        let mut transaction = Transaction::default();
        transaction.start(Options::default()).unwrap();
        transaction.note_sent();
        transaction.note_run(None);
        assert!(transaction.ended().is_none());
        transaction.begin_commit().unwrap();
        (0..sent).for_each(|_| drop(transaction.ending_write_concern(true)));
        transaction
    }

    fn outcome_after(sent: u32, error: Error) -> Outcome {
        let mut transaction = committing(sent);
        transaction.end_commit(Err(error)).unwrap_err();
        transaction.ended().unwrap().outcome
    }

    const OPEN: Outcome = Outcome::Unknown { again: true };
    const LAST_WORD: Outcome = Outcome::Unknown { again: false };

    #[test]
    fn the_outcome_of_a_commit_is_decided_by_its_answer() {
        let network = || Error::new(ErrorKind::Network, "cut");
        for (error, first, second) in [
            (network(), OPEN, OPEN),
            (Error::new(ErrorKind::ServerSelection, "none"), OPEN, OPEN),
            (answer(251, &[TRANSIENT_TRANSACTION], 0), Outcome::Aborted, Outcome::Aborted),
            (answer(13, &[], 0), Outcome::Aborted, LAST_WORD),
            (answer(189, &[], 0), OPEN, OPEN),
            (answer(50, &[], 0), LAST_WORD, LAST_WORD),
            (answer(8, &[UNKNOWN_COMMIT_RESULT], 0), OPEN, OPEN),
            (answer(64, &[], 1), OPEN, OPEN),
            (answer(100, &[], 1), Outcome::Committed, Outcome::Committed),
            (Error::protocol("nonsense"), OPEN, OPEN),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(outcome_after(1, error.clone()), first, "{shown}");
            assert_eq!(outcome_after(2, error), second, "{shown}");
        }
        let closed = Error::invalid_operation("closed");
        assert_eq!(outcome_after(0, closed.clone()), Outcome::Aborted);
        assert_eq!(outcome_after(1, closed), OPEN);
        let mut transaction = committing(1);
        transaction.end_commit(Ok(())).unwrap();
        assert_eq!(transaction.ended().unwrap().outcome, Outcome::Committed);
    }

    #[test]
    fn a_commit_that_is_cut_is_unknown_once_it_was_sent() {
        for (sent, outcome) in [(0, Outcome::Aborted), (1, OPEN)] {
            let mut transaction = committing(sent);
            transaction.cut_commit();
            assert_eq!(transaction.ended().unwrap().outcome, outcome);
            assert_eq!(transaction.may_be_left_open(), sent == 0);
            assert_eq!(transaction.commit_was_not_sent(), sent == 0);
        }
    }

    #[test]
    fn what_an_abort_ends_is_aborted() {
        for sent in [false, true] {
            let mut transaction = Transaction::default();
            transaction.start(Options::default()).unwrap();
            if sent {
                transaction.note_sent();
            }
            transaction.begin_abort().unwrap();
            assert_eq!(transaction.ended().unwrap().outcome, Outcome::Aborted);
        }
        let mut empty = Transaction::default();
        empty.start(Options::default()).unwrap();
        empty.begin_commit().unwrap();
        assert_eq!(empty.ended().unwrap().outcome, Outcome::Committed);
    }

    #[test]
    fn a_refused_commit_leaves_the_transaction_to_be_aborted() {
        let mut transaction = committing(1);
        transaction.end_commit(Err(answer(13, &[], 0))).unwrap_err();
        assert!(transaction.may_be_left_open());
        let mut transaction = committing(1);
        transaction.end_commit(Err(answer(251, &[], 0))).unwrap_err();
        assert!(!transaction.may_be_left_open());
    }

    #[test]
    fn the_first_failure_is_kept_and_a_cut_statement_is_one() {
        let mut transaction = Transaction::default();
        transaction.note_cut();
        assert!(transaction.failure().is_none()); // outside of a transaction
        transaction.start(Options::default()).unwrap();
        transaction.explain(answer(251, &[], 0));
        assert_eq!(transaction.failure().unwrap().code(), Some(251));
        transaction.start(Options::default()).unwrap_err();
        transaction.begin_abort().unwrap();
        transaction.start(Options::default()).unwrap();
        transaction.note_cut();
        transaction.explain(answer(112, &[], 0));
        assert_eq!(transaction.failure().unwrap().kind(), ErrorKind::InvalidOperation);
    }
}
