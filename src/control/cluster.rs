//! The living topology of one client: the latest snapshot, its servers, and who keeps both true.
//!
//! Every hello reply (a monitor's, a probe's, a new connection's) and every error an operation saw
//! ends in `update`, where the pure rules of `topology` make the next snapshot.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use event_listener::{Event, EventListener};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::application_error::application_error;
use super::driver;
use super::monitors::{MonitorSettings, Monitors, Observation};
use super::polling;
use super::thread::ControlThread;
use super::upkeep;
use crate::deadline::{Deadline, TimeLimit, configured};
use crate::error::{Error, Kind, Result};
use crate::event;
use crate::event::heartbeat::{HeartbeatChange, HeartbeatEvent};
use crate::metadata::DriverName;
use crate::net::buffers::Buffers;
use crate::net::fork;
use crate::net::wait;
use crate::pool::authenticate::Authenticator;
use crate::pool::generation::Generation;
use crate::pool::handshake::{Dialer, Gossip, Tls};
use crate::pool::server::{Clear, Server};
use crate::settings::Settings;
use crate::topology::address::Address;
use crate::topology::error_rules;
use crate::topology::reduce;
use crate::topology::round_trips::RoundTrips;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::{Snapshot, TopologyKind};

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
    /// `None` without monitoring, and where probes replace the monitors.
    monitors: Mutex<Option<Monitors>>,
    /// Servers are watched by probes.
    polls: bool,
    polling: Mutex<Option<AbortHandle>>,
    upkeep: Mutex<Option<AbortHandle>>,
    /// Rung when upkeep has work before its next round.
    upkeep_now: Arc<Notify>,
    closed: AtomicBool,
    /// Once `is_lost` has returned true.
    lost: AtomicBool,
}

struct Probe {
    started: Instant,
    running: bool,
    answered: Option<Instant>,
    /// Of probes, where they are all there is.
    round_trips: RoundTrips,
    count: u32,
}

impl Cluster {
    /// Starts monitoring.
    pub fn open(settings: Arc<Settings>, gossip: Gossip) -> Result<Arc<Cluster>> {
        let thread = ControlThread::shared()?;
        let topology = Arc::new(settings.topology());
        let cluster = Arc::new_cyclic(move |itself: &Weak<Cluster>| {
            let (lookup_thread, observer) = (Arc::downgrade(&thread), itself.clone());
            let (work_thread, reporter) = (lookup_thread.clone(), itself.clone());
            let authenticator = settings.credentials.clone().map(|credentials| {
                let work_elsewhere = move |work| {
                    if let Some(thread) = work_thread.upgrade() {
                        thread.work(work);
                    }
                };
                Authenticator::new(credentials, settings.events.clone(), Box::new(work_elsewhere))
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
                    failed: Box::new(move |server, failure| {
                        if let Some(cluster) = reporter.upgrade() {
                            cluster.report(server, failure.generation, &failure.error);
                        }
                    }),
                    load_balanced: settings.load_balanced,
                    gossip,
                    authenticator,
                    tls: settings.tls.as_ref().map(|tls| Tls {
                        config: tls.client_config(),
                        verifies_names: tls.verifies_names(),
                    }),
                }),
                thread: Mutex::new(Some(thread)),
                snapshot: ArcSwap::from_pointee(Snapshot::new(topology)),
                changed: Event::new(),
                servers: RwLock::default(),
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
        });
        let first = cluster.snapshot.load_full();
        cluster.settings.events.topology(first.settings.id, || event::topology::opened(&first));
        cluster.match_servers(&first);
        cluster.ready_pools(&first);
        let seeds = cluster.settings.seeds.clone();
        let monitors = cluster.monitors_of(seeds)?;
        *cluster.monitors.lock() = monitors;
        if cluster.polls {
            let polling =
                polling::run(Arc::downgrade(&cluster), cluster.settings.heartbeat_frequency);
            *cluster.polling.lock() = cluster.spawn(polling);
        }
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

    /// What the SRV records of a sharded (or unknown) deployment say now. Servers that stay keep
    /// their pools; all are watched anew, as the crate takes no new hosts.
    pub fn replace_hosts(self: &Arc<Self>, hosts: &BTreeSet<Address>) -> Result<()> {
        let mut changed = false;
        self.update(|snapshot| {
            let next = reduce::replace_hosts(snapshot, hosts);
            changed = next.servers.keys().ne(snapshot.servers.keys());
            changed.then_some(next)
        });
        let Some(thread) = self.thread.lock().clone().filter(|_| changed) else { return Ok(()) };
        let mut monitors = self.monitors.lock();
        let watching = self.monitors_of(hosts.iter().cloned().collect())?;
        if let Some(old) = std::mem::replace(&mut *monitors, watching) {
            thread.spawn(old.stop());
        }
        Ok(())
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
            (std::mem::take(&mut *self.servers.write()), last)
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
    fn observe_handshake(&self, description: &ServerDescription) {
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

    fn update(&self, make: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let _updating = self.updating.lock();
        if !self.is_closed()
            && let Some(next) = make(&self.snapshot.load())
        {
            self.install(next);
        }
    }

    /// A check failed: nothing is known of the server any more, and its connections are not trusted.
    fn check_failed(&self, address: &Address, error: &str, timeout: bool) {
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

    fn ready_pools(&self, snapshot: &Snapshot) {
        let single = snapshot.kind == TopologyKind::Single;
        let servers = self.servers.read();
        let known = snapshot.known_servers().filter(|it| single || it.kind.is_readable());
        for server in known.filter_map(|known| servers.get(&known.address)) {
            if server.ready() && self.settings.min_pool_size > 0 {
                self.upkeep_now.notify_one();
            }
        }
    }

    /// Keeps exactly one `Server` for each address of the snapshot.
    fn match_servers(&self, snapshot: &Snapshot) {
        self.probed.lock().retain(|address, _| snapshot.server(address).is_some());
        let mut servers = self.servers.write();
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

    /// `None` behind a load balancer, once closed, and where probes watch.
    fn monitors_of(self: &Arc<Self>, seeds: Vec<Address>) -> Result<Option<Monitors>> {
        if self.settings.load_balanced || self.polls {
            return Ok(None);
        }
        let watched = Arc::downgrade(self);
        let sink = Arc::new(move |observation| {
            if let Some(cluster) = watched.upgrade() {
                cluster.observe(observation);
            }
        });
        let settings = &self.settings;
        let settings = MonitorSettings {
            seeds,
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
            events: settings.events.clone(),
        };
        let Some(thread) = self.thread.lock().clone() else { return Ok(None) };
        let started = thread.enter(|| Monitors::start(settings, sink));
        started.map(Some).map_err(|reason| Error::new(Kind::Configuration, reason))
    }

    fn observe(self: &Arc<Self>, observation: Observation) {
        let description = match observation {
            Observation::Hello { server, .. } => *server,
            Observation::Failed { address, error, timeout, began } => {
                if timeout && self.was_found_since(began, &address) {
                    return;
                }
                return self.check_failed(&address, &error, timeout);
            }
            Observation::Unclear { address } => return self.probe(&address),
        };
        self.update(|snapshot| Some(reduce::apply(snapshot, description)));
    }

    /// Whether a probe was answered while a check was waiting in vain: that tells of a time before the
    /// server was found again, and what is in use since is not to be cut off once more.
    fn was_found_since(&self, began: Instant, address: &Address) -> bool {
        let answered = self.probed.lock().get(address).and_then(|probe| probe.answered);
        answered.is_some_and(|answered| answered > began)
    }

    /// A handshake on the control thread, one at a time and not more often than every 500 ms.
    pub(super) fn probe(self: &Arc<Self>, address: &Address) {
        if self.settings.load_balanced {
            return; // the next connection may lead to another server
        }
        let now = Instant::now();
        let mut probed = self.probed.lock();
        let recent = probed.get(address).is_some_and(|probe| {
            probe.running || now.saturating_duration_since(probe.started) < PROBE_INTERVAL
        });
        let Some(server) = self.server(address).filter(|_| !recent && !self.is_closed()) else {
            return;
        };
        let probe = probed.entry(address.clone()).or_insert_with(|| Probe {
            started: now,
            running: true,
            answered: None,
            round_trips: RoundTrips::default(),
            count: 0,
        });
        (probe.started, probe.running, probe.answered) = (now, true, None);
        probe.count += 1;
        let connection = probe.count;
        drop(probed);
        let cluster = Arc::downgrade(self);
        // Where probes watch they are the server's heartbeats.
        let events = self.polls.then(|| self.settings.events.clone());
        self.spawn(async move {
            let limit = server.settings.connect_timeout;
            let tell = |server_connection_id, what: HeartbeatChange| {
                let Some(events) = &events else { return };
                events.heartbeat(|| HeartbeatEvent {
                    address: server.address.clone(),
                    awaited: false,
                    driver_connection_id: connection,
                    server_connection_id,
                    what,
                });
            };
            tell(None, HeartbeatChange::Started);
            // On the heap: a spawned future is copied on the caller's stack, which may be a small one.
            let deadline = Deadline::after(now, limit);
            let probed = Box::pin(server.dialer.probe(&server.address, deadline));
            let outcome = driver::run_on_tokio(probed).await;
            let outcome = outcome.map_err(|error| {
                error.with_timeouts(|| configured(limit, limit, TimeLimit::Unset))
            });
            let Some(cluster) = cluster.upgrade() else { return };
            match outcome {
                Ok(found) => {
                    let duration = found.description.round_trip_time.unwrap_or_default();
                    let reply = found.reply.body().to_owned();
                    let what = HeartbeatChange::Succeeded { duration, reply };
                    tell(found.server_connection_id, what);
                    cluster.probe_answered(&found.description, duration);
                }
                Err(error) => {
                    let (duration, timeout) = (now.elapsed(), error.kind() == Kind::NetworkTimeout);
                    let text = error.message().to_owned();
                    tell(None, HeartbeatChange::Failed { duration, error: text, timeout });
                    cluster.probe_failed(&server.address, now, error.message(), timeout);
                }
            }
        });
    }

    /// The reply itself has been applied by then, as that of any handshake.
    fn probe_answered(&self, description: &ServerDescription, round_trip: Duration) {
        let mut probed = self.probed.lock();
        let Some(probe) = probed.get_mut(&description.address) else { return };
        (probe.running, probe.answered) = (false, Some(Instant::now()));
        if !self.polls {
            return; // monitors measure
        }
        probe.round_trips.add(round_trip);
        let (average, minimum) = (probe.round_trips.average(), probe.round_trips.minimum());
        drop(probed);
        self.update(|snapshot| {
            let mut known = snapshot.server(&description.address)?.clone();
            (known.round_trip_time, known.min_round_trip_time) = (average, minimum);
            known.kind.is_known().then(|| reduce::apply(snapshot, known))
        });
    }

    fn probe_failed(&self, address: &Address, began: Instant, error: &str, timeout: bool) {
        if let Some(probe) = self.probed.lock().get_mut(address) {
            probe.running = false;
            probe.round_trips = RoundTrips::default();
        }
        // Other connections may have received replies from the server meanwhile.
        let heard = self.snapshot().server(address).is_some_and(|known| {
            known.kind.is_known() && known.last_update_time.is_some_and(|at| at > began)
        });
        if !heard {
            self.check_failed(address, error, timeout);
        }
    }

    fn start_upkeep(self: &Arc<Self>) {
        let (cluster, now) = (Arc::downgrade(self), self.upkeep_now.clone());
        // Where the client was first used: whose pools hold minPoolSize before they are first asked.
        let first_lane = wait::current_lane().as_ref().map(Arc::downgrade);
        let servers = move || Some(cluster.upgrade()?.servers.read().values().cloned().collect());
        let events = self.settings.events.clone();
        let upkeep = upkeep::run(servers, first_lane, now, UPKEEP_INTERVAL, events);
        *self.upkeep.lock() = self.spawn(upkeep);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close();
    }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
