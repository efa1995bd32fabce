//! A file on its way out of GridFS: its chunks are read in order with one cursor, checked, and copied once.
//!
//! While one batch is copied the next is on its way, if it is certain that it is needed, and if no session of the
//! caller's is in use. A call that reads a part says up to where the calls after it will read. Between two calls a batch
//! is on its way only if the caller comes back for it soon and no time limit runs meanwhile: it keeps a connection (of
//! which there must be enough, see `Pool::checkout_ahead`).

use std::ops::Range;
use std::sync::Arc;

use super::plan::Plan;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Terms};
use crate::net::wait;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::close;
use crate::ops::cursor::fetch::Fetch;
use crate::ops::cursor::server_cursor::ServerCursor;
use crate::ops::cursor::state::Options;
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

impl Call {
    /// Whether a batch may be on its way between this call and the next, whose time limit is not known yet.
    fn may_read_ahead(&self) -> bool {
        !self.terms.limit.is_finite() && self.client.settings.socket_timeout.is_none()
    }
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
    /// None before it is opened, and after a failure.
    cursor: Option<Arc<ServerCursor>>,
    batch: Option<Unread>,
    /// The chunk that the cursor's next batch begins with.
    next: u64,
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

impl Download {
    pub fn new(source: Arc<Source>) -> Download {
        Download { source, cursor: None, batch: None, next: 0 }
    }

    /// Whether a cursor is to be opened to read at `position`.
    pub fn opens_at(&self, position: u64) -> bool {
        let number = position / self.source.plan.chunk_size;
        let here = self.batch.as_ref().is_some_and(|batch| batch.holds(number));
        !here && (number != self.next || self.cursor.is_none())
    }

    /// Reads `count` bytes from `position` on, which the file must have; if these are its last ones, makes sure that
    /// no chunk follows. After an error it may be called again. The calls after it read on up to `goes_to`.
    pub async fn read<S: Sink>(
        &mut self,
        call: &Call,
        position: u64,
        count: u64,
        goes_to: u64,
        sink: &mut S,
    ) -> Result<()> {
        let read = self.read_on(call, position, count, goes_to, sink).await;
        self.reset_after(read)
    }

    async fn read_on<S: Sink>(
        &mut self,
        call: &Call,
        mut position: u64,
        count: u64,
        goes_to: u64,
        sink: &mut S,
    ) -> Result<()> {
        let plan = self.source.plan;
        let end = position + count;
        // One that reads to the end looks for a chunk too many.
        let chunks = |end: u64| end.div_ceil(plan.chunk_size) + u64::from(end >= plan.length);
        let last = match call.may_read_ahead() {
            true => chunks(end.max(goes_to)),
            false => chunks(end),
        };
        while position < end {
            self.find(call, position / plan.chunk_size, last).await?;
            while position < end && self.accept(position / plan.chunk_size)? {
                let part = self.part(position).unwrap_or_default();
                let part = &part[..part.len().min((end - position) as usize)];
                sink.put(part);
                position += part.len() as u64;
            }
            wait::yield_to_loop().await;
        }
        if end >= plan.length {
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
            self.find(call, position / self.source.plan.chunk_size, 0).await?;
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

    /// Has the chunk at `position`, for `part`. The calls after it read on up to `goes_to`.
    pub async fn find_part(&mut self, call: &Call, position: u64, goes_to: u64) -> Result<()> {
        let chunk_size = self.source.plan.chunk_size;
        let last = if call.may_read_ahead() { goes_to.div_ceil(chunk_size) } else { 0 };
        let found = self.find(call, position / chunk_size, last).await;
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
        if let Some((client, held)) = self.cursor.and_then(|cursor| cursor.close()) {
            close::kill_now_or_later(client, held, limit).await;
        }
    }

    /// A cursor that brought something wrong, or failed, is over: the next call opens another.
    fn reset_after<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            (self.cursor, self.batch) = (None, None);
        }
        result
    }

    /// Has chunk `number` accepted, for one who reads those before `last`.
    async fn find(&mut self, call: &Call, number: u64, last: u64) -> Result<()> {
        if self.accept(number)? {
            return Ok(());
        }
        self.fetch(call, number, last).await?;
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
            self.fetch(call, behind, behind + 1).await?;
        }
        plan.accept_end(self.batch.as_ref().and_then(|batch| batch.unaccepted()))
    }

    /// The batch that begins with chunk `number`, which stays empty at the end. If it has not all chunks before `last`,
    /// the next one is asked for, too.
    async fn fetch(&mut self, call: &Call, number: u64, last: u64) -> Result<()> {
        self.batch = None;
        if number != self.next {
            (self.cursor, self.next) = (None, number);
        }
        let wanted = usize::try_from(last.saturating_sub(number)).unwrap_or(usize::MAX);
        loop {
            let goes_on = self.cursor.is_some();
            // A call that is dropped meanwhile drops it.
            let (cursor, fetch) = match self.cursor.take() {
                Some(cursor) => match cursor.claim()? {
                    Some(claim) => {
                        let more = claim.get_more(call.client.clone(), call.terms.limit);
                        (cursor, more.ok_or_else(Error::in_use)?)
                    }
                    None => {
                        self.cursor = Some(cursor);
                        return Ok(()); // the server has sent all
                    }
                },
                None => self.open(call)?,
            };
            match fetch.run(wanted).await {
                // The server closes a cursor that is idle for ten minutes.
                Err(error) if goes_on && error.code() == Some(CURSOR_NOT_FOUND) => {}
                fetched => {
                    fetched?;
                    let batch = cursor.take_batch()?;
                    self.cursor = Some(cursor);
                    if let Some(batch) = batch {
                        let first = self.next;
                        self.next += batch.count as u64;
                        self.batch = Some(Unread { batch, first, data: Vec::new(), at: 0 });
                        return Ok(());
                    }
                }
            }
        }
    }

    fn open(&self, call: &Call) -> Result<(Arc<ServerCursor>, Fetch)> {
        let Source { plan, collection, filter } = &*self.source;
        let first = self.next;
        let message = Message::from_elements(|out| {
            elements::string(out, "find", collection);
            elements::nested(out, "filter", |out| {
                out.extend_from_slice(filter);
                if first > 0 {
                    elements::nested(out, "n", |out| elements::int64(out, "$gte", first as i64));
                }
            });
            elements::nested(out, "sort", |out| elements::int32(out, "n", 1));
            if let Some(size) = plan.first_batch(first) {
                elements::int64(out, "batchSize", size);
            }
        });
        let batch_size = plan.next_batch(first).unwrap_or(0);
        let options = Options { batch_size, ..Options::plain() };
        let terms = Terms { opens_cursor: true, ..call.terms.clone() };
        let cursor = Arc::<ServerCursor>::default();
        let claim = cursor.claim()?.ok_or_else(Error::in_use)?;
        let fetch = claim.open(call.client.clone(), Operation { message, terms }, options);
        Ok((cursor, fetch))
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

const CURSOR_NOT_FOUND: i32 = 43;
