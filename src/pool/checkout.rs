//! Lending connections: the acts around `state`'s decisions.
//!
//! What is handed to a waiter is a guard (a lent connection, or the right to make one), so a
//! waiter that was cancelled passes it on just by dropping it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::connection::Connection;
use super::generation::Generation;
use super::pinned::Holder;
use super::server::Server;
use super::state::{Answer, Grant, Limits, Phase, State};
use super::telling::{Making, Request};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::event::pool::{CloseReason, PoolChange};
use crate::net::wait;
use crate::sync::Mutex;

pub struct Pool {
    server: Arc<Server>,
    state: Mutex<State<Connection, Mailbox>>,
    /// How many connections each `Holder` keeps.
    kept: [AtomicUsize; 3],
    /// `fill` is at work.
    filling: AtomicBool,
}

/// A connection on loan; dropping it gives it back, or closes it if it is not fit for others. Guards
/// that are dropped in a forked child leave the books alone.
pub struct Checkout {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    /// Who keeps it for more than one command.
    holder: Option<Holder>,
    /// Its caller has it: one that was cancelled while it waited never does.
    arrived: bool,
}

/// The right to make one connection.
pub(super) struct Permit {
    pool: Option<Arc<Pool>>,
    /// As it was before the right was granted: a clear since then has taken it back.
    generation: Generation,
}

pub(super) enum Handed {
    Connection(Checkout),
    Permit(Permit),
}

/// How a waiter is reached; dropped, it says that the pool was cleared or closed.
pub(super) type Mailbox = oneshot::Sender<Handed>;

impl Pool {
    pub fn new(server: Arc<Server>, phase: Phase) -> Arc<Pool> {
        let settings = &server.settings;
        let limits =
            Limits { max_size: settings.max_pool_size, max_connecting: settings.max_connecting };
        let state = Mutex::new(State::new(limits, phase));
        let filling = AtomicBool::new(false);
        Arc::new(Pool { state, kept: Default::default(), filling, server })
    }

    /// `limit` bounds the wait, in place of waitQueueTimeoutMS, and the making of a connection.
    pub async fn checkout(self: &Arc<Self>, limit: Deadline) -> Result<Checkout> {
        let request = Request::begin(&self.server);
        let mut obtained = self.obtain(limit).await;
        request.end(obtained.as_ref().map(|lent| lent.connection().id));
        if let Ok(lent) = &mut obtained {
            lent.arrived = true;
        }
        obtained
    }

    /// An idle connection for a caller who comes back for the answer some time, and may ask for another
    /// connection before. So that nobody waits in vain, at most half of the connections are kept in any way, and
    /// none is taken while somebody waits.
    pub fn checkout_ahead(self: &Arc<Self>) -> Option<Checkout> {
        let most = match self.server.settings.max_pool_size {
            0 => usize::MAX,
            size => size / 2,
        };
        let ahead = &self.kept[Holder::Ahead as usize];
        ahead.fetch_add(1, Ordering::Relaxed);
        let kept: usize = self.kept.iter().map(|kept| kept.load(Ordering::Relaxed)).sum();
        let idle = if kept <= most { self.state.lock().ask_for_idle() } else { None };
        let Some(connection) = idle else {
            ahead.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let mut lent = self.lend(connection);
        lent.holder = Some(Holder::Ahead);
        if let Some(reason) = self.unfit(lent.connection()) {
            lent.discard(reason);
            return None;
        }
        Request::begin(&self.server).end(Ok(lent.connection().id));
        lent.arrived = true;
        Some(lent)
    }

    async fn obtain(self: &Arc<Self>, limit: Deadline) -> Result<Checkout> {
        let mut waiting = None;
        loop {
            let handed = match self.ask() {
                Ok(handed) => handed,
                Err(None) => return Err(self.refusal()),
                Err(Some(mailbox)) => {
                    let (began, deadline) = *waiting.get_or_insert_with(|| self.patience(limit));
                    match wait::until(deadline, wait::gate(mailbox)).await {
                        None => return Err(self.wait_queue_timeout(deadline.remaining(began))),
                        Some(Err(oneshot::Canceled)) => return Err(self.refusal()),
                        Some(Ok(handed)) => handed,
                    }
                }
            };
            match handed {
                Handed::Permit(permit) => {
                    let lent = self.lend(permit.use_up(limit).await?);
                    self.serve(); // maxConnecting has room again
                    return Ok(lent);
                }
                // An idle connection may have died: its guard takes it out of the books.
                Handed::Connection(mut lent) => match self.unfit(lent.connection()) {
                    None => return Ok(lent),
                    Some(reason) => lent.discard(reason),
                },
            }
        }
    }

    /// Makes the connections that lack to minPoolSize, one after the other. Only one caller at a time
    /// does so: operations are to find room within maxConnecting.
    pub async fn fill(self: Arc<Self>) -> Result<()> {
        if self.filling.swap(true, Ordering::Acquire) {
            return Ok(());
        }
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        let _done = Done(&self.filling);
        loop {
            let generation = self.server.generations.current(None);
            if !self.state.lock().reserve_for_upkeep(self.server.settings.min_pool_size) {
                return Ok(());
            }
            let permit = Permit { pool: Some(self.clone()), generation };
            let connection = permit.use_up(Deadline::NEVER).await?;
            self.take_back(connection); // whoever waits takes this one rather than make another
        }
    }

    /// Closes idle connections that nobody may use again.
    pub fn prune(self: &Arc<Self>) {
        let gone = self.state.lock().prune(|connection| self.unfit(connection));
        for (connection, reason) in gone {
            self.end(connection, reason);
        }
        self.serve();
    }

    /// Lends nothing until `resume`. Those who wait learn it when their mailboxes are dropped.
    pub(super) fn pause(&self) -> VecDeque<Mailbox> {
        self.state.lock().pause()
    }

    pub(super) fn resume(&self) {
        self.state.lock().resume();
    }

    pub fn close(&self) {
        let (idle, waiting) = self.state.lock().close();
        for connection in idle {
            self.end(connection, CloseReason::PoolClosed);
        }
        drop(waiting);
    }

    pub fn total(&self) -> usize {
        self.state.lock().total()
    }

    /// What can be had at once, or a mailbox to wait at, or neither when the pool refuses.
    fn ask(self: &Arc<Self>) -> std::result::Result<Handed, Option<oneshot::Receiver<Handed>>> {
        let generation = self.server.generations.current(None);
        let mut state = self.state.lock();
        match state.ask() {
            Answer::Take(connection) => Ok(Handed::Connection(self.lend(connection))),
            Answer::Create => Ok(Handed::Permit(Permit { pool: Some(self.clone()), generation })),
            Answer::Refused => Err(None),
            Answer::Wait => {
                let (sender, receiver) = oneshot::channel();
                state.queue(sender);
                Err(Some(receiver))
            }
        }
    }

    fn refusal(&self) -> Error {
        match self.state.lock().phase() {
            Phase::Closed => Error::client_closed(&self.server.settings.client_class),
            Phase::Paused | Phase::Ready => self.server.pool_cleared(),
        }
    }

    /// Hands what has become free to those who wait.
    fn serve(self: &Arc<Self>) {
        loop {
            let generation = self.server.generations.current(None);
            let served = self.state.lock().serve(|waiter| !waiter.is_canceled());
            let Some((waiter, grant)) = served else { return };
            let handed = match grant {
                Grant::Connection(connection) => Handed::Connection(self.lend(connection)),
                Grant::Create => Handed::Permit(Permit { pool: Some(self.clone()), generation }),
            };
            // A waiter that has just left lets the guard drop, which serves the next one.
            drop(waiter.send(handed));
        }
    }

    fn lend(self: &Arc<Self>, connection: Connection) -> Checkout {
        let connection = Some(connection);
        Checkout { pool: self.clone(), connection, holder: None, arrived: false }
    }

    /// Why nobody may use an idle connection again.
    fn unfit(&self, connection: &Connection) -> Option<CloseReason> {
        let now = Instant::now();
        let idle = now.saturating_duration_since(connection.idle_since);
        if !self.server.generations.is_current(connection.generation) {
            Some(CloseReason::Stale)
        } else if self.server.settings.max_idle_time.is_some_and(|limit| idle >= limit) {
            Some(CloseReason::Idle)
        } else if !connection.is_open(now) {
            Some(CloseReason::Error)
        } else {
            None
        }
    }

    /// A connection that nobody uses, out of an operation's hands or new.
    fn take_back(self: &Arc<Self>, mut connection: Connection) {
        let reason = if !connection.is_reusable() {
            CloseReason::Error
        } else if !self.server.generations.is_current(connection.generation) {
            CloseReason::Stale
        } else {
            connection.idle_since = Instant::now();
            let refused = self.state.lock().give_back(connection);
            return match refused {
                Some(connection) => self.end(connection, CloseReason::PoolClosed),
                None => self.serve(),
            };
        };
        self.state.lock().lost();
        self.end(connection, reason);
        self.serve();
    }

    /// Closes a connection that is out of the books.
    fn end(&self, connection: Connection, reason: CloseReason) {
        let id = connection.id;
        drop(connection);
        self.server.tell(|| PoolChange::ConnectionClosed { id, reason });
    }

    /// From now until when a caller waits.
    fn patience(&self, limit: Deadline) -> (Instant, Deadline) {
        let now = Instant::now();
        let deadline = match limit {
            Deadline::NEVER => Deadline::after(now, self.server.settings.wait_queue_timeout),
            limit => limit,
        };
        (now, deadline)
    }

    fn wait_queue_timeout(&self, timeout: Option<Duration>) -> Error {
        let settings = &self.server.settings;
        let timeout = timeout.unwrap_or_default().as_secs_f64();
        if settings.load_balanced {
            return Error::new(ErrorKind::WaitQueueTimeout, self.counts_of_use(timeout));
        }
        let text = format!(
            "Timed out while checking out a connection from connection pool. maxPoolSize: {}, timeout: {timeout:?}",
            settings.max_pool_size,
        );
        Error::new(ErrorKind::WaitQueueTimeout, text)
    }

    /// Behind a load balancer cursors and transactions keep connections: who has them all?
    fn counts_of_use(&self, timeout: f64) -> String {
        let lent = self.state.lock().lent();
        let kept = |holder| self.kept[holder as usize].load(Ordering::Relaxed);
        let (cursors, transactions) = (kept(Holder::Cursor), kept(Holder::Transaction));
        format!(
            "Timeout waiting for connection from the connection pool. maxPoolSize: {}, connections in use by cursors: {cursors}, connections in use by transactions: {transactions}, connections in use by other operations: {}, timeout: {timeout:?}",
            self.server.settings.max_pool_size,
            lent.saturating_sub(cursors + transactions),
        )
    }
}

impl Permit {
    async fn use_up(mut self, limit: Deadline) -> Result<Connection> {
        let pool = self.pool.clone().expect("a permit is used once");
        let server = &pool.server;
        let interruption = server.interruption();
        if !server.generations.is_current(self.generation) {
            return Err(server.pool_cleared());
        }
        let making = Making::begin(server);
        let own = Deadline::after(Instant::now(), server.settings.connect_timeout);
        // On the heap, since it is rare and large: futures around it are copied where they are made.
        let dial = Box::pin(server.dial(self.generation, interruption, own.earlier(limit)));
        match dial.await {
            Ok(mut connection) => {
                connection.id = making.succeeded();
                self.pool = None;
                pool.state.lock().made(true);
                Ok(connection)
            }
            Err(failure) => {
                // First the pool is cleared, if it must be; then listeners hear of the connection's end.
                (server.dialer.failed)(server, &failure);
                drop(making);
                Err(failure.error)
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take()
            && !pool.server.is_inherited()
        {
            pool.state.lock().made(false);
            pool.serve();
        }
    }
}

impl Checkout {
    pub fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("lent until dropped")
    }

    pub fn connection_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("lent until dropped")
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.pool.server
    }

    /// Its owner keeps it for more than one command.
    pub fn count_as(&mut self, holder: Holder) {
        self.holder = Some(holder);
        self.pool.kept[holder as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Lent before a fork, in the parent process.
    pub fn is_inherited(&self) -> bool {
        self.pool.server.is_inherited()
    }

    fn discard(&mut self, reason: CloseReason) {
        if let Some(connection) = self.connection.take() {
            self.pool.state.lock().lost();
            self.pool.end(connection, reason);
            self.pool.serve();
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(holder) = self.holder {
            self.pool.kept[holder as usize].fetch_sub(1, Ordering::Relaxed);
        }
        if self.connection.is_none() || self.is_inherited() {
            return;
        }
        if let Some(connection) = self.connection.take() {
            if self.arrived {
                self.pool.server.tell(|| PoolChange::CheckedIn { id: connection.id });
            }
            self.pool.take_back(connection);
        }
    }
}
