//! Files are read, whatever the line or the chunks do.

use std::pin::pin;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, RawDocumentBuf, doc, rawdoc};
use ferromongo::deadline::TimeLimit;
use ferromongo::error::{Error, ErrorKind};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::CommandKind;
use ferromongo::net::blocking;
use ferromongo::ops::gridfs::download::{Call, Download, Sink, Source};
use ferromongo::ops::gridfs::plan::Plan;

use crate::calls::{eventually, explicit};
use crate::scripted_server::{Answer, Command, ScriptedServer, block_on, error, ok, terms};

/// The chunks of a collection, sent in batches of a few.
struct Store {
    chunks: Vec<RawDocumentBuf>,
    per_batch: usize,
    /// Of each cursor, how many chunks come before its next batch.
    cursors: Vec<usize>,
}

impl Store {
    fn of(data: &[u8], chunk_size: usize, per_batch: usize) -> Store {
        let chunks = data.chunks(chunk_size).enumerate();
        let chunks = chunks.map(|(number, data)| chunk(number as i32, data)).collect();
        Store { chunks, per_batch, cursors: Vec::new() }
    }

    fn answer(&mut self, command: &Command) -> Answer {
        let (name, id) = match &*command.name {
            "find" => {
                let filter = command.body.get_document("filter").unwrap();
                assert_eq!(filter.get_document("files_id").unwrap().get_i32("$eq").unwrap(), 7);
                let first = match filter.get_document("n") {
                    Ok(n) => n.get_i64("$gte").unwrap(),
                    Err(_) => 0,
                };
                let number = |chunk: &RawDocumentBuf| i64::from(chunk.get_i32("n").unwrap_or(0));
                let skipped = self.chunks.iter().take_while(|chunk| number(chunk) < first);
                self.cursors.push(skipped.count());
                ("firstBatch", self.cursors.len())
            }
            "getMore" => ("nextBatch", command.body.get_i64("getMore").unwrap() as usize),
            _ => return ok(),
        };
        let begin = self.cursors[id - 1];
        let end = self.chunks.len().min(begin + self.per_batch);
        let batch = &self.chunks[begin..end];
        self.cursors[id - 1] = end;
        // As servers do: a cursor whose last batch was full is open until it is asked again.
        let id = if batch.len() == self.per_batch { id as i64 } else { 0 };
        let batch: Vec<_> = batch.iter().map(|it| Bson::Document(it.try_into().unwrap())).collect();
        let cursor = doc! { "id": id, "ns": "db.fs.chunks", name: batch };
        Answer::Reply((&doc! { "ok": 1, "cursor": cursor }).try_into().unwrap())
    }
}

fn chunk(number: i32, data: &[u8]) -> RawDocumentBuf {
    let data = Binary { subtype: BinarySubtype::Generic, bytes: data.to_vec() };
    rawdoc! { "_id": number, "files_id": 7, "n": number, "data": data }
}

fn source(length: u64, chunk_size: u64) -> Arc<Source> {
    let filter = rawdoc! { "files_id": { "$eq": 7 } }.into_bytes();
    let filter = filter[4..filter.len() - 1].to_vec();
    let plan = Plan { length, chunk_size };
    Arc::new(Source { plan, collection: "fs.chunks".to_owned(), filter })
}

fn call(client: &Arc<ClientCore>) -> Call {
    Call { client: client.clone(), terms: terms(client, CommandKind::FIND) }
}

const DATA: &[u8] = b"0123456789";

fn read(download: &mut Download, call: &Call, from: u64, to: u64) -> Result<Vec<u8>, Error> {
    let mut found = Vec::new();
    block_on(download.read(call, from, to - from, 0, &mut found)).map(|()| found)
}

#[test]
fn any_part_of_a_file_is_read_in_batches_of_any_size() {
    for per_batch in 1..=4 {
        let mut store = Store::of(DATA, 4, per_batch);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let call = call(&client);
        let mut kept = Download::new(source(10, 4));
        for from in 0..10 {
            for to in from + 1..=10 {
                let expected = &DATA[from as usize..to as usize];
                let mut download = Download::new(source(10, 4));
                assert_eq!(read(&mut download, &call, from, to).unwrap(), expected);
                assert_eq!(read(&mut kept, &call, from, to).unwrap(), expected, "{from} to {to}");
            }
        }
        client.close();
    }
}

#[test]
fn the_commands_are_a_find_and_a_get_more_for_each_further_batch() {
    for (data, expected) in [
        (&DATA[..8], &["find", "getMore", "getMore"][..]),
        (DATA, &["find", "getMore", "getMore", "getMore"]),
        (&DATA[..3], &["find", "getMore"]),
    ] {
        let mut store = Store::of(data, 4, 1);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let length = data.len() as u64;
        let mut download = Download::new(source(length, 4));
        assert_eq!(read(&mut download, &call(&client), 0, length).unwrap(), data);
        assert_eq!(server.names(), expected);
        client.close();
    }
}

/// Sees what the server has received when bytes are handed out.
struct Watching<'a> {
    server: &'a ScriptedServer,
    wait_for: usize,
    seen: Vec<usize>,
}

impl Sink for Watching<'_> {
    fn put(&mut self, _part: &[u8]) {
        eventually(|| self.server.received().len() >= self.wait_for.min(4));
        self.wait_for += 1;
        self.seen.push(self.server.received().len());
    }
}

#[test]
fn the_next_batch_is_asked_for_before_one_is_copied() {
    let mut store = Store::of(DATA, 4, 1);
    let server = ScriptedServer::start(move |command| store.answer(command));
    let client = server.client();
    let mut watching = Watching { server: &server, wait_for: 2, seen: Vec::new() };
    let mut download = Download::new(source(10, 4));
    block_on(download.read(&call(&client), 0, 10, 0, &mut watching)).unwrap();
    assert_eq!(watching.seen, [2, 3, 4]);
    client.close();
}

#[test]
fn nothing_is_asked_for_that_the_call_may_not_need() {
    let mut store = Store::of(DATA, 4, 1);
    let server = ScriptedServer::start(move |command| store.answer(command));
    let client = server.client();
    let mut download = Download::new(source(10, 4));
    assert_eq!(read(&mut download, &call(&client), 0, 4).unwrap(), b"0123");
    assert_eq!(read(&mut download, &call(&client), 1, 3).unwrap(), b"12");
    let found = block_on(download.line(&call(&client), 4, 2)).unwrap();
    assert_eq!(found, b"45");
    // The first cursor is killed in the background, some time.
    let names = server.names();
    let reads: Vec<_> = names.iter().filter(|name| *name != "killCursors").collect();
    assert_eq!(reads, ["find", "find", "getMore"]);
    client.close();
}

#[test]
fn a_copy_of_the_file_has_the_next_batch_asked_for_before_it_comes_back() {
    for by_read in [false, true] {
        let mut store = Store::of(&DATA[..8], 4, 1);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let call = call(&client);
        let mut download = Download::new(source(8, 4));
        if by_read {
            let mut first = Vec::new();
            block_on(download.read(&call, 0, 4, 8, &mut first)).unwrap();
            assert_eq!(first, b"0123");
        } else {
            block_on(download.find_part(&call, 0, 8)).unwrap();
            assert_eq!(download.part(0), Some(&b"0123"[..]));
        }
        eventually(|| server.names() == ["find", "getMore"]);
        // With the last chunk nothing is asked for that a copy by chunks does not take.
        block_on(download.find_part(&call, 4, 8)).unwrap();
        assert_eq!(download.part(4), Some(&b"4567"[..]));
        if !by_read {
            assert_eq!(server.names(), ["find", "getMore"]);
        }
        block_on(download.check_end(&call)).unwrap();
        assert_eq!(server.names(), ["find", "getMore", "getMore"]);
        client.close();
    }
}

#[test]
fn nothing_is_asked_for_between_calls_where_time_or_connections_are_limited() {
    for (most, socket_timeout, limit) in [
        (1, None, None),
        (10, Some(Duration::from_secs(60)), None),
        (10, None, Some(Duration::from_secs(60))),
    ] {
        let mut store = Store::of(DATA, 4, 1);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client_with(|settings| {
            (settings.max_pool_size, settings.socket_timeout) = (most, socket_timeout);
        });
        let mut call = call(&client);
        if let Some(limit) = limit {
            call.terms.limit = TimeLimit::after(Instant::now(), limit);
        }
        let mut download = Download::new(source(10, 4));
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for position in [0, 4, 8] {
            block_on(download.find_part(&call, position, 10)).unwrap();
            found.extend_from_slice(download.part(position).unwrap());
            // Another operation finds a connection.
            let mut other = Download::new(source(10, 4));
            assert_eq!(read(&mut other, &call, 0, 4).unwrap(), b"0123");
            others.push(other); // dropped, it would have its cursor killed
        }
        assert_eq!(found, DATA);
        let expected = ["find", "find", "getMore", "find", "getMore", "find"];
        assert_eq!(server.names(), expected);
        client.close();
    }
}

#[test]
fn in_a_session_of_the_callers_one_command_follows_the_other() {
    let mut store = Store::of(DATA, 4, 1);
    let server = ScriptedServer::start(move |command| store.answer(command));
    let client = server.client();
    let call = Call { client: client.clone(), terms: explicit(&client, CommandKind::FIND) };
    let mut watching = Watching { server: &server, wait_for: 0, seen: Vec::new() };
    let mut download = Download::new(source(10, 4));
    block_on(download.read(&call, 0, 10, 0, &mut watching)).unwrap();
    assert_eq!(watching.seen, [1, 2, 3]);
    let sessions = server.received().into_iter().map(|it| it.body.get("lsid").unwrap().is_some());
    assert!(sessions.eq([true; 4]));
    client.close();
}

type Damage = fn(&mut Vec<RawDocumentBuf>);

#[test]
fn every_damage_is_an_error_and_does_not_last() {
    let damages: [(Damage, &str); 9] = [
        (|chunks| drop(chunks.remove(0)), "chunk 0 is missing: the next one is 1"),
        (|chunks| drop(chunks.remove(1)), "chunk 1 is missing: the next one is 2"),
        (|chunks| drop(chunks.remove(2)), "chunk 2 is missing: the file has 3"),
        (|chunks| chunks.clear(), "chunk 0 is missing: the file has 3"),
        (|chunks| chunks[1] = chunk(1, b"456"), "chunk 1 has 3 bytes instead of 4"),
        (|chunks| chunks[2] = chunk(2, b"890"), "chunk 2 has 3 bytes instead of 2"),
        (|chunks| chunks.insert(1, chunk(0, b"0123")), "chunk 1 is missing: the next one is 0"),
        (|chunks| chunks.push(chunk(3, b"x")), "chunk 3 is one too many: the file has 3"),
        (|chunks| chunks[0] = rawdoc! { "n": 0 }, "chunk 0 has no data that are bytes"),
    ];
    for (damage, expected) in damages {
        for per_batch in 1..=5 {
            let store = Arc::new(StdMutex::new(Store::of(DATA, 4, per_batch)));
            damage(&mut store.lock().unwrap().chunks);
            let kept = store.clone();
            let server = ScriptedServer::start(move |command| kept.lock().unwrap().answer(command));
            let client = server.client();
            let mut download = Download::new(source(10, 4));
            let error = read(&mut download, &call(&client), 0, 10).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::CorruptFile, expected));
            let line = block_on(download.line(&call(&client), 0, 10)).unwrap_err();
            assert_eq!(line.message(), expected);
            // Not its cursors: a getMore that was asked for ahead may still be on its way.
            store.lock().unwrap().chunks = Store::of(DATA, 4, per_batch).chunks;
            assert_eq!(read(&mut download, &call(&client), 0, 10).unwrap(), DATA);
            client.close();
        }
    }
}

#[test]
fn an_empty_chunk_behind_the_last_does_no_harm() {
    for per_batch in 1..=5 {
        let mut store = Store::of(DATA, 4, per_batch);
        store.chunks.push(chunk(3, b""));
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let mut download = Download::new(source(10, 4));
        assert_eq!(read(&mut download, &call(&client), 0, 10).unwrap(), DATA);
        assert_eq!(read(&mut download, &call(&client), 8, 10).unwrap(), b"89");
        client.close();
    }
}

#[test]
fn an_empty_file_has_no_chunk() {
    for (extra, expected) in [(None, true), (Some(chunk(0, b"x")), false)] {
        let mut store = Store::of(b"", 4, 2);
        store.chunks.extend(extra);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let mut download = Download::new(source(0, 4));
        assert_eq!(block_on(download.check_end(&call(&client))).is_ok(), expected);
        client.close();
    }
}

#[test]
fn chunks_are_handed_out_one_by_one() {
    let mut store = Store::of(DATA, 4, 2);
    let server = ScriptedServer::start(move |command| store.answer(command));
    let client = server.client();
    let call = call(&client);
    let mut download = Download::new(source(10, 4));
    for (position, expected) in [(0, &b"0123"[..]), (4, b"4567"), (5, b"567"), (8, b"89")] {
        assert!(!download.opens_at(position) || position == 0);
        block_on(download.find_part(&call, position, 0)).unwrap();
        assert_eq!(download.part(position), Some(expected));
    }
    download.release(10);
    assert_eq!(download.part(8), None);
    block_on(download.check_end(&call)).unwrap();
    assert_eq!(server.names(), ["find", "getMore"]);
    client.close();
}

#[test]
fn a_forgotten_cursor_is_opened_again_at_the_right_chunk() {
    for in_session in [false, true] {
        let (mut store, mut count) = (Store::of(DATA, 4, 1), 0);
        let server = ScriptedServer::start(move |command| {
            count += 1;
            if count == 3 { error(43, &[]) } else { store.answer(command) }
        });
        let client = server.client();
        let mut call = call(&client);
        if in_session {
            call.terms = explicit(&client, CommandKind::FIND);
        }
        let mut download = Download::new(source(10, 4));
        assert_eq!(read(&mut download, &call, 0, 10).unwrap(), DATA);
        let expected = ["find", "getMore", "getMore", "find", "getMore"];
        assert_eq!(server.names(), expected);
        let filter = server.received()[3].body.get_document("filter").unwrap().to_owned();
        assert_eq!(filter.get_document("n").unwrap().get_i64("$gte").unwrap(), 2);
        client.close();
    }
}

#[test]
fn a_cut_find_is_retried_and_a_read_that_a_cut_get_more_ends_can_be_repeated() {
    for (cut, retried) in [(1, true), (2, false), (3, false)] {
        let (mut store, mut count) = (Store::of(DATA, 4, 1), 0);
        let server = ScriptedServer::start(move |command| {
            count += 1;
            if count == cut { Answer::Cut } else { store.answer(command) }
        });
        let client = server.client();
        let mut download = Download::new(source(10, 4));
        let first = read(&mut download, &call(&client), 0, 10);
        match retried {
            true => assert_eq!(first.unwrap(), DATA),
            false => assert_eq!(first.unwrap_err().kind(), ErrorKind::Network),
        }
        assert_eq!(read(&mut download, &call(&client), 3, 10).unwrap(), &DATA[3..]);
        client.close();
    }
}

#[test]
fn a_read_that_is_dropped_midway_has_its_cursor_killed() {
    let (mut store, mut count) = (Store::of(DATA, 4, 1), 0);
    let server = ScriptedServer::start(move |command| {
        count += 1;
        if count == 2 { Answer::Silence } else { store.answer(command) }
    });
    let client = server.client();
    let call = call(&client);
    {
        let mut found = Vec::new();
        let work = async {
            let mut download = Download::new(source(10, 4));
            download.read(&call, 0, 10, 0, &mut found).await
        };
        let left = blocking::run(pin!(work), |_| server.received().len() == 2);
        assert!(left.is_none(), "it waits for the second batch");
    }
    eventually(|| server.names().contains(&"killCursors".to_owned()));
    client.close();
}

#[test]
fn a_closed_or_dropped_download_has_its_cursor_killed() {
    for closed in [true, false] {
        let mut store = Store::of(DATA, 4, 1);
        let server = ScriptedServer::start(move |command| store.answer(command));
        let client = server.client();
        let mut download = Download::new(source(10, 4));
        assert_eq!(read(&mut download, &call(&client), 0, 2).unwrap(), b"01");
        match closed {
            true => {
                block_on(download.close(TimeLimit::Unset));
                assert_eq!(server.names(), ["find", "killCursors"]);
            }
            false => {
                drop(download);
                eventually(|| server.names() == ["find", "killCursors"]);
            }
        }
        client.close();
    }
}
