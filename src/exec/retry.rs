//! Whether an operation is tried again, and when. Decides, never acts.

use std::time::{Duration, Instant};

use bson::RawBsonRef;

use super::operation::{CommandKind, Terms};
use crate::error::{
    Error, ErrorKind, NO_WRITES_PERFORMED, RETRYABLE, RETRYABLE_WRITE, Result, SYSTEM_OVERLOADED,
};
use crate::settings::Settings;

/// Adds the label that marks an error of a retryable write as worth a retry.
pub fn label(terms: &Terms, settings: &Settings, in_transaction: bool, error: &mut Error) {
    let numbered = terms.transaction_number.is_some() || is_ending(terms);
    // Before its number was drawn nothing was sent: dialling again is always right. Servers label
    // errors of operations, not those of handshakes and authentication.
    let dialling = error.is_before_handshake()
        && matches!(terms.kind, CommandKind::Write { retry: true })
        && settings.retry_writes
        && !in_transaction;
    if (error.is_network() && numbered) || (error.is_retryable_read() && dialling) {
        error.add_label(RETRYABLE_WRITE);
    }
}

/// The attempts at one operation that have failed.
#[derive(Default)]
pub struct Failures {
    count: u32,
    /// Once the server was overloaded, this many retries are enough even within a time limit.
    adaptive: Option<u32>,
    /// What to tell if the next attempt says less.
    told: Option<Error>,
}

/// To try again, after a pause if the server is overloaded.
#[derive(Debug)]
pub struct Again {
    pub pause: Option<Duration>,
}

impl Failures {
    /// How many retries there were, the one that goes on included.
    pub fn retries(&self) -> u32 {
        self.count
    }

    /// What to do about a labelled error: try again, or tell the error answered. `jitter` lies between
    /// 0 and 1.
    pub fn add(
        &mut self,
        error: Error,
        terms: &Terms,
        settings: &Settings,
        in_transaction: bool,
        now: Instant,
        jitter: f64,
    ) -> Result<Again> {
        let overloaded = error.has_label(SYSTEM_OVERLOADED);
        if overloaded {
            self.adaptive = Some(settings.max_adaptive_retries);
        }
        let one_or_any = if terms.limit.is_set() { u32::MAX } else { 1 };
        let left = self.count == 0 || self.count < self.adaptive.unwrap_or(one_or_any);
        let again = was_refused(&error) && may_be_refused(terms, settings)
            || left && may_retry(terms, settings, in_transaction, &error);
        if !again {
            return Err(self.choose(error));
        }
        self.count += 1;
        let pause = overloaded.then(|| backoff(self.count, base_backoff(&error), jitter));
        let used_up = overloaded && self.count > settings.max_adaptive_retries;
        if used_up || terms.limit.deadline().passed(now + pause.unwrap_or_default()) {
            return Err(self.choose(error));
        }
        if self.told.is_none() || !error.has_label(NO_WRITES_PERFORMED) {
            self.told = Some(error);
        }
        Ok(Again { pause })
    }

    /// Which of two failures to tell: the later, unless it says less about what happened to the write.
    fn choose(&mut self, later: Error) -> Error {
        let tells_less = later.has_label(NO_WRITES_PERFORMED)
            || matches!(
                later.kind(),
                ErrorKind::ServerSelection
                    | ErrorKind::WaitQueueTimeout
                    | ErrorKind::InvalidOperation
                    | ErrorKind::DocumentTooLarge
            );
        match self.told.take() {
            Some(earlier) if tells_less => earlier,
            _ => later,
        }
    }
}

/// The server was too busy to look at the operation: to run it now is not to run it twice.
pub fn was_refused(error: &Error) -> bool {
    error.has_label(SYSTEM_OVERLOADED) && error.has_label(RETRYABLE)
}

/// Whether the user lets us retry an operation that was refused. A command may be a read or a write.
fn may_be_refused(terms: &Terms, settings: &Settings) -> bool {
    match terms.kind {
        CommandKind::EndTransaction { .. } => true,
        CommandKind::Command => {
            settings.retry_reads && settings.retry_writes && terms.server.is_none()
        }
        CommandKind::Output => settings.retry_reads && settings.retry_writes,
        CommandKind::Read { .. } | CommandKind::GetMore => settings.retry_reads,
        CommandKind::Write { .. } => settings.retry_writes,
        CommandKind::KillCursors => false,
    }
}

fn may_retry(terms: &Terms, settings: &Settings, in_transaction: bool, error: &Error) -> bool {
    match terms.kind {
        CommandKind::EndTransaction { .. } => error.has_label(RETRYABLE_WRITE),
        _ if in_transaction => false,
        CommandKind::Command
        | CommandKind::Output
        | CommandKind::GetMore
        | CommandKind::KillCursors => false,
        CommandKind::Read { retry, .. } => {
            retry && settings.retry_reads && terms.server.is_none() && error.is_retryable_read()
        }
        // Only by its label: without a number the server would run the retry as a second write.
        CommandKind::Write { retry } => {
            retry && settings.retry_writes && error.has_label(RETRYABLE_WRITE)
        }
    }
}

/// The server may say how long an overloaded one wants to be left alone.
fn base_backoff(error: &Error) -> Duration {
    let said = error.reply().and_then(|reply| reply.get("baseBackoffMS").ok().flatten());
    let milliseconds = said.and_then(|said| match said {
        RawBsonRef::Int32(count) => Some(f64::from(count)),
        RawBsonRef::Int64(count) => Some(count as f64),
        RawBsonRef::Double(count) => Some(count),
        _ => None,
    });
    let positive = milliseconds.filter(|&count| count > 0.0);
    let seconds = positive.map(|count| (count / 1000.0).min(LONGEST_BACKOFF.as_secs_f64()));
    seconds.map_or(BASE_BACKOFF, Duration::from_secs_f64)
}

/// Before the given attempt, the first retry being 1.
fn backoff(attempt: u32, base: Duration, jitter: f64) -> Duration {
    let grown = base.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
    grown.min(LONGEST_BACKOFF).mul_f64(jitter)
}

fn is_ending(terms: &Terms) -> bool {
    matches!(terms.kind, CommandKind::EndTransaction { .. })
}

const BASE_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::deadline::TimeLimit;
    use crate::session::client::Session;

    const WRITE: CommandKind = CommandKind::Write { retry: true };
    const READ: CommandKind = CommandKind::Read { retry: true, concern: true };
    const END: CommandKind = CommandKind::EndTransaction { commit: true };

    fn settings() -> Settings {
        Settings {
            retry_writes: true,
            retry_reads: true,
            max_adaptive_retries: 2,
            ..Settings::default()
        }
    }

    fn terms(kind: CommandKind) -> Terms {
        Terms::new("d".into(), kind, Session::implicit(Arc::default()))
    }

    fn labelled(labels: &[&str]) -> Error {
        let mut error = Error::command(2, "no", Vec::new(), bson::rawdoc! { "ok": 0 });
        labels.iter().for_each(|label| error.add_label(label));
        error
    }

    fn refused() -> Error {
        labelled(&[SYSTEM_OVERLOADED, RETRYABLE])
    }

    fn cut() -> Error {
        Error::new(ErrorKind::Network, "cut")
    }

    /// How often an operation is retried that always meets this error.
    fn retries(terms: &Terms, settings: &Settings, in_transaction: bool, error: &Error) -> usize {
        let mut failures = Failures::default();
        let mut retry = |_: &usize| {
            let now = Instant::now();
            let error = error.clone();
            failures.add(error, terms, settings, in_transaction, now, 0.0).is_ok()
        };
        (0..20).take_while(|attempt| retry(attempt)).count()
    }

    fn label_of_dialling(retry_writes: bool, in_transaction: bool, number: Option<i64>) -> bool {
        let settings = Settings { retry_writes, ..settings() };
        let mut terms = terms(WRITE);
        terms.transaction_number = number;
        let mut error = cut().in_handshake();
        label(&terms, &settings, in_transaction, &mut error);
        error.has_label(RETRYABLE_WRITE)
    }

    #[test]
    fn only_what_may_be_retried_is_labelled_so() {
        assert!(label_of_dialling(true, false, None));
        assert!(label_of_dialling(true, false, Some(1)));
        assert!(!label_of_dialling(false, false, None));
        assert!(!label_of_dialling(true, true, None));
    }

    #[test]
    fn once_without_a_time_limit_and_any_number_of_times_within_one() {
        for (kind, error) in [(READ, cut()), (WRITE, labelled(&[RETRYABLE_WRITE]))] {
            let mut terms = terms(kind);
            assert_eq!(retries(&terms, &settings(), false, &error), 1);
            terms.limit = TimeLimit::ENDLESS;
            assert_eq!(retries(&terms, &settings(), false, &error), 20);
            assert_eq!(retries(&terms, &settings(), true, &error), 0);
            terms.limit = TimeLimit::after(Instant::now(), Duration::ZERO);
            assert_eq!(retries(&terms, &settings(), false, &error), 0);
        }
        assert_eq!(retries(&terms(WRITE), &settings(), false, &cut()), 0, "it has no number");
        assert_eq!(retries(&terms(CommandKind::GetMore), &settings(), false, &cut()), 0);
        assert_eq!(retries(&terms(CommandKind::Command), &settings(), false, &cut()), 0);
        assert_eq!(retries(&terms(CommandKind::Output), &settings(), false, &cut()), 0);
    }

    #[test]
    fn what_an_overloaded_server_refused_is_retried_whatever_it_is() {
        let once = CommandKind::Write { retry: false };
        for kind in [
            READ,
            WRITE,
            END,
            CommandKind::Command,
            CommandKind::Output,
            CommandKind::GetMore,
            once,
        ] {
            for in_transaction in [false, true] {
                let retries = retries(&terms(kind), &settings(), in_transaction, &refused());
                assert_eq!(retries, 2, "{kind:?}");
            }
            let without = Settings { retry_reads: false, retry_writes: false, ..settings() };
            let expected = if kind == END { 2 } else { 0 };
            assert_eq!(retries(&terms(kind), &without, false, &refused()), expected, "{kind:?}");
            let none = Settings { max_adaptive_retries: 0, ..settings() };
            assert_eq!(retries(&terms(kind), &none, false, &refused()), 0, "{kind:?}");
            let busy = labelled(&[SYSTEM_OVERLOADED]);
            assert_eq!(retries(&terms(kind), &settings(), false, &busy), 0, "{kind:?}");
        }
        let mut limited = terms(READ);
        limited.limit = TimeLimit::ENDLESS;
        assert_eq!(retries(&limited, &settings(), false, &refused()), 2);
    }

    #[test]
    fn a_pause_beyond_the_deadline_is_not_begun() {
        let now = Instant::now();
        let mut terms = terms(READ);
        terms.limit = TimeLimit::after(now, Duration::from_millis(150));
        let add = |jitter| {
            let mut failures = Failures::default();
            failures.add(refused(), &terms, &settings(), false, now, jitter)
        };
        assert_eq!(add(0.5).unwrap().pause, Some(Duration::from_millis(100)));
        assert!(add(1.0).is_err());
    }

    #[test]
    fn pauses_double_up_to_ten_seconds_from_what_the_server_says() {
        let ms = Duration::from_millis;
        assert_eq!(backoff(1, BASE_BACKOFF, 1.0), ms(200));
        assert_eq!(backoff(3, ms(10), 0.5), ms(40));
        assert_eq!(backoff(40, ms(10), 1.0), LONGEST_BACKOFF);
        let said = |reply| base_backoff(&Error::command(2, "no", Vec::new(), reply));
        assert_eq!(said(bson::rawdoc! { "baseBackoffMS": 7 }), ms(7));
        assert_eq!(said(bson::rawdoc! { "baseBackoffMS": 1e300 }), LONGEST_BACKOFF);
        for nonsense in [bson::rawdoc! { "baseBackoffMS": -1 }, bson::rawdoc! {}] {
            assert_eq!(said(nonsense), BASE_BACKOFF);
        }
    }

    #[test]
    fn the_error_told_is_the_last_that_says_what_happened_to_the_write() {
        let mut failures = Failures::default();
        let mut add = |message: &str, labels: &[&str]| {
            let mut error = Error::command(2, message, Vec::new(), bson::rawdoc! {});
            labels.iter().for_each(|label| error.add_label(label));
            failures.add(error, &terms(WRITE), &settings(), false, Instant::now(), 0.0)
        };
        let again = [SYSTEM_OVERLOADED, RETRYABLE];
        let nothing_done = [SYSTEM_OVERLOADED, RETRYABLE, NO_WRITES_PERFORMED];
        assert!(add("first", &again).is_ok());
        assert!(add("second", &nothing_done).is_ok());
        assert_eq!(add("third", &nothing_done).unwrap_err().message(), "first");
    }
}
