//! A file that has grown too long is replaced by one with the entries that are not settled. The old one stays
//! beside it, as `PATH.1`.
//!
//! At no moment is there a record that was promised to be on the disk and would not be found there after a
//! crash: the new file takes the old one's place only when it holds, on the disk, all that was promised, and
//! nothing is promised meanwhile.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::disk::{OpenFile, sync_directory};
use super::file::{Books, LogFile};
use super::record::HEADER;

/// The records of a new file.
pub type Rest = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

#[derive(Default)]
pub(super) struct Rotation {
    pub(super) wanted: bool,
    /// What was appended since the rotation under way began.
    pub(super) tail: Option<Vec<u8>>,
    /// How long the entries were that the last one has taken over.
    floor: u64,
}

impl Books {
    /// Entries that are not settled may be more than the limit: then the file must have doubled.
    pub(super) fn is_too_long(&self, limit: Option<u64>) -> bool {
        let limit = limit.map(|limit| limit.max(self.rotation.floor.saturating_mul(2)));
        self.rotation.tail.is_none() && limit.is_some_and(|limit| self.size > limit)
    }
}

impl LogFile {
    /// Blocks. Where it fails, the old file goes on.
    pub(super) fn rotate(&self) {
        {
            let mut books = self.books.lock();
            books.rotation.wanted = false;
            if books.rotation.tail.is_some() || books.is_closed() {
                return;
            }
            books.rotation.tail = Some(Vec::new());
        }
        let new = beside(&self.path, ".new");
        if self.rotate_to(&new).is_err() {
            let mut books = self.books.lock();
            if self.check_place(&books).is_ok() {
                let _ = std::fs::remove_file(&new);
            }
            books.rotation.tail = None;
            books.rotation.floor = books.size;
        }
        self.changed.notify_all();
    }

    fn rotate_to(&self, new: &Path) -> io::Result<()> {
        self.check_place(&self.books.lock())?;
        let _ = std::fs::remove_file(new);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let opened = rustix::fs::open(new, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&opened, FlockOperation::NonBlockingLockExclusive)?;
        let file = OpenFile::new(opened)?;
        let records = [HEADER, &(self.rest)()].concat();
        file.append(&records)?;
        let mut size = records.len() as u64;
        self.bring(&file)?;
        let mut tail = self.begin_turn();
        let mut turn = Turn { file: self, result: Some((0, Ok(()))) };
        file.append(&tail)?;
        self.bring(&file)?;
        size += tail.len() as u64;
        // What came since was not promised yet.
        let mut books = self.books.lock();
        tail = books.rotation.tail.take().unwrap_or_default();
        let replaced = match books.is_closed() {
            true => Err(io::Error::other("the log was closed")),
            false => self
                .check_place(&books)
                .and_then(|()| file.append(&tail))
                .and_then(|()| replace(&self.path, new)),
        };
        if let Err(error) = replaced {
            drop(books);
            return Err(error);
        }
        size += tail.len() as u64;
        (books.size, books.rotation.floor) = (size, records.len() as u64);
        let old = std::mem::replace(&mut books.file, Arc::new(file));
        let (file, place) = (books.file.clone(), books.appended);
        drop(books);
        drop(old);
        let synced = self.bring(&file).and_then(|()| sync_directory(&self.path));
        turn.result = Some((place, synced));
        Ok(())
    }

    /// What is at its path may be another log's by now.
    fn check_place(&self, books: &Books) -> io::Result<()> {
        match books.file.is_at(&self.path) {
            true => Ok(()),
            false => Err(io::Error::other("the program has moved it")),
        }
    }

    /// Waits until nobody else brings anything to the disk. What was appended meanwhile.
    fn begin_turn(&self) -> Vec<u8> {
        let mut books = self.books.lock();
        while books.syncing {
            books = self.changed.wait(books);
        }
        books.syncing = true;
        books.rotation.tail.replace(Vec::new()).unwrap_or_default()
    }
}

/// Others who want to bring something to the disk wait until it is dropped.
struct Turn<'a> {
    file: &'a LogFile,
    /// Up to which record all is on the disk.
    result: Option<(u64, io::Result<()>)>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((place, result)) = self.result.take() {
            self.file.end_sync(place, result);
        }
    }
}

/// There is always a file at `path`, unless the file system has no hard links.
fn replace(path: &Path, new: &Path) -> io::Result<()> {
    let old = beside(path, ".1");
    let _ = std::fs::remove_file(&old);
    if std::fs::hard_link(path, &old).is_err() {
        std::fs::rename(path, &old)?;
    }
    std::fs::rename(new, path)
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
