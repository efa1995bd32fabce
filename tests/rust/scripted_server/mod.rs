//! The primary of a replica set of one, for tests of operations: it answers hello itself, and each other command
//! as the test says.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use ferromongo::exec::client::ClientCore;
use ferromongo::exec::operation::{CommandKind, Terms};
use ferromongo::net::blocking;
use ferromongo::session::client::Session;
use ferromongo::settings::Settings;
use ferromongo::topology::address::Address;

pub struct ScriptedServer {
    pub address: Address,
    received: Arc<Mutex<Vec<Command>>>,
}

/// A command other than hello.
#[derive(Clone, Debug)]
pub struct Command {
    pub name: String,
    pub body: RawDocumentBuf,
    /// The documents of each section beside the body.
    pub sequences: Vec<(String, Vec<RawDocumentBuf>)>,
    pub expects_reply: bool,
    /// Connections are numbered in the order in which they were made.
    pub connection: usize,
}

pub enum Answer {
    Reply(RawDocumentBuf),
    /// The connection is closed.
    Cut,
    /// No reply; the connection stays open.
    Silence,
}

/// A reply without anything in it.
pub fn ok() -> Answer {
    Answer::Reply(rawdoc! { "ok": 1 })
}

/// An error reply.
pub fn error(code: i32, labels: &[&str]) -> Answer {
    let labels: Vec<_> = labels.iter().map(|&label| bson::Bson::from(label)).collect();
    let reply = bson::doc! { "ok": 0, "code": code, "errmsg": "scripted", "errorLabels": labels };
    Answer::Reply(reply.try_into().unwrap())
}

impl ScriptedServer {
    /// Its threads end with the connections, or with the test.
    pub fn start(script: impl FnMut(&Command) -> Answer + Send + 'static) -> ScriptedServer {
        ScriptedServer::saying(rawdoc! {}, script)
    }

    /// With other fields in its hello reply.
    pub fn saying(
        fields: RawDocumentBuf,
        script: impl FnMut(&Command) -> Answer + Send + 'static,
    ) -> ScriptedServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let received = Arc::<Mutex<Vec<Command>>>::default();
        let hello = hello(&address, &fields);
        let noted = received.clone();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (script, noted, hello) = (script.clone(), noted.clone(), hello.clone());
                thread::spawn(move || serve(stream, connection, &hello, &script, &noted));
            }
        });
        ScriptedServer { address, received }
    }

    /// Of all commands so far, in the order in which they came.
    pub fn received(&self) -> Vec<Command> {
        self.received.lock().unwrap().clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.received().into_iter().map(|command| command.name).collect()
    }

    /// A client of its own, to be closed by the test.
    pub fn client(&self) -> Arc<ClientCore> {
        self.client_with(|_| {})
    }

    pub fn client_with(&self, change: impl FnOnce(&mut Settings)) -> Arc<ClientCore> {
        let mut settings = Settings {
            seeds: vec![self.address.clone()],
            replica_set: Some("rs".to_owned()),
            max_pool_size: 10,
            max_connecting: 2,
            server_selection_timeout: Some(Duration::from_secs(20)),
            connect_timeout: Some(Duration::from_secs(20)),
            local_threshold: Duration::from_millis(15),
            heartbeat_frequency: Duration::from_secs(10),
            retry_reads: true,
            retry_writes: true,
            ..Settings::default()
        };
        change(&mut settings);
        ClientCore::new(Arc::new(settings), None)
    }
}

/// The terms of an operation outside of sessions.
pub fn terms(client: &ClientCore, kind: CommandKind) -> Terms {
    Terms::new("db".into(), kind, Session::implicit(client.sessions.clone()))
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    blocking::run(pin!(future), |_| false).expect("it is never left")
}

type Script = Box<dyn FnMut(&Command) -> Answer + Send>;

fn hello(address: &Address, fields: &RawDocument) -> RawDocumentBuf {
    let name = address.to_string();
    let mut hello = bson::doc! {
        "ok": 1, "helloOk": true, "isWritablePrimary": true, "setName": "rs", "setVersion": 1,
        "hosts": [name.as_str()], "primary": name.as_str(), "me": name.as_str(),
        "minWireVersion": 0, "maxWireVersion": 25, "maxBsonObjectSize": 16_777_216,
        "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "logicalSessionTimeoutMinutes": 30,
    };
    hello.extend(bson::Document::try_from(fields).unwrap());
    hello.try_into().unwrap()
}

/// Whatever goes wrong on the line ends the connection.
fn serve(
    mut stream: TcpStream,
    connection: usize,
    hello: &RawDocument,
    script: &Mutex<Script>,
    noted: &Mutex<Vec<Command>>,
) -> Option<()> {
    loop {
        let (id, command) = receive(&mut stream, connection)?;
        if matches!(&*command.name, "hello" | "ismaster" | "isMaster") {
            send(&mut stream, id, hello)?;
            continue;
        }
        noted.lock().unwrap().push(command.clone());
        let answer = script.lock().unwrap()(&command);
        match answer {
            Answer::Reply(reply) if command.expects_reply => send(&mut stream, id, &reply)?,
            Answer::Cut => return None,
            Answer::Reply(_) | Answer::Silence => {}
        }
    }
}

fn receive(stream: &mut TcpStream, connection: usize) -> Option<(i32, Command)> {
    let mut header = [0; 16];
    stream.read_exact(&mut header).ok()?;
    let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut message = vec![0; number(0) as usize - header.len()];
    stream.read_exact(&mut message).ok()?;
    assert_eq!(number(12), OP_MSG, "these clients do not compress");
    let flags = u32::from_le_bytes(message[..4].try_into().unwrap());
    let (mut body, mut sequences) = (None, Vec::new());
    let mut rest = &message[4..];
    while let Some((&kind, after)) = rest.split_first() {
        let length = i32::from_le_bytes(after[..4].try_into().unwrap()) as usize;
        let (section, next) = after.split_at(length);
        match kind {
            0 => body = Some(RawDocumentBuf::from_bytes(section.to_vec()).expect("a command")),
            _ => sequences.push(sequence(section)),
        }
        rest = next;
    }
    let body = body.expect("a message has a body");
    let name = body.iter().next().expect("a command has a name").unwrap().0.as_str().to_owned();
    let expects_reply = flags & MORE_TO_COME == 0;
    Some((number(4), Command { name, body, sequences, expects_reply, connection }))
}

fn sequence(section: &[u8]) -> (String, Vec<RawDocumentBuf>) {
    let named = &section[4..];
    let end = named.iter().position(|&byte| byte == 0).expect("a sequence has a name");
    let name = String::from_utf8(named[..end].to_vec()).unwrap();
    let (mut rest, mut documents) = (&named[end + 1..], Vec::new());
    while !rest.is_empty() {
        let length = i32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let (document, next) = rest.split_at(length);
        documents.push(RawDocumentBuf::from_bytes(document.to_vec()).expect("a document"));
        rest = next;
    }
    (name, documents)
}

fn send(stream: &mut TcpStream, request: i32, answer: &RawDocument) -> Option<()> {
    let length = 16 + 5 + answer.as_bytes().len();
    let mut message = Vec::with_capacity(length);
    for number in [length as i32, 1, request, OP_MSG, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(answer.as_bytes());
    stream.write_all(&message).ok()
}

const OP_MSG: i32 = 2013;
const MORE_TO_COME: u32 = 2;
