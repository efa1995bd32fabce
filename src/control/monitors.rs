//! Watches the servers of one client with the official driver's monitors, and tells what they hear.
//!
//! The driver here never runs an operation: its pools stay empty, only its monitoring connections exist
//! (one per server, a second one for round trips once a server streams its replies). What the replies
//! mean is decided by `topology`, not here; the driver's own view only decides which servers it watches.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, doc};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use mongodb::Client;
use mongodb::ServerInfo;
use mongodb::error::{Error, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::sdam::{
    SdamEvent, ServerHeartbeatFailedEvent, ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
};
use mongodb::options::{
    ClientOptions, DriverInfo, SelectionCriteria, ServerAddress, ServerApi, ServerApiVersion,
    ServerMonitoringMode, Tls, TlsOptions,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::driver;
use crate::deadline::{TimeLimit, configured};
use crate::event::Publisher;
use crate::event::heartbeat::{HeartbeatChange, HeartbeatEvent};
use crate::metadata::DriverName;
use crate::net::tls;
use crate::net::tls::settings::TlsSettings;
use crate::sync::Mutex;
use crate::topology::address::{Address, DEFAULT_PORT};
use crate::topology::hello;
use crate::topology::round_trips::RoundTrips;
use crate::topology::server::ServerDescription;

#[derive(Clone, Debug)]
pub struct MonitorSettings {
    pub seeds: Vec<Address>,
    pub replica_set: Option<String>,
    pub direct_connection: bool,
    pub load_balanced: bool,
    pub app_name: Option<String>,
    /// None means no limit.
    pub connect_timeout: Option<Duration>,
    pub heartbeat_frequency: Duration,
    /// Shown in servers' logs after the official driver's own name.
    pub drivers: Vec<DriverName>,
    pub tls: Option<Arc<TlsSettings>>,
    pub server_api: Option<Arc<RawDocumentBuf>>,
    /// Ask again and again instead of awaiting changes.
    pub poll: bool,
    /// Told of every check.
    pub events: Publisher,
}

/// What one heartbeat found out.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A reply, as bytes for events and as a description for the reducer.
    Hello { server: Box<ServerDescription>, reply: RawDocumentBuf },
    Failed {
        address: Address,
        error: String,
        timeout: bool,
        /// When the check did.
        began: Instant,
    },
    /// The driver made no sense of a reply, in which we may find some.
    Unclear { address: Address },
}

pub type Sink = Arc<dyn Fn(Observation) + Send + Sync>;

/// Running monitors. Dropping them stops them as `stop` does, without waiting for the end.
pub struct Monitors {
    /// None behind a load balancer, which is not monitored.
    running: Option<Running>,
    checks: Arc<Checks>,
}

struct Running {
    client: Client,
    listener: JoinHandle<()>,
    /// Among the seeds is a Unix domain socket: see `may_shut_down`.
    unix_sockets: bool,
}

impl Monitors {
    /// Starts watching at once. To be called within a tokio runtime, whose thread calls `sink`.
    pub fn start(settings: MonitorSettings, sink: Sink) -> Result<Monitors, String> {
        let checks = Arc::new(Checks::new(settings.events.clone()));
        if settings.load_balanced {
            return Ok(Monitors { running: None, checks });
        }
        // Events pass through a channel: a callback that held the client would keep it alive for ever,
        // since the client's options hold the callback.
        let (sender, events) = mpsc::unbounded_channel();
        let handler = EventHandler::callback(move |event| {
            // Nobody listens after a stop.
            let _ = sender.send(event);
        });
        let (publisher, own) = (settings.events.clone(), settings.connect_timeout);
        let timeouts = configured(own, own, TimeLimit::Unset);
        let unix_sockets = settings.seeds.iter().any(Address::is_unix_socket);
        let client = connect(settings, handler).map_err(|error| error.to_string())?;
        let listener = Listener {
            client: client.clone(),
            sink,
            events: publisher,
            checks: checks.clone(),
            timeouts,
            round_trips: BTreeMap::new(),
            held_back: BTreeMap::new(),
        };
        let listener = tokio::spawn(listener.run(events));
        let running = Running { client, listener, unix_sockets };
        Ok(Monitors { running: Some(running), checks })
    }

    pub fn append_driver(&self, driver: DriverName) {
        if let Some(running) = &self.running {
            append_driver(&running.client, driver);
        }
    }

    /// Silent from this call on; when the future is done the connections are closed. A look-up of a name
    /// or a round trip connection in the making may outlive it, at most for the connect timeout.
    pub fn stop(mut self) -> impl Future<Output = ()> + Send {
        self.checks.stop();
        let running = self.running.take();
        if let Some(running) = &running {
            running.listener.abort();
        }
        async move {
            let Some(Running { client, listener, unix_sockets }) = running else {
                return;
            };
            let _ = listener.await;
            if !may_shut_down(unix_sockets) {
                return;
            }
            // The first poll cancels all monitors. Waiting for the last of them is bounded: it may be
            // busy with a server that does not answer.
            let shutdown = client.shutdown().immediate(true);
            let _ = tokio::time::timeout(SHUTDOWN_LIMIT, shutdown).await;
        }
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        self.checks.stop();
        if let Some(running) = &self.running {
            running.cancel();
        }
    }
}

impl Running {
    /// Cancels everything without waiting: the first step of the driver's shutdown does that. Dropping
    /// the client alone would leave its round trip monitors asleep for a heartbeat, socket in hand.
    fn cancel(&self) {
        self.listener.abort();
        if !may_shut_down(self.unix_sockets) {
            return;
        }
        let shutdown = self.client.clone().shutdown().immediate(true);
        let _ = shutdown.into_future().now_or_never();
    }
}

/// After a shutdown the crate's monitor of a Unix domain socket that refuses at once tries again and
/// again without ever giving way to the other tasks of its thread, so nothing would tell it to end.
/// There the client is only dropped: its round trip monitor may then sleep for one more heartbeat.
fn may_shut_down(unix_sockets: bool) -> bool {
    !unix_sockets
}

/// The driver refuses less. PyMongo's own limit, checked before, is a variable that tests lower.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(500);

fn connect(settings: MonitorSettings, handler: EventHandler<SdamEvent>) -> Result<Client, Error> {
    let options = ClientOptions::builder()
        .hosts(settings.seeds.iter().map(server_address).collect::<Vec<_>>())
        .repl_set_name(settings.replica_set)
        .direct_connection(settings.direct_connection)
        .app_name(settings.app_name)
        // The driver takes zero for "no limit".
        .connect_timeout(settings.connect_timeout.unwrap_or(Duration::ZERO))
        .heartbeat_freq(settings.heartbeat_frequency.max(LEAST_HEARTBEAT))
        .sdam_event_handler(handler)
        .tls(settings.tls.map(|tls| Tls::Enabled(tls_options(&tls))))
        .server_api(settings.server_api.map(|api| server_api(&api)))
        .server_monitoring_mode(match settings.poll {
            true => ServerMonitoringMode::Poll,
            false => ServerMonitoringMode::Stream,
        })
        // All in one: what is appended later may miss the first connection.
        .driver_info(driver_info(&settings.drivers))
        .build();
    Client::with_options(options)
}

fn append_driver(client: &Client, driver: DriverName) {
    let appended = driver_info(&[driver]).map_or(Ok(()), |info| client.append_metadata(info));
    debug_assert!(appended.is_ok(), "the driver takes any name");
}

fn driver_info(drivers: &[DriverName]) -> Option<DriverInfo> {
    let joined = |part: fn(&DriverName) -> &str| {
        let parts: Vec<_> = drivers.iter().map(part).filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join("|"))
    };
    let info = DriverInfo::builder()
        .name(joined(|driver| &driver.name)?)
        .version(joined(|driver| driver.version.as_deref().unwrap_or_default()))
        .platform(joined(|driver| driver.platform.as_deref().unwrap_or_default()));
    Some(info.build())
}

fn server_api(elements: &RawDocument) -> ServerApi {
    let flag = |name| elements.get_bool(name).ok();
    ServerApi::builder()
        .version(ServerApiVersion::V1) // there is no other; PyMongo refuses what is not "1"
        .strict(flag("apiStrict"))
        .deprecation_errors(flag("apiDeprecationErrors"))
        .build()
}

/// Where these options are not sufficient, `polling` is used instead.
fn tls_options(tls: &TlsSettings) -> TlsOptions {
    let given = &tls.options;
    TlsOptions::builder()
        // Of its own it would trust a list that was compiled into it.
        .ca_file_path(given.ca_file.clone().or_else(tls::settings::system_bundle))
        .cert_key_file_path(given.certificate_key_file.clone())
        .tls_certificate_key_file_password(
            given
                .certificate_key_password
                .clone()
                .filter(|_| tls.key_is_encrypted)
                .map(|password| password.as_bytes().to_vec()),
        )
        .allow_invalid_certificates(given.allow_invalid_certificates)
        .build()
}

macro_rules! connection_of {
    ($event:expr) => {
        ($event.driver_connection_id, $event.server_connection_id)
    };
}

/// Turns the driver's events into observations, in their order.
struct Listener {
    client: Client,
    sink: Sink,
    events: Publisher,
    checks: Arc<Checks>,
    /// Those of every check, for texts of errors.
    timeouts: String,
    /// Of the servers that answer.
    round_trips: BTreeMap<Address, RoundTrips>,
    /// Checks whose start was not published because listeners are far behind, by server. The latest reply
    /// of a successful one waits for room.
    held_back: BTreeMap<Address, HeldBack>,
}

#[derive(Default)]
struct HeldBack {
    reply: Option<Box<ServerHeartbeatSucceededEvent>>,
    /// The check that has begun since.
    begun: Option<Box<ServerHeartbeatStartedEvent>>,
}

impl Listener {
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<SdamEvent>) {
        let publisher = self.events.clone();
        loop {
            let event = if self.held_back.values().any(|held| held.reply.is_some()) {
                let room = pin!(driver::run_on_tokio(publisher.room()));
                match select(pin!(events.recv()), room).await {
                    Either::Left((event, _)) => event,
                    Either::Right(((), _)) => {
                        self.go_on();
                        continue;
                    }
                }
            } else {
                events.recv().await
            };
            let Some(event) = event else { break };
            if self.checks.are_stopped() {
                break;
            }
            self.hear(event);
        }
    }

    fn hear(&mut self, event: SdamEvent) {
        let observation = match event {
            SdamEvent::ServerHeartbeatStarted(event) => {
                self.started(event);
                None
            }
            SdamEvent::ServerHeartbeatSucceeded(event) => self.succeeded(event),
            SdamEvent::ServerHeartbeatFailed(event) => self.failed(&event),
            SdamEvent::ServerClosed(event) => {
                if let Some(gone) = address(&event.address) {
                    self.round_trips.remove(&gone);
                    self.held_back.remove(&gone);
                }
                None
            }
            _ => None,
        };
        if let Some(observation) = observation {
            (self.sink)(observation);
        }
    }

    /// PyMongo's monitors wait for listeners. The crate's cannot wait, so while the queue is full the events
    /// of checks are dropped, except for the latest reply of each server.
    fn started(&mut self, event: ServerHeartbeatStartedEvent) {
        let Some(server) = address(&event.server_address) else { return };
        if self.held_back.contains_key(&server) || self.events.has_no_room_for_monitoring() {
            self.held_back.entry(server).or_default().begun = Some(Box::new(event));
            return;
        }
        self.tell_start(&event.server_address, event.awaited, connection_of!(event));
    }

    fn tell_start(&self, server: &ServerAddress, awaited: bool, connection: (u32, Option<i64>)) {
        self.tell(server, awaited, connection, || HeartbeatChange::Started);
    }

    /// There is room again.
    fn go_on(&mut self) {
        let first = self.held_back.iter().find(|(_, held)| held.reply.is_some());
        let Some(server) = first.map(|(server, _)| server.clone()) else { return };
        let Some(HeldBack { reply, begun }) = self.held_back.remove(&server) else { return };
        if let Some(event) = reply {
            self.tell_start(&event.server_address, event.awaited, connection_of!(event));
            if let Some(observation) = self.succeeded(*event) {
                (self.sink)(observation);
            }
        }
        if let Some(event) = begun {
            self.tell_start(&event.server_address, event.awaited, connection_of!(event));
        }
    }

    fn succeeded(&mut self, event: ServerHeartbeatSucceededEvent) -> Option<Observation> {
        let address = address(&event.server_address)?;
        if let Some(held_back) = self.held_back.get_mut(&address) {
            *held_back = HeldBack { reply: Some(Box::new(event)), begun: None };
            return None;
        }
        if event.awaited {
            // The time of an awaited reply is the server's idle time; the driver measures elsewhere.
            for (address, average) in measured_round_trips(&self.client) {
                self.round_trips.entry(address).or_default().hear_average(average);
            }
        } else {
            self.round_trips.entry(address.clone()).or_default().add(event.duration);
        }
        let round_trips = self.round_trips.get(&address).cloned().unwrap_or_default();
        let now = Instant::now();
        match RawDocumentBuf::try_from(&event.reply) {
            Ok(reply) => {
                let duration = event.duration;
                let change = || HeartbeatChange::Succeeded { duration, reply: reply.clone() };
                self.tell(&event.server_address, event.awaited, connection_of!(event), change);
                let mut server = hello::parse(address, &reply, round_trips.average(), now);
                server.min_round_trip_time = round_trips.minimum();
                Some(Observation::Hello { server: Box::new(server), reply })
            }
            Err(error) => Some(Observation::Failed {
                address,
                error: error.to_string(),
                timeout: false,
                began: now,
            }),
        }
    }

    fn failed(&mut self, event: &ServerHeartbeatFailedEvent) -> Option<Observation> {
        let address = address(&event.server_address)?;
        let (error, timeout) = explain(&address, &event.failure, &self.timeouts)?;
        if self.held_back.remove(&address).is_some() {
            // Failures are few, and operations must know of them.
            self.tell_start(&event.server_address, event.awaited, connection_of!(event));
        }
        let change =
            || HeartbeatChange::Failed { duration: event.duration, error: error.clone(), timeout };
        self.tell(&event.server_address, event.awaited, connection_of!(event), change);
        if matches!(*event.failure.kind, ErrorKind::InvalidResponse { .. }) {
            return Some(Observation::Unclear { address });
        }
        self.round_trips.remove(&address);
        let now = Instant::now();
        let began = now.checked_sub(event.duration).unwrap_or(now);
        Some(Observation::Failed { address, error, timeout, began })
    }

    fn tell(
        &self,
        server: &ServerAddress,
        awaited: bool,
        (driver_connection_id, server_connection_id): (u32, Option<i64>),
        what: impl FnOnce() -> HeartbeatChange,
    ) {
        let Some(address) = address(server) else { return };
        self.checks.tell(|| HeartbeatEvent {
            address,
            awaited,
            driver_connection_id: driver_connection_id + 1, // the crate counts from 0
            server_connection_id,
            what: what(),
        });
    }
}

/// Publishes the events of checks, and an end for each start, also when monitoring stops.
struct Checks {
    events: Publisher,
    /// By server, the started event of the check under way. `None` once stopped.
    begun: Mutex<Option<BTreeMap<Address, (HeartbeatEvent, Instant)>>>,
}

impl Checks {
    fn new(events: Publisher) -> Checks {
        Checks { events, begun: Mutex::new(Some(BTreeMap::new())) }
    }

    fn tell(&self, make: impl FnOnce() -> HeartbeatEvent) {
        let mut begun = self.begun.lock();
        let Some(begun) = &mut *begun else { return };
        self.events.heartbeat(|| {
            let event = make();
            match event.what {
                HeartbeatChange::Started => {
                    begun.insert(event.address.clone(), (event.clone(), Instant::now()));
                }
                _ => drop(begun.remove(&event.address)),
            }
            event
        });
    }

    /// Nothing is published from now on.
    fn stop(&self) {
        for (event, began) in self.begun.lock().take().into_iter().flat_map(BTreeMap::into_values) {
            let (duration, error) = (began.elapsed(), "operation cancelled".to_owned());
            let what = HeartbeatChange::Failed { duration, error, timeout: false };
            self.events.heartbeat(|| HeartbeatEvent { what, ..event });
        }
    }

    fn are_stopped(&self) -> bool {
        self.begun.lock().is_none()
    }
}

/// What went wrong, and whether it took too long. `None` for a check that the driver itself broke off:
/// the server left the topology.
fn explain(address: &Address, failure: &Error, timeouts: &str) -> Option<(String, bool)> {
    let (error, timeout) = match failure.kind.as_ref() {
        ErrorKind::Internal { .. } => return None,
        ErrorKind::Io(error) => match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(cause) => {
                let error = format!("SSL handshake failed: {address}: {}", tls::explain(cause));
                return Some((error + timeouts, false));
            }
            None => (format!("{error}{timeouts}"), error.kind() == io::ErrorKind::TimedOut),
        },
        other => (other.to_string(), false),
    };
    Some((format!("{address}: {error}"), timeout))
}

/// The averages of the driver's round trip monitors. Its events do not carry them, but a predicate for
/// server selection sees them. One step of an operation shows the predicate every server; dropped then,
/// the operation has opened no connection and leaves no trace.
fn measured_round_trips(client: &Client) -> Vec<(Address, Duration)> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let record = found.clone();
    let look = move |server: &ServerInfo| {
        if let Some(average) = server.average_round_trip_time()
            && let Some(address) = address(server.address())
        {
            record.lock().push((address, average));
        }
    };
    let unfinished = selection_of_nothing(client.clone(), look).now_or_never();
    debug_assert!(unfinished.is_none(), "a server was selected");
    let mut found = found.lock();
    std::mem::take(&mut *found)
}

/// An operation that waits for a server it never takes.
async fn selection_of_nothing(client: Client, look: impl Fn(&ServerInfo) + Send + Sync + 'static) {
    let predicate = Arc::new(move |server: &ServerInfo| {
        look(server);
        false
    });
    let database = client.database("admin");
    let operation = database.run_command(doc! {"ping": 1});
    let _ = operation.selection_criteria(SelectionCriteria::Predicate(predicate)).await;
}

fn server_address(address: &Address) -> ServerAddress {
    if address.is_unix_socket() {
        return ServerAddress::Unix { path: address.host.clone().into() };
    }
    ServerAddress::Tcp { host: address.host.clone(), port: address.tcp_port() }
}

/// `None` for what can be no address of a server. The driver takes a path from a hello reply for a
/// socket, too; it is then none of the topology's addresses, and its replies are dropped there.
fn address(server: &ServerAddress) -> Option<Address> {
    match server {
        ServerAddress::Tcp { host, port } => Address::tcp(host, port.unwrap_or(DEFAULT_PORT)),
        other => Address::from_user(&other.to_string(), None),
    }
    .ok()
}

const SHUTDOWN_LIMIT: Duration = Duration::from_millis(100);
