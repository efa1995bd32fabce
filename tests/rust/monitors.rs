//! The monitors against a scripted peer, and against a real replica set when FERROMONGO_TEST_URI names one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use ferromongo::control::monitors::{MonitorSettings, Monitors, Observation};
use ferromongo::event::Publisher;
use ferromongo::topology::address::Address;
use ferromongo::topology::server::ServerType;

/// Each test counts the process's sockets, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_server_that_is_not_there_is_reported_as_failed() {
    let _turn = turn();
    let address = unused_address();
    run(async {
        let (monitors, heard) = start(vec![address.clone()]);
        let Observation::Failed { address: failed, error, timeout, .. } = next(&heard).await else {
            panic!("nobody listens there")
        };
        assert_eq!((failed, timeout), (address.clone(), false));
        assert!(error.starts_with(&address.to_string()), "{error}");
        monitors.stop().await;
    });
}

#[test]
fn a_reply_becomes_a_description_and_stop_closes_the_connection() {
    let _turn = turn();
    let peer = Peer::start();
    run(async {
        let (monitors, heard) = start(vec![peer.address.clone()]);
        let observation = next(&heard).await;
        let Observation::Hello { server, reply } = observation else { panic!("{observation:?}") };
        assert_eq!(server.kind, ServerType::Standalone);
        assert_eq!(server.max_wire_version, 21);
        assert_eq!(reply.get_i32("maxWireVersion").ok(), Some(21));
        let time = server.round_trip_time.expect("a measured round trip");
        assert!(time < Duration::from_secs(5), "{time:?}");

        let stop = Instant::now();
        monitors.stop().await;
        while peer.closed.try_recv().is_err() {
            assert!(stop.elapsed() < PROMPT, "the connection is still open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(heard.try_recv().is_err(), "an observation after stop");
    });
}

#[test]
fn a_reply_that_the_official_driver_cannot_read_is_no_failed_check() {
    let _turn = turn();
    let peer = Peer::answering(rawdoc! { "setVersion": "one", "ok": 1 });
    run(async {
        let (monitors, heard) = start(vec![peer.address.clone()]);
        let observation = next(&heard).await;
        let Observation::Unclear { address } = observation else { panic!("{observation:?}") };
        assert_eq!(address, peer.address);
        monitors.stop().await;
    });
}

#[test]
fn a_hundred_starts_and_stops_leave_nothing_behind() {
    let _turn = turn();
    let seeds = test_seeds().unwrap_or_else(|| vec![Peer::start().address]);
    run(async {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = (sockets(), tasks());
        for round in 0..100 {
            let (monitors, heard) = start(seeds.clone());
            // Some stop in the middle of dialling, some with an answer.
            if round % 2 == 0 {
                next(&heard).await;
            }
            if round % 5 == 0 {
                drop(monitors);
            } else {
                monitors.stop().await;
            }
        }
        let limit = Instant::now() + PROMPT;
        while (sockets(), tasks()) != before && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!((sockets(), tasks()), before);
    });
}

#[test]
fn a_streaming_replica_set_is_measured_and_let_go() {
    let _turn = turn();
    let Some(seeds) = test_seeds() else {
        println!("SKIPPED: FERROMONGO_TEST_URI is not set");
        return;
    };
    run(async {
        let before = sockets();
        let (monitors, heard) = start(seeds);
        let (mut times, mut members) = (Vec::new(), 0);
        while times.len() < 5 {
            if let Observation::Hello { server, .. } = next(&heard).await {
                assert!(server.topology_version.is_some());
                times.push(server.round_trip_time.expect("an average"));
                members = server.hosts.len();
            }
        }
        // All but a server's first reply were awaited: their own time says nothing, so what moves the
        // average comes from the round trip connections.
        assert!(times.iter().all(|time| *time < Duration::from_millis(400)), "{times:?}");
        times.dedup();
        assert!(times.len() > 1, "{times:?}");
        // Per member one connection for heartbeats and one for round trips: no operation has opened any.
        assert!(sockets() > before && sockets() <= before + 2 * members);

        let stop = Instant::now();
        monitors.stop().await;
        while sockets() > before && stop.elapsed() < PROMPT {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("{} sockets left after {:?}", sockets() - before, stop.elapsed());
        assert_eq!(sockets(), before);
    });
}

/// A server of one answer: a standalone that does not stream.
struct Peer {
    address: Address,
    /// Hears of each connection that the other side closed.
    closed: mpsc::Receiver<()>,
}

impl Peer {
    fn start() -> Peer {
        Peer::answering(standalone())
    }

    fn answering(hello: RawDocumentBuf) -> Peer {
        let address = unused_address();
        let listener = TcpListener::bind(address.to_string()).unwrap();
        let (sender, closed) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, hello) = (sender.clone(), hello.clone());
                thread::spawn(move || {
                    while answer(&stream, &hello).is_ok() {}
                    drop(stream);
                    let _ = sender.send(());
                });
            }
        });
        Peer { address, closed }
    }
}

fn standalone() -> RawDocumentBuf {
    rawdoc! {
        "isWritablePrimary": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 21,
        "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "ok": 1,
    }
}

/// Reads one OP_MSG, whatever it asks, and answers with `hello`.
fn answer(mut stream: &TcpStream, hello: &RawDocument) -> std::io::Result<()> {
    let mut header = [0; 16];
    stream.read_exact(&mut header)?;
    let word = |index: usize| i32::from_le_bytes(header[index..index + 4].try_into().unwrap());
    assert_eq!(word(12), OP_MSG);
    let mut body = vec![0; word(0) as usize - header.len()];
    stream.read_exact(&mut body)?;
    let flags_and_section_kind = [0; 5];
    let length = header.len() + flags_and_section_kind.len() + hello.as_bytes().len();
    let head = [length as i32, 1, word(4), OP_MSG].map(i32::to_le_bytes).concat();
    stream.write_all(&[&head, &flags_and_section_kind[..], hello.as_bytes()].concat())
}

fn unused_address() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Address::parse(&listener.local_addr().unwrap().to_string()).unwrap()
}

fn start(seeds: Vec<Address>) -> (Monitors, mpsc::Receiver<Observation>) {
    start_with(seeds, Duration::from_millis(500))
}

fn start_with(
    seeds: Vec<Address>,
    heartbeat_frequency: Duration,
) -> (Monitors, mpsc::Receiver<Observation>) {
    let (sender, heard) = mpsc::channel();
    let settings = MonitorSettings {
        seeds,
        replica_set: None,
        direct_connection: false,
        load_balanced: false,
        app_name: None,
        connect_timeout: Some(Duration::from_secs(10)),
        heartbeat_frequency,
        drivers: Vec::new(),
        tls: None,
        server_api: None,
        poll: false,
        events: Publisher::default(),
    };
    let sink = Arc::new(move |observation| {
        let _ = sender.send(observation);
    });
    (Monitors::start(settings, sink).expect("monitors start"), heard)
}

async fn next(heard: &mpsc::Receiver<Observation>) -> Observation {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok(observation) = heard.try_recv() {
            return observation;
        }
        assert!(Instant::now() < limit, "no heartbeat in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Open sockets of this process, as the kernel lists them.
fn sockets() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

fn test_seeds() -> Option<Vec<Address>> {
    let uri = std::env::var("FERROMONGO_TEST_URI").ok()?;
    let hosts = uri.strip_prefix("mongodb://")?.split(['/', '?']).next()?;
    let hosts = hosts.rsplit('@').next()?;
    Some(hosts.split(',').map(|host| Address::parse(host).expect("a seed")).collect())
}

const OP_MSG: i32 = 2013;
const PROMPT: Duration = Duration::from_millis(300);
