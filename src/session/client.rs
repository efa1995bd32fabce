//! A logical session as operations use it: explicit ones, and the implicit one of each operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, Timestamp, Uuid};
use parking_lot::{Mutex, MutexGuard};

use super::cluster_time::ClusterTime;
use super::pin::Pin;
use super::server::{ServerSession, ServerSessions};
use super::transaction::{Options, Transaction};
use crate::error::{Error, Kind, Result};
use crate::net::fork;

pub struct Session {
    pool: Arc<ServerSessions>,
    pub implicit: bool,
    pub causal_consistency: bool,
    pub snapshot: bool,
    state: Mutex<State>,
    /// The fork generation it belongs to.
    born_in: u64,
}

#[derive(Default)]
pub struct State {
    /// Taken from the pool at first use.
    server: Option<ServerSession>,
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
    pub fn implicit(pool: Arc<ServerSessions>) -> Arc<Session> {
        let state = Mutex::default();
        Arc::new(Session {
            pool,
            implicit: true,
            causal_consistency: false,
            snapshot: false,
            state,
            born_in: fork::generation(),
        })
    }

    pub fn explicit(
        pool: Arc<ServerSessions>,
        causal_consistency: bool,
        snapshot: bool,
    ) -> Arc<Session> {
        let (state, born_in) = (Mutex::default(), fork::generation());
        Arc::new(Session { pool, implicit: false, causal_consistency, snapshot, state, born_in })
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
            return Err(Error::new(Kind::InvalidOperation, text));
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
        drop(state);
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
        Ok(self.server.get_or_insert_with(|| pool.take(Instant::now(), timeout)))
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
