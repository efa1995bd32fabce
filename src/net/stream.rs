//! A non-blocking socket that sends bytes and receives length-prefixed frames.
//!
//! On an event loop the readiness callback calls `fill` so that a large frame arrives without
//! waking its operation for every piece; elsewhere the waiting future does it itself.
//!
//! With `secure` the bytes on the socket are TLS records; nobody above sees a difference.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sockopt,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::buffers::{Buffer, Buffers};
use super::fork::{self, Descriptor};
use super::lane::Lane;
use super::tls::session::{Received, Session};
use super::wait::{self, Interest};

/// The length of the frame that starts with these bytes; `None` while they are too few to tell.
pub type FrameLength = fn(&[u8]) -> io::Result<Option<usize>>;

pub struct Stream {
    /// Taken only by `drop`.
    socket: Option<Descriptor>,
    inbox: Mutex<Inbox>,
    /// Locked after `inbox` by whoever needs both.
    tls: OnceLock<Box<Mutex<Session>>>,
    frame_length: FrameLength,
    buffers: Arc<Buffers>,
    /// The event loop that has registered the socket and so must close it.
    home: OnceLock<Arc<Lane>>,
    /// Frames come without being asked for: what arrives early is in turn.
    more_to_come: AtomicBool,
}

#[derive(Default)]
struct Inbox {
    buffer: Option<Buffer>,
    frame: Option<usize>,
    /// End of stream or the error that ended it.
    ended: Option<(io::ErrorKind, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    Partly,
    Frame,
    Ended,
    /// A frame that nobody has taken yet holds up those behind it: until then there is nothing to read.
    Full,
    /// A TLS handshake needs its future: it is done, or has something to write.
    Handshake,
}

pub enum Endpoint<'a> {
    Ip(SocketAddr),
    Unix(&'a Path),
}

impl Stream {
    pub async fn connect(
        endpoint: Endpoint<'_>,
        frame_length: FrameLength,
        buffers: Arc<Buffers>,
    ) -> io::Result<Arc<Stream>> {
        fork::watch();
        let family = match endpoint {
            Endpoint::Ip(SocketAddr::V4(_)) => AddressFamily::INET,
            Endpoint::Ip(SocketAddr::V6(_)) => AddressFamily::INET6,
            Endpoint::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        let stream = Arc::new(Stream {
            socket: Some(Descriptor::new(socket)),
            inbox: Mutex::default(),
            tls: OnceLock::new(),
            frame_length,
            buffers,
            home: OnceLock::new(),
            more_to_come: AtomicBool::new(false),
        });
        let started = match endpoint {
            Endpoint::Ip(address) => {
                stream.tune()?;
                rustix::net::connect(stream.socket(), &address)
            }
            Endpoint::Unix(path) => {
                let address = rustix::net::SocketAddrUnix::new(path)?;
                rustix::net::connect(stream.socket(), &address)
            }
        };
        match started {
            Ok(()) => {}
            Err(Errno::INPROGRESS | Errno::INTR) => {
                stream.writable().await?;
                sockopt::socket_error(stream.socket())??;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(stream)
    }

    /// Shakes hands by TLS; everything sent and received from then on is encrypted.
    pub async fn secure(
        self: &Arc<Self>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let mut session = Session::new(config, name)?;
        session.begin()?;
        if self.tls.set(Box::new(Mutex::new(session))).is_err() {
            return Err(io::Error::other("the stream is secure already"));
        }
        poll_fn(|_| {
            self.own()?;
            let mut inbox = self.inbox.lock();
            let waits_for = match self.tls.get() {
                Some(tls) => self.shake_hands(&mut tls.lock(), &mut inbox)?,
                None => None,
            };
            match waits_for {
                None => Poll::Ready(Ok(())),
                Some(interest) => {
                    wait::on_socket(self.clone(), interest);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Sends both parts, one after the other, as one message.
    pub async fn send(self: &Arc<Self>, first: &[u8], second: &[u8]) -> io::Result<()> {
        if let Some(tls) = self.tls.get() {
            return self.send_encrypted(tls, [first, second]).await;
        }
        let mut sent = 0;
        poll_fn(|_| {
            self.own()?;
            while sent < first.len() + second.len() {
                let head = io::IoSlice::new(&first[sent.min(first.len())..]);
                let tail = io::IoSlice::new(&second[sent.saturating_sub(first.len())..]);
                let written = if second.is_empty() {
                    rustix::net::send(self.socket(), &head, SendFlags::NOSIGNAL)
                } else {
                    let mut nothing = SendAncillaryBuffer::default();
                    let flags = SendFlags::NOSIGNAL;
                    rustix::net::sendmsg(self.socket(), &[head, tail], &mut nothing, flags)
                };
                match written {
                    Ok(count) => sent += count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        wait::on_socket(self.clone(), Interest::Write);
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// The next frame, length prefix included.
    pub async fn frame(self: &Arc<Self>) -> io::Result<Buffer> {
        // Right after a request the answer can't be there yet: not trying saves a system call.
        let mut try_first = self.more_to_come.load(Ordering::Relaxed);
        poll_fn(|_| {
            self.own()?;
            let mut inbox = self.inbox.lock();
            let state = if try_first { self.fill_inbox(&mut inbox) } else { inbox.state() };
            try_first = true;
            match state {
                Filled::Frame => Poll::Ready(Ok(inbox.take(&self.buffers))),
                Filled::Ended => Poll::Ready(Err(inbox.error())),
                Filled::Partly | Filled::Full | Filled::Handshake => {
                    wait::on_socket(self.clone(), Interest::Read);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Reads what has arrived on a socket that is readable, without waiting.
    pub fn fill(&self) -> Filled {
        if self.is_inherited() {
            return Filled::Ended;
        }
        let mut inbox = self.inbox.lock();
        if self.more_to_come.load(Ordering::Relaxed) && self.whole_frame(&mut inbox) {
            return Filled::Full;
        }
        if let Some(tls) = self.tls.get() {
            return self.fill_decrypted(tls, &mut inbox);
        }
        if inbox.state() == Filled::Frame && inbox.ended.is_none() {
            // Behind a frame that nobody has taken yet comes the end, or what was not asked for. It is
            // not read, so the loop must stop watching or it would never sleep again.
            inbox.end(io::Error::new(io::ErrorKind::UnexpectedEof, OUT_OF_TURN));
        }
        self.fill_inbox(&mut inbox)
    }

    /// Whether frames come without being asked for from now on.
    pub fn expect_more(&self, expected: bool) {
        self.more_to_come.store(expected, Ordering::Relaxed);
    }

    /// How many bytes of the current frame are still to come, as far as known.
    pub fn outstanding(&self) -> usize {
        let inbox = self.inbox.lock();
        inbox.frame.map_or(0, |length| length.saturating_sub(inbox.length()))
    }

    /// Between operations nothing may arrive: a readable socket has ended (or talks out of turn). Only
    /// TLS may have something to say for itself, such as a ticket for the next session.
    pub fn is_idle_and_open(&self) -> bool {
        if self.is_inherited() {
            return false;
        }
        let mut inbox = self.inbox.lock();
        if inbox.ended.is_some() || inbox.buffer.is_some() {
            return false;
        }
        let mut polled = [PollFd::new(self.socket(), PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&Timespec::default())) {
            Ok(0) => true,
            Ok(_) if self.tls.get().is_some() => {
                self.fill_inbox(&mut inbox) == Filled::Partly && inbox.buffer.is_none()
            }
            _ => false,
        }
    }

    /// Neither its end nor anything that nobody has asked for was seen: a look at the inbox only.
    pub fn is_clean(&self) -> bool {
        let inbox = self.inbox.lock();
        inbox.ended.is_none() && inbox.buffer.is_none()
    }

    pub fn has_ended(&self) -> bool {
        self.inbox.lock().ended.is_some()
    }

    pub fn fd(&self) -> RawFd {
        self.socket().as_raw_fd()
    }

    /// From now on `lane`'s thread closes the socket. A stream keeps its first lane for life.
    pub fn settle(&self, lane: &Arc<Lane>) {
        let _ = self.home.set(lane.clone());
    }

    /// Ends both directions now, whoever still holds the stream.
    pub fn shutdown(&self) {
        if !self.is_inherited() {
            let _ = rustix::net::shutdown(self.socket(), rustix::net::Shutdown::Both);
        }
    }

    fn socket(&self) -> &Descriptor {
        self.socket.as_ref().expect("only drop takes the socket")
    }

    /// The parent's, in a child: it is closed here, and its number may be another file's.
    pub fn is_inherited(&self) -> bool {
        self.socket().is_inherited()
    }

    fn own(&self) -> io::Result<()> {
        match self.is_inherited() {
            true => Err(io::Error::new(io::ErrorKind::NotConnected, fork::INHERITED)),
            false => Ok(()),
        }
    }

    async fn send_encrypted(
        self: &Arc<Self>,
        tls: &Mutex<Session>,
        mut parts: [&[u8]; 2],
    ) -> io::Result<()> {
        poll_fn(|_| {
            self.own()?;
            let mut session = tls.lock();
            loop {
                if !session.flush(self.socket())? {
                    wait::on_socket(self.clone(), Interest::Write);
                    return Poll::Pending;
                }
                if parts.iter().all(|part| part.is_empty()) {
                    session.trim();
                    return Poll::Ready(Ok(()));
                }
                session.encrypt_some(&mut parts)?;
            }
        })
        .await
    }

    /// Goes on with the handshake; answers what it waits for, `None` when it is done.
    fn shake_hands(
        &self,
        session: &mut Session,
        inbox: &mut Inbox,
    ) -> io::Result<Option<Interest>> {
        loop {
            if inbox.ended.is_some() {
                return Err(inbox.error());
            }
            if !session.flush(self.socket())? {
                return Ok(Some(Interest::Write));
            }
            if session.is_established() {
                return Ok(None);
            }
            if self.receive(session, inbox)? == Received::Nothing {
                return Ok(Some(Interest::Read));
            }
        }
    }

    /// `fill` under TLS. What TLS says for itself may come at any time.
    fn fill_decrypted(&self, tls: &Mutex<Session>, inbox: &mut Inbox) -> Filled {
        let mut session = tls.lock();
        if !session.is_established() {
            return match self.shake_hands(&mut session, inbox) {
                Ok(Some(Interest::Read)) => Filled::Partly,
                Ok(_) => Filled::Handshake,
                Err(error) => {
                    inbox.end(error);
                    Filled::Ended
                }
            };
        }
        if inbox.state() != Filled::Frame {
            drop(session);
            return self.fill_inbox(inbox);
        }
        let whole = inbox.length();
        if let Err(error) = self.receive(&mut session, inbox) {
            inbox.end(error);
        } else if inbox.length() > whole {
            inbox.end(io::Error::new(io::ErrorKind::UnexpectedEof, OUT_OF_TURN));
        }
        Filled::Frame
    }

    /// One read from the socket into the inbox, through TLS.
    fn receive(&self, session: &mut Session, inbox: &mut Inbox) -> io::Result<Received> {
        let mut measured = Ok(());
        let received = session.receive(self.socket(), |plain| {
            let buffer = inbox.buffer.get_or_insert_with(|| self.buffers.take(FIRST_READ));
            buffer.extend_from_slice(plain);
            if measured.is_ok() {
                measured = self.measure(inbox);
            }
        })?;
        // The answer to a key update; if the socket is full it goes with the next message.
        session.flush(self.socket())?;
        measured.map(|()| received)
    }

    /// Several frames may have come in one piece, so the first is measured only here.
    fn whole_frame(&self, inbox: &mut Inbox) -> bool {
        self.measure(inbox).is_ok() && inbox.state() == Filled::Frame
    }

    async fn writable(self: &Arc<Self>) -> io::Result<()> {
        let mut waited = false;
        poll_fn(|_| {
            self.own()?;
            let mut polled = [PollFd::new(self.socket(), PollFlags::OUT)];
            if waited && rustix::event::poll(&mut polled, Some(&Timespec::default())) != Ok(0) {
                return Poll::Ready(Ok(()));
            }
            waited = true;
            wait::on_socket(self.clone(), Interest::Write);
            Poll::Pending
        })
        .await
    }

    /// PyMongo's settings: no Nagle, keepalive after 120 s, every 10 s, 9 times.
    fn tune(&self) -> io::Result<()> {
        let socket = self.socket();
        sockopt::set_tcp_nodelay(socket, true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, Duration::from_secs(120))?;
        sockopt::set_tcp_keepintvl(socket, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(socket, 9)?;
        Ok(())
    }

    fn fill_inbox(&self, inbox: &mut Inbox) -> Filled {
        if let Err(error) = self.measure(inbox) {
            inbox.end(error);
        }
        if let Some(tls) = self.tls.get() {
            while inbox.state() == Filled::Partly {
                match self.receive(&mut tls.lock(), inbox) {
                    Ok(Received::Some) => {}
                    Ok(_) => break,
                    Err(error) => inbox.end(error),
                }
            }
            return inbox.state();
        }
        while inbox.state() == Filled::Partly {
            let buffer = inbox.buffer.get_or_insert_with(|| self.buffers.take(FIRST_READ));
            let wanted = inbox.frame.map_or(FIRST_READ, |length| length - buffer.len());
            buffer.reserve(wanted);
            let room = buffer.capacity() - buffer.len();
            let error = match rustix::net::recv(
                self.socket(),
                spare_capacity(&mut **buffer),
                RecvFlags::empty(),
            ) {
                Ok((0, _)) => io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"),
                Ok((count, _)) => match self.measure(inbox) {
                    Ok(()) if count < room && inbox.state() == Filled::Partly => {
                        return Filled::Partly; // drained: the next read would say EAGAIN
                    }
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    if buffer.is_empty() {
                        inbox.buffer = None;
                    }
                    return Filled::Partly;
                }
                Err(error) => error.into(),
            };
            inbox.end(error);
        }
        inbox.state()
    }

    /// Learns the frame's length as soon as it can be told, and moves to a buffer of that size.
    fn measure(&self, inbox: &mut Inbox) -> io::Result<()> {
        let Some(buffer) = &mut inbox.buffer else { return Ok(()) };
        if inbox.frame.is_none()
            && let Some(length) = (self.frame_length)(buffer)?
        {
            inbox.frame = Some(length);
            if length > buffer.capacity() {
                let mut larger = self.buffers.take(length);
                larger.extend_from_slice(buffer);
                *buffer = larger;
            }
        }
        Ok(())
    }
}

impl Inbox {
    fn length(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    fn end(&mut self, error: io::Error) {
        self.ended = Some((error.kind(), error.to_string()));
    }

    fn error(&self) -> io::Error {
        let (kind, message) = self.ended.clone().expect("an ended stream says why");
        io::Error::new(kind, message)
    }

    fn state(&self) -> Filled {
        match (&self.buffer, self.frame) {
            (Some(buffer), Some(length)) if buffer.len() >= length => Filled::Frame,
            _ if self.ended.is_some() => Filled::Ended,
            _ => Filled::Partly,
        }
    }

    fn take(&mut self, buffers: &Arc<Buffers>) -> Buffer {
        let mut frame = self.buffer.take().expect("a whole frame is here");
        let length = self.frame.take().expect("a whole frame is here");
        if frame.len() > length {
            let mut rest = buffers.take(FIRST_READ.max(frame.len() - length));
            rest.extend_from_slice(&frame[length..]);
            frame.truncate(length);
            self.buffer = Some(rest);
        }
        frame
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            if let Some(tls) = self.tls.get_mut()
                && !socket.is_inherited()
            {
                tls.get_mut().say_goodbye(&socket);
            }
            match self.home.get() {
                Some(lane) => lane.bury(socket),
                None => drop(socket),
            }
        }
    }
}

const OUT_OF_TURN: &str = "the peer closed or spoke out of turn";

/// Most replies fit; a larger one moves to a buffer of its own size.
const FIRST_READ: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::pin::pin;

    use super::*;
    use crate::net::blocking;

    /// Frames of one length byte and what it counts, itself included.
    fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
        Ok(bytes.first().map(|&length| length.into()))
    }

    #[test]
    fn frames_that_were_not_asked_for_wait_their_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = Stream::connect(Endpoint::Ip(address), length, Arc::default());
        let stream = blocking::run(pin!(connect), |_| false).unwrap().unwrap();
        stream.expect_more(true);
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[3, 1, 2, 2, 8, 4, 5]).unwrap();
        while stream.fill() == Filled::Partly {}
        assert_eq!(stream.fill(), Filled::Full);
        peer.write_all(&[6, 7]).unwrap();
        for expected in [&[3, 1, 2][..], &[2, 8], &[4, 5, 6, 7]] {
            let frame = blocking::run(pin!(stream.frame()), |_| false).unwrap().unwrap();
            assert_eq!(*frame, *expected);
        }
        assert!(stream.is_clean());
    }

    #[test]
    fn the_end_behind_a_frame_that_nobody_takes_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = Stream::connect(Endpoint::Ip(address), length, Arc::default());
        let stream = blocking::run(pin!(connect), |_| false).unwrap().unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[3, 1, 2]).unwrap();
        while stream.fill() == Filled::Partly {}
        assert!(!stream.has_ended());
        drop(peer);
        // An event loop calls this again and again while the socket is readable.
        stream.fill();
        assert!(stream.has_ended());
        let frame = blocking::run(pin!(stream.frame()), |_| false).unwrap().unwrap();
        assert_eq!(*frame, [3, 1, 2]);
    }
}
