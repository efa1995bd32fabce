//! A logical session as operations use it: explicit ones, and the implicit one of each operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, Timestamp, Uuid};

use super::cluster_time::ClusterTime;
use super::pin::Pin;
use super::server::{ServerSession, ServerSessions};
use super::transaction::{Options, Transaction};
use super::turn::{Policy, Turns};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::handle::Known;
use crate::net::fork;
use crate::sync::{Mutex, MutexGuard};

pub struct Session {
    pool: Arc<ServerSessions>,
    pub implicit: bool,
    pub causal_consistency: bool,
    pub snapshot: bool,
    state: Mutex<State>,
    /// Of a session that carries one transaction, for tasks and threads that take turns. Its operations are
    /// statements of that transaction or none at all.
    pub turns: Option<Arc<Turns>>,
    /// The fork generation it belongs to.
    born_in: u64,
}

#[derive(Default)]
pub struct State {
    /// Taken from the pool at first use.
    server: Option<ServerSession>,
    /// A transaction was begun before there was one: it counts when there is.
    uncounted: bool,
    ended: bool,
    /// logicalSessionTimeoutMinutes as last seen.
    timeout: Option<Duration>,
    pub transaction: Transaction,
    /// Where the transaction's commands go; kept after a commit, which may be sent again.
    pub pin: Option<Pin>,
    pub cluster_time: Option<ClusterTime>,
    pub operation_time: Option<Timestamp>,
    /// `atClusterTime` of a snapshot session, learnt from its first read.
    pub snapshot_time: Option<Timestamp>,
}

impl Session {
    fn new(pool: Arc<ServerSessions>, turns: Option<Arc<Turns>>) -> Session {
        Session {
            pool,
            implicit: false,
            causal_consistency: false,
            snapshot: false,
            state: Mutex::default(),
            turns,
            born_in: fork::generation(),
        }
    }

    pub fn implicit(pool: Arc<ServerSessions>) -> Arc<Session> {
        let mut session = Session::new(pool, None);
        session.implicit = true;
        Arc::new(session)
    }

    pub fn explicit(
        pool: Arc<ServerSessions>,
        causal_consistency: bool,
        snapshot: bool,
    ) -> Arc<Session> {
        let mut session = Session::new(pool, None);
        (session.causal_consistency, session.snapshot) = (causal_consistency, snapshot);
        Arc::new(session)
    }

    /// With a transaction begun. Until its first statement it has no server session.
    pub fn of_transaction(
        pool: Arc<ServerSessions>,
        policy: Policy,
        options: Options,
    ) -> Result<Arc<Session>> {
        let mut session = Session::new(pool, Some(Turns::new(policy)));
        session.causal_consistency = true;
        let mut state = session.state.lock();
        state.transaction.start(options)?;
        state.transaction.attempt = 1;
        state.uncounted = true;
        drop(state);
        Ok(Arc::new(session))
    }

    /// For the next attempt at the transaction of this session, which has ended. It takes over the server
    /// session: should the server not know yet that the former attempt has ended, it learns so by the number.
    pub fn next_attempt(&self) -> Result<Arc<Session>> {
        let mut own = self.state.lock();
        let policy = self.turns.as_ref().map_or(Policy::Wait, |turns| turns.policy());
        let options = own.transaction.options.clone();
        let next = Session::of_transaction(self.pool.clone(), policy, options)?;
        own.ended = true;
        let mut state = next.state.lock();
        state.transaction.attempt = own.transaction.attempt.saturating_add(1);
        state.server = own.server.take();
        state.timeout = own.timeout;
        state.cluster_time = own.cluster_time.clone();
        state.operation_time = own.operation_time;
        drop((state, own));
        self.unpin();
        Ok(next)
    }

    /// Whether a statement may still run in the transaction that the session carries.
    pub fn check_transaction(&self) -> Result<()> {
        if !self.is_of_this_process() {
            let text = "the transaction is the parent process's: a fork is not part of it";
            return Err(Error::invalid_operation(text));
        }
        let state = self.state.lock();
        if !state.transaction.is_active() {
            return Err(Error::transaction_ended());
        }
        state.transaction.failure().map_or(Ok(()), |first| Err(Error::rolled_back(first)))
    }

    /// It carried a transaction, which has ended.
    pub fn is_past_its_transaction(&self) -> bool {
        self.turns.is_some() && !self.in_transaction()
    }

    /// For an abort that is sent later: it goes on naming this transaction, whatever the user starts
    /// next. `None` if the server knows of no session.
    pub fn for_late_abort(&self) -> Option<Arc<Session>> {
        let session = Session::explicit(self.pool.clone(), false, false);
        let (own, mut late) = (self.state.lock(), session.state.lock());
        late.server = Some(own.server.as_ref()?.last_word());
        late.transaction = own.transaction.clone();
        drop(late);
        Some(session)
    }

    /// To end a transaction of another process.
    pub fn recovered(
        pool: Arc<ServerSessions>,
        server: ServerSession,
        transaction: Transaction,
    ) -> Arc<Session> {
        let session = Session::explicit(pool, false, false);
        let mut state = session.state.lock();
        (state.server, state.transaction) = (Some(server), transaction);
        drop(state);
        session
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn in_transaction(&self) -> bool {
        self.state.lock().transaction.is_active()
    }

    pub fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// The session's id, taking a server session if it has none yet.
    pub fn id(&self) -> Result<Uuid> {
        let mut state = self.state.lock();
        state.server_session(&self.pool, None).map(|server| server.id())
    }

    /// No I/O: the server hears of it with the first command.
    pub fn start_transaction(&self, options: Options) -> Result<()> {
        let mut state = self.state.lock();
        self.check_open(&state)?;
        if self.snapshot {
            let text = "Transactions are not supported in snapshot sessions";
            return Err(Error::new(ErrorKind::InvalidOperation, text));
        }
        state.transaction.start(options)?;
        state.server_session(&self.pool, None)?.transaction_number += 1;
        drop(state);
        self.unpin();
        Ok(())
    }

    /// Whether an operation is part of a transaction. One that is not makes the session forget the
    /// transaction before, and what that was pinned to.
    pub fn begin_operation(&self) -> bool {
        if self.implicit {
            return false;
        }
        let mut state = self.state.lock();
        if state.transaction.is_active() {
            return true;
        }
        state.transaction.forget_ended();
        drop(state);
        self.unpin();
        false
    }

    pub fn check_open(&self, state: &State) -> Result<()> {
        match state.ended {
            true => Err(Error::invalid_operation("Cannot use ended session")),
            false => Ok(()),
        }
    }

    /// Gives the server session back. True the first time.
    pub fn end(&self) -> bool {
        let mut state = self.state.lock();
        let first = !std::mem::replace(&mut state.ended, true);
        if let Some(server) = state.server.take() {
            self.pool.give_back(server, Instant::now(), state.timeout);
        }
        let log = state.transaction.log.take(); // nobody can send its commit again
        drop(state);
        drop(log);
        self.unpin();
        first
    }

    pub fn is_of_this_process(&self) -> bool {
        self.born_in == fork::generation()
    }

    pub fn pool(&self) -> &Arc<ServerSessions> {
        &self.pool
    }

    pub fn mark_dirty(&self) {
        if let Some(server) = &mut self.state.lock().server {
            server.dirty = true;
        }
    }

    pub fn is_dirty(&self) -> bool {
        self.state.lock().server.as_ref().is_some_and(|server| server.dirty)
    }

    pub fn advance_cluster_time(&self, heard: &RawDocument) {
        ClusterTime::advance(&mut self.state.lock().cluster_time, heard);
    }

    pub fn advance_operation_time(&self, heard: Timestamp) {
        let mut state = self.state.lock();
        if state.operation_time.is_none_or(|known| known < heard) {
            state.operation_time = Some(heard);
        }
    }

    pub fn cluster_time(&self) -> Option<RawDocumentBuf> {
        self.state.lock().cluster_time.as_ref().map(|time| time.document().to_owned())
    }
}

impl State {
    /// Should the session be used for another transaction, its server would forget the one whose outcome is
    /// not known.
    pub fn keep_for_recovery(&mut self) {
        if let Some(server) = &mut self.server {
            server.dirty = true;
        }
    }

    /// What the log keeps when the transaction ends.
    pub fn known(&self) -> Known {
        self.transaction.known(self.cluster_time.as_ref().map(ClusterTime::seconds))
    }

    pub fn server_session(
        &mut self,
        pool: &ServerSessions,
        timeout: Option<Duration>,
    ) -> Result<&mut ServerSession> {
        if self.ended {
            return Err(Error::invalid_operation("Cannot use ended session"));
        }
        if timeout.is_some() {
            self.timeout = timeout;
        }
        let timeout = self.timeout;
        let server = self.server.get_or_insert_with(|| pool.take(Instant::now(), timeout));
        server.transaction_number += i64::from(std::mem::take(&mut self.uncounted));
        Ok(server)
    }

    /// Learns from the first read's reply at which time a snapshot session reads.
    pub fn note_snapshot_time(&mut self, reply: &RawDocument) {
        if self.snapshot_time.is_some() {
            return;
        }
        let of_cursor =
            reply.get_document("cursor").and_then(|cursor| cursor.get_timestamp("atClusterTime"));
        let time = of_cursor.or_else(|_| reply.get_timestamp("atClusterTime"));
        self.snapshot_time = time.ok();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_of_this_process() {
            return; // the parent's, and its pool may have been locked at the fork
        }
        let state = self.state.get_mut();
        if let Some(server) = state.server.take() {
            // A transaction left open holds locks on the server; the session is not for others.
            if !state.transaction.is_active() {
                self.pool.give_back(server, Instant::now(), state.timeout);
            }
        }
    }
}
