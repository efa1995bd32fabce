//! Change streams against a scripted primary: where a new cursor begins, after which errors there is one, and what
//! becomes of the old one (change streams specification, "resume process").

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use ferromongo::deadline::TimeLimit;
use ferromongo::error::{ErrorKind, Result};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::CommandKind;
use ferromongo::net::wait::{self, WaitSet};
use ferromongo::ops::change_stream::resume::{Begin, MOST_IN_A_ROW, Position};
use ferromongo::ops::change_stream::stream::{ChangeStream, Until, Watched};
use ferromongo::ops::cursor::close;
use ferromongo::ops::cursor::state::Options;
use scripted_server::{Answer, Command, ScriptedServer, block_on, error, ok, terms};

mod scripted_server;

/// What the server answers to aggregate and getMore, one after the other.
enum Page {
    /// Events with these tokens, and perhaps that of the batch.
    Events(&'static [i32], Option<i32>),
    /// The same, and the cursor has gone.
    Last(&'static [i32], Option<i32>),
    /// An event without `_id`.
    Nameless,
    Fails(i32, &'static [&'static str]),
    Cut,
    Silence,
    /// No events, when the test says so.
    Later(mpsc::Receiver<()>),
}

use Page::*;

const RESUMABLE: &[&str] = &["ResumableChangeStreamError"];
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    server: ScriptedServer,
    client: Arc<ClientCore>,
    pages: Arc<Mutex<VecDeque<Page>>>,
}

impl Scene {
    fn new(pages: Vec<Page>) -> Scene {
        let pages = Arc::new(Mutex::new(VecDeque::from(pages)));
        let (next, mut opened) = (pages.clone(), 0_i64);
        let server = ScriptedServer::start(move |command: &Command| {
            let batch = match &*command.name {
                "aggregate" => "firstBatch",
                "getMore" => "nextBatch",
                _ => return ok(),
            };
            opened += i64::from(command.name == "aggregate");
            let page = next.lock().unwrap().pop_front().expect("no more is asked for");
            let reply = |id: i64, events: Vec<Document>, token: Option<i32>| {
                let mut cursor = doc! { "id": id, "ns": "db.c", batch: events };
                if let Some(token) = token {
                    cursor.insert("postBatchResumeToken", doc! { "t": token });
                }
                let time = Timestamp { time: u32::try_from(opened).unwrap(), increment: 1 };
                let reply = doc! { "ok": 1, "cursor": cursor, "operationTime": time };
                Answer::Reply(reply.try_into().unwrap())
            };
            let events =
                |tokens: &[i32]| tokens.iter().map(|t| doc! { "_id": { "t": t } }).collect();
            match page {
                Events(tokens, token) => reply(opened, events(tokens), token),
                Last(tokens, token) => reply(0, events(tokens), token),
                Nameless => reply(opened, vec![doc! { "operationType": "insert" }], Some(99)),
                Fails(code, labels) => error(code, labels),
                Cut => Answer::Cut,
                Silence => Answer::Silence,
                Later(now) => {
                    let _ = now.recv_timeout(PATIENCE);
                    reply(opened, Vec::new(), None)
                }
            }
        });
        let client = server.client();
        Scene { server, client, pages }
    }

    fn stream(&self, position: Position) -> Arc<ChangeStream> {
        let command = rawdoc! {
            "aggregate": "c",
            "pipeline": [{ "$changeStream": { "fullDocument": "updateLookup" } }, { "$match": { "x": 1 } }],
            "cursor": { "batchSize": 5 },
        };
        let options = Options {
            batch_size: 5,
            limit: 0,
            extra: Vec::new(),
            tailable: false,
            raw: false,
            reader: Arc::new(()),
        };
        let mut terms = terms(&self.client, CommandKind::FIND);
        terms.opens_cursor = true;
        Arc::new(ChangeStream::new(Watched { command, terms, options }, position))
    }

    fn open(&self, begin: Begin) -> Arc<ChangeStream> {
        let stream = self.stream(Position::new(begin));
        block_on(stream.clone().open(self.client.clone(), TimeLimit::Unset)).unwrap();
        stream
    }

    fn advance(&self, stream: &Arc<ChangeStream>, until: Until) -> Result<()> {
        block_on(stream.clone().advance(self.client.clone(), TimeLimit::Unset, until))
    }

    /// The token of the next event; `None` at the end.
    fn next(&self, stream: &Arc<ChangeStream>) -> Result<Option<i32>> {
        self.call(stream, Until::Event)
    }

    /// `None` also if there is none now.
    fn try_next(&self, stream: &Arc<ChangeStream>) -> Result<Option<i32>> {
        self.call(stream, Until::Asked)
    }

    fn call(&self, stream: &Arc<ChangeStream>, until: Until) -> Result<Option<i32>> {
        self.advance(stream, until)?;
        let Some(cursor) = stream.open_cursor() else { return Ok(None) };
        let Some(mut unread) = cursor.take_unread()? else { return Ok(None) };
        let event = unread.peek().unwrap().to_owned();
        unread.pass();
        let last = unread.is_read();
        let noted = stream.pass(&event, last);
        cursor.give_back(unread, Some(1));
        stream.passed(&cursor, noted)?;
        Ok(Some(event.get_document("_id").unwrap().get_i32("t").unwrap()))
    }

    /// The options of `$changeStream` in each aggregate, without what the user gave.
    fn begun_at(&self) -> Vec<Document> {
        let aggregates = self.server.received();
        let aggregates = aggregates.iter().filter(|command| command.name == "aggregate");
        let places = aggregates.map(|aggregate| {
            let command: Document = aggregate.body.clone().try_into().unwrap();
            let stages = command.get_array("pipeline").unwrap();
            assert_eq!(stages[1..], [Bson::from(doc! { "$match": { "x": 1 } })]);
            let first = stages[0].as_document().unwrap();
            let mut options = first.get_document("$changeStream").unwrap().clone();
            assert_eq!(options.remove("fullDocument"), Some("updateLookup".into()));
            assert_eq!(command.get_document("cursor").unwrap(), &doc! { "batchSize": 5 });
            options
        });
        places.collect()
    }

    fn names(&self) -> Vec<String> {
        self.server.names()
    }

    fn until_received(&self, names: &[&str]) {
        let began = Instant::now();
        while self.names() != names {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.names());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.client.close();
        if !thread::panicking() {
            assert!(self.pages.lock().unwrap().is_empty(), "each page was asked for");
        }
    }
}

fn given() -> RawDocumentBuf {
    rawdoc! { "t": 100 }
}

fn every_begin() -> [(Begin, Document); 4] {
    let time = Timestamp { time: 50, increment: 3 };
    [
        (Begin::Now, doc! {}),
        (Begin::After(given().into()), doc! { "startAfter": { "t": 100 } }),
        (Begin::Behind(given().into()), doc! { "resumeAfter": { "t": 100 } }),
        (Begin::At(time.into()), doc! { "startAtOperationTime": time }),
    ]
}

fn behind(token: i32) -> Document {
    doc! { "resumeAfter": { "t": token } }
}

fn after(token: i32) -> Document {
    doc! { "startAfter": { "t": token } }
}

#[test]
fn it_begins_where_the_user_says() {
    for (begin, place) in every_begin() {
        let scene = Scene::new(vec![Events(&[1], None)]);
        let stream = scene.open(begin);
        assert_eq!(scene.begun_at(), [place]);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
    }
}

#[test]
fn without_an_event_or_a_token_of_a_batch_it_resumes_where_it_began() {
    for (begin, place) in every_begin() {
        // Of the first reply, and not of a later one.
        let now = doc! { "startAtOperationTime": Timestamp { time: 1, increment: 1 } };
        let again = if matches!(begin, Begin::Now) { now } else { place.clone() };
        let lost = || Fails(280, RESUMABLE);
        let pages = vec![
            Events(&[], None),
            Events(&[], None),
            lost(),
            Events(&[], None),
            lost(),
            Events(&[1], None),
        ];
        let scene = Scene::new(pages);
        let stream = scene.open(begin);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
        assert_eq!(scene.begun_at(), [place, again.clone(), again]);
    }
}

#[test]
fn an_empty_batch_with_a_token_moves_it_on() {
    for (begin, place) in every_begin() {
        let again = |token| match begin {
            Begin::After(_) => after(token), // until an event was read
            _ => behind(token),
        };
        let (first, second) = (again(5), again(6));
        let scene = Scene::new(vec![
            Events(&[], Some(5)),
            Fails(43, &[]),
            Events(&[], Some(5)),
            Events(&[], Some(6)),
            Fails(43, &[]),
            Events(&[1], Some(7)),
            Fails(43, &[]),
            Events(&[8], None),
        ]);
        let stream = scene.open(begin);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
        assert_eq!(scene.next(&stream).unwrap(), Some(8));
        assert_eq!(scene.begun_at(), [place, first, second, behind(7)]);
    }
}

#[test]
fn from_the_first_event_on_it_resumes_behind_the_last() {
    for (begin, place) in every_begin() {
        let scene = Scene::new(vec![
            Events(&[1, 2], Some(4)),
            Cut,
            Events(&[], None),
            Events(&[5, 6], None),
            Cut,
            Events(&[7], None),
        ]);
        let stream = scene.open(begin);
        for token in [1, 2, 5, 6, 7] {
            assert_eq!(scene.next(&stream).unwrap(), Some(token));
        }
        assert_eq!(scene.begun_at(), [place, behind(4), behind(6)]);
    }
}

#[test]
fn the_position_is_the_last_events_and_at_a_batchs_end_the_batchs() {
    let scene =
        Scene::new(vec![Events(&[1, 2], Some(4)), Events(&[], Some(5)), Events(&[6], None)]);
    let stream = scene.open(Begin::Now);
    let token = || {
        let position = stream.position();
        let token = position.token().map(|it| RawDocumentBuf::from_bytes(it.to_vec()).unwrap());
        token.map(|token| token.get_i32("t").unwrap())
    };
    assert_eq!(token(), None, "an event is waiting");
    for (event, there) in [(Some(1), 1), (Some(2), 4), (None, 5), (Some(6), 6)] {
        assert_eq!(scene.try_next(&stream).unwrap(), event);
        assert_eq!(token(), Some(there));
    }
}

#[test]
fn a_second_stream_begins_from_the_position_of_the_first() {
    for (read, place) in [(0, after(100)), (1, behind(1)), (2, behind(9))] {
        let scene = Scene::new(vec![Events(&[1, 2], Some(9)), Events(&[3], None)]);
        let first = scene.open(Begin::After(given().into()));
        for _ in 0..read {
            scene.next(&first).unwrap();
        }
        let second = scene.stream(first.position());
        block_on(second.clone().open(scene.client.clone(), TimeLimit::Unset)).unwrap();
        assert_eq!(scene.next(&second).unwrap(), Some(3));
        assert_eq!(scene.begun_at()[1], place);
        assert!(!first.is_closed());
    }
    let scene = Scene::new(vec![Events(&[], None), Events(&[3], None)]);
    let first = scene.open(Begin::Now);
    let second = scene.stream(first.position());
    block_on(second.clone().open(scene.client.clone(), TimeLimit::Unset)).unwrap();
    let time = Timestamp { time: 1, increment: 1 };
    assert_eq!(scene.begun_at()[1], doc! { "startAtOperationTime": time });
    scene.next(&second).unwrap();
}

#[test]
fn after_these_errors_of_a_get_more_it_resumes() {
    // Whether the server may still have the cursor, which is closed before a new one is opened.
    for (lost, left) in [
        (Cut, false),
        (Fails(43, &[]), false),
        (Fails(280, RESUMABLE), true),
        (Fails(50, RESUMABLE), true),
        (Fails(10107, &[]), false),
        (Fails(11600, RESUMABLE), false),
        (Fails(237, RESUMABLE), false),
    ] {
        let scene = Scene::new(vec![Events(&[1], None), lost, Events(&[2], None)]);
        let stream = scene.open(Begin::Now);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
        assert_eq!(scene.next(&stream).unwrap(), Some(2));
        assert_eq!(scene.begun_at()[1], behind(1));
        let mut expected = vec!["aggregate", "getMore", "killCursors", "aggregate"];
        if !left {
            expected.remove(2);
        }
        assert_eq!(scene.names(), expected);
        let killed = scene.server.received().into_iter().find(|it| it.name == "killCursors");
        assert!(killed.is_none_or(|kill| {
            let cursors = kill.body.get_array("cursors").unwrap().into_iter();
            cursors.map(|id| id.unwrap().as_i64().unwrap()).eq([1])
        }));
    }
}

#[test]
fn after_other_errors_it_is_over() {
    let no_more: &[&str] = &["NonResumableChangeStreamError"];
    for (code, labels, killed) in
        [(280, no_more, true), (237, &[][..], false), (11601, &[], true), (136, &[], false)]
    {
        let scene = Scene::new(vec![Events(&[1], None), Fails(code, labels)]);
        let stream = scene.open(Begin::Now);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
        assert_eq!(scene.next(&stream).unwrap_err().code(), Some(code));
        assert!(stream.is_closed());
        assert_eq!(scene.next(&stream).unwrap(), None);
        if killed {
            scene.until_received(&["aggregate", "getMore", "killCursors"]);
        }
    }
}

#[test]
fn an_aggregate_that_fails_is_not_resumed() {
    // A retryable error's aggregate is sent once more, as every read is.
    for (pages, sent) in [
        (vec![Fails(280, RESUMABLE)], 1),
        (vec![Fails(43, &[])], 1),
        (vec![Cut, Cut], 2),
        (vec![Fails(10107, &[]), Fails(10107, &[])], 2),
    ] {
        let scene = Scene::new(pages);
        let stream = scene.stream(Position::new(Begin::Now));
        let opened = stream.clone().open(scene.client.clone(), TimeLimit::Unset);
        assert!(block_on(opened).is_err());
        assert_eq!(scene.begun_at().len(), sent);
    }
}

#[test]
fn a_resume_that_fails_is_made_good_by_the_next_call() {
    for until in [Until::Event, Until::Asked] {
        let scene = Scene::new(vec![
            Events(&[1], Some(2)),
            Fails(43, &[]),
            Fails(91, &[]),
            Fails(91, &[]), // the retry of the read
            Events(&[], Some(3)),
            Events(&[4], None),
        ]);
        let stream = scene.open(Begin::Now);
        assert_eq!(scene.next(&stream).unwrap(), Some(1));
        assert_eq!(scene.call(&stream, until).unwrap_err().code(), Some(91));
        assert!(!stream.is_closed());
        assert_eq!(scene.call(&stream, until).unwrap(), Some(4));
        assert_eq!(scene.begun_at()[1..], [behind(2), behind(2), behind(2)]);
    }
}

#[test]
fn a_resume_that_cannot_go_on_ends_it() {
    let scene = Scene::new(vec![Events(&[1], None), Fails(43, &[]), Fails(286, &[])]);
    let stream = scene.open(Begin::Now);
    scene.next(&stream).unwrap();
    assert_eq!(scene.next(&stream).unwrap_err().code(), Some(286));
    assert!(stream.is_closed());
    assert_eq!(scene.next(&stream).unwrap(), None);
}

#[test]
fn it_does_not_resume_for_ever() {
    let mut pages = vec![Events(&[1], None)];
    for _ in 0..MOST_IN_A_ROW {
        pages.extend([Fails(43, &[]), Events(&[], None)]);
    }
    pages.push(Fails(43, &[]));
    pages.push(Events(&[2], None)); // of the next call
    let scene = Scene::new(pages);
    let stream = scene.open(Begin::Now);
    assert_eq!(scene.next(&stream).unwrap(), Some(1));
    assert_eq!(scene.next(&stream).unwrap_err().code(), Some(43));
    assert!(!stream.is_closed());
    assert_eq!(scene.next(&stream).unwrap(), Some(2));
}

#[test]
fn a_get_more_that_works_begins_the_count_anew() {
    let mut pages = vec![Events(&[], Some(1))];
    for _ in 0..2 * MOST_IN_A_ROW {
        pages.extend([Fails(43, &[]), Events(&[], Some(1)), Events(&[], Some(1))]);
    }
    pages.push(Events(&[2], None));
    let scene = Scene::new(pages);
    let stream = scene.open(Begin::Now);
    assert_eq!(scene.next(&stream).unwrap(), Some(2));
}

#[test]
fn asked_for_what_there_is_now_it_sends_one_get_more() {
    let scene = Scene::new(vec![
        Events(&[], Some(1)),
        Events(&[], Some(2)),
        Fails(43, &[]),
        Events(&[], Some(2)), // counts as the answer
        Events(&[3], None),
    ]);
    let stream = scene.open(Begin::Now);
    for (event, sent) in [(None, 2), (None, 4), (Some(3), 5)] {
        assert_eq!(scene.try_next(&stream).unwrap(), event);
        assert_eq!(scene.names().len(), sent);
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    wait::poll(&mut WaitSet::default(), Waker::noop(), future)
}

#[test]
fn a_call_that_is_given_up_loses_nothing() {
    for until in [Until::Event, Until::Asked] {
        let scene = Scene::new(vec![Events(&[1, 2], Some(3)), Silence, Events(&[4], None)]);
        let stream = scene.open(Begin::Now);
        for token in [1, 2] {
            assert_eq!(scene.next(&stream).unwrap(), Some(token));
        }
        let call = || stream.clone().advance(scene.client.clone(), TimeLimit::Unset, until);
        drop(call()); // not begun
        assert_eq!(scene.names(), ["aggregate"]);
        let mut given_up = Box::pin(call());
        assert!(poll(given_up.as_mut()).is_pending());
        scene.until_received(&["aggregate", "getMore"]);
        drop(given_up);
        scene.until_received(&["aggregate", "getMore", "killCursors"]);
        assert_eq!(scene.call(&stream, until).unwrap(), Some(4));
        assert_eq!(scene.begun_at()[1], behind(3));
    }
}

#[test]
fn a_resume_or_a_beginning_that_is_given_up_is_made_good() {
    let scene =
        Scene::new(vec![Silence, Events(&[1], None), Fails(43, &[]), Silence, Events(&[2], None)]);
    let stream = scene.stream(Position::new(Begin::After(given().into())));
    let mut opening = Box::pin(stream.clone().open(scene.client.clone(), TimeLimit::Unset));
    let began = Instant::now();
    while scene.names().is_empty() {
        assert!(began.elapsed() < PATIENCE);
        let _ = poll(opening.as_mut());
        thread::sleep(Duration::from_millis(5));
    }
    drop(opening);
    assert_eq!(scene.next(&stream).unwrap(), Some(1));
    assert_eq!(scene.begun_at(), [after(100), after(100)]);
    let call = stream.clone().advance(scene.client.clone(), TimeLimit::Unset, Until::Event);
    let mut call = Box::pin(call);
    let began = Instant::now();
    while scene.begun_at().len() < 3 {
        assert!(began.elapsed() < PATIENCE);
        assert!(poll(call.as_mut()).is_pending());
        thread::sleep(Duration::from_millis(5));
    }
    drop(call);
    assert_eq!(scene.next(&stream).unwrap(), Some(2));
    assert_eq!(scene.begun_at()[2..], [behind(1), behind(1)]);
}

#[test]
fn invalidated_it_ends_behind_the_last_event() {
    for pages in [
        vec![Last(&[1, 2], Some(2))],
        vec![Events(&[1], None), Last(&[2], None)],
        vec![Events(&[1, 2], None), Last(&[], None)],
    ] {
        let scene = Scene::new(pages);
        let stream = scene.open(Begin::Now);
        for event in [Some(1), Some(2), None, None] {
            assert!(event.is_none() || !stream.is_closed());
            assert_eq!(scene.next(&stream).unwrap(), event);
        }
        assert!(stream.is_closed());
        assert!(!scene.names().contains(&"killCursors".to_owned()));
    }
}

#[test]
fn an_event_without_a_token_ends_it_with_an_error() {
    let scene = Scene::new(vec![Nameless]);
    let stream = scene.open(Begin::Now);
    let error = scene.next(&stream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOperation);
    assert!(stream.is_closed());
    assert_eq!(scene.next(&stream).unwrap(), None);
    scene.until_received(&["aggregate", "killCursors"]);
}

#[test]
fn closed_it_answers_no_more() {
    let scene = Scene::new(vec![Events(&[1, 2], None)]);
    let stream = scene.open(Begin::Now);
    assert_eq!(scene.next(&stream).unwrap(), Some(1));
    let cursor = stream.close().unwrap();
    let (core, held) = cursor.close().unwrap();
    block_on(close::kill_now_or_later(core, held, TimeLimit::Unset));
    assert_eq!(scene.names(), ["aggregate", "killCursors"]);
    assert_eq!(scene.next(&stream).unwrap(), None);
}

#[test]
fn closed_while_it_resumes_it_leaves_no_cursor() {
    let (answer, later) = mpsc::channel();
    let scene = Scene::new(vec![Events(&[], None), Fails(43, &[]), Later(later)]);
    let stream = scene.open(Begin::Now);
    let call = stream.clone().advance(scene.client.clone(), TimeLimit::Unset, Until::Event);
    let mut call = Box::pin(call);
    let began = Instant::now();
    while scene.begun_at().len() < 2 {
        assert!(began.elapsed() < PATIENCE);
        assert!(poll(call.as_mut()).is_pending());
    }
    assert!(stream.close().unwrap().close().is_none(), "it has none yet");
    answer.send(()).unwrap();
    block_on(call).unwrap();
    assert_eq!(scene.next(&stream).unwrap(), None);
    scene.until_received(&["aggregate", "getMore", "aggregate", "killCursors"]);
}

#[test]
fn a_stream_reads_no_batch_ahead() {
    let scene = Scene::new(vec![Events(&[1], None), Events(&[2], None)]);
    let stream = scene.open(Begin::Now);
    stream.cursor().unwrap().set_read_ahead(true);
    for (token, sent) in [(1, 1), (2, 2)] {
        assert_eq!(scene.next(&stream).unwrap(), Some(token));
        assert_eq!(scene.names().len(), sent);
    }
}
