//! Cursors against a scripted primary: batches and their end, errors, cut lines, calls that are given up, and the
//! batch that is asked for before it is needed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawBsonRef, RawDocumentBuf, doc, rawdoc};
use ferromongo::deadline::TimeLimit;
use ferromongo::error::{Error, ErrorKind, Result};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Operation, Terms};
use ferromongo::exec::run::run;
use ferromongo::net::wait::{self, WaitSet};
use ferromongo::ops::cursor::close;
use ferromongo::ops::cursor::fetch::Fetch;
use ferromongo::ops::cursor::server_cursor::ServerCursor;
use ferromongo::ops::cursor::state::Options;
use ferromongo::session::client::Session;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;
use scripted_server::{Answer, Command, ScriptedServer, block_on, error, ok, terms};

mod scripted_server;

const ALL: usize = usize::MAX;

/// What the server answers to find and the getMores after it, one after the other.
enum Page {
    /// So many documents, and there is more.
    Documents(i32),
    /// The last ones.
    Last(i32),
    Reply(RawDocumentBuf),
    Fails(i32),
    Cut,
    Silence,
}

use Page::*;

struct Scene {
    server: ScriptedServer,
    client: Arc<ClientCore>,
    cursor: Arc<ServerCursor>,
    options: Options,
    /// How many batches the test has wanted so far.
    wanted: Arc<AtomicUsize>,
    /// How many were wanted when find and the getMores came.
    came: mpsc::Receiver<usize>,
}

impl Scene {
    fn new(pages: Vec<Page>) -> Scene {
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
        let options = Options {
            batch_size: 0,
            limit: 0,
            extra: Vec::new(),
            tailable: false,
            raw: false,
            reader: Arc::new(()),
        };
        let (client, cursor) = (server.client(), Arc::default());
        Scene { server, client, cursor, options, wanted, came }
    }

    fn terms(&self) -> Terms {
        terms(&self.client, CommandKind::FIND)
    }

    fn next_fetch(&self, terms: Terms) -> Result<Option<Fetch>> {
        let Some(claim) = self.cursor.claim()? else { return Ok(None) };
        if claim.opens() {
            let message = Message::from_elements(|out| elements::string(out, "find", "c"));
            let operation = Operation { message, terms };
            return Ok(Some(claim.open(self.client.clone(), operation, self.options.clone())));
        }
        Ok(claim.get_more(self.client.clone(), terms.limit))
    }

    fn fetch_with(&self, terms: Terms, wanted: usize) -> Result<bool> {
        let Some(fetch) = self.next_fetch(terms)? else { return Ok(false) };
        self.wanted.fetch_add(1, Ordering::SeqCst);
        block_on(fetch.run(wanted)).map(|()| true)
    }

    /// False at the end.
    fn fetch(&self, wanted: usize) -> Result<bool> {
        self.fetch_with(self.terms(), wanted)
    }

    fn in_session(&self) -> Terms {
        let session = Session::explicit(self.client.sessions.clone(), false, false);
        Terms { session, ..self.terms() }
    }

    /// What is in hand.
    fn read(&self) -> Vec<i32> {
        self.read_some(ALL)
    }

    fn read_some(&self, most: usize) -> Vec<i32> {
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

    fn read_all(&self, wanted: usize) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        while self.fetch(wanted)? {
            all.extend(self.read());
        }
        Ok(all)
    }

    /// How many batches had been wanted when the next of find and the getMores came.
    fn came_at(&self) -> usize {
        self.came.recv_timeout(PATIENCE).expect("it comes")
    }

    fn ping(&self) -> Result<()> {
        let message = Message::from_elements(|out| elements::int32(out, "ping", 1));
        let mut ping = Operation { message, terms: terms(&self.client, CommandKind::Command) };
        block_on(run(&self.client, &mut ping)).map(drop)
    }

    /// What is done in the background happens at some time.
    fn until_received(&self, names: &[&str]) -> Vec<Command> {
        let began = Instant::now();
        while self.server.names() != names {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.server.names());
            thread::sleep(Duration::from_millis(5));
        }
        self.server.received()
    }

    fn received(&self, name: &str) -> Vec<Command> {
        self.server.received().into_iter().filter(|command| command.name == name).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.client.close();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    wait::poll(&mut WaitSet::default(), Waker::noop(), future)
}

fn kind_of<T>(outcome: Result<T>) -> ErrorKind {
    outcome.err().expect("it fails").kind()
}

#[test]
fn batches_come_to_their_end() {
    let scene = Scene::new(vec![Documents(2), Documents(3), Documents(0), Last(1)]);
    assert!(!scene.cursor.has_begun());
    assert_eq!(scene.read_all(0).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(scene.server.names(), ["find", "getMore", "getMore", "getMore"]);
    assert!(scene.cursor.is_over());
    assert_eq!((scene.cursor.id(), scene.cursor.retrieved()), (Some(0), 6));
    assert_eq!(scene.cursor.address().as_ref(), Some(&scene.server.address));
    for get_more in scene.received("getMore") {
        assert_eq!(get_more.body.get_i64("getMore").unwrap(), 7);
        assert_eq!(get_more.body.get_str("collection").unwrap(), "c");
        assert_eq!(get_more.body.get_str("$db").unwrap(), "db");
        assert!(get_more.body.get("batchSize").unwrap().is_none());
    }
}

#[test]
fn a_get_more_asks_for_no_more_than_the_limit() {
    for wanted in [0, ALL] {
        let mut scene = Scene::new(vec![Documents(2), Documents(3), Documents(2)]);
        (scene.options.batch_size, scene.options.limit) = (3, 7);
        scene.options.extra = {
            let mut extra = Vec::new();
            elements::string(&mut extra, "comment", "why");
            extra
        };
        assert_eq!(scene.read_all(wanted).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
        scene.until_received(&["find", "getMore", "getMore", "killCursors"]);
        let sizes: Vec<_> = scene
            .received("getMore")
            .iter()
            .map(|get_more| {
                assert_eq!(get_more.body.get_str("comment").unwrap(), "why");
                get_more.body.get_i64("batchSize").unwrap()
            })
            .collect();
        assert_eq!(sizes, [3, 2], "wanted: {wanted}");
    }
}

#[test]
fn an_error_that_leaves_the_cursor_open_is_told_when_it_is_closed() {
    for wanted in [0, ALL] {
        let scene = Scene::new(vec![Documents(1), Fails(2)]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.read(), [0]);
        assert_eq!(scene.fetch(wanted).unwrap_err().code(), Some(2));
        assert_eq!(scene.server.names(), ["find", "getMore", "killCursors"]);
        let kill = &scene.received("killCursors")[0].body;
        let cursors = kill.get_array("cursors").unwrap().into_iter();
        let cursors: Vec<_> = cursors.map(|id| id.unwrap()).collect();
        assert_eq!(cursors, [RawBsonRef::Int64(7)]);
        assert!(scene.cursor.is_over());
        assert!(!scene.fetch(wanted).unwrap(), "it is over, and says so");
    }
}

#[test]
fn a_cursor_that_has_gone_is_not_closed() {
    for code in [43, 237, 175, 10107] {
        let scene = Scene::new(vec![Documents(1), Fails(code)]);
        scene.fetch(0).unwrap();
        scene.read();
        assert_eq!(scene.fetch(0).unwrap_err().code(), Some(code));
        assert!(!scene.fetch(0).unwrap());
        drop(scene.cursor.close());
        scene.cursor.rewind();
        // A killCursors of the background would have come before.
        assert_eq!(scene.server.names(), ["find", "getMore"], "{code}");
    }
}

#[test]
fn a_get_more_is_not_sent_twice() {
    for wanted in [0, ALL] {
        let scene = Scene::new(vec![Documents(1), Cut]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.read(), [0]);
        assert_eq!(scene.fetch(wanted).unwrap_err().kind(), ErrorKind::Network);
        assert!(scene.cursor.is_over());
        assert_eq!(scene.received("getMore").len(), 1);
    }
}

#[test]
fn malformed_replies_are_errors() {
    let of = |cursor: RawDocumentBuf| rawdoc! { "ok": 1, "cursor": cursor };
    for (reply, what) in [
        (rawdoc! { "ok": 1 }, "no cursor"),
        (rawdoc! { "ok": 1, "cursor": 5 }, "no cursor"),
        (of(rawdoc! { "id": 0_i64 }), "no batch"),
        (of(rawdoc! { "nextBatch": [] }), "no cursor id"),
        (of(rawdoc! { "id": "7", "nextBatch": [] }), "no cursor id"),
        (of(rawdoc! { "id": 0_i64, "nextBatch": [1] }), "malformed batch"),
        (of(rawdoc! { "id": 7_i64, "ns": "db", "nextBatch": [] }), "without a dot"),
    ] {
        for wanted in [0, ALL] {
            let scene = Scene::new(vec![Documents(1), Reply(reply.clone())]);
            scene.fetch(wanted).unwrap();
            assert_eq!(scene.read(), [0]);
            let error = scene.fetch(wanted).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{reply:?}");
            assert!(error.to_string().contains(what), "{error} {reply:?}");
            assert!(scene.cursor.is_over());
        }
    }
}

#[test]
fn a_fetch_that_is_dropped_unpolled_has_no_effect() {
    let scene = Scene::new(vec![Documents(1), Last(1)]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap());
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
        assert!(!scene.cursor.has_begun());
    }
    scene.fetch(0).unwrap();
    assert_eq!(scene.read(), [0]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    }
    assert_eq!(scene.read_all(0).unwrap(), [1]);
    assert_eq!(scene.server.names(), ["find", "getMore"]);
}

#[test]
fn a_fetch_of_a_batch_asked_for_ahead_has_no_effect_either() {
    let scene = Scene::new(vec![Documents(1), Documents(1), Last(1)]);
    scene.fetch(ALL).unwrap();
    assert_eq!(scene.read(), [0]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap());
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    }
    assert_eq!(scene.read_all(ALL).unwrap(), [1, 2]);
    assert_eq!(scene.server.names(), ["find", "getMore", "getMore"]);
}

#[test]
fn a_fetch_that_is_dropped_later_makes_the_cursor_raise() {
    for ahead in [false, true] {
        let scene = Scene::new(vec![Documents(1), Silence]);
        scene.fetch(if ahead { ALL } else { 0 }).unwrap();
        assert_eq!(scene.read(), [0]);
        let mut fetch = Box::pin(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
        assert!(poll(fetch.as_mut()).is_pending());
        scene.until_received(&["find", "getMore"]);
        drop(fetch);
        for _ in 0..2 {
            assert_eq!(kind_of(scene.fetch(0)), ErrorKind::InvalidOperation);
        }
        scene.until_received(&["find", "getMore", "killCursors"]);
        assert!(scene.cursor.close().is_none());
        assert!(!scene.fetch(0).unwrap(), "closed, it is over and does not raise");
    }
}

#[test]
fn two_callers_at_once() {
    let scene = Scene::new(vec![Documents(1), Last(1)]);
    let claim = scene.cursor.claim().unwrap().unwrap();
    assert_eq!(kind_of(scene.cursor.claim().map(|_| ())), ErrorKind::InUse);
    drop(claim);
    scene.fetch(0).unwrap();
    let unread = scene.cursor.take_unread().unwrap().unwrap();
    assert_eq!(kind_of(scene.cursor.take_unread()), ErrorKind::InUse);
    scene.cursor.give_back(unread, Some(0));
    assert_eq!(scene.read(), [0]);
    let first = scene.next_fetch(scene.terms()).unwrap().unwrap();
    assert_eq!(kind_of(scene.fetch(0)), ErrorKind::InUse);
    block_on(first.run(0)).unwrap();
    assert_eq!(scene.read(), [1]);
}

#[test]
fn closed_while_a_fetch_is_under_way() {
    for ahead in [false, true] {
        let scene = Scene::new(vec![Documents(1), Documents(1)]);
        scene.fetch(if ahead { ALL } else { 0 }).unwrap();
        assert_eq!(scene.read(), [0]);
        if ahead {
            scene.until_received(&["find", "getMore"]);
        }
        let fetch = scene.next_fetch(scene.terms()).unwrap().unwrap();
        let (core, held) = scene.cursor.close().expect("the server still has it");
        block_on(close::kill_now_or_later(core, held, TimeLimit::Unset));
        let _ = block_on(fetch.run(0));
        assert!(scene.cursor.is_over());
        assert!(scene.read().is_empty());
        assert!(!scene.fetch(0).unwrap());
        assert_eq!(scene.received("getMore").len(), 1);
        assert!(!scene.received("killCursors").is_empty());
    }
}

#[test]
fn rewound_while_a_fetch_is_under_way() {
    let scene = Scene::new(vec![Documents(1), Documents(1), Last(1)]);
    scene.fetch(0).unwrap();
    scene.read();
    let mut fetch = Box::pin(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    let first = poll(fetch.as_mut());
    drop(scene.cursor.close());
    scene.cursor.rewind();
    assert!(!scene.cursor.has_begun());
    if first.is_pending() {
        assert_eq!(kind_of(block_on(fetch)), ErrorKind::InUse);
    }
    assert!(!scene.cursor.has_begun(), "what came was of the cursor before");
    assert!(scene.fetch(0).unwrap());
    assert_eq!(scene.read(), [2]);
    assert_eq!(scene.server.names(), ["find", "getMore", "find"]);
}

#[test]
fn dropped_unread_it_is_closed_on_the_server() {
    let mut scene = Scene::new(vec![Documents(2)]);
    scene.fetch(0).unwrap();
    scene.cursor = Arc::default();
    let received = scene.until_received(&["find", "killCursors"]);
    assert_eq!(received[1].body.get_str("killCursors").unwrap(), "c");
}

#[test]
fn a_tailable_cursor_pauses() {
    let mut scene = Scene::new(vec![Documents(1), Documents(0), Documents(1), Fails(43)]);
    scene.options.tailable = true;
    scene.cursor.set_read_ahead(true);
    assert_eq!(scene.fetch(ALL).map(|_| scene.read()).unwrap(), [0]);
    assert!(scene.fetch(ALL).unwrap());
    assert!(scene.read().is_empty());
    assert!(!scene.cursor.is_over());
    assert!(!scene.fetch(ALL).unwrap(), "nothing now: told once");
    assert_eq!(scene.fetch(ALL).map(|_| scene.read()).unwrap(), [1]);
    scene.fetch(ALL).unwrap();
    assert!(scene.cursor.is_over(), "overtaken, it has come to its end");
    let came: Vec<_> = (0..4).map(|_| scene.came_at()).collect();
    assert_eq!(came, [1, 2, 3, 4], "no batch was asked for ahead");
}

#[test]
fn a_batch_is_asked_for_before_the_one_in_hand_was_read() {
    for chosen in [false, true] {
        let scene = Scene::new(vec![Documents(2), Documents(2), Documents(2), Last(1)]);
        scene.cursor.set_read_ahead(chosen);
        let wanted = if chosen { 0 } else { ALL };
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.came_at(), 1);
        assert_eq!(scene.came_at(), 1, "the getMore came while nobody wanted its batch");
        assert_eq!(scene.read(), [0, 1]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.came_at(), 2);
        assert_eq!(scene.read(), [2, 3]);
        assert_eq!(scene.read_all(wanted).unwrap(), [4, 5, 6]);
        assert_eq!(scene.server.names(), ["find", "getMore", "getMore", "getMore"]);
        assert_eq!(scene.cursor.retrieved(), 7);
        let connections = scene.server.received().into_iter().map(|command| command.connection);
        let connections: Vec<_> = connections.collect();
        assert!(connections.iter().all(|&it| it == connections[0]), "{connections:?}");
    }
}

/// Of each of find and its getMores, how many batches had been wanted when it came.
fn no_batch_ahead(scene: &Scene, terms: impl Fn() -> Terms, wanted: &[usize]) {
    for &wanted in wanted {
        scene.fetch_with(terms(), wanted).unwrap();
        scene.ping().unwrap(); // over the same connection: what was sent before it has come
        scene.read();
    }
    let came: Vec<_> = wanted.iter().map(|_| scene.came_at()).collect();
    assert_eq!(came, (1..=wanted.len()).collect::<Vec<_>>());
    assert!(scene.came.try_recv().is_err());
}

#[test]
fn none_ahead_once_the_batch_has_what_is_wanted() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Documents(2)]);
    no_batch_ahead(&scene, || scene.terms(), &[2, 1, 0]);
    let scene = Scene::new(vec![Documents(2), Last(2)]);
    scene.fetch(4).unwrap();
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    let mut scene = Scene::new(vec![Documents(2), Documents(2)]);
    scene.options.limit = 4;
    no_batch_ahead(&scene, || scene.terms(), &[0, 2]);
}

#[test]
fn none_ahead_in_a_session_of_the_users() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.cursor.set_read_ahead(true);
    let terms = scene.in_session();
    no_batch_ahead(&scene, || terms.clone(), &[ALL, ALL, ALL]);
}

#[test]
fn none_ahead_of_changes() {
    let reply = |batch: &str| {
        let cursor = doc! {
            "id": 7_i64, "ns": "db.c", batch: [{ "n": 1 }], "postBatchResumeToken": { "t": 1 },
        };
        Reply(doc! { "ok": 1, "cursor": cursor }.try_into().unwrap())
    };
    let scene = Scene::new(vec![reply("firstBatch"), reply("nextBatch")]);
    scene.cursor.set_read_ahead(true);
    no_batch_ahead(&scene, || scene.terms(), &[ALL, ALL]);
}

#[test]
fn none_ahead_across_calls_that_have_a_time_limit() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.cursor.set_read_ahead(true);
    let limit = TimeLimit::after(Instant::now(), PATIENCE);
    no_batch_ahead(&scene, || Terms { limit, ..scene.terms() }, &[0, 0, 0]);
}

#[test]
fn an_error_of_a_batch_ahead_is_told_when_the_batch_is_wanted() {
    for page in [Fails(2), Fails(43), Cut, Reply(rawdoc! { "ok": 1 })] {
        let scene = Scene::new(vec![Documents(3), page]);
        scene.fetch(ALL).unwrap();
        assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
        for n in 0..3 {
            assert_eq!(scene.read_some(1), [n]);
            block_on(scene.cursor.clone().take_in_ahead());
            assert!(!scene.cursor.is_over());
        }
        assert!(scene.fetch(ALL).is_err());
        assert!(scene.cursor.is_over());
        assert_eq!(scene.received("getMore").len(), 1);
    }
}

#[test]
fn what_came_ahead_is_taken_in_meanwhile() {
    let scene = Scene::new(vec![Documents(2), Last(2)]);
    scene.fetch(ALL).unwrap();
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    // The connection is free again once the answer was taken in.
    let began = Instant::now();
    loop {
        block_on(scene.cursor.clone().take_in_ahead());
        scene.ping().unwrap();
        let received = scene.server.received();
        if received.last().unwrap().connection == received[0].connection {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(scene.read(), [0, 1]);
    let fetch = scene.next_fetch(scene.terms()).unwrap().unwrap();
    assert!(matches!(poll(pin!(fetch.run(ALL))), Poll::Ready(Ok(()))), "it is here");
    assert_eq!(scene.read(), [2, 3]);
}

#[test]
fn dropped_or_closed_with_a_batch_ahead_under_way() {
    for closed in [false, true] {
        let mut scene = Scene::new(vec![Documents(2), Silence]);
        scene.fetch(ALL).unwrap();
        assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
        if closed {
            let (core, held) = scene.cursor.close().unwrap();
            block_on(close::kill_now_or_later(core, held, TimeLimit::Unset));
        } else {
            scene.cursor = Arc::default();
        }
        let received = scene.until_received(&["find", "getMore", "killCursors"]);
        assert_eq!(received[0].connection, received[1].connection);
        assert_ne!(received[1].connection, received[2].connection, "that one was closed");
        if closed {
            scene.ping().unwrap();
            let last = scene.server.received().pop().unwrap();
            assert_eq!(last.connection, received[2].connection);
        }
    }
}

#[test]
fn a_batch_ahead_takes_no_connection_that_others_need() {
    for most in [1, 2, 3] {
        let mut scene = Scene::new(vec![Documents(1), Documents(1), Documents(1), Last(1)]);
        scene.client.close();
        scene.client = scene.server.client_with(|settings| {
            settings.max_pool_size = most;
            settings.wait_queue_timeout = Some(PATIENCE);
        });
        scene.cursor.set_read_ahead(true);
        let mut all = Vec::new();
        while scene.fetch(0).unwrap() {
            all.extend(scene.read());
            scene.ping().unwrap();
        }
        assert_eq!(all, [0, 1, 2, 3]);
    }
}

#[test]
fn several_batches_ahead_leave_half_of_the_connections_to_others() {
    let server = ScriptedServer::start(|command: &Command| match &*command.name {
        "find" => Answer::Reply(rawdoc! {
            "ok": 1, "cursor": { "id": 7_i64, "ns": "db.c", "firstBatch": [{ "n": 1 }] },
        }),
        "getMore" => Answer::Silence,
        _ => ok(),
    });
    let mut scene = Scene::new(Vec::new());
    scene.client.close();
    scene.client = server.client_with(|settings| {
        settings.max_pool_size = 4;
        settings.wait_queue_timeout = Some(PATIENCE);
    });
    let mut cursors = Vec::new();
    for _ in 0..6 {
        scene.cursor = Arc::default();
        cursors.push(scene.cursor.clone());
        scene.cursor.set_read_ahead(true);
        scene.fetch(0).unwrap();
        assert_eq!(scene.cursor.at_hand(), 1);
    }
    scene.ping().unwrap();
    let ahead = || server.names().iter().filter(|name| *name == "getMore").count();
    let began = Instant::now();
    while ahead() < 2 {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ahead(), 2);
}

#[test]
fn a_call_with_a_time_limit_waits_no_longer_for_a_batch_ahead() {
    let scene = Scene::new(vec![Documents(1), Silence]);
    scene.cursor.set_read_ahead(true);
    scene.fetch(0).unwrap();
    assert_eq!(scene.read(), [0]);
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    let limit = TimeLimit::after(Instant::now(), Duration::from_millis(50));
    let fetch = scene.next_fetch(Terms { limit, ..scene.terms() }).unwrap().unwrap();
    assert!(fetch.limit() == limit, "what follows in the same call keeps to it too");
    let error: Error = block_on(fetch.run(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkTimeout);
    assert!(error.to_string().contains("timeoutMS: 50.0ms"), "{error}");
    assert!(scene.cursor.is_over());
}

#[test]
fn none_ahead_across_calls_while_a_socket_timeout_would_run() {
    let mut scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.client.close();
    scene.client = scene.server.client_with(|settings| settings.socket_timeout = Some(PATIENCE));
    scene.cursor.set_read_ahead(true);
    no_batch_ahead(&scene, || scene.terms(), &[0, 0, 0]);
}
