//! Bulk writes of a collection against a scripted server: where they are cut and stop, what is retried, and what
//! comes of the replies.

mod scripted_server;

use std::sync::Arc;

use bson::{RawDocumentBuf, rawdoc};
use ferromongo::error::{Error, ErrorKind, RETRYABLE_WRITE};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Operation};
use ferromongo::exec::run::run;
use ferromongo::exec::size::COMMAND_OVERHEAD;
use ferromongo::ops::bulk::collection::{BulkWrite, Manner};
use ferromongo::ops::bulk::destination::Feature;
use ferromongo::ops::bulk::positions::Positions;
use ferromongo::ops::bulk::progress::Run;
use ferromongo::ops::bulk::totals::Totals;
use ferromongo::ops::bulk::verb::Verb;
use ferromongo::wire::elements;
use ferromongo::wire::message::Message;
use scripted_server::{Answer, Command, ScriptedServer, block_on, error, terms};

const ORDERED: Manner = Manner { ordered: true, acknowledged: true, measured: false, needs: None };
const UNORDERED: Manner = Manner { ordered: false, ..ORDERED };
const QUIET: Manner = Manner { acknowledged: false, ..ORDERED };
/// The largest message, where a test cuts by bytes.
const BYTES: usize = 100_000;
/// What the driver keeps free for the session and the like.
const ROOM: usize = 16 * 1024;

/// Its batches hold three statements.
fn server(script: impl FnMut(&Command) -> Answer + Send + 'static) -> ScriptedServer {
    ScriptedServer::saying(rawdoc! { "maxWriteBatchSize": 3 }, script)
}

/// Everything succeeds.
fn all_done(command: &Command) -> Answer {
    Answer::Reply(rawdoc! { "ok": 1, "n": statements(command).len() as i32 })
}

/// A script that gives the answers one after the other, and then succeeds.
fn answers(all: impl IntoIterator<Item = Answer>) -> impl FnMut(&Command) -> Answer {
    let mut all = all.into_iter().collect::<Vec<_>>().into_iter();
    move |command| all.next().unwrap_or_else(|| all_done(command))
}

fn reply(reply: RawDocumentBuf) -> Answer {
    Answer::Reply(reply)
}

fn statements(command: &Command) -> &[RawDocumentBuf] {
    command.sequences.first().map_or(&[], |(_, statements)| statements)
}

/// A run of the whole bulk write.
type Given = (Verb, Vec<RawDocumentBuf>);

fn inserts(count: usize) -> Given {
    (Verb::Insert, (0..count).map(|n| rawdoc! { "_id": n as i32 }).collect())
}

fn updates(count: usize) -> Given {
    (Verb::Update, (0..count).map(|n| rawdoc! { "q": { "_id": n as i32 }, "u": {} }).collect())
}

/// A document of so many bytes.
fn document(size: usize) -> RawDocumentBuf {
    let around = rawdoc! { "x": "" }.as_bytes().len();
    rawdoc! { "x": "y".repeat(size - around) }
}

fn command(verb: Verb) -> Message {
    Message::from_elements(|out| elements::string(out, verb.name(), "c"))
}

/// What a command takes of a message without its statements.
fn beside(verb: Verb) -> usize {
    command(verb).parts().0.len()
}

fn write(core: &Arc<ClientCore>, manner: Manner, runs: &[Given]) -> Result<Totals, Error> {
    let mut first = 0;
    let described = runs.iter().map(|(verb, statements)| {
        let positions = Positions::From(first);
        first += statements.len();
        Run { verb: *verb, statements: statements.len(), positions }
    });
    perform(core, manner, runs, described.collect())
}

fn perform(
    core: &Arc<ClientCore>,
    manner: Manner,
    runs: &[Given],
    described: Vec<Run>,
) -> Result<Totals, Error> {
    let mut terms = terms(core, CommandKind::Write { retry: true });
    if !manner.acknowledged {
        terms.write_concern = Some(Arc::new(rawdoc! { "w": 0 }));
    }
    let mut write = BulkWrite::new(core.clone(), terms, described, manner);
    if !write.is_ready()? {
        write = block_on(write.meet())?;
    }
    while let Some(start) = write.next() {
        let (verb, statements) = &runs[start.run];
        let mut batch = write.batch(command(*verb), start);
        for statement in &statements[start.statement..] {
            if batch.is_full() {
                break;
            }
            batch.out().extend_from_slice(statement.as_bytes());
            if !batch.accept()? {
                break;
            }
        }
        write = block_on(write.send(batch))?;
    }
    Ok(write.into_totals())
}

/// Everything that was sent before has been received when this is answered: it takes the same connection.
fn ping(core: &Arc<ClientCore>) {
    let message = Message::from_elements(|out| elements::int32(out, "ping", 1));
    let terms = terms(core, CommandKind::Command);
    block_on(run(core, &mut Operation { message, terms })).unwrap();
}

/// Names and numbers of statements of the commands that came.
fn sent(server: &ScriptedServer) -> Vec<(String, usize)> {
    let received = server.received();
    received.iter().map(|command| (command.name.clone(), statements(command).len())).collect()
}

fn sizes(server: &ScriptedServer) -> Vec<usize> {
    sent(server).into_iter().map(|(_, count)| count).collect()
}

fn numbers(documents: &[RawDocumentBuf], key: &str) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32(key).unwrap()).collect()
}

#[test]
fn batches_are_cut_by_count() {
    for (count, expected) in [(1, vec![1]), (3, vec![3]), (4, vec![3, 1]), (7, vec![3, 3, 1])] {
        let server = server(all_done);
        let client = server.client();
        let totals = write(&client, ORDERED, &[inserts(count)]).unwrap();
        assert_eq!(totals.inserted, count as i64);
        assert_eq!(sizes(&server), expected);
        client.close();
    }
}

#[test]
fn batches_are_cut_by_bytes() {
    let room = BYTES - ROOM - beside(Verb::Insert);
    let half = room / 2;
    for (documents, expected) in [
        ([half, room - half], vec![2]),
        ([half, room - half + 1], vec![1, 1]),
        // The first one needs no room beside it.
        ([BYTES - beside(Verb::Insert), 20], vec![1, 1]),
    ] {
        let server =
            ScriptedServer::saying(rawdoc! { "maxMessageSizeBytes": BYTES as i32 }, all_done);
        let client = server.client();
        let documents = documents.into_iter().map(document).collect();
        let totals = write(&client, ORDERED, &[(Verb::Insert, documents)]).unwrap();
        assert_eq!((totals.inserted, sizes(&server)), (2, expected));
        client.close();
    }
}

#[test]
fn a_statement_that_no_message_holds_is_refused_before_it_is_sent() {
    let server = ScriptedServer::saying(rawdoc! { "maxMessageSizeBytes": BYTES as i32 }, all_done);
    let client = server.client();
    let large = document(BYTES - beside(Verb::Update) + 1);
    let statements = vec![rawdoc! { "q": {}, "u": {} }, large];
    let refused = write(&client, ORDERED, &[(Verb::Update, statements)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DocumentTooLarge);
    assert_eq!(sizes(&server), [1]);
    client.close();
}

#[test]
fn a_measured_document_is_held_against_the_servers_limit() {
    let limit = 1_000;
    let largest = limit + COMMAND_OVERHEAD - beside(Verb::Insert);
    let measured = Manner { measured: true, ..ORDERED };
    for (manner, size, fits) in [
        (measured, largest, true),
        (measured, largest + 1, false),
        (ORDERED, largest + 1, true),
        (QUIET, limit, true),
        (QUIET, limit + 1, false),
    ] {
        let server =
            ScriptedServer::saying(rawdoc! { "maxBsonObjectSize": limit as i32 }, all_done);
        let client = server.client();
        ping(&client); // a server is known
        let written = write(&client, manner, &[(Verb::Insert, vec![document(size)])]);
        assert_eq!(written.is_ok(), fits, "{size} bytes");
        ping(&client);
        assert_eq!(sent(&server).len(), 2 + usize::from(fits));
        client.close();
    }
}

#[test]
fn a_single_statement_is_sent_before_any_server_is_known() {
    let server = server(all_done);
    let client = server.client();
    let ready = |count: usize, needs| {
        let run = Run { verb: Verb::Insert, statements: count, positions: Positions::From(0) };
        let terms = terms(&client, CommandKind::Write { retry: true });
        let manner = Manner { needs, ..QUIET };
        BulkWrite::new(client.clone(), terms, vec![run], manner).is_ready().unwrap()
    };
    assert!(ready(1, None));
    assert!(!ready(2, None));
    assert!(!ready(1, Some(Feature::UnacknowledgedSort)));
    ping(&client);
    assert!(ready(2, None));
    client.close();
}

#[test]
fn a_write_error_ends_an_ordered_write_only() {
    let failed =
        || reply(rawdoc! { "ok": 1, "n": 1, "writeErrors": [{ "index": 1, "code": 11000 }] });
    for (manner, expected, inserted) in [(ORDERED, vec![3], 1), (UNORDERED, vec![3, 3, 1], 5)] {
        let server = server(answers([failed()]));
        let client = server.client();
        let totals = write(&client, manner, &[inserts(7)]).unwrap();
        assert_eq!((totals.inserted, sizes(&server)), (inserted, expected));
        assert_eq!(numbers(&totals.write_errors, "index"), [1]);
        client.close();
    }
}

#[test]
fn positions_are_those_in_the_whole_bulk_write() {
    let upserted = || {
        reply(rawdoc! {
            "ok": 1, "n": 2, "nModified": 0,
            "upserted": [{ "index": 0, "_id": "u" }, { "index": 2, "_id": "v" }],
            "writeErrors": [{ "index": 1, "code": 9, "errmsg": "no" }],
        })
    };
    // Unordered: inserts are at 0, 2, ... and updates between them.
    let runs = [inserts(4), updates(6)];
    let positions = [(0..4).map(|n| 2 * n).collect(), (0..6).map(|n| 2 * n + 1).collect()];
    let described = runs.iter().zip(positions).map(|((verb, statements), positions)| Run {
        verb: *verb,
        statements: statements.len(),
        positions: Positions::Each(positions),
    });
    let insert = || reply(rawdoc! { "ok": 1, "n": 0, "writeErrors": [{ "index": 0, "code": 1 }] });
    let server = server(answers([insert(), insert(), upserted(), upserted()]));
    let client = server.client();
    let totals = perform(&client, UNORDERED, &runs, described.collect()).unwrap();
    assert_eq!(sizes(&server), [3, 1, 3, 3]);
    assert_eq!(numbers(&totals.write_errors, "index"), [0, 6, 3, 9]);
    assert_eq!(numbers(&totals.upserts, "index"), [1, 5, 7, 11]);
    assert_eq!((totals.upserted, totals.matched), (4, 0));
    client.close();
}

#[test]
fn a_write_concern_error_halts_if_a_retry_might_have_cured_it() {
    let concern = |code: i32| {
        let concern = rawdoc! { "code": code, "errmsg": "no" };
        reply(rawdoc! { "ok": 1, "n": 3, "writeConcernError": concern })
    };
    for (code, expected) in [(64, vec![3, 3, 1]), (91, vec![3])] {
        let server = server(answers([concern(code)]));
        let client = server.client();
        let totals = write(&client, UNORDERED, &[inserts(7)]).unwrap();
        assert_eq!(sizes(&server), expected);
        assert_eq!(totals.inserted, expected.iter().sum::<usize>() as i64);
        assert_eq!(numbers(&totals.write_concern_errors, "code"), [code]);
        client.close();
    }
}

#[test]
fn a_write_concern_error_that_a_retry_does_not_cure_is_reported_with_what_was_written() {
    let concern = || {
        reply(rawdoc! {
            "ok": 1, "n": 3, "writeConcernError": { "code": 91, "errmsg": "no" },
            "errorLabels": [RETRYABLE_WRITE],
        })
    };
    let server = server(answers([concern(), concern()]));
    let client = server.client();
    let totals = write(&client, UNORDERED, &[inserts(7)]).unwrap();
    assert_eq!((totals.inserted, totals.halted), (3, true));
    let [reported] = &totals.write_concern_errors[..] else { panic!("one is reported") };
    assert_eq!(reported.get_array("errorLabels").unwrap().get_str(0).unwrap(), RETRYABLE_WRITE);
    let [first, second] = &server.received()[..] else { panic!("it was sent twice") };
    assert_eq!(number(first), number(second));
    client.close();
}

#[test]
fn a_batch_that_is_cut_is_sent_again_under_the_same_number() {
    let done = || reply(rawdoc! { "ok": 1, "n": 3 });
    let server = server(answers([done(), Answer::Cut]));
    let client = server.client();
    let totals = write(&client, ORDERED, &[inserts(7)]).unwrap();
    assert_eq!((totals.inserted, sizes(&server)), (7, vec![3, 3, 3, 1]));
    let numbers: Vec<_> = server.received().iter().map(number).collect();
    assert!(numbers[1] == numbers[2] && numbers[0] != numbers[1] && numbers[2] != numbers[3]);
    client.close();
}

#[test]
fn a_batch_that_is_cut_twice_ends_the_bulk_write() {
    let server = server(answers([Answer::Cut, Answer::Cut]));
    let client = server.client();
    let failed = write(&client, UNORDERED, &[inserts(7)]).unwrap_err();
    assert!(failed.is_network() && failed.has_label(RETRYABLE_WRITE));
    assert_eq!(sizes(&server), [3, 3]);
    client.close();
}

fn number(command: &Command) -> i64 {
    command.body.get_i64("txnNumber").unwrap()
}

#[test]
fn an_unacknowledged_ordered_write_is_answered_but_for_a_last_statement() {
    let server = server(all_done);
    let client = server.client();
    write(&client, QUIET, &[inserts(4), updates(3)]).unwrap();
    ping(&client);
    let told: Vec<_> = server.received().iter().map(about).collect();
    let (answered, quiet) = ((true, None), (false, Some(0)));
    // The last batch has three statements, so its reply tells whether the second one was carried out.
    assert_eq!(told[..3], [answered; 3]);
    write(&client, QUIET, &[inserts(4)]).unwrap();
    ping(&client);
    let told: Vec<_> = server.received()[4..].iter().map(about).collect();
    assert_eq!(told[..2], [answered, quiet]);
    client.close();
}

#[test]
fn an_unacknowledged_unordered_write_is_not_answered() {
    let server = server(all_done);
    let client = server.client();
    let manner = Manner { ordered: false, ..QUIET };
    let totals = write(&client, manner, &[inserts(7)]).unwrap();
    ping(&client);
    let received = server.received();
    assert_eq!(received.len(), 4);
    assert!(received[..3].iter().all(|command| about(command) == (false, Some(0))));
    assert!(received[..3].iter().all(|command| command.body.get("lsid").unwrap().is_none()));
    assert_eq!(totals.inserted, 0);
    client.close();
}

/// Whether it is answered, and the `w` of its write concern.
fn about(command: &Command) -> (bool, Option<i32>) {
    let concern = command.body.get_document("writeConcern").ok();
    (command.expects_reply, concern.map(|concern| concern.get_i32("w").unwrap()))
}

#[test]
fn an_unacknowledged_write_ends_silently_where_the_server_refuses_it() {
    let server = server(answers([error(13, &[])]));
    let client = server.client();
    let totals = write(&client, QUIET, &[inserts(7)]).unwrap();
    assert_eq!((totals.inserted, sizes(&server)), (0, vec![3]));
    client.close();
}

#[test]
fn an_unacknowledged_sort_needs_a_server_of_8_0() {
    for (version, supported) in [(24, false), (25, true)] {
        let server = ScriptedServer::saying(rawdoc! { "maxWireVersion": version }, all_done);
        let client = server.client();
        let manner = Manner { needs: Some(Feature::UnacknowledgedSort), ..QUIET };
        for _ in 0..2 {
            // Before and after a server is known.
            let written = write(&client, manner, &[updates(1)]);
            assert_eq!(
                written.err().map(|error| error.kind()),
                match supported {
                    true => None,
                    false => Some(ErrorKind::Configuration),
                }
            );
        }
        ping(&client);
        assert_eq!(sent(&server).len(), if supported { 3 } else { 1 });
        client.close();
    }
}

#[test]
fn malformed_replies_are_protocol_errors() {
    for malformed in [
        rawdoc! { "ok": 1, "n": "three" },
        rawdoc! { "ok": 1, "n": 3, "writeErrors": { "index": 0 } },
        rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "code": 1 }] },
        rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": -1 }] },
        rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": 3 }] },
        rawdoc! { "ok": 1, "n": 3, "writeConcernError": ["no"] },
    ] {
        let server = server(answers([reply(malformed)]));
        let client = server.client();
        let refused = write(&client, UNORDERED, &[inserts(7)]).unwrap_err();
        assert_eq!((refused.kind(), sizes(&server)), (ErrorKind::Protocol, vec![3]));
        client.close();
    }
}

#[test]
fn a_refused_command_ends_the_bulk_write() {
    let server = server(answers([error(13, &[])]));
    let client = server.client();
    let refused = write(&client, UNORDERED, &[inserts(7), updates(1)]).unwrap_err();
    assert_eq!((refused.code(), sizes(&server)), (Some(13), vec![3]));
    client.close();
}
