//! `bulkWrite` against a scripted server: where it is cut, the cursor of its results, what ends it.

mod scripted_server;

use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use ferromongo::error::{Error, ErrorKind, RETRYABLE_WRITE};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Operation, Terms};
use ferromongo::exec::run::run;
use ferromongo::net::blocking;
use ferromongo::ops::bulk::client::{ClientBulkWrite, ClientManner};
use ferromongo::ops::bulk::client_totals::{ClientTotals, Failure};
use ferromongo::ops::bulk::operation::OperationKind;
use ferromongo::session::client::Session;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;
use scripted_server::{Answer, Command, ScriptedServer, block_on, error, ok};

const ORDERED: ClientManner = ClientManner { ordered: true, acknowledged: true, verbose: true };
const UNORDERED: ClientManner = ClientManner { ordered: false, ..ORDERED };
const QUIET: ClientManner = ClientManner { acknowledged: false, ordered: false, verbose: false };
const CURSOR: i64 = 77;
/// What the driver keeps free beside operations and namespaces.
const ROOM: usize = 1_000;

/// An insert into this collection.
type Given = (&'static str, RawDocumentBuf);

fn inserts(count: usize) -> Vec<Given> {
    (0..count).map(|n| ("d.c", rawdoc! { "_id": n as i32 })).collect()
}

fn command() -> Message {
    Message::from_elements(|out| {
        elements::int32(out, "bulkWrite", 1);
        elements::nested(out, "comment", |out| elements::string(out, "why", "test"));
    })
}

fn machine(core: &Arc<ClientCore>, manner: ClientManner, operations: usize) -> ClientBulkWrite {
    let session = Session::implicit(core.sessions.clone());
    let kind = CommandKind::Write { retry: manner.acknowledged };
    let mut terms = Terms::new("admin".into(), kind, session);
    if !manner.acknowledged {
        terms.write_concern = Some(Arc::new(rawdoc! { "w": 0 }));
    }
    ClientBulkWrite::new(core.clone(), terms, operations, manner)
}

fn write(
    core: &Arc<ClientCore>,
    manner: ClientManner,
    operations: &[Given],
) -> Result<ClientTotals, Error> {
    let mut write = block_on(machine(core, manner, operations.len()).meet())?;
    while let Some(first) = write.next() {
        let mut batch = write.batch(command());
        for (namespace, document) in &operations[first..] {
            if batch.is_full() {
                break;
            }
            let place = batch.place(namespace) as i32;
            let operation = rawdoc! { "insert": place, "document": document.clone() };
            batch.out().extend_from_slice(operation.as_bytes());
            if !batch.accept(OperationKind::Insert)? {
                break;
            }
        }
        write = block_on(write.send(batch))?;
    }
    Ok(write.into_totals())
}

/// A reply without errors.
fn summary(inserted: i32) -> RawDocumentBuf {
    rawdoc! { "ok": 1, "nInserted": inserted, "nErrors": 0 }
}

/// A reply with the first of the results.
fn summary_with(inserted: i32, cursor: i64, results: &[RawDocumentBuf]) -> RawDocumentBuf {
    let mut reply = summary(inserted);
    let results = results.iter().cloned().collect::<RawArrayBuf>();
    reply.append(
        cstr!("cursor"),
        rawdoc! { "id": cursor, "ns": "admin.$cmd.bulkWrite", "firstBatch": results },
    );
    reply
}

fn more(cursor: i64, results: &[RawDocumentBuf]) -> Answer {
    let results = results.iter().cloned().collect::<RawArrayBuf>();
    let cursor = rawdoc! { "id": cursor, "ns": "admin.$cmd.bulkWrite", "nextBatch": results };
    Answer::Reply(rawdoc! { "ok": 1, "cursor": cursor })
}

fn inserted(index: i32) -> RawDocumentBuf {
    rawdoc! { "idx": index, "ok": 1.0, "n": 1 }
}

fn failed(index: i32) -> RawDocumentBuf {
    rawdoc! { "ok": 0.0, "idx": index, "code": 11000 }
}

/// The answers one after the other; then everything succeeds.
fn server(all: impl IntoIterator<Item = Answer>) -> ScriptedServer {
    let mut all = all.into_iter().collect::<Vec<_>>().into_iter();
    ScriptedServer::saying(rawdoc! { "maxWriteBatchSize": 3 }, move |command| {
        all.next().unwrap_or_else(|| match operations(command).len() {
            0 => ok(),
            count => Answer::Reply(summary(count as i32)),
        })
    })
}

fn section<'a>(command: &'a Command, name: &str) -> &'a [RawDocumentBuf] {
    let found = command.sequences.iter().find(|(found, _)| found == name);
    found.map_or(&[], |(_, documents)| documents)
}

fn operations(command: &Command) -> &[RawDocumentBuf] {
    section(command, "ops")
}

fn sizes(server: &ScriptedServer) -> Vec<usize> {
    server.received().iter().map(|command| operations(command).len()).collect()
}

fn positions(totals: &ClientTotals) -> Vec<usize> {
    totals.results.iter().map(|(position, _)| *position).collect()
}

/// The error that kept results from being read.
fn unread(totals: &ClientTotals) -> &Error {
    match &totals.failure {
        Some(Failure::Results(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Commands come from other threads, too.
fn wait_for(server: &ScriptedServer, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !server.names().iter().any(|received| received == name) {
        assert!(Instant::now() < deadline, "no {name} came");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn batches_are_cut_by_count_and_name_their_namespaces() {
    let server = server([]);
    let client = server.client();
    let mut given = inserts(5);
    given[1].0 = "d.other";
    given[4].0 = "d.other";
    let totals = write(&client, ORDERED, &given).unwrap();
    assert_eq!((totals.totals.inserted, sizes(&server)), (5, vec![3, 2]));
    let received = server.received();
    let places = |command: &Command| -> Vec<i32> {
        operations(command).iter().map(|one| one.get_i32("insert").unwrap()).collect()
    };
    let namespaces = [rawdoc! { "ns": "d.c" }, rawdoc! { "ns": "d.other" }];
    for (command, expected) in received.iter().zip([vec![0, 1, 0], vec![0, 1]]) {
        assert_eq!(places(command), expected);
        assert_eq!(section(command, "nsInfo"), namespaces);
    }
    client.close();
}

#[test]
fn batches_are_cut_by_bytes_with_their_namespaces() {
    let bytes = 50_000;
    let size = |document: &RawDocumentBuf| {
        rawdoc! { "insert": 0, "document": document.clone() }.as_bytes().len()
    };
    let namespace = |name: &str| rawdoc! { "ns": name }.as_bytes().len();
    let filler = |wanted: usize| {
        let empty = rawdoc! { "x": "" };
        rawdoc! { "x": "y".repeat(wanted - size(&empty)) }
    };
    let room = bytes - ROOM - command().body().len();
    let same = room - namespace("d.c") - 20_000;
    let other = same - namespace("d.other");
    for (second, name, expected) in [
        (same, "d.c", vec![2]),
        (same + 1, "d.c", vec![1, 1]),
        (other, "d.other", vec![2]),
        (other + 1, "d.other", vec![1, 1]),
    ] {
        let server = ScriptedServer::saying(
            rawdoc! { "maxMessageSizeBytes": bytes as i32 },
            |command: &Command| Answer::Reply(summary(operations(command).len() as i32)),
        );
        let client = server.client();
        let given = [("d.c", filler(20_000)), (name, filler(second))];
        let totals = write(&client, ORDERED, &given).unwrap();
        assert_eq!((totals.totals.inserted, sizes(&server)), (2, expected.clone()));
        // A batch names no namespace of an operation that it does not have.
        let names = section(&server.received()[0], "nsInfo").len();
        assert_eq!(names, if expected == [2] && name == "d.other" { 2 } else { 1 });
        let alone = [("d.c", filler(room - namespace("d.c")))];
        assert!(write(&client, ORDERED, &alone).is_ok());
        let too_large = [("d.c", filler(room - namespace("d.c") + 1))];
        let refused = write(&client, ORDERED, &too_large).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::DocumentTooLarge);
        client.close();
    }
}

#[test]
fn results_are_read_over_several_batches() {
    let first = Answer::Reply(summary_with(3, CURSOR, &[inserted(0)]));
    let next = [more(CURSOR, &[inserted(1)]), more(0, &[inserted(2)])];
    let last = Answer::Reply(summary_with(1, 0, &[inserted(0)]));
    let server = server([first].into_iter().chain(next).chain([last]));
    let client = server.client();
    let totals = write(&client, ORDERED, &inserts(4)).unwrap();
    assert_eq!(server.names(), ["bulkWrite", "getMore", "getMore", "bulkWrite"]);
    assert_eq!(positions(&totals), [0, 1, 2, 3]);
    assert_eq!(totals.results[3].1, inserted(0));
    assert_eq!((totals.totals.inserted, totals.any_successful), (4, true));
    assert!(totals.failure.is_none());
    for asked in &server.received()[1..3] {
        assert_eq!(asked.body.get_i64("getMore").unwrap(), CURSOR);
        assert_eq!(asked.body.get_str("collection").unwrap(), "$cmd.bulkWrite");
        assert_eq!(asked.body.get_document("comment").unwrap(), &*rawdoc! { "why": "test" });
        let session = |command: &Command| command.body.get_document("lsid").unwrap().to_owned();
        assert_eq!(session(asked), session(&server.received()[0]));
    }
    client.close();
}

#[test]
fn only_errors_are_kept_if_results_are_not_wanted() {
    let first = summary_with(1, 0, &[inserted(0), failed(2)]);
    let server = server([Answer::Reply(first)]);
    let client = server.client();
    let manner = ClientManner { verbose: false, ..UNORDERED };
    let totals = write(&client, manner, &inserts(3)).unwrap();
    assert!(totals.results.is_empty());
    assert_eq!(totals.totals.write_errors, [failed(2)]);
    client.close();
}

#[test]
fn an_error_ends_an_ordered_write_only() {
    let second = || Answer::Reply(summary_with(1, 0, &[inserted(0), failed(1)]));
    for (manner, expected) in [(ORDERED, vec![3, 3]), (UNORDERED, vec![3, 3, 2])] {
        let server = server([Answer::Reply(summary(3)), second()]);
        let client = server.client();
        let totals = write(&client, manner, &inserts(8)).unwrap();
        assert_eq!(sizes(&server), expected);
        assert_eq!(totals.totals.write_errors, [rawdoc! { "ok": 0.0, "idx": 4, "code": 11000 }]);
        client.close();
    }
}

#[test]
fn nothing_is_successful_if_all_operations_failed() {
    let all_failed = rawdoc! { "ok": 1, "nErrors": 3 };
    let server = server([Answer::Reply(all_failed)]);
    let client = server.client();
    let totals = write(&client, UNORDERED, &inserts(3)).unwrap();
    assert!(!totals.any_successful);
    client.close();
}

#[test]
fn a_reply_without_a_cursor_has_no_results() {
    let server = server([]);
    let client = server.client();
    let totals = write(&client, ORDERED, &inserts(2)).unwrap();
    assert!(totals.results.is_empty() && totals.failure.is_none());
    assert_eq!(totals.totals.inserted, 2);
    client.close();
}

#[test]
fn a_cursor_that_cannot_be_read_is_killed_and_the_rest_is_reported() {
    for (code, killed) in [(8, true), (43, false)] {
        let first = Answer::Reply(summary_with(3, CURSOR, &[inserted(0), failed(1)]));
        let server = server([first, error(code, &[])]);
        let client = server.client();
        let totals = write(&client, UNORDERED, &inserts(4)).unwrap();
        assert_eq!(unread(&totals).code(), Some(code));
        assert_eq!((totals.totals.inserted, positions(&totals)), (3, vec![0]));
        assert_eq!(totals.totals.write_errors, [failed(1)]);
        let expected: &[_] = match killed {
            true => &["bulkWrite", "getMore", "killCursors"],
            false => &["bulkWrite", "getMore"],
        };
        assert_eq!(server.names(), expected);
        client.close();
    }
}

#[test]
fn a_get_more_that_is_cut_is_not_repeated() {
    let first = Answer::Reply(summary_with(3, CURSOR, &[inserted(0)]));
    let server = server([first, Answer::Cut]);
    let client = server.client();
    let totals = write(&client, UNORDERED, &inserts(4)).unwrap();
    assert!(unread(&totals).is_network());
    assert_eq!(server.names(), ["bulkWrite", "getMore"]);
    client.close();
}

#[test]
fn malformed_results_are_protocol_errors() {
    let without_cursor = || Answer::Reply(rawdoc! { "ok": 1 });
    for (first, next, killed) in [
        (vec![inserted(0)], Some(without_cursor()), true),
        (vec![inserted(0)], Some(more(0, &[inserted(3)])), false),
        (vec![inserted(3)], None, true),
        (vec![inserted(-1)], None, true),
        (vec![failed(3)], None, true),
        (vec![rawdoc! { "ok": 1 }], None, true),
        (vec![rawdoc! { "idx": 0 }], None, true),
    ] {
        let reads_on = next.is_some();
        let first = Answer::Reply(summary_with(3, CURSOR, &first));
        let server = server([first].into_iter().chain(next));
        let client = server.client();
        let totals = write(&client, UNORDERED, &inserts(4)).unwrap();
        assert_eq!(unread(&totals).kind(), ErrorKind::Protocol);
        assert_eq!(totals.totals.inserted, 3);
        if killed {
            wait_for(&server, "killCursors");
        }
        let names = server.names();
        assert_eq!(names.iter().any(|name| name == "getMore"), reads_on);
        client.close();
    }
}

#[test]
fn malformed_replies_are_protocol_errors() {
    for (malformed, reported) in [
        (rawdoc! { "ok": 1, "nInserted": "three" }, false),
        (rawdoc! { "ok": 1, "writeConcernError": 1 }, false),
        (rawdoc! { "ok": 1, "cursor": 1 }, true),
        (rawdoc! { "ok": 1, "cursor": {} }, true),
        (rawdoc! { "ok": 1, "cursor": { "id": 5, "firstBatch": [1] } }, true),
        (rawdoc! { "ok": 1, "cursor": { "firstBatch": [] } }, true),
    ] {
        let server = server([Answer::Reply(malformed)]);
        let client = server.client();
        let written = write(&client, UNORDERED, &inserts(4));
        let kind = match &written {
            Ok(totals) => unread(totals).kind(),
            Err(error) => error.kind(),
        };
        assert_eq!((kind, written.is_ok()), (ErrorKind::Protocol, reported));
        assert_eq!(sizes(&server), [3]);
        client.close();
    }
}

#[test]
fn a_command_that_fails_is_reported_with_what_came_before() {
    let server = server([Answer::Reply(summary(3)), error(8, &[])]);
    let client = server.client();
    let totals = write(&client, UNORDERED, &inserts(8)).unwrap();
    let Some(Failure::Command(error)) = &totals.failure else { panic!("it was not carried out") };
    assert_eq!((error.code(), totals.totals.inserted), (Some(8), 3));
    assert_eq!(sizes(&server), [3, 3]);
    client.close();
}

#[test]
fn a_batch_that_is_cut_is_sent_again_under_the_same_number() {
    for cuts in 1..=2 {
        let cut = (0..cuts).map(|_| Answer::Cut);
        let server = server([Answer::Reply(summary(3))].into_iter().chain(cut));
        let client = server.client();
        let totals = write(&client, ORDERED, &inserts(5)).unwrap();
        assert_eq!(sizes(&server), [3, 2, 2]);
        let received = server.received();
        let numbers: Vec<_> =
            received.iter().map(|command| command.body.get_i64("txnNumber").unwrap()).collect();
        assert!(numbers[0] != numbers[1] && numbers[1] == numbers[2]);
        match (&totals.failure, cuts) {
            (None, 1) => assert_eq!(totals.totals.inserted, 5),
            (Some(Failure::Command(error)), 2) => assert!(error.is_network()),
            (other, _) => panic!("{other:?}"),
        }
        client.close();
    }
}

#[test]
fn a_write_concern_error_halts_if_a_retry_might_have_cured_it() {
    let with = |code: i32, labels: &[&str]| {
        let mut reply = summary_with(3, 0, &[inserted(0)]);
        let concern = rawdoc! { "code": code, "errmsg": "no" };
        reply.append(cstr!("writeConcernError"), concern);
        let labels = labels.iter().copied().collect::<RawArrayBuf>();
        reply.append(cstr!("errorLabels"), labels);
        Answer::Reply(reply)
    };
    let retried = [RETRYABLE_WRITE];
    for (answers, expected) in [
        (vec![with(64, &[])], vec![3, 2]),
        (vec![with(91, &[])], vec![3]),
        (vec![with(91, &retried), with(91, &retried)], vec![3, 3]),
    ] {
        let server = server(answers);
        let client = server.client();
        let totals = write(&client, UNORDERED, &inserts(5)).unwrap();
        assert_eq!(sizes(&server), expected);
        assert_eq!(totals.totals.write_concern_errors.len(), 1);
        assert_eq!(totals.results.is_empty(), expected != [3, 2]);
        client.close();
    }
}

#[test]
fn an_unacknowledged_write_is_not_answered() {
    let server = server([]);
    let client = server.client();
    let totals = write(&client, QUIET, &inserts(5)).unwrap();
    assert_eq!(totals.totals.inserted, 0);
    let message = Message::from_elements(|out| elements::int32(out, "ping", 1));
    let session = Session::implicit(client.sessions.clone());
    let terms = Terms::new("admin".into(), CommandKind::Command, session);
    // On the same connection, hence later.
    block_on(run(&client, &mut Operation { message, terms })).unwrap();
    let received = server.received();
    assert_eq!(sizes(&server), [3, 2, 0]);
    for command in &received[..2] {
        assert!(!command.expects_reply && command.body.get("lsid").unwrap().is_none());
        assert_eq!(command.body.get_document("writeConcern").unwrap().get_i32("w").unwrap(), 0);
    }
    client.close();
}

#[test]
fn an_unacknowledged_document_that_is_too_large_is_refused() {
    let limit = 1_000;
    let around = rawdoc! { "x": "" }.as_bytes().len();
    let document = |size: usize| rawdoc! { "x": "y".repeat(size - around) };
    for (size, fits) in [(limit, true), (limit + 1, false)] {
        let server =
            ScriptedServer::saying(rawdoc! { "maxBsonObjectSize": limit as i32 }, |_: &Command| {
                ok()
            });
        let client = server.client();
        assert_eq!(write(&client, QUIET, &[("d.c", document(size))]).is_ok(), fits);
        client.close();
    }
}

#[test]
fn a_server_older_than_8_0_is_refused() {
    let server = ScriptedServer::saying(rawdoc! { "maxWireVersion": 24 }, |_: &Command| ok());
    let client = server.client();
    let refused = write(&client, ORDERED, &inserts(1)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidOperation);
    assert!(server.received().is_empty());
    client.close();
}

#[test]
fn a_call_that_is_cancelled_while_it_reads_results_kills_their_cursor() {
    let first = Answer::Reply(summary_with(3, CURSOR, &[inserted(0)]));
    let server = server([first, Answer::Silence]);
    let client = server.client();
    let write = block_on(machine(&client, ORDERED, 1).meet()).unwrap();
    let mut batch = write.batch(command());
    let place = batch.place("d.c") as i32;
    let operation = rawdoc! { "insert": place, "document": {} };
    batch.out().extend_from_slice(operation.as_bytes());
    assert!(batch.accept(OperationKind::Insert).unwrap());
    {
        let sent = pin!(write.send(batch));
        let asked = |_| server.names().iter().any(|name| name == "getMore");
        assert!(blocking::run(sent, asked).is_none());
    }
    wait_for(&server, "killCursors");
    client.close();
}
