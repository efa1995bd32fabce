//! One server of the deployment: its pools, one for each event loop. They are ready, paused, cleared
//! and closed together, and to listeners they are one pool.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bson::oid::ObjectId;
use event_listener::EventListener;
use futures_util::future::{Either, select};

use super::checkout::Pool;
use super::connection::Connection;
use super::generation::{Generation, Generations};
use super::handshake::{DialFailure, Dialer};
use super::interrupt::Interruptible;
use super::state::Phase;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::event::pool::{PoolChange, PoolEvent};
use crate::net::lane::Lane;
use crate::net::{fork, wait};
use crate::settings::Settings;
use crate::sync::Mutex;
use crate::topology::address::Address;

pub struct Server {
    pub address: Address,
    pub dialer: Arc<Dialer>,
    pub settings: Arc<Settings>,
    pub generations: Generations,
    /// Operations running here now: server selection prefers the less busy of two.
    pub operations: AtomicUsize,
    last_connection: AtomicU64,
    interruptible: Interruptible,
    /// The fork generation it belongs to.
    born_in: u64,
    /// Locked before any pool's own books.
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    phase: Phase,
    /// The pool of blocking callers and of the control thread.
    shared: Option<Arc<Pool>>,
    by_lane: HashMap<u64, (Arc<Lane>, Arc<Pool>)>,
}

impl Pools {
    fn get(&self, lane: Option<&Arc<Lane>>) -> Option<Arc<Pool>> {
        match lane {
            None => self.shared.clone(),
            Some(lane) => self.by_lane.get(&lane.id).map(|(_, pool)| pool.clone()),
        }
    }

    fn all(&self) -> Vec<Arc<Pool>> {
        self.shared.iter().chain(self.by_lane.values().map(|(_, pool)| pool)).cloned().collect()
    }
}

/// How a clear is done. The default takes every connection that is not in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clear {
    /// Only this service behind a load balancer.
    pub service_id: Option<ObjectId>,
    /// The server does not answer: operations and dials under way fail now.
    pub interrupt: bool,
}

impl Server {
    pub fn new(address: Address, dialer: Arc<Dialer>, settings: Arc<Settings>) -> Arc<Server> {
        let server = Server {
            address,
            dialer,
            settings,
            generations: Generations::default(),
            operations: AtomicUsize::new(0),
            last_connection: AtomicU64::new(0),
            interruptible: Interruptible::default(),
            born_in: fork::generation(),
            pools: Mutex::default(),
        };
        server.tell(|| PoolChange::PoolCreated);
        Arc::new(server)
    }

    /// The pool for callers on `lane`; pools of loops that have closed are dropped on the way.
    pub fn pool(self: &Arc<Self>, lane: Option<&Arc<Lane>>) -> Arc<Pool> {
        if let Some(pool) = self.pools.lock().get(lane) {
            return pool;
        }
        self.forget_retired();
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(lane) {
            return pool;
        }
        let pool = Pool::new(self.clone(), pools.phase);
        match lane {
            _ if pools.phase == Phase::Closed => {}
            None => pools.shared = Some(pool.clone()),
            Some(lane) => {
                pools.by_lane.insert(lane.id, (lane.clone(), pool.clone()));
            }
        }
        pool
    }

    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().all()
    }

    pub fn phase(&self) -> Phase {
        self.pools.lock().phase
    }

    /// Closes the pools of event loops that have gone.
    pub fn forget_retired(&self) {
        let gone: Vec<_> = {
            let mut pools = self.pools.lock();
            pools.by_lane.extract_if(|_, (lane, _)| lane.is_retired()).collect()
        };
        gone.iter().for_each(|(_, (_, pool))| pool.close());
    }

    /// Something is known of the server: connections may be made. True if that is news.
    pub fn ready(&self) -> bool {
        let mut pools = self.pools.lock();
        if pools.phase != Phase::Paused {
            return false;
        }
        pools.phase = Phase::Ready;
        self.tell(|| PoolChange::PoolReady);
        pools.all().iter().for_each(|pool| pool.resume());
        true
    }

    /// No connection made before this moment is lent again, and none is made until the server is known
    /// again. A load balancer stays ready: its other services may be well.
    pub fn clear(&self, Clear { service_id, interrupt }: Clear) {
        let mut refused = VecDeque::new();
        let pools = {
            let mut pools = self.pools.lock();
            if pools.phase == Phase::Closed {
                return;
            }
            let all = pools.all();
            if pools.phase == Phase::Ready {
                let interrupt_connections = interrupt;
                self.tell(|| PoolChange::PoolCleared { service_id, interrupt_connections });
            }
            if !self.settings.load_balanced {
                pools.phase = Phase::Paused;
                refused.extend(all.iter().flat_map(|pool| pool.pause()));
            }
            // Last: what a pool grants until it is paused is of the old generation.
            self.generations.raise(service_id);
            all
        };
        drop(refused); // their receivers see the cancellation
        pools.iter().for_each(|pool| pool.prune());
        if interrupt {
            self.interruptible.interrupt(|made| !self.generations.is_current(made));
        }
    }

    pub fn close(&self) {
        let taken = {
            let mut pools = self.pools.lock();
            if pools.phase == Phase::Closed {
                return;
            }
            std::mem::replace(&mut *pools, Pools { phase: Phase::Closed, ..Pools::default() })
        };
        taken.all().iter().for_each(|pool| pool.close());
        self.interruptible.wake_dials();
        self.tell(|| PoolChange::PoolClosed);
    }

    /// In a forked child: another thread may have held a lock of it, or of listeners, at the fork.
    pub(super) fn is_inherited(&self) -> bool {
        self.born_in != fork::generation()
    }

    /// To be made before a dial looks whether it is still wanted: then it misses no interruption.
    pub(super) fn interruption(&self) -> EventListener {
        self.interruptible.listen()
    }

    /// Makes a connection, unless a clear or the end of the pools interrupts that.
    pub(super) async fn dial(
        &self,
        generation: Generation,
        interruption: EventListener,
        deadline: Deadline,
    ) -> Result<Connection, DialFailure> {
        let dial = self.dialer.dial(&self.address, generation, &self.generations, deadline);
        let (dial, interrupted) = (pin!(dial), pin!(self.interrupted(interruption, generation)));
        match select(dial, interrupted).await {
            Either::Left((made, _)) => made.inspect(|connection| {
                self.interruptible.watch(connection.stream(), connection.generation)
            }),
            Either::Right((error, _)) => Err(DialFailure { error, generation }),
        }
    }

    pub(super) fn next_connection_id(&self) -> u64 {
        self.last_connection.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn pool_cleared(&self) -> Error {
        Error::new(ErrorKind::PoolCleared, "connection pool paused")
            .at(&self.address)
            .in_handshake()
    }

    /// Tells the listeners, if there are any.
    pub(super) fn tell(&self, what: impl FnOnce() -> PoolChange) {
        let event = || PoolEvent { address: self.address.clone(), what: what() };
        self.settings.events.pool(event);
    }

    async fn interrupted(&self, mut interruption: EventListener, begun: Generation) -> Error {
        loop {
            wait::gate(interruption).await;
            interruption = self.interruption();
            if self.phase() == Phase::Closed {
                return Error::client_closed(&self.settings.client_class);
            }
            if !self.generations.is_current(begun) {
                return self.pool_cleared();
            }
        }
    }
}
