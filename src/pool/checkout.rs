//! Lending connections: the acts around `state`'s decisions.
//!
//! What is handed to a waiter is a guard (a lent connection, or the right to make one), so a
//! waiter that was cancelled passes it on just by dropping it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_channel::oneshot;
use parking_lot::Mutex;

use super::connection::Connection;
use super::pinned::Holder;
use super::server::Server;
use super::state::{Answer, Grant, Limits, State};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::net::{fork, wait};

pub struct Pool {
    server: Arc<Server>,
    state: Mutex<State<Connection, oneshot::Sender<Handed>>>,
    /// How many connections cursors keep, and how many transactions.
    kept: [AtomicUsize; 2],
    /// The fork generation it belongs to; a guard dropped in a forked child leaves the books alone,
    /// which another thread may have locked at the fork.
    born_in: u64,
}

/// A connection on loan; dropping it gives it back, or closes it if it is not fit for others.
pub struct Checkout {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    /// Who keeps it for more than one command.
    holder: Option<Holder>,
}

/// The right to make one connection.
struct Permit {
    pool: Option<Arc<Pool>>,
}

enum Handed {
    Connection(Checkout),
    Permit(Permit),
}

impl Pool {
    pub fn new(server: Arc<Server>) -> Arc<Pool> {
        let settings = &server.settings;
        let limits =
            Limits { max_size: settings.max_pool_size, max_connecting: settings.max_connecting };
        Arc::new(Pool {
            state: Mutex::new(State::new(limits)),
            kept: Default::default(),
            born_in: fork::generation(),
            server,
        })
    }

    /// `limit` bounds the wait and the making of a connection, beside the client's own timeouts.
    pub async fn checkout(self: &Arc<Self>, limit: Deadline) -> Result<Checkout> {
        let own = Deadline::after(Instant::now(), self.server.settings.wait_queue_timeout);
        let deadline = own.earlier(limit);
        loop {
            let handed = match self.ask() {
                Ok(handed) => handed,
                Err(None) => return Err(Error::client_closed()),
                Err(Some(mailbox)) => match wait::until(deadline, wait::gate(mailbox)).await {
                    None => return Err(self.wait_queue_timeout()),
                    Some(Err(oneshot::Canceled)) => return Err(Error::client_closed()),
                    Some(Ok(handed)) => handed,
                },
            };
            match handed {
                Handed::Permit(permit) => return permit.use_up(limit).await,
                // An idle connection may have died: its guard takes it out of the books.
                Handed::Connection(mut lent) => {
                    if self.is_fit(lent.connection()) {
                        return Ok(lent);
                    }
                    lent.discard();
                }
            }
        }
    }

    /// Makes one connection if the pool holds fewer than minPoolSize; true when it did.
    pub async fn fill_by_one(self: &Arc<Self>) -> Result<bool> {
        if !self.state.lock().reserve_for_upkeep(self.server.settings.min_pool_size) {
            return Ok(false);
        }
        Permit { pool: Some(self.clone()) }.use_up(Deadline::NEVER).await.map(|_| true)
    }

    /// Closes idle connections that nobody may use again.
    pub fn prune(self: &Arc<Self>) {
        let gone = self.state.lock().prune(|connection| !self.is_fit(connection));
        drop(gone);
        self.serve();
    }

    pub fn close(&self) {
        let (idle, waiting) = self.state.lock().close();
        drop(idle);
        drop(waiting); // their receivers see the cancellation
    }

    pub fn total(&self) -> usize {
        self.state.lock().total()
    }

    fn ask(self: &Arc<Self>) -> std::result::Result<Handed, Option<oneshot::Receiver<Handed>>> {
        let mut state = self.state.lock();
        match state.ask() {
            Answer::Take(connection) => Ok(Handed::Connection(self.lend(connection))),
            Answer::Create => Ok(Handed::Permit(Permit { pool: Some(self.clone()) })),
            Answer::Closed => Err(None),
            Answer::Wait => {
                let (sender, receiver) = oneshot::channel();
                state.queue(sender);
                Err(Some(receiver))
            }
        }
    }

    /// Hands what has become free to those who wait.
    fn serve(self: &Arc<Self>) {
        loop {
            let served = self.state.lock().serve(|waiter| !waiter.is_canceled());
            let Some((waiter, grant)) = served else { return };
            let handed = match grant {
                Grant::Connection(connection) => Handed::Connection(self.lend(connection)),
                Grant::Create => Handed::Permit(Permit { pool: Some(self.clone()) }),
            };
            // A waiter that has just left lets the guard drop, which serves the next one.
            drop(waiter.send(handed));
        }
    }

    fn is_inherited(&self) -> bool {
        self.born_in != fork::generation()
    }

    fn lend(self: &Arc<Self>, connection: Connection) -> Checkout {
        Checkout { pool: self.clone(), connection: Some(connection), holder: None }
    }

    fn is_fit(&self, connection: &Connection) -> bool {
        let now = Instant::now();
        let idle = now.saturating_duration_since(connection.idle_since);
        connection.generation == self.server.generation()
            && self.server.settings.max_idle_time.is_none_or(|limit| idle < limit)
            && connection.is_open(now)
    }

    fn wait_queue_timeout(&self) -> Error {
        let settings = &self.server.settings;
        if settings.load_balanced {
            return Error::new(Kind::WaitQueueTimeout, self.counts_of_use());
        }
        let text = format!(
            "Timed out while checking out a connection from connection pool. maxPoolSize: {}, timeout: {:?}",
            settings.max_pool_size,
            settings.wait_queue_timeout.unwrap_or_default(),
        );
        Error::new(Kind::WaitQueueTimeout, text)
    }

    /// Behind a load balancer cursors and transactions keep connections: who has them all?
    fn counts_of_use(&self) -> String {
        let lent = self.state.lock().lent();
        let kept = |holder| self.kept[holder as usize].load(Ordering::Relaxed);
        let (cursors, transactions) = (kept(Holder::Cursor), kept(Holder::Transaction));
        format!(
            "Timeout waiting for connection from the connection pool. maxPoolSize: {}, connections in use by cursors: {cursors}, connections in use by transactions: {transactions}, connections in use by other operations: {}, timeout: {}",
            self.server.settings.max_pool_size,
            lent.saturating_sub(cursors + transactions),
            self.server.settings.wait_queue_timeout.unwrap_or_default().as_secs_f64(),
        )
    }
}

impl Permit {
    async fn use_up(mut self, limit: Deadline) -> Result<Checkout> {
        let pool = self.pool.clone().expect("a permit is used once");
        let server = &pool.server;
        let own = Deadline::after(Instant::now(), server.settings.connect_timeout);
        let deadline = own.earlier(limit);
        let generation = server.generation();
        let connection = server.dialer.dial(&server.address, generation, deadline).await?;
        self.pool = None;
        pool.state.lock().made(true);
        let lent = pool.lend(connection);
        pool.serve(); // maxConnecting has room again
        Ok(lent)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take()
            && !pool.is_inherited()
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
        self.pool.is_inherited()
    }

    fn discard(&mut self) {
        if self.connection.take().is_some() {
            self.pool.state.lock().lost();
            self.pool.serve();
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(holder) = self.holder {
            self.pool.kept[holder as usize].fetch_sub(1, Ordering::Relaxed);
        }
        let Some(connection) = &mut self.connection else { return };
        if self.pool.is_inherited() {
            return;
        }
        if !connection.is_reusable() || connection.generation != self.pool.server.generation() {
            return self.discard();
        }
        connection.idle_since = Instant::now();
        let refused = {
            let connection = self.connection.take().expect("seen above");
            self.pool.state.lock().give_back(connection)
        };
        match refused {
            Some(connection) => drop(connection),
            None => self.pool.serve(),
        }
    }
}
