//! tokio's pipe for Unix signals, kept where a runtime can find it.
//!
//! The `mongodb` crate turns on tokio's `process` feature. With it every runtime that waits for sockets
//! also watches one socket pair of the process, for signals that are not used here. A child that
//! closes all descriptors, as daemons do after a fork, closes that pair too: there no runtime could
//! start, or it would read from whatever file has the number by then. So the pair is made with the
//! module, at numbers that programs hardly ever reach, and made again before a runtime misses it. All
//! of this goes when the crate does.
//!
//! A missing pair also shows that the process has closed its own descriptors under a running control thread.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Builder;

/// The two ends; empty if they could not be distinguished from other descriptors.
static ENDS: OnceLock<Vec<End>> = OnceLock::new();
static REPAIRS: AtomicU64 = AtomicU64::new(0);

struct End {
    number: RawFd,
    /// Of the socket that belongs there.
    inode: AtomicU64,
}

/// To be called before any other thread can fork.
pub fn prepare() {
    ENDS.get_or_init(|| make().unwrap_or_default());
}

/// How often the pair was made again, `None` if it is missing now.
pub fn repairs() -> Option<u64> {
    let ends = ENDS.get().map(Vec::as_slice).unwrap_or_default();
    ends.iter().all(End::is_there).then(|| REPAIRS.load(Relaxed))
}

/// Makes the pair again if it was closed. An error if its number is another file's.
pub fn repair() -> io::Result<()> {
    let Some(ends) = ENDS.get().filter(|_| repairs().is_none()) else { return Ok(()) };
    for end in ends.iter().filter(|end| !end.is_there()) {
        if !matches!(socket_at(end.number), Err(Errno::BADF)) {
            let number = end.number;
            return Err(io::Error::other(format!(
                "file descriptor {number} of the driver was closed, and now belongs to another file"
            )));
        }
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    for (end, socket) in ends.iter().zip([one, other]) {
        // SAFETY: the number is closed or holds what is left of the old pair; tokio owns both.
        if unsafe { libc::dup3(socket.as_raw_fd(), end.number, libc::O_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        end.inode.store(fstat(&socket)?.st_ino, Relaxed);
    }
    REPAIRS.fetch_add(1, Relaxed);
    Ok(())
}

impl End {
    fn is_there(&self) -> bool {
        socket_at(self.number) == Ok(Some(self.inode.load(Relaxed)))
    }
}

fn make() -> io::Result<Vec<End>> {
    let limit = getrlimit(Resource::Nofile).current.map_or(HIGHEST, |limit| limit.min(HIGHEST));
    let first = RawFd::try_from(limit.saturating_sub(ROOM)).unwrap_or_default();
    let below = fill(first)?;
    let open_before: Vec<_> = (first..first + ROOM as RawFd).filter(|it| is_socket(*it)).collect();
    drop(Builder::new_current_thread().enable_io().build()?);
    drop(below);
    let mut ends = Vec::new();
    for number in first..first + ROOM as RawFd {
        if let Ok(Some(inode)) = socket_at(number)
            && !open_before.contains(&number)
        {
            ends.push(End { number, inode: inode.into() });
        }
    }
    if ends.len() != 2 {
        ends.clear(); // another thread opened something meanwhile
    }
    Ok(ends)
}

/// Takes every number below `first`, so that what is opened next lies above.
fn fill(first: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut taken = vec![eventfd(0, EventfdFlags::CLOEXEC)?];
    while taken[taken.len() - 1].as_raw_fd() < first - 1 {
        taken.push(fcntl_dupfd_cloexec(&taken[0], 0)?);
    }
    Ok(taken)
}

fn is_socket(number: RawFd) -> bool {
    matches!(socket_at(number), Ok(Some(_)))
}

/// The inode of the socket with this number, `None` if it is something else.
fn socket_at(number: RawFd) -> Result<Option<u64>, Errno> {
    // SAFETY: fstat takes any number, and returns an error if nothing is open there.
    let status = fstat(unsafe { BorrowedFd::borrow_raw(number) })?;
    let is_socket = FileType::from_raw_mode(status.st_mode) == FileType::Socket;
    Ok(is_socket.then_some(status.st_ino))
}

/// Below 1024, which is where select(2) ends, and many a program's limit.
const HIGHEST: u64 = 1024;
/// For what a runtime opens, and what other threads open meanwhile.
const ROOM: u64 = 32;
