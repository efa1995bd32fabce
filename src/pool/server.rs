//! One server of the deployment: its pools, one for each event loop, and their common generation.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::checkout::Pool;
use super::handshake::Dialer;
use crate::net::event_loop::Lane;
use crate::settings::Settings;
use crate::topology::address::Address;

pub struct Server {
    pub address: Address,
    pub dialer: Arc<Dialer>,
    pub settings: Arc<Settings>,
    /// Raised to make every older connection unfit.
    generation: AtomicU64,
    /// Operations running here now: server selection prefers the less busy of two.
    pub operations: AtomicUsize,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    closed: bool,
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
}

impl Server {
    pub fn new(address: Address, dialer: Arc<Dialer>, settings: Arc<Settings>) -> Arc<Server> {
        Arc::new(Server {
            address,
            dialer,
            settings,
            generation: AtomicU64::new(0),
            operations: AtomicUsize::new(0),
            pools: Mutex::default(),
        })
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
        let pool = Pool::new(self.clone());
        match lane {
            _ if pools.closed => pool.close(),
            None => pools.shared = Some(pool.clone()),
            Some(lane) => {
                pools.by_lane.insert(lane.id, (lane.clone(), pool.clone()));
            }
        }
        pool
    }

    pub fn pools(&self) -> Vec<Arc<Pool>> {
        let pools = self.pools.lock();
        pools.shared.iter().chain(pools.by_lane.values().map(|(_, pool)| pool)).cloned().collect()
    }

    /// Closes the pools of event loops that have gone.
    pub fn forget_retired(&self) {
        let gone: Vec<_> = {
            let mut pools = self.pools.lock();
            pools.by_lane.extract_if(|_, (lane, _)| lane.is_retired()).collect()
        };
        gone.iter().for_each(|(_, (_, pool))| pool.close());
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// No connection made before this moment is lent again.
    pub fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.pools().iter().for_each(|pool| pool.prune());
    }

    pub fn close(&self) {
        let taken = {
            let mut pools = self.pools.lock();
            std::mem::replace(&mut *pools, Pools { closed: true, ..Pools::default() })
        };
        let lanes = taken.by_lane.into_values().map(|(_, pool)| pool);
        taken.shared.into_iter().chain(lanes).for_each(|pool| pool.close());
    }
}
