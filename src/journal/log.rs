//! A transaction log: where entries are kept, and what is written of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bson::RawDocument;

use super::entry::{Entry, Failure, Outcome, State, key_of};
use super::file::{self, LogFile};
use super::keeper::Keeper;
use super::ring::{Ring, Slot};
use super::statement::Statement;
use super::{disk, read, record};
use crate::error::{Error, Result};
use crate::net::fork::{self, PerProcess};
use crate::sync::Mutex;
use crate::wire::elements;
use crate::wire::message::Given;

pub struct Journal {
    pub(super) store: Store,
    settings: LogSettings,
    ring: Arc<PerProcess<Mutex<Ring>>>,
    born_in: u64,
}

#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// How many settled entries are kept in memory.
    pub capacity: usize,
    /// Statements are kept as they were sent.
    pub full: bool,
    /// The collection of marker documents: `database.collection`.
    pub marker: Option<String>,
}

pub(super) enum Store {
    Memory,
    File(Arc<LogFile>),
    Keeper(Arc<dyn Keeper>),
}

impl Journal {
    pub fn in_memory(settings: LogSettings) -> Arc<Journal> {
        Journal::new(settings, Store::Memory, Arc::default(), Vec::new())
    }

    /// With what was written there before.
    pub fn in_file(
        path: &Path,
        max_bytes: Option<u64>,
        settings: LogSettings,
    ) -> Result<Arc<Journal>> {
        Journal::in_file_synced_by(path, max_bytes, settings, Box::new(disk::fdatasync))
    }

    pub fn kept_by(keeper: Arc<dyn Keeper>, settings: LogSettings) -> Arc<Journal> {
        fork::watch();
        Journal::new(settings, Store::Keeper(keeper), Arc::default(), Vec::new())
    }

    /// With a test's way to bring it to the disk.
    pub fn in_file_synced_by(
        path: &Path,
        max_bytes: Option<u64>,
        settings: LogSettings,
        bring: file::Bring,
    ) -> Result<Arc<Journal>> {
        fork::watch();
        let ring = Arc::new(PerProcess::<Mutex<Ring>>::default());
        let of_ring = ring.clone();
        let rest = move || {
            let unsettled: Vec<_> = of_ring.get().lock().unsettled().cloned().collect();
            unsettled.iter().flat_map(|slot| record::any(&slot.entry.lock())).collect()
        };
        let (file, entries) = LogFile::open(path, max_bytes, bring, Box::new(rest))?;
        Ok(Journal::new(settings, Store::File(Arc::new(file)), ring, entries))
    }

    fn new(
        settings: LogSettings,
        store: Store,
        ring: Arc<PerProcess<Mutex<Ring>>>,
        entries: Vec<Entry>,
    ) -> Arc<Journal> {
        let journal = Journal { store, settings, ring, born_in: fork::generation() };
        for entry in entries {
            let settled = entry.is_settled();
            let slot = journal.ring.get().lock().add(entry);
            if settled {
                journal.settle(&slot);
            }
        }
        Arc::new(journal)
    }

    pub fn marker(&self) -> Option<&str> {
        self.settings.marker.as_deref()
    }

    /// What is kept of a command that is being sealed.
    pub fn statement(&self, database: &str, given: Given<'_>, out: &[u8]) -> Statement {
        Statement::new(database, given.elements(out), given.sequences, self.settings.full)
    }

    /// The entries in memory, as documents, oldest first.
    pub fn entries(&self) -> Vec<Vec<u8>> {
        let slots = self.ring.get().lock().all();
        slots.iter().map(|slot| document_of(slot)).collect()
    }

    /// Notes what was found out about a transaction of a former process.
    pub fn resolve(
        &self,
        entry: &RawDocument,
        outcome: Outcome,
        error: Option<Failure>,
    ) -> Result<()> {
        self.check_process()?;
        let Some(key) = key_of(entry) else {
            return Err(Error::invalid_operation("the entry names no transaction"));
        };
        let ring = self.ring.get();
        let known = ring.lock().find(key);
        let slot = match &known {
            Some(slot) => slot.clone(),
            None => {
                let entry = Entry::read(entry).unwrap_or_else(|| Entry::new(key, now()));
                ring.lock().add(entry)
            }
        };
        let record = {
            let mut entry = slot.entry.lock();
            entry.state = State::Ended;
            (entry.outcome, entry.error, entry.ended) = (Some(outcome), error, Some(now()));
            record::ended(&entry, known.is_none())
        };
        if outcome != Outcome::Unknown || !self.keeps_unknown() {
            self.settle(&slot);
        }
        match &self.store {
            // In a collection it is for the caller to write, who can wait for it.
            Store::Memory | Store::Keeper(_) => Ok(()),
            Store::File(file) => {
                let place = file.append(&record)?;
                // What is known to be aborted may be run again, once.
                file.sync_now(place)
            }
        }
    }

    /// Brings everything to the disk and lets others have the file.
    pub fn close(&self) -> Result<()> {
        match &self.store {
            Store::File(file) if self.is_of_this_process() => file.close(),
            _ => Ok(()),
        }
    }

    pub(super) fn add_living(&self, entry: Entry) -> Arc<Slot> {
        let slot = self.ring.get().lock().add(entry);
        slot.set_living(true);
        slot
    }

    /// It has not begun after all.
    pub(super) fn remove(&self, slot: &Slot) {
        self.ring.get().lock().remove(slot);
    }

    pub(super) fn settle(&self, slot: &Slot) {
        self.ring.get().lock().settle(slot, self.settings.capacity);
    }

    pub(super) fn unsettle(&self, slot: &Slot) {
        self.ring.get().lock().unsettle(slot);
    }

    /// Entries whose outcome is unknown are kept until it is found out. The next file needs them all; without
    /// a file there is a limit.
    pub(super) fn keeps_unknown(&self) -> bool {
        matches!(self.store, Store::File(_))
            || self.ring.get().lock().unsettled().len() <= MOST_UNSETTLED
    }

    /// A child of a fork has a log in memory of its own, but must not write to its parent's file.
    pub(super) fn check_process(&self) -> Result<()> {
        let text = match &self.store {
            Store::Memory => return Ok(()),
            _ if self.is_of_this_process() => return Ok(()),
            Store::Keeper(_) => {
                "the transaction log was made by the parent process: make one in each process"
                    .to_owned()
            }
            Store::File(file) => format!(
                "the transaction log {} is the parent process's: give each process a file of its own",
                file.path.display()
            ),
        };
        Err(Error::invalid_operation(text))
    }

    fn is_of_this_process(&self) -> bool {
        self.born_in == fork::generation()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Store::File(file) = &self.store
            && self.is_of_this_process()
        {
            file.abandon();
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            Store::Memory | Store::Keeper(_) => write!(out, "Journal"),
            Store::File(file) => write!(out, "Journal({:?})", file.path),
        }
    }
}

/// The entries of a file that another process may be writing to.
pub fn read_file(path: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path).map_err(|error| disk::unreadable(path, error))?;
    let (entries, _) = read::entries(&bytes, path)?;
    Ok(entries.iter().map(|entry| entry.to_document(true)).collect())
}

fn document_of(slot: &Slot) -> Vec<u8> {
    let entry = slot.entry.lock();
    let mut bytes = Vec::new();
    elements::open_document(&mut bytes, |out| {
        entry.append(out, true);
        if slot.is_living() {
            elements::boolean(out, "living", true);
        }
    });
    bytes
}

const MOST_UNSETTLED: usize = 10_000;

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
