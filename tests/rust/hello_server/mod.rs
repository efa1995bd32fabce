//! A server that knows one command, hello, and may be told to be slow or unwilling about it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf, rawdoc};
use ferromongo::topology::address::Address;
use serde_json::Value;

/// Its threads end with the connections, or with the test.
pub struct HelloServer {
    pub address: Address,
    service_id: Arc<Mutex<Option<ObjectId>>>,
}

impl HelloServer {
    /// `fail_point` is null, or what one would send to a real server.
    pub fn start(fail_point: &Value) -> HelloServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let service_id = Arc::<Mutex<Option<ObjectId>>>::default();
        let (told_service, fail_point) = (service_id.clone(), FailPoint::read(fail_point));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (service_id, fail_point) = (told_service.clone(), fail_point.clone());
                thread::spawn(move || serve(stream, &fail_point, &service_id));
            }
        });
        HelloServer { address: Address::tcp("127.0.0.1", port).unwrap(), service_id }
    }

    /// Plays a load balancer in front of this service.
    pub fn answer_for(&self, service_id: ObjectId) {
        *self.service_id.lock().unwrap() = Some(service_id);
    }
}

#[derive(Default)]
struct FailPoint {
    /// How often it still acts.
    times: Mutex<u64>,
    app_name: Option<String>,
    block: Option<Duration>,
    error_code: Option<i64>,
}

impl FailPoint {
    fn read(given: &Value) -> Arc<FailPoint> {
        let data = &given["data"];
        let block = data["blockConnection"].as_bool().unwrap_or_default();
        let times = given["mode"]["times"].as_u64();
        assert!(!data["closeConnection"].as_bool().unwrap_or_default(), "no file asks for that");
        Arc::new(FailPoint {
            times: Mutex::new(if given.is_null() { 0 } else { times.unwrap_or(u64::MAX) }),
            app_name: data["appName"].as_str().map(str::to_owned),
            block: data["blockTimeMS"].as_u64().filter(|_| block).map(Duration::from_millis),
            error_code: data["errorCode"].as_i64(),
        })
    }

    fn acts_on(&self, hello: &RawDocument) -> bool {
        let name = || hello.get_document("client").ok()?.get_document("application").ok();
        let name = name().and_then(|application| application.get_str("name").ok());
        let mut times = self.times.lock().unwrap();
        let acts = *times > 0 && (self.app_name.is_none() || self.app_name.as_deref() == name);
        *times -= u64::from(acts);
        acts
    }
}

/// Whatever goes wrong on the line ends the connection.
fn serve(mut stream: TcpStream, fail_point: &FailPoint, service_id: &Mutex<Option<ObjectId>>) {
    while let Some((id, command)) = receive(&mut stream) {
        if command.get("hello").ok().flatten().is_none()
            && command.get("ismaster").ok().flatten().is_none()
        {
            continue; // never answered
        }
        let mut answer = rawdoc! {
            "ok": 1, "isWritablePrimary": true, "minWireVersion": 0, "maxWireVersion": 21,
            "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
            "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30,
        };
        if let Some(service_id) = *service_id.lock().unwrap() {
            answer.append(bson::raw::cstr!("serviceId"), service_id);
        }
        if fail_point.acts_on(&command) {
            fail_point.block.inspect(|time| thread::sleep(*time));
            if let Some(code) = fail_point.error_code {
                answer = rawdoc! { "ok": 0, "code": code, "errmsg": "failed by a fail point" };
            }
        }
        if send(&mut stream, id, &answer).is_none() {
            return;
        }
    }
}

fn receive(stream: &mut TcpStream) -> Option<(i32, RawDocumentBuf)> {
    let mut header = [0; 16];
    stream.read_exact(&mut header).ok()?;
    let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut body = vec![0; number(0) as usize - header.len()];
    stream.read_exact(&mut body).ok()?;
    let document = body.split_off(FLAGS_AND_KIND.len());
    Some((number(4), RawDocumentBuf::from_bytes(document).expect("a command")))
}

fn send(stream: &mut TcpStream, request: i32, answer: &RawDocument) -> Option<()> {
    let length = 16 + FLAGS_AND_KIND.len() + answer.as_bytes().len();
    let mut message = Vec::with_capacity(length);
    for number in [length as i32, 1, request, OP_MSG] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.extend_from_slice(&FLAGS_AND_KIND);
    message.extend_from_slice(answer.as_bytes());
    stream.write_all(&message).ok()
}

const OP_MSG: i32 = 2013;
/// An OP_MSG without flags, whose only section is the command.
const FLAGS_AND_KIND: [u8; 5] = [0; 5];
