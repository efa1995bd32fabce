//! The living topology of one client: the latest snapshot, its servers, and who keeps both true.
//!
//! Every hello reply (a monitor's, a probe's, a new connection's) and every error an operation saw
//! ends in `update`, where the pure rules of `topology` make the next snapshot.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use event_listener::{Event, EventListener};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::application_error::application_error;
use super::monitors::Monitors;
use super::polling;
use super::probing::Probe;
use super::thread::ControlThread;
use crate::error::Error;
use crate::event;
use crate::net::fork;
use crate::pool::generation::Generation;
use crate::pool::handshake::Dialer;
use crate::pool::server::{Clear, Server};
use crate::settings::Settings;
use crate::sync::Mutex;
use crate::topology::address::Address;
use crate::topology::error_rules;
use crate::topology::reduce;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::{Snapshot, TopologyKind};

pub struct Cluster {
    pub settings: Arc<Settings>,
    pub(super) dialer: Arc<Dialer>,
    /// `None` once closed: the last client's leaving stops the thread.
    pub(super) thread: Mutex<Option<Arc<ControlThread>>>,
    snapshot: ArcSwap<Snapshot>,
    /// Told after every change of the snapshot.
    changed: Event,
    pub(super) servers: Mutex<HashMap<Address, Arc<Server>>>,
    /// Held while a snapshot is made from the one before.
    updating: Mutex<()>,
    /// When each server was last probed; a probe under way counts as now.
    pub(super) probed: Mutex<HashMap<Address, Probe>>,
    /// `None` without monitoring, and where probes replace the monitors.
    pub(super) monitors: Mutex<Option<Monitors>>,
    /// Servers are watched by probes.
    pub(super) polls: bool,
    pub(super) polling: Mutex<Option<AbortHandle>>,
    pub(super) upkeep: Mutex<Option<AbortHandle>>,
    /// Rung when upkeep has work before its next round.
    pub(super) upkeep_now: Arc<Notify>,
    closed: AtomicBool,
    /// Once `is_lost` has returned true.
    lost: AtomicBool,
}

impl Cluster {
    /// Without monitors and upkeep, which need it to be there.
    pub(super) fn new(
        settings: Arc<Settings>,
        dialer: Arc<Dialer>,
        thread: Arc<ControlThread>,
    ) -> Cluster {
        Cluster {
            dialer,
            thread: Mutex::new(Some(thread)),
            snapshot: ArcSwap::from_pointee(Snapshot::new(Arc::new(settings.topology()))),
            changed: Event::new(),
            servers: Mutex::default(),
            updating: Mutex::default(),
            probed: Mutex::default(),
            monitors: Mutex::default(),
            polls: polling::is_needed(&settings),
            polling: Mutex::default(),
            upkeep: Mutex::default(),
            upkeep_now: Arc::default(),
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            settings,
        }
    }

    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// `None` once the server has left the topology.
    pub fn server(&self, address: &Address) -> Option<Arc<Server>> {
        self.servers.lock().get(address).cloned()
    }

    /// To be made before looking at the snapshot: no change is missed then.
    pub fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Applies the error rules to what an operation, or the making of a connection, ran into.
    pub fn report(self: &Arc<Self>, server: &Server, generation: Generation, error: &Error) {
        let Some(error) = application_error(server, generation, error) else { return };
        let address = &server.address;
        let updating = self.updating.lock();
        if self.is_closed() {
            return;
        }
        let verdict = error_rules::after_error(&self.snapshot(), address, &error, Instant::now());
        verdict.new.into_iter().for_each(|next| self.install(next));
        // Not before the server is Unknown: those who are refused would select it again.
        if verdict.clear_pool {
            server.clear(Clear { service_id: error.service_id, ..Clear::default() });
        }
        drop(updating);
        if verdict.check_now {
            self.probe(address);
        }
    }

    /// The control thread is lost with all descriptors of the process. No server is ever found again.
    pub fn is_lost(&self) -> bool {
        if self.thread.lock().as_ref().is_some_and(|thread| thread.is_lost())
            && !self.lost.swap(true, Ordering::SeqCst)
        {
            fork::forget_descriptors();
        }
        self.was_lost()
    }

    /// Whether `is_lost` has returned true before.
    pub fn was_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Stops monitoring and closes every pool; waiting operations are told.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        for task in [&self.upkeep, &self.polling] {
            if let Some(task) = task.lock().take() {
                task.abort();
            }
        }
        let thread = self.thread.lock().take();
        if let (Some(thread), Some(monitors)) = (&thread, self.monitors.lock().take()) {
            match thread.is_lost() {
                true => std::mem::forget(monitors),
                false => drop(thread.spawn(monitors.stop())),
            }
        }
        let (servers, last) = {
            let _updating = self.updating.lock(); // an update under way makes no new ones afterwards
            let last = self.snapshot.load_full();
            self.snapshot.store(Arc::new(last.forgotten()));
            (std::mem::take(&mut *self.servers.lock()), last)
        };
        servers.values().for_each(|server| server.close());
        self.settings.events.topology(last.settings.id, || event::topology::closed(&last));
        self.changed.notify(usize::MAX);
    }

    /// Runs a future in the background; dropped when the client closes last.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        self.thread.lock().as_ref().and_then(|thread| thread.spawn(future))
    }

    /// A handshake by an operation: everything in it counts but its time, which the caller's own
    /// load may have stretched.
    pub(super) fn observe_handshake(&self, description: &ServerDescription) {
        let mut description = description.clone();
        self.update(|snapshot| {
            let known = snapshot.server(&description.address)?;
            if self.settings.load_balanced {
                // Each connection may lead to another server; how much one message holds is the same.
                return known.with_limits_of(&description).map(|it| reduce::apply(snapshot, it));
            }
            if known.round_trip_time.is_some() {
                description.round_trip_time = None;
            }
            Some(reduce::apply(snapshot, description.clone()))
        });
    }

    pub(super) fn update(&self, make: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let _updating = self.updating.lock();
        if !self.is_closed()
            && let Some(next) = make(&self.snapshot.load())
        {
            self.install(next);
        }
    }

    /// A check failed: nothing is known of the server any more, and its connections are not trusted.
    pub(super) fn check_failed(&self, address: &Address, error: &str, timeout: bool) {
        let _updating = self.updating.lock();
        let Some(server) = self.server(address).filter(|_| !self.is_closed()) else { return };
        let failed = ServerDescription::failed(address.clone(), error, Instant::now());
        self.install(reduce::apply(&self.snapshot(), failed));
        server.clear(Clear { interrupt: timeout, ..Clear::default() });
    }

    /// Makes a snapshot the current one, with `updating` held. A server's pool is ready before anyone
    /// can select it.
    fn install(&self, next: Snapshot) {
        let (old, next) = (self.snapshot.load_full(), Arc::new(next));
        self.match_servers(&next);
        self.ready_pools(&next);
        self.settings.events.topology(old.settings.id, || event::topology::changed(&old, &next));
        self.snapshot.store(next);
        self.changed.notify(usize::MAX);
    }

    pub(super) fn ready_pools(&self, snapshot: &Snapshot) {
        let single = snapshot.kind == TopologyKind::Single;
        let servers = self.servers.lock();
        let known = snapshot.known_servers().filter(|it| single || it.kind.is_readable());
        for server in known.filter_map(|known| servers.get(&known.address)) {
            if server.ready() && self.settings.min_pool_size > 0 {
                self.upkeep_now.notify_one();
            }
        }
    }

    /// Keeps exactly one `Server` for each address of the snapshot.
    pub(super) fn match_servers(&self, snapshot: &Snapshot) {
        self.probed.lock().retain(|address, _| snapshot.server(address).is_some());
        let mut servers = self.servers.lock();
        let gone = servers.extract_if(|address, _| snapshot.server(address).is_none());
        gone.for_each(|(_, server)| server.close());
        for address in snapshot.servers.keys() {
            if !servers.contains_key(address) {
                let server =
                    Server::new(address.clone(), self.dialer.clone(), self.settings.clone());
                servers.insert(address.clone(), server);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close();
    }
}
