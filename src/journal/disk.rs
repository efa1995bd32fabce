//! The descriptor of a log's file: found, locked, written to, checked.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, ftruncate};
use rustix::io::Errno;

use super::read::refused;
use super::record::HEADER;
use super::rotation::beside;
use crate::error::{Error, ErrorKind, Result};
use crate::net::fork::Descriptor;

/// With its identity: a program that closes all descriptors by their numbers closes this one too, and the
/// number may be another file's by now.
pub(super) struct OpenFile {
    /// `None` once it was dropped.
    descriptor: Option<Descriptor>,
    identity: (u64, u64),
}

impl OpenFile {
    pub(super) fn new(opened: OwnedFd) -> io::Result<OpenFile> {
        let identity = identity(opened.as_fd())?;
        Ok(OpenFile { descriptor: Some(Descriptor::new(opened)), identity })
    }

    /// Takes a torn tail away, or begins the file; its length.
    pub(super) fn prepare(&self, path: &Path, end: usize, length: usize) -> io::Result<u64> {
        let mut size = end as u64;
        if end < length {
            self.cut(size)?;
        }
        if end == 0 {
            self.append(HEADER)?;
            size = HEADER.len() as u64;
        }
        if end < length || end == 0 {
            rustix::fs::fsync(self.borrow())?;
            sync_directory(path)?;
        }
        Ok(size)
    }

    pub(super) fn borrow(&self) -> BorrowedFd<'_> {
        self.descriptor.as_ref().expect("it is not dropped").as_fd()
    }

    fn is_own(&self) -> bool {
        let descriptor = self.descriptor.as_ref().filter(|descriptor| !descriptor.is_inherited());
        let found = descriptor.map(|descriptor| identity(descriptor.as_fd()));
        found.is_some_and(|found| found.is_ok_and(|found| found == self.identity))
    }

    /// Whether the path still leads to it: a program may have moved the file, and made another one.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let found = rustix::fs::stat(path);
        found.is_ok_and(|found| (found.st_dev, found.st_ino) == self.identity)
    }

    pub(super) fn check(&self) -> io::Result<()> {
        match self.is_own() {
            true => Ok(()),
            false => Err(io::Error::other("the program has closed its descriptor")),
        }
    }

    pub(super) fn append(&self, mut bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        while !bytes.is_empty() {
            match rustix::io::write(self.borrow(), bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.check()?;
        Ok(ftruncate(self.borrow(), length)?)
    }

    pub(super) fn unlock(&self) {
        if self.check().is_ok() {
            let _ = flock(self.borrow(), FlockOperation::Unlock);
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !self.is_own()
            && let Some(descriptor) = self.descriptor.take()
        {
            if !descriptor.is_inherited() {
                descriptor.was_closed();
            }
            std::mem::forget(descriptor); // the number may be another file's
        }
    }
}

pub fn fdatasync(file: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match rustix::fs::fdatasync(file) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// The file, which is this process's from here on, and its full path.
pub(super) fn open_locked(path: &Path) -> Result<(OwnedFd, PathBuf)> {
    let failed = |error: io::Error| unreadable(path, error);
    let locked = |opened: &OwnedFd| match flock(opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(refused(format!(
            "the transaction log {} is in use by another process, or by another TransactionLog: give each \
             a file of its own",
            path.display()
        ))),
        Err(error) => Err(failed(error.into())),
    };
    let new = beside(path, ".new");
    // A rotation was cut short: see `replace`.
    if !path.exists()
        && let Ok(unfinished) =
            rustix::fs::open(&new, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
    {
        locked(&unfinished)?;
        std::fs::rename(&new, path).map_err(failed)?;
    }
    loop {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
        let opened = opened.map_err(|error| failed(error.into()))?;
        locked(&opened)?;
        let kind = fstat(&opened).map_err(|error| failed(error.into()))?.st_mode;
        if !FileType::from_raw_mode(kind).is_file() {
            return Err(refused(format!("{} is not a regular file", path.display())));
        }
        // A program that changes its directory still means this file.
        let full = std::fs::canonicalize(path).map_err(failed)?;
        let there = rustix::fs::stat(&full).map_err(|error| failed(error.into()))?;
        let own = identity(opened.as_fd()).map_err(failed)?;
        if (there.st_dev, there.st_ino) == own {
            let _ = std::fs::remove_file(beside(&full, ".new"));
            return Ok((opened, full));
        } // else it was replaced before it was locked
    }
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(directory)?.sync_all()
}

fn identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let found = fstat(file)?;
    Ok((found.st_dev, found.st_ino))
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    let text = format!("the transaction log {} cannot be opened: {error}", path.display());
    Error::new(ErrorKind::TransactionLog, text)
}
