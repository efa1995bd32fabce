//! A file on its way out of GridFS: its chunks are read in order with one cursor, checked, and copied once.
//!
//! While one batch is copied the next is on its way, if it is certain that the same call needs it, and if no session
//! of the caller's is in use. It is never asked for between two calls: that would keep a connection for as long as the
//! caller does something else, which may need one.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use super::plan::Plan;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Outcome, Terms};
use crate::exec::run::run;
use crate::net::wait;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::close::{self, Held};
use crate::ops::cursor::get_more;
use crate::wire::elements;
use crate::wire::message::Message;

/// A file that is read.
pub struct Source {
    pub plan: Plan,
    /// The collection of the chunks.
    pub collection: String,
    /// The elements of the filter for its chunks, encoded.
    pub filter: Vec<u8>,
}

/// Under which terms one call reads. A cursor that is open goes on under its own, within the call's time limit.
pub struct Call {
    pub client: Arc<ClientCore>,
    /// Of a find.
    pub terms: Terms,
}

/// Where the bytes go.
pub trait Sink: Send {
    fn put(&mut self, part: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, part: &[u8]) {
        self.extend_from_slice(part);
    }
}

pub struct Download {
    source: Arc<Source>,
    cursor: Cursor,
    batch: Option<Unread>,
    /// The chunk that the cursor's next batch begins with.
    next: u64,
}

enum Cursor {
    Unopened,
    Open(Box<Open>),
    /// The server has sent all.
    Done,
}

/// A cursor that the server keeps. Dropped, it is killed.
struct Open {
    client: Arc<ClientCore>,
    terms: Terms,
    held: Option<Held>,
}

struct Unread {
    batch: Batch,
    /// Of its first chunk.
    first: u64,
    /// Where the data of its chunks are, of those that were accepted.
    data: Vec<Range<usize>>,
    /// Where the document of the next one is.
    at: usize,
}

/// The next batch on its way. In the error's case the cursor has gone.
type Ahead = Pin<Box<dyn Future<Output = Result<(Cursor, Batch)>> + Send>>;

impl Download {
    pub fn new(source: Arc<Source>) -> Download {
        Download { source, cursor: Cursor::Unopened, batch: None, next: 0 }
    }

    /// Whether a cursor is to be opened to read at `position`.
    pub fn opens_at(&self, position: u64) -> bool {
        let number = position / self.source.plan.chunk_size;
        let here = self.batch.as_ref().is_some_and(|batch| batch.holds(number));
        !here && (number != self.next || matches!(self.cursor, Cursor::Unopened))
    }

    /// Reads `count` bytes from `position` on, which the file must have; if these are its last ones, makes sure that
    /// no chunk follows. After an error it may be called again.
    pub async fn read<S: Sink>(
        &mut self,
        call: &Call,
        position: u64,
        count: u64,
        sink: &mut S,
    ) -> Result<()> {
        let read = self.read_on(call, position, count, sink).await;
        self.reset_after(read)
    }

    async fn read_on<S: Sink>(
        &mut self,
        call: &Call,
        mut position: u64,
        count: u64,
        sink: &mut S,
    ) -> Result<()> {
        let end = position + count;
        let mut ahead = None;
        while position < end {
            let number = position / self.source.plan.chunk_size;
            match ahead.take() {
                Some(ahead) => self.receive(call, ahead).await?,
                None => self.find(call, number).await?,
            }
            ahead = self.ask_ahead(call, end).await;
            while position < end && self.accept(position / self.source.plan.chunk_size)? {
                let part = self.part(position).unwrap_or_default();
                let part = &part[..part.len().min((end - position) as usize)];
                sink.put(part);
                position += part.len() as u64;
            }
            wait::yield_to_loop().await;
        }
        if end >= self.source.plan.length {
            if let Some(ahead) = ahead {
                self.receive(call, ahead).await?;
            }
            self.read_end(call).await?;
        }
        self.release(end);
        Ok(())
    }

    /// The bytes from `position` up to and with a newline, at most `most`.
    pub async fn line(&mut self, call: &Call, position: u64, most: u64) -> Result<Vec<u8>> {
        let read = self.line_on(call, position, most).await;
        self.reset_after(read)
    }

    async fn line_on(&mut self, call: &Call, mut position: u64, most: u64) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let end = position + most;
        while position < end && line.last() != Some(&b'\n') {
            self.find(call, position / self.source.plan.chunk_size).await?;
            let part = self.part(position).unwrap_or_default();
            let part = &part[..part.len().min((end - position) as usize)];
            let newline = part.iter().position(|&byte| byte == b'\n');
            let part = newline.map_or(part, |at| &part[..=at]);
            line.extend_from_slice(part);
            position += part.len() as u64;
        }
        if position >= self.source.plan.length {
            self.read_end(call).await?;
        }
        self.release(position);
        Ok(line)
    }

    /// Has the chunk at `position`, for `part`.
    pub async fn find_part(&mut self, call: &Call, position: u64) -> Result<()> {
        let found = self.find(call, position / self.source.plan.chunk_size).await;
        self.reset_after(found)
    }

    /// From `position` to the end of its chunk, if that is here and was accepted.
    pub fn part(&self, position: u64) -> Option<&[u8]> {
        let (number, start) =
            (position / self.source.plan.chunk_size, position % self.source.plan.chunk_size);
        self.batch.as_ref()?.chunk(number)?.get(start as usize..)
    }

    /// Makes the chunk of `position` ready for `part` without sending anything; false if that is impossible.
    pub fn has_part(&mut self, position: u64) -> Result<bool> {
        let accepted = self.accept(position / self.source.plan.chunk_size);
        self.reset_after(accepted)
    }

    /// After the last chunk: an error if there is one too many.
    pub async fn check_end(&mut self, call: &Call) -> Result<()> {
        let checked = self.read_end(call).await;
        self.reset_after(checked)
    }

    /// What comes before `position` was handed out: a file that is kept open should not keep it.
    pub fn release(&mut self, position: u64) {
        let Plan { length, chunk_size } = self.source.plan;
        let done = |batch: &Unread| {
            let behind = batch.first + batch.batch.count as u64;
            behind.saturating_mul(chunk_size).min(length) <= position
                && behind <= length.div_ceil(chunk_size)
        };
        self.batch.take_if(|batch| done(batch));
    }

    /// Has the server forget the cursor.
    pub async fn close(self, limit: TimeLimit) {
        if let Cursor::Open(mut open) = self.cursor
            && let Some(held) = open.held.take()
        {
            // Its own time limit is the safety net.
            let _ = close::kill(&open.client, held, limit).await;
        }
    }

    /// A cursor that brought something wrong, or failed, is over: the next call opens another.
    fn reset_after<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            (self.cursor, self.batch) = (Cursor::Unopened, None);
        }
        result
    }

    /// Has chunk `number` accepted.
    async fn find(&mut self, call: &Call, number: u64) -> Result<()> {
        if self.accept(number)? {
            return Ok(());
        }
        if number != self.next || matches!(self.cursor, Cursor::Unopened) {
            (self.cursor, self.batch) = (Cursor::Unopened, None);
            self.next = number;
        }
        self.fetch(call).await?;
        match self.accept(number)? {
            true => Ok(()),
            false => self.source.plan.accept(number, None).map(drop),
        }
    }

    /// Whether the batch has chunk `number`, which it then has accepted. Those before it are accepted too.
    fn accept(&mut self, number: u64) -> Result<bool> {
        match &mut self.batch {
            Some(batch) if batch.holds(number) => batch.accept(number, &self.source.plan),
            _ => Ok(false),
        }
    }

    async fn read_end(&mut self, call: &Call) -> Result<()> {
        let plan = self.source.plan;
        let behind = plan.count();
        if !self.batch.as_ref().is_some_and(|batch| batch.holds(behind)) {
            if behind != self.next || matches!(self.cursor, Cursor::Unopened) {
                (self.cursor, self.next) = (Cursor::Unopened, behind);
            }
            self.fetch(call).await?;
        }
        plan.accept_end(self.batch.as_ref().and_then(|batch| batch.unaccepted()))
    }

    /// Asks for the batch behind the present one, if it is sure to be read before `end`.
    async fn ask_ahead(&mut self, call: &Call, end: u64) -> Option<Ahead> {
        let Plan { length, chunk_size } = self.source.plan;
        let needed = self.next.saturating_mul(chunk_size) < end
            || (end >= length && self.next == length.div_ceil(chunk_size));
        match &self.cursor {
            Cursor::Open(open) if needed && open.terms.session.implicit => {}
            _ => return None,
        }
        let Cursor::Open(open) = std::mem::replace(&mut self.cursor, Cursor::Done) else {
            return None;
        };
        let size = self.source.plan.next_batch(self.next).unwrap_or(0);
        let mut ahead: Ahead = Box::pin(open.more(size, call.terms.limit));
        // Sends it. What comes at once is received in its turn.
        match futures_util::poll!(ahead.as_mut()) {
            std::task::Poll::Ready(batch) => Some(Box::pin(std::future::ready(batch))),
            std::task::Poll::Pending => Some(ahead),
        }
    }

    async fn receive(&mut self, call: &Call, ahead: Ahead) -> Result<()> {
        let received = ahead.await;
        self.install_or_reopen(call, received).await
    }

    /// The next batch, which stays empty at the end.
    async fn fetch(&mut self, call: &Call) -> Result<()> {
        self.batch = None;
        let fetched = match std::mem::replace(&mut self.cursor, Cursor::Unopened) {
            Cursor::Unopened => open(call, &self.source, self.next).await,
            Cursor::Open(open) => {
                let size = self.source.plan.next_batch(self.next).unwrap_or(0);
                open.more(size, call.terms.limit).await
            }
            Cursor::Done => {
                self.cursor = Cursor::Done;
                return Ok(());
            }
        };
        self.install_or_reopen(call, fetched).await
    }

    async fn install_or_reopen(
        &mut self,
        call: &Call,
        fetched: Result<(Cursor, Batch)>,
    ) -> Result<()> {
        let fetched = match fetched {
            // The server forgets a cursor that nobody reads for ten minutes.
            Err(error) if error.code() == Some(CURSOR_NOT_FOUND) => {
                open(call, &self.source, self.next).await
            }
            fetched => fetched,
        };
        let mut fetched = fetched;
        loop {
            let (cursor, batch) = fetched?;
            match cursor {
                Cursor::Open(open) if batch.count == 0 => {
                    let size = self.source.plan.next_batch(self.next).unwrap_or(0);
                    fetched = open.more(size, call.terms.limit).await;
                }
                cursor => {
                    let first = self.next;
                    self.next += batch.count as u64;
                    self.cursor = cursor;
                    self.batch = Some(Unread { batch, first, data: Vec::new(), at: 0 });
                    return Ok(());
                }
            }
        }
    }
}

impl Unread {
    fn holds(&self, number: u64) -> bool {
        (self.first..self.first + self.batch.count as u64).contains(&number)
    }

    fn chunk(&self, number: u64) -> Option<&[u8]> {
        let place = self.data.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        self.batch.documents().get(place.clone())
    }

    fn unaccepted(&self) -> Option<&bson::RawDocument> {
        (self.data.len() < self.batch.count).then(|| self.batch.document_at(self.at))?
    }

    fn accept(&mut self, number: u64, plan: &Plan) -> Result<bool> {
        while self.chunk(number).is_none() {
            let next = self.first + self.data.len() as u64;
            if next >= plan.count() {
                return Ok(false); // one too many
            }
            let document = self.unaccepted();
            let data = plan.accept(next, document)?;
            let array = self.batch.documents().as_ptr() as usize;
            let start = data.as_ptr() as usize - array;
            let end = document
                .map(|document| document.as_bytes().as_ptr_range().end as usize - array)
                .unwrap_or_default();
            let place = start..start + data.len();
            self.data.push(place);
            self.at = end;
        }
        Ok(true)
    }
}

impl Open {
    async fn more(mut self: Box<Self>, size: i64, limit: TimeLimit) -> Result<(Cursor, Batch)> {
        let Some(held) = &self.held else { return Err(Error::protocol("the cursor has ended")) };
        let message = get_more::message(held.id, &held.collection, size, &[]);
        let terms = Terms {
            kind: CommandKind::GetMore,
            limit,
            database: held.database.clone(),
            server: Some(held.address.clone()),
            pinned: held.pinned.clone(),
            opens_cursor: false,
            ..self.terms.clone()
        };
        let outcome = run(&self.client, &mut Operation { message, terms }).await;
        match outcome.and_then(|outcome| read_outcome(outcome, &self.terms, &held.collection)) {
            Ok((None, batch)) => {
                self.held = None;
                Ok((Cursor::Done, batch))
            }
            Ok((held, batch)) => {
                self.held = held;
                Ok((Cursor::Open(self), batch))
            }
            Err(error) => {
                if !close::leaves_it_open(&error) {
                    self.held = None;
                }
                Err(error)
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            close::kill_later(self.client.clone(), held);
        }
    }
}

async fn open(call: &Call, source: &Source, first: u64) -> Result<(Cursor, Batch)> {
    let message = Message::from_elements(|out| {
        elements::string(out, "find", &source.collection);
        elements::nested(out, "filter", |out| {
            out.extend_from_slice(&source.filter);
            if first > 0 {
                elements::nested(out, "n", |out| elements::int64(out, "$gte", first as i64));
            }
        });
        elements::nested(out, "sort", |out| elements::int32(out, "n", 1));
        if let Some(size) = source.plan.first_batch(first) {
            elements::int64(out, "batchSize", size);
        }
    });
    let terms = Terms { opens_cursor: true, ..call.terms.clone() };
    let kept = terms.clone();
    let outcome = run(&call.client, &mut Operation { message, terms }).await?;
    let (held, batch) = read_outcome(outcome, &kept, &source.collection)?;
    let cursor = match held {
        None => Cursor::Done,
        held => Cursor::Open(Box::new(Open { client: call.client.clone(), terms: kept, held })),
    };
    Ok((cursor, batch))
}

fn read_outcome(
    outcome: Outcome,
    terms: &Terms,
    collection: &str,
) -> Result<(Option<Held>, Batch)> {
    let (address, pinned) = (outcome.server.address.clone(), outcome.pinned.clone());
    let batch = Batch::of(outcome.into_reply()?)?;
    let held = (batch.cursor_id != 0).then(|| {
        let (database, collection) = batch.place((&terms.database, collection));
        Held {
            id: batch.cursor_id,
            database: database.into(),
            collection: collection.to_owned(),
            address,
            session: terms.session.clone(),
            pinned,
        }
    });
    Ok((held, batch))
}

const CURSOR_NOT_FOUND: i32 = 43;
