//! commitTransaction and abortTransaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::driver;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result, UNKNOWN_COMMIT_RESULT};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Terms};
use crate::exec::run::run;
use crate::exec::select::select_now;
use crate::session::client::Session;
use crate::session::transaction::Ending;
use crate::topology::selection::Criteria;
use crate::wire::elements;
use crate::wire::message::Message;

/// May be called again after an answer was lost: the server knows the transaction by its number. Before it
/// returns, or is dropped, it has noted in the session how the transaction ended.
pub async fn commit(client: &ClientCore, session: &Arc<Session>, limit: TimeLimit) -> Result<()> {
    let _turn = match &session.turns {
        None => None,
        Some(turns) => {
            check_process(session)?;
            Some(Box::pin(turns.take(limit.deadline())).await?)
        }
    };
    let max_time = {
        let mut state = session.state();
        session.check_open(&state)?;
        if state.transaction.begin_commit()? == Ending::Nothing {
            return Ok(());
        }
        state.transaction.options.max_commit_time_ms.filter(|_| !limit.is_set())
    };
    let message = Message::from_elements(|out| {
        elements::int32(out, "commitTransaction", 1);
        if let Some(limit) = max_time {
            elements::int64(out, "maxTimeMS", limit);
        }
    });
    let mut cut = CutCommit { session, needed: true };
    // A journal awaits here, before the commit is sent, and after `end_commit` has decided.
    let result = end(client, message, ending(session, true, limit)).await;
    cut.needed = false;
    let result = session.state().transaction.end_commit(result);
    if result.as_ref().is_err_and(|error| error.has_label(UNKNOWN_COMMIT_RESULT)) {
        session.unpin(); // any mongos can tell by the recovery token
    }
    result
}

/// Dropped while it is needed: the caller waits no longer.
struct CutCommit<'a> {
    session: &'a Session,
    needed: bool,
}

impl Drop for CutCommit<'_> {
    fn drop(&mut self) {
        if self.needed && self.session.is_of_this_process() {
            self.session.state().transaction.cut_commit();
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
        let transaction = &mut state.transaction;
        match transaction.is_active() {
            true => matches!(transaction.begin_abort(), Ok(Ending::Send)),
            false => transaction.may_be_left_open(),
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
    {
        if session.turns.is_some() {
            check_process(session)?;
        }
        let mut state = session.state();
        session.check_open(&state)?;
        if state.transaction.begin_abort()? == Ending::Nothing {
            return Ok(());
        }
    }
    let mut later = LateAbort { client, session, needed: true };
    let _turn = match &session.turns {
        None => None,
        Some(turns) => Box::pin(turns.wait(limit.deadline())).await.ok(),
    };
    let told = end(client, abort_message(), ending(session, false, limit)).await;
    later.needed = limit.is_finite() && told.as_ref().is_err_and(Error::is_timeout);
    drop(later);
    session.unpin();
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
    // A selector is the user's Python code: it must not run on the control thread.
    let server = match cluster.settings.server_selector {
        None => None,
        Some(_) => match select_now(&cluster, &Criteria::Writable, &[]) {
            Ok(Some(server)) => Some(server.address.clone()),
            _ => return,
        },
    };
    cluster.spawn(async move {
        let limit = TimeLimit::after(Instant::now(), LATE_ABORT);
        let terms = ending(&session, false, limit);
        let _ = driver::drive(end(&client, abort_message(), Terms { server, ..terms })).await;
    });
}

fn abort_message() -> Message {
    Message::from_elements(|out| elements::int32(out, "abortTransaction", 1))
}

fn ending(session: &Arc<Session>, commit: bool, limit: TimeLimit) -> Terms {
    let kind = Kind::EndTransaction { commit };
    Terms { limit, ..Terms::new("admin".into(), kind, session.clone()) }
}

async fn end(client: &ClientCore, message: Message, terms: Terms) -> Result<()> {
    let outcome = run(client, &mut Operation { message, terms }).await?;
    match outcome.reply {
        Some(reply) => reply.check_write_concern(),
        None => Ok(()),
    }
}

const LATE_ABORT: Duration = Duration::from_secs(10);
