//! One TLS session over a non-blocking socket: plain bytes here, records there.
//!
//! Built on rustls' unbuffered connection, so a record is decrypted where it was received and copied
//! once. All whole records are taken in at once: what stays behind is the start of a record, so
//! waiting for the socket is always the right thing to wait for.
//!
//! rustls 0.24 has no `unbuffered` (its pull requests 2905, 2940, 3149 and 3193). There every connection leaves the
//! buffers to its caller: `process_new_packets` takes a `TlsInputBuffer`, which is `scratch` with `incoming` in front,
//! and lends the received plain bytes chunk by chunk, which is what `take` gets; `write_tls` appends records to a
//! `Vec`, which is `outgoing`. So `process`, `encrypt` and `say_goodbye` will change, and nothing outside of this
//! file. The buffered API of 0.23 (`read_tls`, `reader`) changes with it, so moving there first would be a detour.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

use super::explain;

pub struct Session {
    connection: UnbufferedClientConnection,
    /// The start of a record, or of a message over several records, whose rest is to come.
    incoming: Vec<u8>,
    /// Records that the socket has not taken yet.
    outgoing: Vec<u8>,
    /// How much of `outgoing` it has taken.
    sent: usize,
    established: bool,
    /// The peer said that it sends no more.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing was there.
    Nothing,
    /// All that was there.
    All,
    /// As much as was asked for; there may be more.
    Some,
}

impl Session {
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Session> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(failed)?;
        Ok(Session {
            connection,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            established: false,
            ended: false,
        })
    }

    /// The handshake is done: data may be sent.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Makes the first record of the handshake.
    pub fn begin(&mut self) -> io::Result<()> {
        self.process(&mut [], &mut |_| {}).map(drop)
    }

    /// Reads once and hands the plain bytes to `take`. An answer that the protocol asks for (a
    /// handshake's next step) waits for `flush`.
    pub fn receive(
        &mut self,
        socket: impl AsFd,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Received> {
        SCRATCH.with_borrow_mut(|scratch| {
            let held = self.incoming.len();
            if held >= scratch.len() {
                return Err(io::Error::other("a TLS message with an invalid length"));
            }
            let count = loop {
                match rustix::net::recv(&socket, &mut scratch[held..], RecvFlags::empty()) {
                    Ok((0, _)) => {
                        let said = match self.established {
                            true => "connection closed",
                            false => "the peer closed the connection, maybe it does not speak TLS",
                        };
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, said));
                    }
                    Ok((count, _)) => break count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Ok(Received::Nothing),
                    Err(error) => return Err(error.into()),
                }
            };
            scratch[..held].copy_from_slice(&self.incoming);
            let received = held + count;
            let processed = self.process(&mut scratch[..received], &mut take);
            let consumed = match processed {
                Ok(consumed) => consumed,
                Err(error) => {
                    // The peer is told why, if the socket takes it.
                    let _ = self.flush(&socket);
                    return Err(error);
                }
            };
            self.incoming.clear();
            self.incoming.extend_from_slice(&scratch[consumed..received]);
            if self.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"));
            }
            let full = received == scratch.len();
            Ok(if full { Received::Some } else { Received::All })
        })
    }

    /// Writes what is waiting; true when all of it has gone.
    pub fn flush(&mut self, socket: impl AsFd) -> io::Result<bool> {
        while self.sent < self.outgoing.len() {
            match rustix::net::send(&socket, &self.outgoing[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.sent = 0;
        self.outgoing.clear();
        Ok(true)
    }

    /// Gives back the room that a large message needed.
    pub fn trim(&mut self) {
        self.outgoing.shrink_to(KEPT);
    }

    /// Encrypts from the front of `parts` for the next `flush`, not more than is good at a time.
    pub fn encrypt_some(&mut self, parts: &mut [&[u8]]) -> io::Result<()> {
        for part in parts {
            while !part.is_empty() && self.outgoing.len() < ENCRYPTED_AT_ONCE {
                let (now, later) = part.split_at(part.len().min(ENCRYPTED_AT_ONCE));
                self.encrypt(now)?;
                *part = later;
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing was cut off, if the socket takes it at once.
    pub fn say_goodbye(&mut self, socket: impl AsFd) {
        // Half a message must stay half a message.
        if !self.established || !self.outgoing.is_empty() {
            return;
        }
        let Session { connection, incoming, outgoing, .. } = self;
        let state = connection.process_tls_records(incoming).state;
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            outgoing.resize(ALERT_ROOM, 0);
            let length = traffic.queue_close_notify(outgoing).unwrap_or(0);
            outgoing.truncate(length);
            let _ = self.flush(socket);
        }
    }

    fn encrypt(&mut self, plain: &[u8]) -> io::Result<()> {
        let Session { connection, incoming, outgoing, .. } = self;
        let room = plain.len() + (plain.len() / RECORD + 1) * RECORD_OVERHEAD;
        loop {
            let UnbufferedStatus { discard, state, .. } = connection.process_tls_records(incoming);
            let mut done = false;
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let start = outgoing.len();
                    outgoing.resize(start + room, 0);
                    let encrypted = traffic.encrypt(plain, &mut outgoing[start..]);
                    let length = encrypted.map_err(io::Error::other)?;
                    outgoing.truncate(start + length);
                    done = true;
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, outgoing)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                // `receive` has taken in every whole record, so there is nothing to read.
                _ => return Err(io::Error::other("the TLS session has ended")),
            }
            incoming.drain(..discard);
            if done {
                return Ok(());
            }
        }
    }

    /// Takes in whole records; answers how many bytes of `records` are done with.
    fn process(&mut self, records: &mut [u8], take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let mut consumed = 0;
        let mut failure = None;
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.connection.process_tls_records(&mut records[consumed..]);
            let go_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(failed)?;
                        discard += record.discard;
                        take(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing)?;
                    true
                }
                // What is in `outgoing` goes out before anything that is put behind it.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.established = true;
                    false
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.ended = true;
                    false
                }
                Ok(_) => false,
                // Once more round for the alert that tells the peer.
                Err(error) if failure.is_none() => {
                    failure = Some(error);
                    true
                }
                Err(_) => false,
            };
            consumed += discard;
            if !go_on {
                break;
            }
        }
        match failure {
            Some(error) => Err(failed(error)),
            None => Ok(consumed),
        }
    }
}

fn encode(
    data: &mut EncodeTlsData<'_, ClientConnectionData>,
    outgoing: &mut Vec<u8>,
) -> io::Result<()> {
    let start = outgoing.len();
    let mut written = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(needed)) = written {
        outgoing.resize(start + needed.required_size, 0);
        written = data.encode(&mut outgoing[start..]);
    }
    outgoing.truncate(start + written.map_err(io::Error::other)?);
    Ok(())
}

fn failed(error: rustls::Error) -> io::Error {
    io::Error::other(explain(&error))
}

thread_local! {
    /// Where records are received and decrypted, by one session at a time: idle ones need no room.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_LENGTH]);
}

/// The most a handshake message may need is half of it.
const SCRATCH_LENGTH: usize = 128 * 1024;
const ENCRYPTED_AT_ONCE: usize = 128 * 1024;
/// More than that is not kept by an idle session.
const KEPT: usize = 20 * 1024;
/// The plain bytes of a full record, and room for what it has besides (header, type, nonce, tag) and
/// for a key update in front.
const RECORD: usize = 16 * 1024;
const RECORD_OVERHEAD: usize = 64;
const ALERT_ROOM: usize = 128;
