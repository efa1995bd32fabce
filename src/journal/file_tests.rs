//! The file of a log as the operating system sees it, with a disk that fails where a test wants it to.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use bson::Uuid;

use super::disk::fdatasync;
use super::entry::{Entry, State};
use super::file::{Bring, LogFile};
use super::read;
use super::record::{self, HEADER};
use super::rotation::beside;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::net::{blocking, wait};
use crate::sync::Mutex;

struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferromongo-log-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Place(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.join("log")
    }

    fn open(&self) -> Result<(Arc<LogFile>, Vec<Entry>)> {
        self.open_with(None, Box::new(fdatasync), Vec::new)
    }

    fn open_with(
        &self,
        max_bytes: Option<u64>,
        bring: Bring,
        rest: impl Fn() -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<(Arc<LogFile>, Vec<Entry>)> {
        let (file, entries) = LogFile::open(&self.file(), max_bytes, bring, Box::new(rest))?;
        Ok((Arc::new(file), entries))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn entry(number: i64) -> Entry {
    let mut entry = Entry::new((Uuid::from_bytes([7; 16]), number), 1);
    entry.state = State::Committing;
    entry
}

fn numbers(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.key.1).collect()
}

fn durable(file: &Arc<LogFile>, place: u64) -> Result<()> {
    blocking::run(pin!(file.durable(place, Deadline::NEVER)), |_| false).unwrap()
}

#[test]
fn what_was_appended_is_there_when_it_is_opened_again() {
    let place = Place::new();
    {
        let (file, entries) = place.open().unwrap();
        assert!(entries.is_empty());
        let first = file.append(&record::committing(&entry(1))).unwrap();
        durable(&file, first).unwrap();
        file.append(&record::open(&entry(2))).unwrap();
        file.close().unwrap();
        file.close().unwrap();
        assert!(file.append(&record::open(&entry(3))).is_err());
    }
    let (_file, entries) = place.open().unwrap();
    assert_eq!(numbers(&entries), [1, 2]);
}

#[test]
fn a_file_has_one_owner() {
    let place = Place::new();
    let (file, _) = place.open().unwrap();
    let refused = place.open().err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(refused.message().contains("in use"), "{refused}");
    file.close().unwrap();
    place.open().unwrap();
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_refused() {
    let place = Place::new();
    let whole = {
        let (file, _) = place.open().unwrap();
        file.append(&record::committing(&entry(1))).unwrap();
        file.append(&record::committing(&entry(2))).unwrap();
        std::fs::read(place.file()).unwrap()
    };
    std::fs::write(place.file(), &whole[..whole.len() - 3]).unwrap();
    {
        let (file, entries) = place.open().unwrap();
        assert_eq!(numbers(&entries), [1]);
        file.append(&record::committing(&entry(3))).unwrap();
    }
    assert_eq!(numbers(&place.open().unwrap().1), [1, 3]);
    let mut damaged = whole.clone();
    damaged[HEADER.len() + 20] ^= 1;
    std::fs::write(place.file(), &damaged).unwrap();
    let refused = place.open().err().unwrap().to_string();
    assert!(refused.contains("byte 5") && refused.contains("damaged"), "{refused}");
    assert_eq!(std::fs::read(place.file()).unwrap(), damaged);
    std::fs::write(place.file(), "a shopping list").unwrap();
    assert!(place.open().err().unwrap().message().contains("is not a transaction log"));
    std::fs::write(place.file(), &HEADER[..3]).unwrap();
    place.open().unwrap();
}

#[test]
fn one_sync_serves_all_who_wait() {
    let place = Place::new();
    let (appended, syncs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, counted) = (appended.clone(), syncs.clone());
    let bring = move |file: BorrowedFd<'_>| {
        counted.fetch_add(1, Ordering::SeqCst);
        while seen.load(Ordering::SeqCst) < 8 {
            thread::yield_now();
        }
        fdatasync(file)
    };
    let (file, _) = place.open_with(None, Box::new(bring), Vec::new).unwrap();
    thread::scope(|threads| {
        for number in 0..8 {
            let (file, appended) = (&file, &appended);
            threads.spawn(move || {
                let place = file.append(&record::committing(&entry(number))).unwrap();
                appended.fetch_add(1, Ordering::SeqCst);
                durable(file, place).unwrap();
            });
        }
    });
    assert!(syncs.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_caller_that_must_not_block_is_served_by_a_thread() {
    let place = Place::new();
    let caller = thread::current().id();
    let bring = move |file: BorrowedFd<'_>| {
        assert_ne!(thread::current().id(), caller);
        fdatasync(file)
    };
    let (file, _) = place.open_with(None, Box::new(bring), Vec::new).unwrap();
    let number = file.append(&record::committing(&entry(1))).unwrap();
    let waiter = Arc::new(Unpark(thread::current()));
    let waker = std::task::Waker::from(waiter);
    let mut waiting = pin!(file.durable(number, Deadline::NEVER));
    let mut set = wait::WaitSet::default(); // as an event loop's
    loop {
        if let std::task::Poll::Ready(result) = wait::poll(&mut set, &waker, waiting.as_mut()) {
            break result.unwrap();
        }
        thread::park();
    }
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn after_a_sync_that_failed_nothing_is_promised() {
    let place = Place::new();
    let failures = AtomicUsize::new(0);
    let bring = move |_: BorrowedFd<'_>| match failures.fetch_add(1, Ordering::SeqCst) {
        0 => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()), // the kernel has forgotten what it could not write
    };
    let (file, _) = place.open_with(None, Box::new(bring), Vec::new).unwrap();
    let first = file.append(&record::committing(&entry(1))).unwrap();
    let failed = durable(&file, first).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::TransactionLog);
    assert!(failed.message().contains("os error 5"), "{failed}");
    durable(&file, first).unwrap_err();
    file.append(&record::committing(&entry(2))).unwrap_err();
    file.append_end(&record::ended(&entry(1), false)).unwrap();
}

#[test]
fn a_long_file_is_replaced_by_one_with_what_is_not_settled() {
    let place = Place::new();
    let rest = || record::any(&entry(1));
    let (file, _) = place.open_with(Some(2000), Box::new(fdatasync), rest).unwrap();
    file.append(&record::committing(&entry(1))).unwrap();
    let mut last = 0;
    for number in 2..60 {
        last = file.append(&record::committing(&entry(number))).unwrap();
        durable(&file, last).unwrap();
        file.append_end(&record::ended(&entry(number), false)).unwrap();
    }
    let mut books = file.books.lock();
    while books.rotation.tail.is_some() || books.rotation.wanted {
        books = file.changed.wait_timeout(books, std::time::Duration::from_millis(20)).0;
    }
    drop(books);
    durable(&file, last).unwrap();
    let length = std::fs::metadata(place.file()).unwrap().len();
    assert_eq!(length, file.books.lock().size);
    assert!(beside(&place.file(), ".1").exists() && !beside(&place.file(), ".new").exists());
    let last = file.append(&record::committing(&entry(99))).unwrap();
    durable(&file, last).unwrap();
    assert!(place.open().is_err(), "it is still this process's");
    let written = std::fs::read(place.file()).unwrap();
    let (entries, _) = read::entries(&written, &place.file()).unwrap();
    let entries = numbers(&entries);
    assert!(entries.starts_with(&[1]) && entries.ends_with(&[99]), "{entries:?}");
    assert!(entries.len() < 60);
    file.close().unwrap();
    assert!(numbers(&place.open().unwrap().1).starts_with(&[1]));
}

#[test]
fn what_is_appended_during_a_rotation_is_in_the_new_file() {
    let place = Place::new();
    let file = Arc::new(Mutex::new(None::<Arc<LogFile>>));
    let of_rest = file.clone();
    // While the new file is being filled, another transaction is promised to be on the disk.
    let rest = move || {
        let file = of_rest.lock().clone().unwrap();
        let number = file.append(&record::committing(&entry(2))).unwrap();
        file.sync_now(number).unwrap();
        record::any(&entry(1))
    };
    let (opened, _) = place.open_with(None, Box::new(fdatasync), rest).unwrap();
    *file.lock() = Some(opened.clone());
    opened.rotate();
    opened.append(&record::committing(&entry(3))).unwrap();
    opened.close().unwrap();
    assert_eq!(numbers(&place.open().unwrap().1), [1, 2, 3]);
    *file.lock() = None;
}

#[test]
fn a_rotation_that_fails_leaves_the_file_as_it_is() {
    let place = Place::new();
    let syncs = AtomicUsize::new(0);
    let bring = move |file: BorrowedFd<'_>| match syncs.fetch_add(1, Ordering::SeqCst) {
        1 => Err(io::ErrorKind::Other.into()), // with the tail
        _ => fdatasync(file),
    };
    let (file, _) = place.open_with(None, Box::new(bring), || record::any(&entry(9))).unwrap();
    let number = file.append(&record::committing(&entry(1))).unwrap();
    file.rotate();
    assert!(!beside(&place.file(), ".new").exists());
    durable(&file, number).unwrap();
    file.close().unwrap();
    assert_eq!(numbers(&place.open().unwrap().1), [1]);
}

#[test]
fn a_file_that_was_moved_replaces_no_other() {
    let place = Place::new();
    let (moved, _) = place.open_with(None, Box::new(fdatasync), || record::any(&entry(9))).unwrap();
    moved.append(&record::committing(&entry(1))).unwrap();
    let old = place.0.join("log.old");
    std::fs::rename(place.file(), &old).unwrap();
    let (other, _) = place.open().unwrap();
    other.append(&record::committing(&entry(2))).unwrap();
    std::fs::write(beside(&place.file(), ".new"), "the other one's").unwrap();
    moved.rotate();
    moved.append(&record::committing(&entry(3))).unwrap();
    assert!(beside(&place.file(), ".new").exists());
    for (path, expected) in [(old, vec![1, 3]), (place.file(), vec![2])] {
        let written = std::fs::read(&path).unwrap();
        assert_eq!(numbers(&read::entries(&written, &path).unwrap().0), expected);
    }
}

#[test]
fn a_rotation_that_was_cut_short_is_found() {
    let place = Place::new();
    let record = [HEADER, &record::committing(&entry(1))].concat();
    std::fs::write(beside(&place.file(), ".new"), &record).unwrap();
    let (file, entries) = place.open().unwrap();
    assert_eq!(numbers(&entries), [1]);
    // Where the file itself is there, the new one was not complete.
    std::fs::write(beside(&place.file(), ".new"), "half").unwrap();
    file.close().unwrap();
    assert_eq!(numbers(&place.open().unwrap().1), [1]);
    assert!(!beside(&place.file(), ".new").exists());
}

#[test]
fn a_descriptor_that_the_program_has_closed_is_not_written_to() {
    let place = Place::new();
    let (file, _) = place.open().unwrap();
    let other = std::fs::File::create(place.0.join("other")).unwrap();
    // As a program does that closes all descriptors and opens its own.
    let raw = std::os::fd::AsRawFd::as_raw_fd(&file.books.lock().file.borrow());
    // SAFETY: the number is the log's own, which notices that it is another file's.
    let mut of_log = std::mem::ManuallyDrop::new(unsafe {
        <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(raw)
    });
    rustix::io::dup2(&other, &mut of_log).unwrap();
    assert!(file.append(&record::open(&entry(1))).is_err());
    assert_eq!(std::fs::metadata(place.0.join("other")).unwrap().len(), 0);
}
