//! When a commit is sent: not before the transaction's entry is on the disk, and not at all if it cannot be.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use ferromongo::control::driver;
use ferromongo::deadline::TimeLimit;
use ferromongo::error::{ErrorKind, Result};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Operation, Terms};
use ferromongo::exec::run::run;
use ferromongo::journal::log::{Journal, LogSettings, read_file};
use ferromongo::net::blocking;
use ferromongo::net::wait::{self, WaitSet};
use ferromongo::ops::transaction;
use ferromongo::session::client::Session;
use ferromongo::session::transaction::Options;
use ferromongo::settings::Settings;
use ferromongo::topology::address::Address;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;

#[test]
fn a_commit_is_sent_when_its_entry_is_on_the_disk() {
    for driven in [Driven::Blocking, Driven::Elsewhere] {
        let stage = Stage::new(Arc::default());
        let session = stage.session();
        stage.insert(driven, &session).unwrap();
        stage.commit(driven, &session).unwrap();
        stage.commit(driven, &session).unwrap(); // what it may lead to is on the disk already
        assert_eq!(stage.happened(), ["insert", "sync", "commitTransaction", "commitTransaction"]);
        stage.insert(driven, &stage.session()).unwrap();
        assert_eq!(stage.happened().len(), 5, "a statement waits for no disk");
    }
}

#[test]
fn a_commit_is_not_sent_if_its_entry_cannot_be_brought_to_the_disk() {
    for driven in [Driven::Blocking, Driven::Elsewhere] {
        let disk = Arc::<Disk>::default();
        disk.fails.store(true, Ordering::SeqCst);
        let stage = Stage::new(disk.clone());
        let session = stage.session();
        stage.insert(driven, &session).unwrap();
        let error = stage.commit(driven, &session).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransactionLog);
        assert!(error.message().contains("os error 5"), "{error}");
        assert_eq!(session.state().transaction.ended().unwrap().outcome.name(), "aborted");
        stage.await_events("abortTransaction", 1);
        assert_eq!(stage.happened(), ["insert", "sync", "abortTransaction"]);
        // A disk that says nothing more is not believed, and no transaction begins.
        disk.fails.store(false, Ordering::SeqCst);
        let error = stage.insert(driven, &stage.session()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransactionLog);
        assert_eq!(stage.happened().len(), 3);
    }
}

#[test]
fn a_commit_that_is_given_up_before_it_was_sent_is_aborted() {
    let disk = Arc::<Disk>::default();
    disk.is_held.store(true, Ordering::SeqCst);
    let stage = Stage::new(disk.clone());
    let session = stage.session();
    stage.insert(Driven::Blocking, &session).unwrap();
    {
        // As an event loop does whose task is cancelled.
        let mut commit = pin!(transaction::commit(&stage.client, &session, TimeLimit::Unset));
        let polled = wait::poll(&mut WaitSet::default(), Waker::noop(), commit.as_mut());
        assert!(polled.is_pending());
        while !disk.has_begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
    assert_eq!(session.state().transaction.ended().unwrap().outcome.name(), "aborted");
    disk.is_held.store(false, Ordering::SeqCst);
    // Recovery would send the commit, if it found only that it was about to be sent.
    stage.await_events("sync", 2);
    let [entry] = &read_file(&stage.directory.join("log")).unwrap()[..] else {
        panic!("one entry")
    };
    let entry = RawDocument::from_bytes(entry).unwrap();
    assert_eq!(entry.get_str("outcome").unwrap(), "aborted");
    assert_eq!(entry.get_array("statements").unwrap().into_iter().count(), 1);
    transaction::abort_unsent(&stage.client, &session);
    stage.await_events("abortTransaction", 1);
    assert!(!stage.happened().contains(&"commitTransaction".to_owned()));
}

#[test]
fn a_time_limit_holds_for_the_disk_too() {
    let disk = Arc::<Disk>::default();
    disk.is_held.store(true, Ordering::SeqCst);
    let stage = Stage::new(disk.clone());
    let session = stage.session();
    stage.insert(Driven::Elsewhere, &session).unwrap();
    let (client, given) = (stage.client.clone(), session.clone());
    let limit = TimeLimit::after(Instant::now(), Duration::from_millis(50));
    let error = stage
        .drive(Driven::Elsewhere, async move { transaction::commit(&client, &given, limit).await });
    assert!(error.unwrap_err().is_timeout());
    assert_eq!(session.state().transaction.ended().unwrap().outcome.name(), "aborted");
    stage.await_events("abortTransaction", 1);
    disk.is_held.store(false, Ordering::SeqCst);
    assert!(!stage.happened().contains(&"commitTransaction".to_owned()));
}

/// A disk that a test may hold, or break.
#[derive(Default)]
struct Disk {
    fails: AtomicBool,
    is_held: AtomicBool,
    /// Somebody has asked for a sync.
    has_begun: AtomicBool,
}

/// How futures are polled: by a thread that they may block, or by one that they must not.
#[derive(Clone, Copy)]
enum Driven {
    Blocking,
    Elsewhere,
}

/// What happened, in order: commands that came, and syncs.
type Events = Arc<(Mutex<Vec<String>>, Condvar)>;

struct Stage {
    client: Arc<ClientCore>,
    events: Events,
    directory: PathBuf,
}

impl Stage {
    fn new(disk: Arc<Disk>) -> Stage {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ferromongo::control::thread::prepare();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferromongo-commits-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let events = Events::default();
        let of_disk = events.clone();
        let bring = move |_: std::os::fd::BorrowedFd<'_>| {
            disk.has_begun.store(true, Ordering::SeqCst);
            while disk.is_held.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            note(&of_disk, "sync");
            match disk.fails.load(Ordering::SeqCst) {
                true => Err(io::Error::from_raw_os_error(5)),
                false => Ok(()),
            }
        };
        let settings = LogSettings { capacity: 10, ..LogSettings::default() };
        let path = directory.join("log");
        let journal = Journal::in_file_synced_by(&path, None, settings, Box::new(bring)).unwrap();
        let settings = Settings {
            seeds: vec![serve(events.clone())],
            direct_connection: true,
            max_connecting: 2,
            server_selection_timeout: Some(Duration::from_secs(30)),
            connect_timeout: Some(Duration::from_secs(30)),
            heartbeat_frequency: Duration::from_secs(10),
            journal: Some(journal),
            ..Settings::default()
        };
        Stage { client: ClientCore::new(Arc::new(settings), None), events, directory }
    }

    fn session(&self) -> Arc<Session> {
        let session = Session::explicit(self.client.sessions.clone(), true, false);
        session.start_transaction(Options::default()).unwrap();
        session
    }

    fn insert(&self, driven: Driven, session: &Arc<Session>) -> Result<()> {
        let (client, session) = (self.client.clone(), session.clone());
        self.drive(driven, async move {
            let message = Message::from_elements(|out| elements::string(out, "insert", "c"))
                .with_sequence("documents", rawdoc! { "_id": 1 }.into_bytes());
            let terms = Terms::new("d".into(), CommandKind::Write { retry: true }, session);
            run(&client, &mut Operation { message, terms }).await.map(drop)
        })
    }

    fn commit(&self, driven: Driven, session: &Arc<Session>) -> Result<()> {
        let (client, session) = (self.client.clone(), session.clone());
        self.drive(
            driven,
            async move { transaction::commit(&client, &session, TimeLimit::Unset).await },
        )
    }

    fn drive(
        &self,
        driven: Driven,
        future: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Result<()> {
        match driven {
            Driven::Blocking => blocking::run(pin!(future), |_| false).unwrap(),
            Driven::Elsewhere => {
                // Opened by its first operation.
                let core = self.client.clone();
                let opening =
                    async move { core.cluster(TimeLimit::Unset.deadline()).await.map(drop) };
                blocking::run(pin!(opening), |_| false).unwrap()?;
                let (tell, told) = mpsc::channel();
                let spawned = self.client.opened().unwrap().spawn(async move {
                    tell.send(driver::run_on_tokio(future).await).unwrap();
                });
                assert!(spawned.is_some());
                told.recv().unwrap()
            }
        }
    }

    fn happened(&self) -> Vec<String> {
        self.events.0.lock().unwrap().clone()
    }

    fn await_events(&self, name: &str, count: usize) {
        let mut events = self.events.0.lock().unwrap();
        while events.iter().filter(|event| *event == name).count() < count {
            events = self.events.1.wait(events).unwrap();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.client.close();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn note(events: &Events, event: &str) {
    events.0.lock().unwrap().push(event.to_owned());
    events.1.notify_all();
}

/// A server for which everything goes well.
fn serve(events: Events) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(io::Result::ok) {
            let events = events.clone();
            thread::spawn(move || answer(stream, &events));
        }
    });
    Address::tcp("127.0.0.1", port).unwrap()
}

fn answer(mut stream: TcpStream, events: &Events) -> Option<()> {
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).ok()?;
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let mut body = vec![0; number(0) as usize - header.len()];
        stream.read_exact(&mut body).ok()?;
        let length = u32::from_le_bytes(body[5..9].try_into().unwrap()) as usize;
        let command = RawDocument::from_bytes(&body[5..5 + length]).unwrap();
        let name = command.iter().next().unwrap().unwrap().0.as_str().to_owned();
        if !["hello", "ismaster", "isMaster", "ping"].contains(&&*name) {
            note(events, &name);
        }
        let answer: RawDocumentBuf = rawdoc! {
            "ok": 1, "isWritablePrimary": true, "minWireVersion": 0, "maxWireVersion": 21,
            "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "helloOk": true,
            "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30, "n": 1,
        };
        let mut message = Vec::new();
        for part in [21 + answer.as_bytes().len() as i32, 1, number(4), 2013, 0] {
            message.extend_from_slice(&part.to_le_bytes());
        }
        message.push(0);
        message.extend_from_slice(answer.as_bytes());
        stream.write_all(&message).ok()?;
    }
}
