//! A log's file: opened for one process, appended to, and brought to the disk for several callers at once.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_channel::oneshot;

use super::disk::{OpenFile, open_locked, unreadable};
use super::entry::Entry;
use super::read;
use super::rotation::{Rest, Rotation};
use super::worker::Worker;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wait;
use crate::sync::{Condvar, Mutex, MutexGuard};

pub struct LogFile {
    pub path: PathBuf,
    pub(super) max_bytes: Option<u64>,
    pub(super) books: Mutex<Books>,
    /// A sync has ended, or the worker has something to do.
    pub(super) changed: Condvar,
    bring: Bring,
    pub(super) rest: Rest,
}

/// Brings what was written to the disk: fdatasync(2), or a test's own.
pub type Bring = Box<dyn Fn(BorrowedFd<'_>) -> io::Result<()> + Send + Sync>;

/// How many records had been appended.
pub type Place = u64;

pub(super) struct Books {
    pub(super) file: Arc<OpenFile>,
    pub(super) size: u64,
    pub(super) appended: Place,
    pub(super) synced: Place,
    /// Somebody is bringing it to the disk.
    pub(super) syncing: bool,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// A sync has failed: what is on the disk is not known, and a further sync would not tell.
    broken: Option<String>,
    /// Half a record is left at the end.
    torn: bool,
    closed: bool,
    pub(super) worker: Worker,
    pub(super) rotation: Rotation,
}

impl LogFile {
    /// For this process alone. Also what is in it.
    pub fn open(
        path: &Path,
        max_bytes: Option<u64>,
        bring: Bring,
        rest: Rest,
    ) -> Result<(LogFile, Vec<Entry>)> {
        let (opened, path) = open_locked(path)?;
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let (entries, end) = read::entries(&bytes, &path)?;
        let file = OpenFile::new(opened).map_err(|error| unreadable(&path, error))?;
        let prepared = file.prepare(&path, end, bytes.len());
        let size = prepared.map_err(|error| unreadable(&path, error))?;
        let books = Mutex::new(Books {
            file: Arc::new(file),
            size,
            appended: 0,
            synced: 0,
            syncing: false,
            waiting: Vec::new(),
            broken: None,
            torn: false,
            closed: false,
            worker: Worker::default(),
            rotation: Rotation::default(),
        });
        Ok((LogFile { path, max_bytes, books, changed: Condvar::new(), bring, rest }, entries))
    }

    /// Written, and safe from the end of this process, but not from that of the machine.
    pub fn append(&self, record: &[u8]) -> Result<Place> {
        let books = self.books.lock();
        if books.closed {
            let text = format!("the transaction log {} is closed", self.path.display());
            return Err(Error::invalid_operation(text));
        }
        match &books.broken {
            Some(why) => Err(self.failed(why)),
            None => self.write(books, record),
        }
    }

    /// How a transaction ended. Also tried where nothing can be promised any more.
    pub fn append_end(self: &Arc<Self>, record: &[u8]) -> Result<Place> {
        let books = self.books.lock();
        let place = match books.torn || books.closed {
            true => return Err(self.failed("it is closed")),
            false => self.write(books, record)?,
        };
        let mut books = self.books.lock();
        if books.is_too_long(self.max_bytes) {
            books.rotation.wanted = true;
            let _ = self.ask_worker(&mut books);
        }
        Ok(place)
    }

    fn write(&self, mut books: MutexGuard<'_, Books>, record: &[u8]) -> Result<Place> {
        let file = books.file.clone();
        if let Err(error) = file.append(record) {
            // Half a record must not stand before others.
            if file.cut(books.size).is_err() {
                books.torn = true;
                books.broken.get_or_insert(error.to_string());
            }
            return Err(self.failed(&error));
        }
        if let Some(tail) = &mut books.rotation.tail {
            tail.extend_from_slice(record);
        }
        books.size += record.len() as u64;
        books.appended += 1;
        Ok(books.appended)
    }

    /// Waits until all up to `place` is on the disk. Only a caller that blocks its thread anyway does that
    /// itself. One sync serves all who wait.
    pub async fn durable(self: &Arc<Self>, place: Place, limit: Deadline) -> Result<()> {
        loop {
            let woken = {
                let mut books = self.books.lock();
                if books.synced >= place {
                    return Ok(());
                }
                if let Some(why) = &books.broken {
                    return Err(self.failed(why));
                }
                if !books.syncing {
                    let blocks = wait::blocks_thread();
                    books.worker.sync_wanted |= !blocks;
                    if blocks || !self.ask_worker(&mut books) {
                        self.sync(books);
                        continue;
                    }
                }
                let (wake, woken) = oneshot::channel();
                books.waiting.push(wake);
                woken
            };
            if wait::until(limit, wait::gate(woken)).await.is_none() {
                let text = "timed out while the transaction log was brought to the disk";
                return Err(Error::time_limit_exceeded(text));
            }
        }
    }

    /// Without waiting for it.
    pub fn sync_soon(self: &Arc<Self>) {
        let mut books = self.books.lock();
        if books.broken.is_none() {
            books.worker.sync_wanted = true;
            let _ = self.ask_worker(&mut books);
        }
    }

    /// Blocks.
    pub fn sync_now(&self, place: Place) -> Result<()> {
        loop {
            let books = self.books.lock();
            if books.synced >= place {
                return Ok(());
            }
            if let Some(why) = &books.broken {
                return Err(self.failed(why));
            }
            match books.syncing {
                true => drop(self.changed.wait(books)),
                false => self.sync(books),
            }
        }
    }

    /// Brings everything to the disk and lets others have the file. What comes later is refused.
    pub fn close(&self) -> Result<()> {
        let place = {
            let mut books = self.books.lock();
            while books.rotation.tail.is_some() {
                books = self.changed.wait(books);
            }
            if books.is_too_long(self.max_bytes) && !books.closed {
                drop(books);
                self.rotate();
                books = self.books.lock();
            }
            if std::mem::replace(&mut books.closed, true) {
                return Ok(());
            }
            books.appended
        };
        let synced = self.sync_now(place);
        let mut books = self.books.lock();
        while books.syncing {
            books = self.changed.wait(books);
        }
        books.file.unlock();
        self.changed.notify_all();
        synced
    }

    /// Nobody has anything left to write.
    pub fn abandon(&self) {
        let mut books = self.books.lock();
        if !std::mem::replace(&mut books.closed, true) {
            books.file.unlock();
        }
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.books.lock().closed
    }

    /// Called when nobody is syncing.
    pub(super) fn sync(&self, mut books: MutexGuard<'_, Books>) {
        books.syncing = true;
        let (file, place) = (books.file.clone(), books.appended);
        drop(books);
        let result = self.bring(&file);
        self.end_sync(place, result);
    }

    pub(super) fn bring(&self, file: &OpenFile) -> io::Result<()> {
        file.check()?;
        (self.bring)(file.borrow())
    }

    pub(super) fn end_sync(&self, place: Place, result: io::Result<()>) {
        let mut books = self.books.lock();
        books.syncing = false;
        match result {
            // One that follows a failure says nothing of what the former one should have written.
            Ok(()) if books.broken.is_none() => books.synced = books.synced.max(place),
            Ok(()) => {}
            Err(error) => drop(books.broken.get_or_insert(error.to_string())),
        }
        let waiting = std::mem::take(&mut books.waiting);
        drop(books);
        for one in waiting {
            let _ = one.send(()); // it may have left
        }
        self.changed.notify_all();
    }

    fn failed(&self, why: impl std::fmt::Display) -> Error {
        let text = format!("the transaction log {} cannot be written: {why}", self.path.display());
        Error::new(ErrorKind::TransactionLog, text)
    }
}

impl Books {
    pub(super) fn has_unsynced(&self) -> bool {
        self.broken.is_none() && self.synced < self.appended
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
