//! The entry of one transaction, for those who run it: what they note in it is written in time.

use std::fmt;
use std::sync::Arc;

use bson::{RawDocumentBuf, Uuid};

use super::entry::{Deployment, Entry, Failure, Key, Outcome, State};
use super::log::{Journal, Store, now};
use super::record;
use super::ring::Slot;
use super::statement::Statement;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::net::fork;
use crate::sync::Mutex;

pub struct Handle {
    journal: Arc<Journal>,
    slot: Arc<Slot>,
    progress: Mutex<Progress>,
    born_in: u64,
}

#[derive(Default)]
struct Progress {
    /// The statements are in a record.
    appended: bool,
    /// That record is on the disk, and the transaction was not given up since.
    durable: bool,
    /// What was sent last is the last statement.
    is_last_noted: bool,
    /// Of the statements that are kept, in bytes.
    captured: usize,
    /// Its end, which is not written yet.
    unwritten: Option<Vec<u8>>,
}

/// What is known when a transaction begins.
pub struct Beginning {
    pub lsid: Uuid,
    pub number: i64,
    pub read_concern: Option<RawDocumentBuf>,
    pub write_concern: Option<RawDocumentBuf>,
    pub session_timeout_minutes: Option<i64>,
    pub attempt: u32,
    pub deployment: Arc<Deployment>,
}

/// What is known when it ends.
pub struct Known {
    /// How often its commit was sent, or may have been.
    pub commits: u32,
    pub recovery_token: Option<RawDocumentBuf>,
    /// In seconds.
    pub cluster_time: Option<i64>,
}

impl Handle {
    /// To be called right before the first statement is sent, which must not be sent if this fails.
    pub fn begin(
        journal: &Arc<Journal>,
        beginning: Beginning,
        first: Statement,
    ) -> Result<Arc<Handle>> {
        journal.check_process()?;
        let mut entry = Entry::new((beginning.lsid, beginning.number), now());
        entry.read_concern = beginning.read_concern;
        entry.write_concern = beginning.write_concern;
        entry.session_timeout_minutes = beginning.session_timeout_minutes;
        entry.attempt = beginning.attempt.into();
        entry.deployment = beginning.deployment;
        entry.pid = std::process::id().into();
        entry.marker = journal.marker().map(str::to_owned);
        let mut progress = Progress { is_last_noted: true, ..Progress::default() };
        entry.statements.push(progress.kept(first, journal));
        let file = match &journal.store {
            Store::File(file) => Some((file, record::open(&entry))),
            Store::Memory | Store::Keeper(_) => None,
        };
        // First there, for a new file that is begun at this moment.
        let slot = journal.add_living(entry);
        if let Some((file, record)) = file
            && let Err(error) = file.append(&record)
        {
            journal.remove(&slot);
            return Err(error);
        }
        Ok(Arc::new(Handle {
            journal: journal.clone(),
            slot,
            progress: Mutex::new(progress),
            born_in: fork::generation(),
        }))
    }

    pub fn key(&self) -> Key {
        self.slot.entry.lock().key
    }

    /// Its entry as it is now, without what was captured.
    pub fn entry(&self) -> Vec<u8> {
        self.slot.entry.lock().to_document(false)
    }

    /// A further statement.
    pub fn note(&self, statement: Statement) -> Result<()> {
        self.check_process()?;
        let statement = {
            let mut progress = self.progress.lock();
            progress.is_last_noted = true;
            progress.kept(statement, &self.journal)
        };
        self.slot.entry.lock().statements.push(statement);
        Ok(())
    }

    /// Something is sent that is no statement.
    pub fn note_other(&self) {
        if !self.is_inherited() {
            self.progress.lock().is_last_noted = false;
        }
    }

    /// What was to be sent last was not sent after all, or not looked at.
    pub fn forget_last(&self) {
        if !self.is_inherited() && std::mem::take(&mut self.progress.lock().is_last_noted) {
            self.slot.entry.lock().statements.pop();
        }
    }

    /// Before a commit is sent, which must not be sent if this fails. When it returns, what is needed to find
    /// out how the transaction ended is on the disk.
    pub async fn committing(&self, known: Known, limit: TimeLimit) -> Result<()> {
        self.check_process()?;
        if self.progress.lock().durable {
            return Ok(());
        }
        self.slot.set_living(true);
        let was_ended = self.slot.entry.lock().state == State::Ended;
        if was_ended {
            self.journal.unsettle(&self.slot);
        }
        let (key, record) = {
            let mut entry = self.slot.entry.lock();
            entry.state = State::Committing;
            entry.committing = Some(now());
            (entry.outcome, entry.error, entry.ended) = (None, None, None);
            known.note(&mut entry);
            let record = match self.journal.store {
                Store::Memory => Vec::new(),
                Store::File(_) => record::committing(&entry),
                Store::Keeper(_) => entry.to_document(true),
            };
            (entry.key, record)
        };
        match &self.journal.store {
            Store::Memory => {}
            Store::File(file) => {
                let place = file.append(&record)?;
                self.progress.lock().appended = true;
                file.durable(place, limit.deadline()).await?;
            }
            Store::Keeper(keeper) => keeper.put(key, record, limit).await?,
        }
        self.progress.lock().durable = true;
        Ok(())
    }

    /// Never fails: recovery finds out what could not be written. False if that was known.
    pub fn ended(&self, outcome: Outcome, error: Option<&Error>, known: Known) -> bool {
        if self.is_inherited() {
            return false;
        }
        let mut progress = self.progress.lock();
        let (record, settled) = {
            let mut entry = self.slot.entry.lock();
            if entry.outcome == Some(outcome) && entry.commits == known.commits {
                return false; // it was asked for again, and nothing was sent
            }
            entry.state = State::Ended;
            entry.outcome = Some(outcome);
            entry.error = error.map(Failure::from);
            entry.ended = Some(now());
            known.note(&mut entry);
            let record = match self.journal.store {
                Store::Memory => Vec::new(),
                Store::File(_) => record::ended(&entry, !progress.appended),
                Store::Keeper(_) => entry.to_document(true),
            };
            (record, entry.is_settled())
        };
        // Its commit may be sent again as long as the session has it.
        self.slot.set_living(outcome == Outcome::Unknown);
        if settled || !self.journal.keeps_unknown() {
            self.journal.settle(&self.slot);
        }
        match &self.journal.store {
            Store::Memory => {}
            Store::File(file) => {
                let _ = file.append_end(&record);
                if outcome == Outcome::Aborted && progress.appended {
                    file.sync_soon(); // or recovery would send the commit
                }
            }
            Store::Keeper(_) => progress.unwritten = Some(record),
        }
        progress.durable &= outcome != Outcome::Aborted;
        progress.appended = true;
        true
    }

    /// Waits until its end is written, if that needs to be waited for.
    pub async fn written(&self, limit: TimeLimit) {
        let Store::Keeper(keeper) = &self.journal.store else { return };
        let key = self.key();
        let Some(unwritten) = self.progress.lock().unwritten.clone() else { return };
        if keeper.put(key, unwritten, limit).await.is_ok() {
            self.progress.lock().unwritten = None;
        }
    }

    fn is_inherited(&self) -> bool {
        self.born_in != fork::generation()
    }

    fn check_process(&self) -> Result<()> {
        match self.is_inherited() {
            true => Err(Error::invalid_operation(
                "the transaction is the parent process's: a fork is not part of it",
            )),
            false => Ok(()),
        }
    }
}

/// A transaction that nobody can commit any more, as its session was dropped.
impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_inherited() {
            return;
        }
        let (state, commits) = {
            let entry = self.slot.entry.lock();
            (entry.state, entry.commits)
        };
        if state != State::Ended {
            let outcome = match self.progress.lock().durable {
                true => Outcome::Unknown,
                false => Outcome::Aborted,
            };
            self.ended(outcome, None, Known { commits, recovery_token: None, cluster_time: None });
        }
        self.slot.set_living(false);
        let unwritten = self.progress.lock().unwritten.take();
        if let (Store::Keeper(keeper), Some(unwritten)) = (&self.journal.store, unwritten) {
            keeper.put_later(self.key(), unwritten);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Handle")
    }
}

impl Progress {
    /// A record has a limit, so bodies beyond it are left out.
    fn kept(&mut self, mut statement: Statement, journal: &Journal) -> Statement {
        let limit = match &journal.store {
            Store::Keeper(_) => LARGEST_IN_DOCUMENT,
            Store::Memory | Store::File(_) => LARGEST_CAPTURE,
        };
        if let Some(body) = &statement.body {
            self.captured += body.as_bytes().len();
            if self.captured > limit {
                statement.body = None;
            }
        }
        statement
    }
}

impl Known {
    fn note(&self, entry: &mut Entry) {
        entry.commits = self.commits;
        if self.recovery_token.is_some() {
            entry.recovery_token = self.recovery_token.clone();
        }
        entry.cluster_time = self.cluster_time.or(entry.cluster_time);
    }
}

/// Of one transaction, in bytes.
const LARGEST_CAPTURE: usize = 64 * 1024 * 1024;
const LARGEST_IN_DOCUMENT: usize = 12 * 1024 * 1024;
