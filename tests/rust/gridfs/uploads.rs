//! Files are written, whatever the server or the line does.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use bson::{RawDocumentBuf, doc, rawdoc};
use ferromongo::error::ErrorKind;
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::CommandKind;
use ferromongo::net::blocking;
use ferromongo::ops::bulk::limits::BatchLimits;
use ferromongo::ops::gridfs::cutter::{CHUNK_OVERHEAD, Ids, Limits};
use ferromongo::ops::gridfs::upload::{self, Failure, MostGathered, Sending, Upload};
use ferromongo::sync::Mutex;

use crate::calls::{eventually, explicit};
use crate::scripted_server::{Answer, Command, ScriptedServer, block_on, error, terms};

/// Each insert takes two chunks of four bytes.
const LIMITS: Limits = Limits {
    bytes: 2 * (4 + CHUNK_OVERHEAD),
    chunks: 100,
    server: BatchLimits { statements: 1000, bytes: 48_000_000, document_bytes: 1 << 24 },
};

const FILE: &[u8] = b"\x10files_id\0\x07\0\0\0";

/// Another file may have its `_id`.
fn upload() -> Arc<Mutex<Upload>> {
    Arc::new(Mutex::new(Upload::new("fs.chunks", FILE.to_vec(), 4, false, Arc::default())))
}

fn ids() -> Ids {
    Ids { prefix: [1; 9], next: 0 }
}

fn sending(client: &Arc<ClientCore>) -> Sending {
    let terms = terms(client, CommandKind::Write { retry: true });
    Sending { client: client.clone(), terms, limits: LIMITS }
}

fn write(upload: &Arc<Mutex<Upload>>, sending: &Sending, data: &[u8]) -> Result<(), Failure> {
    block_on(upload::send(upload, sending, data, &mut ids()))
}

fn finish(upload: &Arc<Mutex<Upload>>, sending: &Sending) -> Result<(), Failure> {
    upload.lock().finish();
    write(upload, sending, b"")
}

/// The number of its first chunk.
fn number(command: &Command) -> i32 {
    assert_eq!((&*command.name, &*command.sequences[0].0), ("insert", "documents"));
    command.sequences[0].1[0].get_i32("n").unwrap()
}

fn numbers(server: &ScriptedServer) -> Vec<i32> {
    server.received().iter().map(number).collect()
}

/// Session and number of a write.
fn identity(command: &Command) -> (RawDocumentBuf, i64) {
    let lsid = command.body.get_document("lsid").unwrap().to_owned();
    (lsid, command.body.get_i64("txnNumber").unwrap())
}

fn inserted() -> Answer {
    Answer::Reply(rawdoc! { "ok": 1, "n": 2 })
}

fn refused(code: i32) -> Answer {
    let error = doc! { "index": 0, "code": code, "errmsg": "scripted" };
    Answer::Reply((&doc! { "ok": 1, "n": 0, "writeErrors": [error] }).try_into().unwrap())
}

#[test]
fn all_bytes_arrive_as_chunks_in_whole_inserts() {
    let server = ScriptedServer::start(|_| inserted());
    let client = server.client();
    let (upload, sending) = (upload(), sending(&client));
    let data: Vec<u8> = (0..37).collect();
    write(&upload, &sending, &data[..19]).unwrap();
    assert_eq!(numbers(&server), [0, 2]);
    write(&upload, &sending, &data[19..]).unwrap();
    finish(&upload, &sending).unwrap();
    finish(&upload, &sending).unwrap();
    let mut commands = server.received();
    commands.sort_by_key(number);
    assert_eq!(commands.iter().map(number).collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
    let mut found = Vec::new();
    for command in &commands {
        assert_eq!(command.body.get_str("insert").unwrap(), "fs.chunks");
        for document in &command.sequences[0].1 {
            assert_eq!(document.get_i32("files_id").unwrap(), 7);
            found.extend_from_slice(document.get_binary("data").unwrap().bytes);
        }
    }
    assert_eq!(found, data);
    let mut identities: Vec<_> = commands.iter().map(|it| format!("{:?}", identity(it))).collect();
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), 5, "each is a write of its own");
    let upload = upload.lock();
    assert_eq!((upload.is_stored(), upload.cutter().length()), (true, 37));
    client.close();
}

#[test]
fn a_little_is_gathered_and_not_sent() {
    let mut upload = Upload::new("fs.chunks", FILE.to_vec(), 4, false, Arc::default());
    let server = LIMITS.server;
    let most = MostGathered::new(3 * (4 + CHUNK_OVERHEAD), 100_000);
    let limits = most.limits(server);
    assert!(upload.gather(b"0123456", &mut ids(), most, &limits));
    assert!(!upload.gather(b"78901", &mut ids(), most, &limits), "a third chunk begins");
    let most = MostGathered::new(1 << 30, 3);
    assert!(upload.gather(b"7", &mut ids(), most, &limits));
    assert!(!upload.gather(b"8", &mut ids(), most, &limits), "a third chunk begins");
    let most = MostGathered::new(1 << 30, 1 << 30);
    let much = vec![0; 17 << 20];
    assert!(!upload.gather(&much, &mut ids(), most, &most.limits(server)), "memory is bounded");
    assert!(upload.gather(&much[..4096], &mut ids(), most, &most.limits(server)));
    assert_eq!(upload.cutter().length(), 4104);
}

#[test]
fn the_first_insert_goes_alone_and_then_four_at_a_time() {
    let cell = Arc::<OnceLock<Arc<ScriptedServer>>>::default();
    let (inside, mut count) = (cell.clone(), 0);
    let server = Arc::new(ScriptedServer::start(move |_| {
        count += 1;
        let server = inside.get().expect("it was started");
        match count {
            1 => assert_eq!(server.received().len(), 1, "it is alone"),
            // None of them is answered before the others have come.
            2 => eventually(|| server.received().len() == 5),
            _ => {}
        }
        inserted()
    }));
    let _ = cell.set(server.clone());
    let client = server.client();
    let upload = upload();
    write(&upload, &sending(&client), &[1; 5 * 8]).unwrap();
    assert_eq!(server.received().len(), 5);
    client.close();
}

#[test]
fn with_an_id_of_its_own_the_first_insert_waits_for_nothing() {
    let cell = Arc::<OnceLock<Arc<ScriptedServer>>>::default();
    let (inside, mut count) = (cell.clone(), 0);
    let server = Arc::new(ScriptedServer::start(move |_| {
        count += 1;
        let server = inside.get().expect("it was started");
        if count == 1 {
            eventually(|| server.received().len() == 4);
        }
        inserted()
    }));
    let _ = cell.set(server.clone());
    let client = server.client();
    let upload =
        Arc::new(Mutex::new(Upload::new("fs.chunks", FILE.to_vec(), 4, true, Arc::default())));
    write(&upload, &sending(&client), &[1; 5 * 8]).unwrap();
    assert_eq!(server.received().len(), 5);
    client.close();
}

#[test]
fn in_a_session_of_the_callers_one_insert_follows_the_other() {
    let cell = Arc::<OnceLock<Arc<ScriptedServer>>>::default();
    let (inside, mut count) = (cell.clone(), 0);
    let server = Arc::new(ScriptedServer::start(move |_| {
        count += 1;
        let server = inside.get().expect("it was started");
        // A second one would be noted as soon as it comes, before either is answered.
        if server.received().len() == count { inserted() } else { error(1, &[]) }
    }));
    let _ = cell.set(server.clone());
    let client = server.client();
    let terms = explicit(&client, CommandKind::Write { retry: true });
    let sending = Sending { terms, ..sending(&client) };
    let upload = upload();
    write(&upload, &sending, &[1; 5 * 8]).unwrap();
    assert_eq!(numbers(&server), [0, 2, 4, 6, 8]);
    let sessions: Vec<_> = server.received().iter().map(|it| identity(it).0).collect();
    assert!(sessions.iter().all(|session| session == &sessions[0]));
    client.close();
}

#[test]
fn another_file_with_this_id_keeps_its_chunks() {
    for code in [11000, 11001, 12582] {
        let server = ScriptedServer::start(move |_| refused(code));
        let client = server.client();
        let upload = upload();
        let sent = write(&upload, &sending(&client), &[1; 5 * 8]);
        assert!(matches!(sent, Err(Failure::Exists)));
        assert_eq!(numbers(&server), [0]);
        assert!(!upload.lock().is_stored());
        client.close();
    }
}

#[test]
fn an_insert_that_failed_among_several_is_sent_again_as_the_same_write() {
    let cell = Arc::<OnceLock<Arc<ScriptedServer>>>::default();
    let (inside, mut refusals) = (cell.clone(), 0);
    let server = Arc::new(ScriptedServer::start(move |command| {
        if number(command) != 2 || refusals == 1 {
            return inserted();
        }
        refusals += 1;
        let server = inside.get().expect("it was started");
        eventually(|| server.received().len() == 3);
        refused(13)
    }));
    let _ = cell.set(server.clone());
    let client = server.client();
    let (upload, sending) = (upload(), sending(&client));
    let sent = write(&upload, &sending, &[1; 3 * 8]);
    let Err(Failure::Refused(reply)) = sent else { panic!("{sent:?}") };
    assert!(reply.get_array("writeErrors").is_ok());
    assert_eq!(server.received().len(), 3);
    finish(&upload, &sending).unwrap();
    let commands = server.received();
    assert_eq!(commands.len(), 4);
    let refused = commands.iter().find(|it| number(it) == 2).unwrap();
    assert_eq!(number(&commands[3]), 2);
    assert_eq!(identity(&commands[3]), identity(refused));
    assert_eq!(commands[3].sequences, refused.sequences);
    client.close();
}

#[test]
fn a_failed_write_that_took_a_part_of_its_data_leaves_a_file_that_cannot_be_completed() {
    let mut count = 0;
    let server = ScriptedServer::start(move |_| {
        count += 1;
        if count == 1 { error(13, &[]) } else { inserted() }
    });
    let client = server.client();
    let (upload, sending) = (upload(), sending(&client));
    assert!(matches!(write(&upload, &sending, &[1; 9 * 8]), Err(Failure::Failed(_))));
    for again in [write(&upload, &sending, b"more"), finish(&upload, &sending)] {
        let Err(Failure::Failed(error)) = again else { panic!("{again:?}") };
        assert_eq!(error.kind(), ErrorKind::InvalidOperation);
    }
    assert_eq!(server.received().len(), 1);
    client.close();
}

#[test]
fn an_insert_whose_line_is_cut_is_retried() {
    for cut in [1, 2, 4] {
        let mut count = 0;
        let server = ScriptedServer::start(move |_| {
            count += 1;
            if count == cut { Answer::Cut } else { inserted() }
        });
        let client = server.client();
        let (upload, sending) = (upload(), sending(&client));
        write(&upload, &sending, &[1; 5 * 8]).unwrap();
        let mut numbers = numbers(&server);
        numbers.sort();
        assert_eq!(numbers.len(), 6);
        numbers.dedup();
        assert_eq!(numbers, [0, 2, 4, 6, 8]);
        client.close();
    }
}

#[test]
fn inserts_that_are_dropped_midway_are_sent_again_as_the_same_writes() {
    let mut count = 0;
    let server = ScriptedServer::start(move |_| {
        count += 1;
        if (2..=3).contains(&count) { Answer::Silence } else { inserted() }
    });
    let client = server.client();
    let (upload, sending) = (upload(), sending(&client));
    write(&upload, &sending, &[1; 8]).unwrap();
    {
        let mut ids = ids();
        let work = upload::send(&upload, &sending, &[2; 16], &mut ids);
        let left = blocking::run(pin!(work), |_| server.received().len() == 3);
        assert!(left.is_none(), "it waits for two answers");
    }
    finish(&upload, &sending).unwrap();
    let commands = server.received();
    assert_eq!(commands.len(), 5);
    for number_ in [2, 4] {
        let same: Vec<_> = commands.iter().filter(|it| number(it) == number_).collect();
        assert_eq!(same.len(), 2);
        assert_eq!(identity(same[0]), identity(same[1]));
    }
    client.close();
}

#[test]
fn what_is_given_up_is_known_to_be_stored_or_never_will_be() {
    let mut count = 0;
    let server = ScriptedServer::start(move |_| {
        count += 1;
        match count {
            2 | 3 => Answer::Silence,
            4 => refused(13),
            _ => inserted(),
        }
    });
    let client = server.client();
    let (upload, sending) = (upload(), sending(&client));
    assert!(!upload.lock().give_up(), "nothing was sent");
    let upload = self::upload();
    write(&upload, &sending, &[1; 8]).unwrap();
    {
        let mut ids = ids();
        let work = upload::send(&upload, &sending, &[2; 19], &mut ids);
        let left = blocking::run(pin!(work), |_| server.received().len() == 3);
        assert!(left.is_none(), "it waits for two answers");
    }
    assert!(upload.lock().give_up());
    block_on(upload::settle(&upload, &sending)).unwrap();
    let commands = server.received();
    assert_eq!(commands[3..].iter().map(number).collect::<Vec<_>>(), [2, 4]);
    for settled in &commands[3..] {
        let first = commands.iter().find(|it| number(it) == number(settled)).unwrap();
        assert_eq!(identity(first), identity(settled));
    }
    assert!(!upload.lock().give_up());
    assert!(finish(&upload, &sending).is_err(), "it cannot be completed any more");
    client.close();
}

#[test]
fn a_write_concern_error_is_told_and_the_chunks_are_known_to_be_stored() {
    let failed = doc! { "code": 100, "errmsg": "not enough members" };
    let reply = doc! { "ok": 1, "n": 2, "writeConcernError": failed };
    let reply: RawDocumentBuf = (&reply).try_into().unwrap();
    let server = ScriptedServer::start(move |_| Answer::Reply(reply.clone()));
    let client = server.client();
    let upload = upload();
    let sent = write(&upload, &sending(&client), &[1; 8]);
    assert!(matches!(sent, Err(Failure::Refused(_))));
    assert!(upload.lock().is_stored());
    client.close();
}

#[test]
fn a_chunk_that_fits_no_message_is_not_sent() {
    let server = ScriptedServer::start(|_| inserted());
    let client = server.client();
    let small = BatchLimits { bytes: 80, ..LIMITS.server };
    let limits = Limits { server: small, ..LIMITS };
    let sending = Sending { limits, ..sending(&client) };
    let sent = write(&upload(), &sending, &[1; 8]);
    let Err(Failure::Failed(error)) = sent else { panic!("{sent:?}") };
    assert_eq!(error.kind(), ErrorKind::DocumentTooLarge);
    assert_eq!(server.received().len(), 0);
    client.close();
}
