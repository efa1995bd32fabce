//! The official scenarios of connection pools, played to real pools over real sockets: a small server in
//! this process answers hello and plays the files' fail points.

mod hello_server;
#[allow(dead_code, reason = "these files need no BSON")]
mod scenarios;

use std::collections::HashMap;
use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bson::oid::ObjectId;
use bson::rawdoc;
use ferromongo::control::thread::ControlThread;
use ferromongo::control::upkeep;
use ferromongo::deadline::Deadline;
use ferromongo::error::{Error, ErrorKind, RETRYABLE, SYSTEM_OVERLOADED};
use ferromongo::event::pool::{CheckOutFailure, CloseReason, PoolChange};
use ferromongo::event::{Event, Publisher, Wanted};
use ferromongo::metadata::Metadata;
use ferromongo::net::blocking;
use ferromongo::net::wait::{self, WaitSet};
use ferromongo::pool::checkout::Checkout;
use ferromongo::pool::handshake::Dialer;
use ferromongo::pool::server::{Clear, Server};
use ferromongo::settings::Settings;
use ferromongo::topology::address::Address;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;
use hello_server::HelloServer;
use scenarios::{Score, list, same, string};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[test]
fn pools() {
    Score::run("connection-monitoring-and-pooling/tests/cmap-format", play)
        .skip(
            "connection-monitoring-and-pooling/tests/logging",
            "log messages are the Python layer's, and these files need a running server",
        )
        .finish();
}

/// No file of the specification has this case.
#[test]
fn a_clear_that_interrupts_ends_what_is_in_use() {
    let stage = Stage::new(&json!({}), &HelloServer::start(&Value::Null).address, false);
    stage.server.ready();
    let mut lent = stage.check_out().unwrap();
    let server = stage.server.clone();
    let clearing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        server.clear(Clear { interrupt: true, ..Clear::default() });
    });
    let mut find = Message::from_elements(|out| elements::string(out, "find", "c"));
    let silence = Publisher::default();
    let asking = lent.connection_mut().command(&mut find, "d", &silence);
    let error =
        blocking::run(pin!(asking), |_| false).unwrap().err().expect("nobody answers finds");
    clearing.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Network);
    drop(lent);
    let told =
        stage.log.told(&["ConnectionPoolCleared", "ConnectionCheckedIn", "ConnectionClosed"]);
    let closed = json!({"type": "ConnectionClosed", "connectionId": 1, "reason": "error"});
    assert_eq!(told.len(), 3);
    matches(&told[2], &closed).unwrap();
}

#[test]
fn behind_a_load_balancer_one_service_is_cleared_and_nobody_is_refused() {
    let peer = HelloServer::start(&Value::Null);
    let [one, other] = [1, 2].map(|byte| ObjectId::from_bytes([byte; 12]));
    let stage = Stage::new(&json!({}), &peer.address, true);
    stage.server.ready();
    peer.answer_for(one);
    let first = stage.check_out().unwrap();
    peer.answer_for(other);
    let second = stage.check_out().unwrap();
    drop((first, second));
    stage.server.clear(Clear { service_id: Some(one), ..Clear::default() });
    let kept = stage.check_out().unwrap();
    assert_eq!(kept.connection().description.service_id, Some(other));
    assert_eq!(stage.check_out().unwrap().connection().id, 3);
    let closed = stage.log.told(&["ConnectionClosed"]);
    assert_eq!(closed.len(), 1);
    matches(&closed[0], &json!({"connectionId": 1, "reason": "stale"})).unwrap();
}

#[test]
fn a_cancelled_checkout_is_told_as_failed() {
    let block = json!({
        "mode": "alwaysOn",
        "data": {"failCommands": ["hello"], "blockConnection": true, "blockTimeMS": 60_000},
    });
    let stage = Stage::new(&json!({"appName": "x"}), &HelloServer::start(&block).address, false);
    stage.server.ready();
    let pool = stage.server.pool(None);
    let cancelled = blocking::run(pin!(pool.checkout(Deadline::NEVER)), |pause| {
        pause == blocking::Pause::Within
    });
    assert!(cancelled.is_none());
    let told: Vec<_> = stage.log.all().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        told[2..],
        [
            "ConnectionCheckOutStarted",
            "ConnectionCreated",
            "ConnectionClosed",
            "ConnectionCheckOutFailed",
        ]
    );
}

#[test]
fn what_a_cancelled_caller_was_handed_was_never_checked_out() {
    let options = json!({"maxPoolSize": 1});
    let stage = Stage::new(&options, &HelloServer::start(&Value::Null).address, false);
    stage.server.ready();
    let lent = stage.check_out().unwrap();
    let pool = stage.server.pool(None);
    {
        let mut waiting = pin!(pool.checkout(Deadline::NEVER));
        let polled = wait::poll(&mut WaitSet::default(), Waker::noop(), waiting.as_mut());
        assert!(polled.is_pending());
        drop(lent); // handed to the one who waits
    }
    let told = stage.log.told(&["ConnectionCheckedOut", "ConnectionCheckedIn"]);
    assert_eq!(told.len(), 2, "{told:?}");
    drop(stage.check_out().unwrap());
    assert_eq!(stage.log.told(&["ConnectionCreated"]).len(), 1);
}

#[test]
fn a_server_that_refuses_is_taken_for_busy_and_a_name_that_is_not_found_is_not() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hanging_up = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hanging_up.local_addr().unwrap().port();
    thread::spawn(move || hanging_up.incoming().for_each(drop));
    for (address, busy) in [
        (Address::tcp("127.0.0.1", refusing.port()).unwrap(), true),
        (Address::tcp("127.0.0.1", port).unwrap(), true),
        (Address::tcp("nowhere.invalid", 27017).unwrap(), false),
    ] {
        let stage = Stage::new(&json!({}), &address, false);
        stage.server.ready();
        let error = stage.check_out().err().expect("no connection");
        assert_eq!((error.kind(), error.has_label(SYSTEM_OVERLOADED)), (ErrorKind::Network, busy));
        assert_eq!(error.has_label(RETRYABLE), busy);
        assert_eq!(stage.log.told(&["ConnectionPoolCleared"]).is_empty(), busy);
    }
}

fn play(scenario: &Value) -> Result<(), String> {
    let peer = HelloServer::start(&scenario["failPoint"]);
    let stage = Stage::new(&scenario["poolOptions"], &peer.address, false);
    let mut workers = HashMap::new();
    let mut outcome = Ok(());
    for step in list(&scenario["operations"]) {
        outcome = match step["thread"].as_str() {
            Some(name) => {
                let worker: &Worker = workers.get(name).ok_or("no such thread")?;
                worker.steps.send(step.clone()).map_err(|_| format!("{name} has ended"))
            }
            .map_or_else(|why| Err(Failure::Test(why)), Ok),
            None => stage.perform(step, &mut workers),
        };
        if outcome.is_err() {
            break;
        }
    }
    match (outcome, scenario.get("error")) {
        (Err(Failure::Test(why)), _) => return Err(why),
        (Err(Failure::Pool(error)), Some(expected)) => check_error(&error, expected)?,
        (Err(Failure::Pool(error)), None) => return Err(error.to_string()),
        (Ok(()), Some(expected)) => return Err(format!("no error, expected {expected}")),
        (Ok(()), None) => {}
    }
    let ignored: Vec<_> = list(&scenario["ignore"]).iter().map(string).collect();
    let mut told = stage.log.all();
    told.retain(|event| !ignored.contains(&string(&event["type"])));
    let expected = list(&scenario["events"]);
    for (told, expected) in told.iter().zip(expected) {
        matches(told, expected)?;
    }
    same("the number of events", told.len(), expected.len())
        .map_err(|why| format!("{why}: {told:?}"))
}

/// A server with its pools, and all that was told of them.
#[derive(Clone)]
struct Stage {
    server: Arc<Server>,
    log: Arc<Log>,
    lent: Arc<Mutex<HashMap<String, Checkout>>>,
    upkeep: Arc<Upkeep>,
}

struct Upkeep {
    now: Arc<Notify>,
    _thread: Arc<ControlThread>,
}

struct Worker {
    steps: Sender<Value>,
    thread: JoinHandle<Result<(), Failure>>,
}

enum Failure {
    Pool(Error),
    Test(String),
}

impl Stage {
    fn new(options: &Value, address: &Address, load_balanced: bool) -> Stage {
        let log = Arc::new(Log::default());
        let settings = Arc::new(settings(options, log.clone(), load_balanced));
        let dialer = Dialer {
            metadata: settings.metadata.clone(),
            server_api: None,
            compression: Default::default(),
            buffers: Arc::default(),
            lookup: Box::new(|_, _| Box::pin(ready(Err(io::Error::other("no such name"))))),
            observe: Box::new(|_| ()),
            failed: Box::new(|server, failure| {
                if !failure.error.has_label(SYSTEM_OVERLOADED) {
                    server.clear(Clear::default());
                }
            }),
            gossip: Box::new(|_| ()),
            load_balanced,
            authenticator: None,
            tls: None,
        };
        let server = Server::new(address.clone(), Arc::new(dialer), settings);
        let (thread, now) = (ControlThread::shared().unwrap(), Arc::new(Notify::new()));
        // -1: never.
        if let Ok(interval) =
            options["backgroundThreadIntervalMS"].as_i64().unwrap_or(1000).try_into()
        {
            let weak = Arc::downgrade(&server);
            let servers = move || Some(vec![weak.upgrade()?]);
            let interval = Duration::from_millis(interval);
            thread.spawn(upkeep::run(servers, None, now.clone(), interval, Publisher::default()));
        }
        let upkeep = Arc::new(Upkeep { now, _thread: thread });
        Stage { server, log, lent: Arc::default(), upkeep }
    }

    fn check_out(&self) -> Result<Checkout, Error> {
        let pool = self.server.pool(None);
        blocking::run(pin!(pool.checkout(Deadline::NEVER)), |_| false).expect("never interrupted")
    }

    fn perform(&self, step: &Value, workers: &mut HashMap<String, Worker>) -> Result<(), Failure> {
        let milliseconds = |field: &str| step[field].as_u64().map(Duration::from_millis);
        match string(&step["name"]) {
            "ready" => {
                self.server.ready();
                self.upkeep.now.notify_one();
            }
            "clear" => {
                let interrupt = step["interruptInUseConnections"].as_bool().unwrap_or_default();
                self.server.clear(Clear { interrupt, ..Clear::default() });
            }
            "close" => self.server.close(),
            "checkOut" => {
                let lent = self.check_out().map_err(Failure::Pool)?;
                let id = lent.connection().id;
                let label = step["label"].as_str().map_or_else(|| id.to_string(), str::to_owned);
                self.lent.lock().unwrap().insert(label, lent);
            }
            "checkIn" => drop(self.lent.lock().unwrap().remove(string(&step["connection"]))),
            "wait" => thread::sleep(milliseconds("ms").expect("a time")),
            "waitForEvent" => {
                let timeout = milliseconds("timeout").unwrap_or(Duration::from_secs(10));
                let count = step["count"].as_u64().expect("a count");
                self.log.wait(string(&step["event"]), count, timeout).map_err(Failure::Test)?;
            }
            "start" => {
                let (steps, given) = channel::<Value>();
                let stage = self.clone();
                let thread = thread::spawn(move || {
                    given.iter().try_for_each(|step| stage.perform(&step, &mut HashMap::new()))
                });
                workers.insert(string(&step["target"]).to_owned(), Worker { steps, thread });
            }
            "waitForThread" => {
                let worker = workers.remove(string(&step["target"])).expect("a thread");
                drop(worker.steps);
                return worker.thread.join().expect("a thread that does not panic");
            }
            other => return Err(Failure::Test(format!("unknown operation {other}"))),
        }
        Ok(())
    }
}

/// Everything a listener would hear, as the files write it down.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<Value>>,
    more: Condvar,
}

impl Log {
    fn all(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    fn told(&self, kinds: &[&str]) -> Vec<Value> {
        let mut told = self.all();
        told.retain(|event| kinds.contains(&string(&event["type"])));
        told
    }

    fn wait(&self, kind: &str, count: u64, timeout: Duration) -> Result<(), String> {
        let too_few = |events: &mut Vec<Value>| {
            (events.iter().filter(|event| event["type"] == kind).count() as u64) < count
        };
        let events = self.events.lock().unwrap();
        let (events, waited) = self.more.wait_timeout_while(events, timeout, too_few).unwrap();
        match waited.timed_out() {
            true => Err(format!("waited for {count} {kind}, saw {events:?}")),
            false => Ok(()),
        }
    }
}

fn settings(options: &Value, log: Arc<Log>, load_balanced: bool) -> Settings {
    let number = |name: &str| options[name].as_u64();
    let count = |name: &str, default| number(name).map_or(default, |count| count as usize);
    let time = |name: &str| number(name).map(Duration::from_millis);
    let sink = move |event| {
        let Event::Pool(event) = event else { return };
        let mut told = written(&event.what);
        told["address"] = event.address.to_string().into();
        log.events.lock().unwrap().push(told);
        log.more.notify_all();
    };
    // What fail points know a client by.
    let said = match options["appName"].as_str() {
        Some(name) => rawdoc! { "application": { "name": name } },
        None => rawdoc! {},
    };
    Settings {
        load_balanced,
        metadata: Arc::new(Metadata::new(said, Vec::new())),
        max_pool_size: count("maxPoolSize", 100),
        min_pool_size: count("minPoolSize", 0),
        max_connecting: count("maxConnecting", 2),
        max_idle_time: time("maxIdleTimeMS"),
        wait_queue_timeout: time("waitQueueTimeoutMS"),
        connect_timeout: Some(Duration::from_secs(20)),
        events: Publisher::new(Wanted { pool: true, ..Wanted::default() }, Arc::new(sink)),
        ..Settings::default()
    }
}

fn written(what: &PoolChange) -> Value {
    match what {
        PoolChange::PoolCreated => json!({"type": "ConnectionPoolCreated"}),
        PoolChange::PoolReady => json!({"type": "ConnectionPoolReady"}),
        PoolChange::PoolCleared { interrupt_connections, .. } => {
            json!({"type": "ConnectionPoolCleared", "interruptInUseConnections": interrupt_connections})
        }
        PoolChange::PoolClosed => json!({"type": "ConnectionPoolClosed"}),
        PoolChange::ConnectionCreated { id } => {
            json!({"type": "ConnectionCreated", "connectionId": id})
        }
        PoolChange::ConnectionReady { id, duration } => {
            json!({"type": "ConnectionReady", "connectionId": id, "duration": duration.as_secs_f64()})
        }
        PoolChange::ConnectionClosed { id, reason } => {
            let reason = match reason {
                CloseReason::Stale => "stale",
                CloseReason::Idle => "idle",
                CloseReason::Error => "error",
                CloseReason::PoolClosed => "poolClosed",
            };
            json!({"type": "ConnectionClosed", "connectionId": id, "reason": reason})
        }
        PoolChange::CheckOutStarted => json!({"type": "ConnectionCheckOutStarted"}),
        PoolChange::CheckOutFailed { reason, duration } => {
            let reason = match reason {
                CheckOutFailure::Timeout => "timeout",
                CheckOutFailure::PoolClosed => "poolClosed",
                CheckOutFailure::ConnectionError => "connectionError",
            };
            let duration = duration.as_secs_f64();
            json!({"type": "ConnectionCheckOutFailed", "reason": reason, "duration": duration})
        }
        PoolChange::CheckedOut { id, duration } => {
            let duration = duration.as_secs_f64();
            json!({"type": "ConnectionCheckedOut", "connectionId": id, "duration": duration})
        }
        PoolChange::CheckedIn { id } => {
            json!({"type": "ConnectionCheckedIn", "connectionId": id})
        }
    }
}

/// 42 stands for any value. The pool's options are added by who makes Python's event.
fn matches(told: &Value, expected: &Value) -> Result<(), String> {
    for (field, value) in expected.as_object().expect("an event") {
        let right = match told.get(field) {
            _ if field == "options" => true,
            None => false,
            Some(found) => value == 42 || found == value,
        };
        if !right {
            return Err(format!("{field} of {told}, expected {expected}"));
        }
    }
    Ok(())
}

fn check_error(error: &Error, expected: &Value) -> Result<(), String> {
    let kind = match string(&expected["type"]) {
        "PoolClosedError" => ErrorKind::InvalidOperation,
        "WaitQueueTimeoutError" => ErrorKind::WaitQueueTimeout,
        other => return Err(format!("an unknown kind of error: {other}")),
    };
    same("the error", error.kind(), kind)
}
