//! A non-blocking socket that sends bytes and receives length-prefixed frames.
//!
//! On an event loop the readiness callback calls `fill` so that a large frame arrives without
//! waking its operation for every piece; elsewhere the waiting future does it itself.
//!
//! With `secure` (`tls/stream.rs`) the bytes on the socket are TLS records; nobody above sees a difference.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::buffers::{Buffer, Buffers};
use super::fork::{self, Descriptor};
use super::inbox::{Filled, FrameLength, Inbox};
use super::lane::Lane;
use super::tls::session::{Received, Session};
use super::wait::{self, Interest};
use crate::sync::Mutex;

pub struct Stream {
    /// Taken only by `drop`.
    socket: Option<Descriptor>,
    pub(super) inbox: Mutex<Inbox>,
    /// Locked after `inbox` by whoever needs both.
    pub(super) tls: OnceLock<Box<Mutex<Session>>>,
    /// The event loop that has registered the socket and so must close it.
    home: OnceLock<Arc<Lane>>,
    /// Frames come without being asked for: what arrives early is in turn.
    more_to_come: AtomicBool,
}

impl Stream {
    pub(super) fn new(
        socket: Descriptor,
        frame_length: FrameLength,
        buffers: Arc<Buffers>,
    ) -> Stream {
        Stream {
            socket: Some(socket),
            inbox: Mutex::new(Inbox::new(frame_length, buffers)),
            tls: OnceLock::new(),
            home: OnceLock::new(),
            more_to_come: AtomicBool::new(false),
        }
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
                Filled::Frame => Poll::Ready(Ok(inbox.take())),
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
        if self.more_to_come.load(Ordering::Relaxed) && inbox.has_whole_frame() {
            return Filled::Full;
        }
        if let Some(tls) = self.tls.get() {
            return self.fill_decrypted(tls, &mut inbox);
        }
        if inbox.state() == Filled::Frame && !inbox.has_ended() {
            // Behind a frame that nobody has taken yet comes the end, or what was not asked for. It is
            // not read, so the loop must stop watching or it would never sleep again.
            inbox.end_out_of_turn();
        }
        self.fill_inbox(&mut inbox)
    }

    /// Whether frames come without being asked for from now on.
    pub fn expect_more(&self, expected: bool) {
        self.more_to_come.store(expected, Ordering::Relaxed);
    }

    /// How many bytes of the current frame are still to come, as far as known.
    pub fn outstanding(&self) -> usize {
        self.inbox.lock().outstanding()
    }

    /// Between operations nothing may arrive: a readable socket has ended (or talks out of turn). Only
    /// TLS may have something to say for itself, such as a ticket for the next session.
    pub fn is_idle_and_open(&self) -> bool {
        if self.is_inherited() {
            return false;
        }
        let mut inbox = self.inbox.lock();
        if inbox.has_ended() || !inbox.is_empty() {
            return false;
        }
        let mut polled = [PollFd::new(self.socket(), PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&Timespec::default())) {
            Ok(0) => true,
            Ok(_) if self.tls.get().is_some() => {
                self.fill_inbox(&mut inbox) == Filled::Partly && inbox.is_empty()
            }
            _ => false,
        }
    }

    /// Neither its end nor anything that nobody has asked for was seen: a look at the inbox only.
    pub fn is_clean(&self) -> bool {
        let inbox = self.inbox.lock();
        !inbox.has_ended() && inbox.is_empty()
    }

    pub fn has_ended(&self) -> bool {
        self.inbox.lock().has_ended()
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

    pub(super) fn socket(&self) -> &Descriptor {
        self.socket.as_ref().expect("only drop takes the socket")
    }

    /// The parent's, in a child: it is closed here, and its number may be another file's.
    pub fn is_inherited(&self) -> bool {
        self.socket().is_inherited()
    }

    pub(super) fn own(&self) -> io::Result<()> {
        match self.is_inherited() {
            true => Err(io::Error::new(io::ErrorKind::NotConnected, fork::INHERITED)),
            false => Ok(()),
        }
    }

    pub(super) fn fill_inbox(&self, inbox: &mut Inbox) -> Filled {
        if let Err(error) = inbox.measure() {
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
            let buffer = inbox.room();
            let room = buffer.capacity() - buffer.len();
            let error = match rustix::net::recv(
                self.socket(),
                spare_capacity(&mut **buffer),
                RecvFlags::empty(),
            ) {
                Ok((0, _)) => io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"),
                Ok((count, _)) => match inbox.measure() {
                    Ok(()) if count < room && inbox.state() == Filled::Partly => {
                        return Filled::Partly; // drained: the next read would say EAGAIN
                    }
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    inbox.forget_empty();
                    return Filled::Partly;
                }
                Err(error) => error.into(),
            };
            inbox.end(error);
        }
        inbox.state()
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::pin::pin;

    use super::*;
    use crate::net::blocking;
    use crate::net::connect::Endpoint;

    /// Frames of one length byte and what it counts, itself included.
    fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
        Ok(bytes.first().map(|&length| length.into()))
    }

    fn connected() -> (Arc<Stream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = Stream::connect(Endpoint::Ip(address), length, Arc::default());
        let stream = blocking::run(pin!(connect), |_| false).unwrap().unwrap();
        let (peer, _) = listener.accept().unwrap();
        (stream, peer)
    }

    #[test]
    fn frames_that_were_not_asked_for_wait_their_turn() {
        let (stream, mut peer) = connected();
        stream.expect_more(true);
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
        let (stream, mut peer) = connected();
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
