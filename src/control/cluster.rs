//! The living topology of one client: the latest snapshot, its servers, and who keeps both true.
//!
//! Every hello reply (a monitor's, a probe's, a new connection's) and every error an operation saw
//! ends in `update`, where the pure rules of `topology` make the next snapshot.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use event_listener::{Event, EventListener};
use parking_lot::{Mutex, RwLock};
use tokio::task::AbortHandle;

use super::driver;
use super::monitors::{self, MonitorSettings, Monitors, Observation};
use super::thread::ControlThread;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metadata::DriverName;
use crate::net::buffers::Buffers;
use crate::pool::authenticate::Authenticator;
use crate::pool::handshake::Dialer;
use crate::pool::server::Server;
use crate::settings::Settings;
use crate::topology::address::Address;
use crate::topology::error_rules::{self, ApplicationError};
use crate::topology::reduce;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::{Snapshot, TopologySettings};

pub struct Cluster {
    pub settings: Arc<Settings>,
    dialer: Arc<Dialer>,
    /// `None` once closed: the last client's leaving stops the thread.
    thread: Mutex<Option<Arc<ControlThread>>>,
    snapshot: ArcSwap<Snapshot>,
    /// Told after every change of the snapshot.
    changed: Event,
    servers: RwLock<HashMap<Address, Arc<Server>>>,
    /// Held while a snapshot is made from the one before.
    updating: Mutex<()>,
    /// When each server was last probed; a probe under way counts as now.
    probed: Mutex<HashMap<Address, Probe>>,
    monitors: Mutex<Option<Monitors>>,
    upkeep: Mutex<Option<AbortHandle>>,
    closed: AtomicBool,
}

#[derive(Clone, Copy)]
struct Probe {
    started: Instant,
    running: bool,
}

impl Cluster {
    /// Starts monitoring.
    pub fn open(settings: Arc<Settings>) -> Result<Arc<Cluster>> {
        let thread = ControlThread::shared()?;
        let topology = Arc::new(TopologySettings {
            id: bson::oid::ObjectId::new(),
            seeds: settings.seeds.clone(),
            replica_set: settings.replica_set.clone(),
            direct_connection: settings.direct_connection,
            load_balanced: settings.load_balanced,
            heartbeat_frequency: settings.heartbeat_frequency,
        });
        let cluster = Arc::new_cyclic(|itself: &Weak<Cluster>| {
            let (lookup_thread, observer) = (Arc::downgrade(&thread), itself.clone());
            let work_thread = lookup_thread.clone();
            let authenticator = settings.credentials.clone().map(|credentials| {
                let work_elsewhere = move |work| {
                    if let Some(thread) = work_thread.upgrade() {
                        thread.work(work);
                    }
                };
                Authenticator::new(credentials, Box::new(work_elsewhere))
            });
            Cluster {
                dialer: Arc::new(Dialer {
                    metadata: settings.metadata.clone(),
                    server_api: settings.server_api.clone(),
                    compression: settings.compression.clone(),
                    buffers: Arc::new(Buffers::default()),
                    lookup: Box::new(move |host, port| match lookup_thread.upgrade() {
                        Some(thread) => Box::pin(thread.lookup(host, port)),
                        None => Box::pin(std::future::ready(Err(std::io::Error::other("closed")))),
                    }),
                    observe: Box::new(move |description| {
                        if let Some(cluster) = observer.upgrade() {
                            cluster.observe_handshake(description);
                        }
                    }),
                    load_balanced: settings.load_balanced,
                    authenticator,
                    tls: settings.tls.as_ref().map(|tls| tls.client_config()),
                }),
                thread: Mutex::new(Some(thread)),
                snapshot: ArcSwap::from_pointee(Snapshot::new(topology)),
                changed: Event::new(),
                servers: RwLock::default(),
                updating: Mutex::default(),
                probed: Mutex::default(),
                monitors: Mutex::default(),
                upkeep: Mutex::default(),
                closed: AtomicBool::new(false),
                settings,
            }
        });
        cluster.match_servers(&cluster.snapshot());
        cluster.start_monitors()?;
        cluster.start_upkeep();
        Ok(cluster)
    }

    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// `None` once the server has left the topology.
    pub fn server(&self, address: &Address) -> Option<Arc<Server>> {
        self.servers.read().get(address).cloned()
    }

    /// To be made before looking at the snapshot: no change is missed then.
    pub fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Applies the error rules to what an operation ran into.
    pub fn report(self: &Arc<Self>, address: &Address, error: &ApplicationError) {
        let mut check_now = false;
        self.update(|snapshot| {
            let verdict = error_rules::after_error(snapshot, address, error, Instant::now());
            check_now = verdict.check_now;
            if verdict.clear_pool
                && let Some(server) = self.server(address)
            {
                server.clear();
            }
            verdict.new
        });
        if check_now {
            self.probe(address);
        }
    }

    /// New connections of the monitors name this driver too; the pools' learn it from the settings.
    pub fn append_driver(&self, driver: DriverName) {
        if let Some(monitors) = &*self.monitors.lock() {
            monitors.append_driver(driver);
        }
    }

    /// Asks every server that nothing is known of, now.
    pub fn probe_unknown(self: &Arc<Self>) {
        let snapshot = self.snapshot.load_full();
        for server in snapshot.servers.values().filter(|server| !server.kind.is_known()) {
            self.probe(&server.address);
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Stops monitoring and closes every pool; waiting operations are told.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(upkeep) = self.upkeep.lock().take() {
            upkeep.abort();
        }
        let thread = self.thread.lock().take();
        if let (Some(thread), Some(monitors)) = (&thread, self.monitors.lock().take()) {
            thread.spawn(monitors.stop());
        }
        let servers = {
            let _updating = self.updating.lock(); // an update under way makes no new ones afterwards
            std::mem::take(&mut *self.servers.write())
        };
        servers.values().for_each(|server| server.close());
        self.changed.notify(usize::MAX);
    }

    /// Runs a future in the background; dropped when the client closes last.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        self.thread.lock().as_ref().map(|thread| thread.spawn(future))
    }

    /// A handshake by an operation: everything in it counts but its time, which the caller's own
    /// load may have stretched.
    fn observe_handshake(&self, description: &ServerDescription) {
        let mut description = description.clone();
        self.update(|snapshot| {
            let known = snapshot.server(&description.address)?;
            if known.round_trip_time.is_some() {
                description.round_trip_time = None;
            }
            Some(reduce::apply(snapshot, description.clone()))
        });
    }

    fn update(&self, make: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let updating = self.updating.lock();
        if self.is_closed() {
            return;
        }
        let Some(next) = make(&self.snapshot.load()) else { return };
        self.match_servers(&next);
        self.snapshot.store(Arc::new(next));
        drop(updating);
        self.changed.notify(usize::MAX);
    }

    /// Keeps exactly one `Server` for each address of the snapshot.
    fn match_servers(&self, snapshot: &Snapshot) {
        let mut servers = self.servers.write();
        let gone: Vec<_> =
            servers.keys().filter(|address| snapshot.server(address).is_none()).cloned().collect();
        for address in gone {
            if let Some(server) = servers.remove(&address) {
                server.close();
            }
        }
        for address in snapshot.servers.keys() {
            if !servers.contains_key(address) {
                let server =
                    Server::new(address.clone(), self.dialer.clone(), self.settings.clone());
                servers.insert(address.clone(), server);
            }
        }
    }

    fn start_monitors(self: &Arc<Self>) -> Result<()> {
        if self.settings.load_balanced {
            return Ok(()); // nobody watches a load balancer
        }
        let watched = Arc::downgrade(self);
        let sink = Arc::new(move |observation| {
            if let Some(cluster) = watched.upgrade() {
                cluster.observe(observation);
            }
        });
        let settings = &self.settings;
        let settings = MonitorSettings {
            seeds: settings.seeds.clone(),
            replica_set: settings.replica_set.clone(),
            direct_connection: settings.direct_connection,
            load_balanced: settings.load_balanced,
            app_name: settings.app_name.clone(),
            connect_timeout: settings.connect_timeout,
            heartbeat_frequency: settings.heartbeat_frequency,
            drivers: settings.metadata.current().drivers.clone(),
            tls: settings.tls.clone(),
            server_api: settings.server_api.clone(),
            poll: settings.poll,
        };
        let Some(thread) = self.thread.lock().clone() else { return Ok(()) };
        let monitors = thread
            .enter(|| Monitors::start(settings, sink))
            .map_err(|reason| Error::new(Kind::Configuration, reason))?;
        *self.monitors.lock() = Some(monitors);
        Ok(())
    }

    fn observe(self: &Arc<Self>, observation: Observation) {
        let description = match observation {
            Observation::Hello { server, .. } => {
                // A server that operations would refuse must not become known through a monitor that
                // is less strict: the probe's answer counts.
                if self.settings.tls.as_ref().is_some_and(|tls| monitors::verify_less(tls))
                    && !self.snapshot().server(&server.address).is_some_and(|it| it.kind.is_known())
                {
                    return self.probe(&server.address);
                }
                *server
            }
            Observation::Failed { address, error, .. } => {
                if let Some(server) = self.server(&address) {
                    server.clear();
                }
                ServerDescription::failed(address, error, Instant::now())
            }
        };
        self.update(|snapshot| Some(reduce::apply(snapshot, description)));
    }

    /// A handshake on the control thread, one at a time and not more often than every 500 ms.
    fn probe(self: &Arc<Self>, address: &Address) {
        let now = Instant::now();
        let mut probed = self.probed.lock();
        let recent = probed.get(address).is_some_and(|probe| {
            probe.running || now.saturating_duration_since(probe.started) < PROBE_INTERVAL
        });
        let Some(server) = self.server(address).filter(|_| !recent && !self.is_closed()) else {
            return;
        };
        probed.insert(address.clone(), Probe { started: now, running: true });
        drop(probed);
        let cluster = Arc::downgrade(self);
        self.spawn(async move {
            let deadline = Deadline::after(now, server.settings.connect_timeout);
            let probed = server.dialer.probe(&server.address, deadline);
            let failure = driver::drive(probed).await.err();
            let Some(cluster) = cluster.upgrade() else { return };
            if let Some(probe) = cluster.probed.lock().get_mut(&server.address) {
                probe.running = false;
            }
            if let Some(error) = failure {
                let failed =
                    ServerDescription::failed(server.address.clone(), error.message(), now);
                cluster.update(|snapshot| Some(reduce::apply(snapshot, failed)));
            }
        });
    }

    /// minPoolSize, maxIdleTimeMS and sockets that the server has closed.
    fn start_upkeep(self: &Arc<Self>) {
        let cluster = Arc::downgrade(self);
        let upkeep = self.spawn(async move {
            loop {
                let Some(servers) = cluster.upgrade().map(|cluster| cluster.pooled_servers())
                else {
                    return;
                };
                for server in servers {
                    server.forget_retired();
                    for pool in server.pools() {
                        pool.prune();
                        while driver::drive(pool.fill_by_one()).await.unwrap_or(false) {}
                    }
                }
                tokio::time::sleep(UPKEEP_INTERVAL).await;
            }
        });
        *self.upkeep.lock() = upkeep;
    }

    /// The servers worth keeping connections to; a minPoolSize opens the shared pool early.
    fn pooled_servers(&self) -> Vec<Arc<Server>> {
        let snapshot = self.snapshot();
        let servers = self.servers.read();
        let known = snapshot.known_servers().filter_map(|known| servers.get(&known.address));
        known.cloned().collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close();
    }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
