//! commitTransaction and abortTransaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::marker;
use crate::control::driver;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result, UNKNOWN_COMMIT_RESULT};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::journal::entry::{self, Entry};
use crate::session::client::{Session, State};
use crate::session::cluster_time::ClusterTime;
use crate::session::server::ServerSession;
use crate::session::transaction::{Ending, Outcome, Transaction};
use crate::wire::elements;
use crate::wire::message::Message;

/// May be called again after an answer was lost: the server knows the transaction by its number. Before it
/// returns, or is dropped, it has noted in the session how the transaction ended.
pub async fn commit(
    client: &Arc<ClientCore>,
    session: &Arc<Session>,
    limit: TimeLimit,
) -> Result<()> {
    if let Some(marker) = marker::wanted(client, session)
        && let Err(error) = Box::pin(marker::insert(client, session, marker, limit)).await
    {
        give_up(client, session, &error);
        return Err(error);
    }
    let _turn = match &session.turns {
        None => None,
        Some(turns) => {
            check_process(session)?;
            Some(Box::pin(turns.take(limit.deadline())).await?)
        }
    };
    let (max_time, log) = {
        let mut state = session.state();
        session.check_open(&state)?;
        if state.transaction.begin_commit()? == Ending::Nothing {
            log_end(client, &mut state);
            return Ok(());
        }
        let max_time = state.transaction.options.max_commit_time_ms.filter(|_| !limit.is_set());
        (max_time, state.transaction.log.clone())
    };
    let message = Message::from_elements(|out| {
        elements::int32(out, "commitTransaction", 1);
        if let Some(limit) = max_time {
            elements::int64(out, "maxTimeMS", limit);
        }
    });
    let mut cut = CutCommit { client, session, needed: true };
    if let Some(log) = &log {
        let known = session.state().known();
        if let Err(error) = Box::pin(log.committing(known, limit)).await {
            cut.needed = false;
            give_up(client, session, &error);
            return Err(error);
        }
    }
    let result = end(client, message, ending(session, true, limit)).await;
    cut.needed = false;
    let result = {
        let mut state = session.state();
        let result = state.transaction.end_commit(result);
        log_end(client, &mut state);
        result
    };
    if let Some(log) = &log {
        Box::pin(log.written(limit)).await;
    }
    if result.as_ref().is_err_and(|error| error.has_label(UNKNOWN_COMMIT_RESULT)) {
        session.unpin(); // any mongos can tell by the recovery token
    }
    result
}

/// Dropped while it is needed: the caller waits no longer.
struct CutCommit<'a> {
    client: &'a ClientCore,
    session: &'a Session,
    needed: bool,
}

impl Drop for CutCommit<'_> {
    fn drop(&mut self) {
        if self.needed && self.session.is_of_this_process() {
            let mut state = self.session.state();
            state.transaction.cut_commit();
            log_end(self.client, &mut state);
        }
    }
}

/// A commit cannot be sent: the log could not tell afterwards how the transaction ended.
fn give_up(client: &Arc<ClientCore>, session: &Session, error: &Error) {
    {
        let mut state = session.state();
        state.transaction.give_up_commit(error.clone());
        log_end(client, &mut state);
    }
    abort_later(client.clone(), session);
    session.unpin();
}

/// Notes in the transaction's log how it ended.
fn log_end(client: &ClientCore, state: &mut State) {
    let transaction = &state.transaction;
    let (Some(log), Some(ended)) = (&transaction.log, transaction.ended()) else { return };
    let outcome = ended.outcome.into();
    // Of a transaction that has failed before, a commit learns only that there is none.
    let failure = transaction.failure().filter(|_| ended.outcome == Outcome::Aborted);
    let error = failure.or(ended.error.as_ref());
    if log.ended(outcome, error, state.known()) {
        let known = outcome != entry::Outcome::Unknown;
        client.settings.events.transaction(known, || log.entry());
        if !known {
            state.keep_for_recovery();
        }
    }
}

fn check_process(session: &Session) -> Result<()> {
    match session.is_of_this_process() {
        true => Ok(()),
        false => Err(Error::forked()),
    }
}

/// Before a session ends: a transaction whose commit was given up before it was sent is not left to the
/// server's time limit.
pub fn abort_unsent(client: &Arc<ClientCore>, session: &Session) {
    if session.is_of_this_process() && session.state().transaction.commit_was_not_sent() {
        abort_later(client.clone(), session);
    }
}

/// Ends a session that carried one transaction. Never waits: what the server still has of it is aborted by
/// the control thread.
pub fn leave(client: &Arc<ClientCore>, session: &Session) {
    if !session.is_of_this_process() {
        return;
    }
    let open = {
        let mut state = session.state();
        match state.transaction.is_active() {
            true => {
                let open = matches!(state.transaction.begin_abort(), Ok(Ending::Send));
                log_end(client, &mut state);
                open
            }
            false => state.transaction.may_be_left_open(),
        }
    };
    if open {
        abort_later(client.clone(), session);
    }
    if session.turns.as_ref().is_some_and(|turns| turns.is_taken()) {
        session.mark_dirty(); // the server may still run something for it
    }
    session.end();
}

/// Errors of the server or the network are not told: the server aborts what it no longer hears of. That
/// takes it a minute, in which the transaction's locks are held: when the user's time is up, or the wait was
/// interrupted, the control thread tells it.
pub async fn abort(
    client: &Arc<ClientCore>,
    session: &Arc<Session>,
    limit: TimeLimit,
) -> Result<()> {
    let log = {
        if session.turns.is_some() {
            check_process(session)?;
        }
        let mut state = session.state();
        session.check_open(&state)?;
        let ending = state.transaction.begin_abort()?;
        log_end(client, &mut state);
        if ending == Ending::Nothing {
            return Ok(());
        }
        state.transaction.log.clone()
    };
    let mut later = LateAbort { client, session, needed: true };
    let _turn = match &session.turns {
        None => None,
        Some(turns) => Box::pin(turns.wait(limit.deadline())).await.ok(),
    };
    let told = end(client, abort_message(), ending(session, false, limit)).await;
    later.needed = limit.is_finite() && told.as_ref().is_err_and(Error::is_timeout);
    drop(later);
    session.unpin();
    if let Some(log) = &log {
        Box::pin(log.written(limit)).await;
    }
    Ok(())
}

/// Dropped while it is needed, also because the caller waits no longer.
struct LateAbort<'a> {
    client: &'a Arc<ClientCore>,
    session: &'a Session,
    needed: bool,
}

impl Drop for LateAbort<'_> {
    fn drop(&mut self) {
        if self.needed && self.session.is_of_this_process() {
            abort_later(self.client.clone(), self.session);
        }
    }
}

fn abort_later(client: Arc<ClientCore>, session: &Session) {
    let (Some(session), Some(cluster)) = (session.for_late_abort(), client.opened().cloned())
    else {
        return;
    };
    cluster.spawn(async move {
        let limit = TimeLimit::after(Instant::now(), LATE_ABORT);
        let terms = ending(&session, false, limit);
        let _ = driver::run_on_tokio(end(&client, abort_message(), terms)).await;
    });
}

fn abort_message() -> Message {
    Message::from_elements(|out| elements::int32(out, "abortTransaction", 1))
}

fn ending(session: &Arc<Session>, commit: bool, limit: TimeLimit) -> Terms {
    let kind = CommandKind::EndTransaction { commit };
    Terms { limit, ..Terms::new("admin".into(), kind, session.clone()) }
}

/// Ends a transaction of another process. How it ended, what the server said to it, and the time of the
/// cluster in seconds.
pub async fn end_recovered(
    client: &Arc<ClientCore>,
    entry: &Entry,
    commit: bool,
    limit: TimeLimit,
) -> (Outcome, Option<Error>, Option<i64>) {
    let (id, number) = entry.key;
    let server = ServerSession::recovered(id, number, Instant::now());
    let (concern, token) = (entry.write_concern.clone(), entry.recovery_token.clone());
    let transaction = Transaction::recovered(commit, concern, token);
    let session = Session::recovered(client.sessions.clone(), server, transaction);
    let message = match commit {
        true => Message::from_elements(|out| elements::int32(out, "commitTransaction", 1)),
        false => abort_message(),
    };
    let result = end(client, message, ending(&session, commit, limit)).await;
    let mut state = session.state();
    let (outcome, error) = match (commit, result) {
        (true, result) => {
            let error = state.transaction.end_commit(result).err();
            let ended = state.transaction.ended().map(|ended| ended.outcome);
            (ended.unwrap_or(Outcome::Unknown { again: true }), error)
        }
        (false, Ok(())) => (Outcome::Aborted, None),
        (false, Err(error)) if error.code() == Some(TRANSACTION_COMMITTED) => {
            (Outcome::Committed, Some(error))
        }
        // Its commit was never sent, so the server ends it, at the latest by its time limit.
        (false, Err(error)) => (Outcome::Aborted, Some(error)),
    };
    (outcome, error, state.cluster_time.as_ref().map(ClusterTime::seconds))
}

async fn end(client: &ClientCore, message: Message, terms: Terms) -> Result<()> {
    let outcome = run(client, &mut Operation { message, terms }).await?;
    match outcome.reply {
        Some(reply) => reply.check_write_concern(),
        None => Ok(()),
    }
}

const TRANSACTION_COMMITTED: i32 = 256;
const LATE_ABORT: Duration = Duration::from_secs(10);
