//! A scripted primary that answers find and getMores by a list, and a cursor that reads from it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc};
use ferromongo::error::{ErrorKind, Result};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Operation, Terms};
use ferromongo::exec::run::run;
use ferromongo::net::wait::{self, WaitSet};
use ferromongo::ops::cursor::fetch::Fetch;
use ferromongo::ops::cursor::server_cursor::ServerCursor;
use ferromongo::ops::cursor::state::Options;
use ferromongo::session::client::Session;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;

use crate::scripted_server::{Answer, Command, ScriptedServer, block_on, error, ok, terms};

pub const ALL: usize = usize::MAX;

/// What the server answers to find and the getMores after it, one after the other.
pub enum Page {
    /// So many documents, and there is more.
    Documents(i32),
    /// The last ones.
    Last(i32),
    Reply(RawDocumentBuf),
    Fails(i32),
    Cut,
    Silence,
}

pub use Page::*;

pub struct Scene {
    pub server: ScriptedServer,
    pub client: Arc<ClientCore>,
    pub cursor: Arc<ServerCursor>,
    pub options: Options,
    /// How many batches the test has wanted so far.
    wanted: Arc<AtomicUsize>,
    /// How many were wanted when find and the getMores came.
    pub came: mpsc::Receiver<usize>,
}

impl Scene {
    pub fn new(pages: Vec<Page>) -> Scene {
        let (mut pages, mut next) = (pages.into_iter(), 0);
        let wanted = Arc::<AtomicUsize>::default();
        let (so_far, (tell, came)) = (wanted.clone(), mpsc::channel());
        let server = ScriptedServer::start(move |command: &Command| {
            let batch = match &*command.name {
                "find" => "firstBatch",
                "getMore" => "nextBatch",
                _ => return ok(),
            };
            let _ = tell.send(so_far.load(Ordering::SeqCst));
            let mut documents = |count, id: i64| {
                let numbers: Vec<_> = (next..next + count).map(|n| doc! { "n": n }).collect();
                next += count;
                let cursor = doc! { "id": id, "ns": "db.c", batch: numbers };
                Answer::Reply(doc! { "ok": 1, "cursor": cursor }.try_into().unwrap())
            };
            match pages.next().expect("no more is asked for") {
                Documents(count) => documents(count, 7),
                Last(count) => documents(count, 0),
                Reply(reply) => Answer::Reply(reply),
                Fails(code) => error(code, &[]),
                Cut => Answer::Cut,
                Silence => Answer::Silence,
            }
        });
        let (client, cursor, options) = (server.client(), Arc::default(), Options::plain());
        Scene { server, client, cursor, options, wanted, came }
    }

    pub fn terms(&self) -> Terms {
        terms(&self.client, CommandKind::FIND)
    }

    pub fn next_fetch(&self, terms: Terms) -> Result<Option<Fetch>> {
        let Some(claim) = self.cursor.claim()? else { return Ok(None) };
        if claim.opens() {
            let message = Message::from_elements(|out| elements::string(out, "find", "c"));
            let operation = Operation { message, terms };
            return Ok(Some(claim.open(self.client.clone(), operation, self.options.clone())));
        }
        Ok(claim.get_more(self.client.clone(), terms.limit))
    }

    pub fn fetch_with(&self, terms: Terms, wanted: usize) -> Result<bool> {
        let Some(fetch) = self.next_fetch(terms)? else { return Ok(false) };
        self.wanted.fetch_add(1, Ordering::SeqCst);
        block_on(fetch.run(wanted)).map(|()| true)
    }

    /// False at the end.
    pub fn fetch(&self, wanted: usize) -> Result<bool> {
        self.fetch_with(self.terms(), wanted)
    }

    pub fn in_session(&self) -> Terms {
        let session = Session::explicit(self.client.sessions.clone(), false, false);
        Terms { session, ..self.terms() }
    }

    /// What is in hand.
    pub fn read(&self) -> Vec<i32> {
        self.read_some(ALL)
    }

    pub fn read_some(&self, most: usize) -> Vec<i32> {
        let Some(mut unread) = self.cursor.take_unread().unwrap() else { return Vec::new() };
        let mut numbers = Vec::new();
        while numbers.len() < most
            && let Some(document) = unread.peek()
        {
            numbers.push(document.get_i32("n").unwrap());
            unread.pass();
        }
        self.cursor.give_back(unread, Some(numbers.len()));
        numbers
    }

    pub fn read_all(&self, wanted: usize) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        while self.fetch(wanted)? {
            all.extend(self.read());
        }
        Ok(all)
    }

    /// How many batches had been wanted when the next of find and the getMores came.
    pub fn came_at(&self) -> usize {
        self.came.recv_timeout(PATIENCE).expect("it comes")
    }

    pub fn ping(&self) -> Result<()> {
        let message = Message::from_elements(|out| elements::int32(out, "ping", 1));
        let mut ping = Operation { message, terms: terms(&self.client, CommandKind::Command) };
        block_on(run(&self.client, &mut ping)).map(drop)
    }

    /// What is done in the background happens at some time.
    pub fn until_received(&self, names: &[&str]) -> Vec<Command> {
        let began = Instant::now();
        while self.server.names() != names {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.server.names());
            thread::sleep(Duration::from_millis(5));
        }
        self.server.received()
    }

    pub fn received(&self, name: &str) -> Vec<Command> {
        self.server.received().into_iter().filter(|command| command.name == name).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.client.close();
    }
}

pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    wait::poll(&mut WaitSet::default(), Waker::noop(), future)
}

pub fn kind_of<T>(outcome: Result<T>) -> ErrorKind {
    outcome.err().expect("it fails").kind()
}
