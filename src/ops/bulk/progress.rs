//! What a collection's bulk write sends next, and when it stops. Decides: the runs are sent one after the other,
//! each in as many batches as the limits demand.

use bson::RawDocument;

use super::positions::Positions;
use super::totals::Totals;
use super::verb::Verb;
use crate::error::{Error, Result};

/// Statements that may go with one command.
pub struct Run {
    pub verb: Verb,
    pub statements: usize,
    /// Where each stands in the whole bulk write.
    pub positions: Positions,
}

pub struct Progress {
    runs: Vec<Run>,
    ordered: bool,
    answers: Answers,
    /// The current run, and how many of its statements were sent.
    run: usize,
    sent: usize,
    totals: Totals,
    /// An unacknowledged write met an error, which is not reported to the caller.
    gave_up: bool,
}

/// Where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub run: usize,
    /// The number of its first statement within the run.
    pub statement: usize,
    pub answered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    All,
    /// Unacknowledged, yet ordered: only answers tell where to stop. A last batch of one needs none.
    AllButLast,
    None,
}

impl Progress {
    pub fn new(runs: Vec<Run>, ordered: bool, acknowledged: bool) -> Progress {
        let answers = match acknowledged {
            true => Answers::All,
            false if ordered => Answers::AllButLast,
            false => Answers::None,
        };
        let totals = Totals::default();
        Progress { runs, ordered, answers, run: 0, sent: 0, totals, gave_up: false }
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub fn into_totals(self) -> Totals {
        self.totals
    }

    /// The next batch; `None` at the end.
    pub fn next(&self) -> Option<Start> {
        let failed = !self.totals.write_errors.is_empty();
        if self.gave_up || self.totals.halted || (self.ordered && failed) {
            return None;
        }
        let left = self.runs.get(self.run)?.statements - self.sent;
        let answered = match self.answers {
            Answers::All => true,
            Answers::AllButLast => left != 1 || self.run + 1 < self.runs.len(),
            Answers::None => false,
        };
        Some(Start { run: self.run, statement: self.sent, answered })
    }

    /// A batch of `count` statements is on its way.
    pub fn note_sent(&mut self, start: Start, count: usize) {
        (self.run, self.sent) = (start.run, start.statement + count);
        if self.sent >= self.runs[self.run].statements {
            (self.run, self.sent) = (self.run + 1, 0);
        }
    }

    pub fn note_reply(&mut self, start: Start, count: usize, reply: &RawDocument) -> Result<()> {
        let run = &self.runs[start.run];
        let position = |index: usize| {
            (index < count).then(|| run.positions.of(start.statement + index)).flatten()
        };
        self.totals.add(run.verb, reply, position)
    }

    /// Takes in what ended a batch, unless the whole bulk write ends with it.
    pub fn note_error(&mut self, start: Start, count: usize, error: Error) -> Result<()> {
        match error.reply().filter(|_| error.is_write_concern()) {
            // Retries did not cure it. The totals have what was written.
            Some(reply) => {
                self.note_reply(start, count, reply)?;
                self.totals.halted = true;
            }
            None if self.answers != Answers::All && error.is_command_failure() => {
                self.gave_up = true;
            }
            None => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn inserts(statements: &[usize], ordered: bool, acknowledged: bool) -> Progress {
        let mut first = 0;
        let run = |&statements: &usize| {
            let positions = Positions::From(first);
            first += statements;
            Run { verb: Verb::Insert, statements, positions }
        };
        Progress::new(statements.iter().map(run).collect(), ordered, acknowledged)
    }

    /// The batches of a bulk write, if `most` statements fit into each.
    fn batches(progress: &mut Progress, most: usize) -> Vec<(usize, usize, bool)> {
        let mut all = Vec::new();
        while let Some(start) = progress.next() {
            let left = progress.runs()[start.run].statements - start.statement;
            progress.note_sent(start, left.min(most));
            all.push((start.run, start.statement, start.answered));
        }
        all
    }

    #[test]
    fn runs_are_sent_one_after_the_other() {
        let sent = batches(&mut inserts(&[5, 1, 2], true, true), 2);
        let places = [(0, 0), (0, 2), (0, 4), (1, 0), (2, 0)];
        assert_eq!(sent, places.map(|(run, statement)| (run, statement, true)));
    }

    #[test]
    fn unacknowledged_batches_are_answered_where_the_order_needs_it() {
        let answered = |statements: &[usize], ordered| {
            let sent = batches(&mut inserts(statements, ordered, false), 2);
            sent.into_iter().map(|(_, _, answered)| answered).collect::<Vec<_>>()
        };
        assert_eq!(answered(&[3], true), [true, false]);
        assert_eq!(answered(&[2], true), [true]);
        assert_eq!(answered(&[1, 1], true), [true, false]);
        assert_eq!(answered(&[3, 1], false), [false, false, false]);
    }

    #[test]
    fn an_error_ends_an_ordered_write_only() {
        let failed = rawdoc! { "n": 0, "writeErrors": [{ "index": 0, "code": 1 }] };
        for (ordered, ends) in [(true, true), (false, false)] {
            let mut progress = inserts(&[1, 1], ordered, true);
            let start = progress.next().unwrap();
            progress.note_sent(start, 1);
            progress.note_reply(start, 1, &failed).unwrap();
            assert_eq!(progress.next().is_none(), ends);
        }
    }

    #[test]
    fn an_error_is_reported_unless_the_write_is_unacknowledged_and_the_server_refused_it() {
        let refused = Error::command(13, "no", Vec::new(), rawdoc! { "ok": 0, "code": 13 });
        let moved = Error::command(10107, "no", Vec::new(), rawdoc! { "ok": 0, "code": 10107 });
        let cut = Error::new(crate::error::ErrorKind::Network, "cut");
        for (acknowledged, error, reported) in [
            (true, &refused, true),
            (false, &refused, false),
            (false, &moved, true),
            (false, &cut, true),
        ] {
            let mut progress = inserts(&[3, 1], true, acknowledged);
            let start = progress.next().unwrap();
            progress.note_sent(start, 1);
            assert_eq!(progress.note_error(start, 1, error.clone()).is_err(), reported);
            assert!(reported || progress.next().is_none());
        }
    }

    #[test]
    fn positions_outside_of_the_batch_are_malformed() {
        let mut progress = inserts(&[5], false, true);
        let start = progress.next().unwrap();
        let failed = rawdoc! { "writeErrors": [{ "index": 2, "code": 1 }] };
        progress.note_reply(start, 3, &failed).unwrap();
        assert!(progress.note_reply(start, 2, &failed).is_err());
    }
}
