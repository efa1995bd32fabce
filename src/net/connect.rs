//! A socket is made and connected, without blocking.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::buffers::Buffers;
use super::fork::{self, Descriptor};
use super::inbox::FrameLength;
use super::stream::Stream;
use super::wait::{self, Interest};

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
        let stream = Arc::new(Stream::new(Descriptor::new(socket), frame_length, buffers));
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
}
