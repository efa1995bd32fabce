//! A file on its way into GridFS: what was written is gathered as whole inserts and sent, several at a time.
//!
//! An insert that failed, or was cut short, stays and is sent again by the next call: in the same session and with
//! the same number, so the server does not carry it out twice.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::cutter::{Batch, Cutter, Ids, Limits};
use crate::error::{Error, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome, Terms};
use crate::exec::run::run;
use crate::exec::size;
use crate::net::buffers::Buffers;
use crate::net::fork::OfProcess;
use crate::net::wait;
use crate::ops::bulk::limits::BatchLimits;
use crate::session::client::Session;
use crate::sync::Mutex;
use crate::wire::elements;
use crate::wire::message::Message;
use crate::wire::reply::integer;

pub struct Upload {
    cutter: Cutter,
    collection: String,
    /// Whole inserts, by the numbers of their chunks.
    ready: VecDeque<Insert>,
    /// No other file has its `_id`, which was made for it.
    is_new: bool,
    /// Chunks of it are in the database, so no other file with chunks has its `_id`.
    is_stored: bool,
    /// Part of what was written has been lost: the file cannot be completed.
    has_gap: bool,
    /// The memory of inserts that were sent.
    buffers: Arc<Buffers>,
}

/// Where and how inserts are sent by one call.
#[derive(Clone)]
pub struct Sending {
    pub client: Arc<ClientCore>,
    pub terms: Terms,
    /// Of one insert.
    pub limits: Limits,
}

/// How much may be gathered before it is sent.
#[derive(Clone, Copy, Debug)]
pub struct MostGathered {
    pub bytes: usize,
    pub chunks: usize,
}

impl MostGathered {
    /// Of what PyMongo gathers, which programs may change, no more than a few inserts of a few MB.
    pub fn new(bytes: usize, chunks: usize) -> MostGathered {
        MostGathered { bytes: bytes.min(MOST_AT_ONCE * INSERT_BYTES), chunks }
    }

    /// Of one insert.
    pub fn limits(self, server: BatchLimits) -> Limits {
        Limits { bytes: self.bytes.min(INSERT_BYTES), chunks: self.chunks, server }
    }
}

#[derive(Debug)]
pub enum Failure {
    /// There are such chunks already: another file has this `_id`.
    Exists,
    /// The reply to an insert that was not carried out, or whose write concern failed.
    Refused(RawDocumentBuf),
    Failed(Error),
}

struct Insert {
    number: i64,
    message: Message,
    bytes: usize,
    chunks: usize,
    /// What it was sent with before.
    terms: Option<OfProcess<Terms>>,
    /// It was sent, and how that ended is unknown: the server may still carry it out.
    in_doubt: bool,
}

impl Upload {
    /// `file`: the element `files_id`, encoded. `buffers`: those that uploads share.
    pub fn new(
        collection: &str,
        file: Vec<u8>,
        chunk_size: usize,
        is_new: bool,
        buffers: Arc<Buffers>,
    ) -> Upload {
        Upload {
            cutter: Cutter::new(file, chunk_size),
            collection: collection.to_owned(),
            ready: VecDeque::new(),
            is_new,
            is_stored: false,
            has_gap: false,
            buffers,
        }
    }

    pub fn cutter(&self) -> &Cutter {
        &self.cutter
    }

    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Takes `data` in if nothing is to be sent before there is more; else takes nothing.
    pub fn gather(
        &mut self,
        data: &[u8],
        ids: &mut Ids,
        most: MostGathered,
        limits: &Limits,
    ) -> bool {
        let (mut bytes, mut chunks) = self.cutter.gathered_with(data.len());
        for insert in &self.ready {
            bytes += insert.bytes;
            chunks += insert.chunks;
        }
        if self.has_gap || bytes >= most.bytes || chunks >= most.chunks {
            return false;
        }
        let mut taken = 0;
        while let Some(insert) = self.cut(data, &mut taken, ids, limits) {
            self.ready.push_back(insert);
        }
        true
    }

    /// What is left makes the last chunk. Whether there is anything to be sent.
    pub fn finish(&mut self) -> bool {
        if let Some(batch) = self.cutter.finish() {
            let insert = self.insert(batch);
            self.ready.push_back(insert);
        }
        self.has_gap || !self.ready.is_empty()
    }

    /// The next insert, of which there may be one made of `data`.
    fn next(
        &mut self,
        data: &[u8],
        taken: &mut usize,
        ids: &mut Ids,
        limits: &Limits,
    ) -> Option<Insert> {
        let ready = self.ready.pop_front();
        ready.or_else(|| self.cut(data, taken, ids, limits))
    }

    fn cut(
        &mut self,
        data: &[u8],
        taken: &mut usize,
        ids: &mut Ids,
        limits: &Limits,
    ) -> Option<Insert> {
        let spare = || self.buffers.take_largest();
        let (count, batch) = self.cutter.take(&data[*taken..], ids, limits, spare);
        *taken += count;
        batch.map(|batch| self.insert(batch))
    }

    fn insert(&self, batch: Batch) -> Insert {
        let Batch { number, documents, bytes, chunks } = batch;
        let message = Message::from_elements(|out| {
            elements::string(out, "insert", &self.collection);
            elements::boolean(out, "ordered", true);
        });
        let message = message.with_sequence("documents", documents);
        Insert { number, message, bytes, chunks, terms: None, in_doubt: false }
    }

    /// Gives up what is not stored. True if it is unknown of some of it whether it is: see `settle`.
    pub fn give_up(&mut self) -> bool {
        self.ready.retain(|insert| insert.in_doubt);
        self.cutter.finish();
        self.has_gap = true;
        !self.ready.is_empty()
    }

    fn take_back(&mut self, insert: Insert) {
        let at = self.ready.partition_point(|other| other.number < insert.number);
        self.ready.insert(at, insert);
    }

    fn note(&mut self, insert: Insert, stored: bool) {
        self.is_stored |= stored;
        if let Some(documents) = insert.message.into_last_sequence() {
            self.buffers.keep(documents);
        }
    }

    /// The first insert goes alone if another file may have this `_id`, whose chunks must stay as they are.
    fn most_at_once(&self, sending: &Sending) -> usize {
        let settings = &sending.client.settings;
        // A session is for one operation at a time. Where waiting for a connection may fail, one is waited for.
        let one = !(self.is_new || self.is_stored)
            || !sending.terms.session.implicit
            || settings.wait_queue_timeout.is_some();
        match settings.max_pool_size {
            _ if one => 1,
            0 => MOST_AT_ONCE,
            most => MOST_AT_ONCE.min(most),
        }
    }
}

/// Sends what is gathered and `data`, but for what does not make a whole insert. It ends when nothing is under way
/// any more; after a failure nothing more is begun.
pub async fn send(
    upload: &Arc<Mutex<Upload>>,
    sending: &Sending,
    data: &[u8],
    ids: &mut Ids,
) -> Result<(), Failure> {
    let mut taking = Taking { upload, taken: 0, length: data.len() };
    if upload.lock().has_gap {
        return Err(Failure::Failed(Error::invalid_operation(GAP)));
    }
    let mut under_way = UnderWay::default();
    let mut failed: Option<(i64, Failure)> = None;
    loop {
        while failed.is_none() && under_way.ended.is_empty() {
            let insert = {
                let mut state = upload.lock();
                match under_way.count() < state.most_at_once(sending) {
                    true => state.next(data, &mut taking.taken, ids, &sending.limits),
                    false => None,
                }
            };
            let Some(insert) = insert else { break };
            under_way.begin(insert.send(sending, upload)).await;
            wait::yield_to_loop().await;
        }
        let Some((number, result)) = under_way.next().await else { break };
        if let Err(failure) = result
            && failed.as_ref().is_none_or(|(first, _)| number < *first)
        {
            failed = Some((number, failure));
        }
    }
    failed.map_or(Ok(()), |(_, failure)| Err(failure))
}

/// After `give_up`: sends again what the server may still carry out, one after the other. Then it has been carried
/// out, and is known to be stored, or never will be.
pub async fn settle(upload: &Arc<Mutex<Upload>>, sending: &Sending) -> Result<(), Failure> {
    loop {
        let Some(insert) = upload.lock().ready.pop_front() else { return Ok(()) };
        let (number, sent) = insert.send(sending, upload).await;
        let mut state = upload.lock();
        let in_doubt = |insert: &Insert| insert.number == number && insert.in_doubt;
        if state.ready.front().is_some_and(in_doubt) {
            return sent;
        }
        // It is known to have been refused.
        state.ready.retain(|insert| insert.number != number);
    }
}

impl Insert {
    /// Of its chunk's number, and how it went. Failed or dropped, the insert goes back.
    fn send(
        self,
        sending: &Sending,
        upload: &Arc<Mutex<Upload>>,
    ) -> impl Future<Output = Sent> + Send + 'static {
        let (client, upload) = (sending.client.clone(), upload.clone());
        let server = sending.limits.server;
        let (fresh, number) = (sending.terms.clone(), self.number);
        async move {
            let mut lent = Lent { insert: Some(self), upload };
            let insert = lent.insert.as_mut().expect("it was just put there");
            let documents = insert.message.sequences().last().map_or(0, |(_, it)| it.len());
            if !server.hold_statements(1, insert.message.parts().0.len() + documents) {
                let error = size::error("insert", documents, server.document_bytes);
                return (number, Err(Failure::Failed(error)));
            }
            let terms = insert.terms_for(&client, fresh);
            let message = std::mem::replace(&mut insert.message, Message::from_elements(|_| {}));
            insert.in_doubt = true;
            let mut operation = Attempt { operation: Some(Operation { message, terms }), lent };
            let outcome = run(&client, operation.get()).await;
            if let Some(insert) = &mut operation.lent.insert {
                let answered = |error: &Error| error.reply().is_some() && !error.is_state_change();
                insert.in_doubt = outcome.as_ref().err().is_some_and(|error| !answered(error));
            }
            let result = checked(outcome);
            if result.is_ok() {
                operation.succeeded();
            } else if stores(&result) {
                operation.lent.upload.lock().is_stored = true;
            }
            (number, result)
        }
    }

    /// The terms of a former attempt, if the server may know it by them.
    fn terms_for(&mut self, client: &ClientCore, fresh: Terms) -> Terms {
        match self.terms.take() {
            Some(former) if former.is_inherited() => {}
            Some(former) if former.session.implicit && fresh.session.implicit => {
                return Terms {
                    session: former.session.clone(),
                    transaction_number: former.transaction_number,
                    ..fresh
                };
            }
            _ => {}
        }
        match fresh.session.implicit {
            // One at a time could share it, but these overlap.
            true => Terms { session: Session::implicit(client.sessions.clone()), ..fresh },
            false => fresh,
        }
    }
}

type Sent = (i64, Result<(), Failure>);

/// An insert on its way.
struct Lent {
    insert: Option<Insert>,
    upload: Arc<Mutex<Upload>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(insert) = self.insert.take() {
            self.upload.lock().take_back(insert);
        }
    }
}

/// While its operation runs, the message and the terms are there.
struct Attempt {
    operation: Option<Operation>,
    lent: Lent,
}

impl Attempt {
    fn get(&mut self) -> &mut Operation {
        self.operation.as_mut().expect("it is taken at the end")
    }

    fn put_back(&mut self) {
        if let (Some(Operation { message, terms }), Some(insert)) =
            (self.operation.take(), &mut self.lent.insert)
        {
            (insert.message, insert.terms) = (message, Some(OfProcess::new(terms)));
        }
    }

    fn succeeded(&mut self) {
        self.put_back();
        if let Some(insert) = self.lent.insert.take() {
            self.lent.upload.lock().note(insert, true);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.put_back();
    }
}

fn checked(outcome: CoreResult<Outcome>) -> Result<(), Failure> {
    let reply = match outcome.map(|outcome| outcome.reply) {
        Ok(None) => return Ok(()),
        Ok(Some(reply)) => reply,
        // A retry did not cure it: the reply says what was written.
        Err(error) if error.is_write_concern() && error.reply().is_some() => {
            return Err(refused(error.reply().expect("it has one")));
        }
        Err(error) => return Err(Failure::Failed(error)),
    };
    let body = reply.body();
    let has = |field| matches!(body.get(field), Ok(Some(value)) if value != RawBsonRef::Null);
    match has("writeErrors") || has("writeConcernError") {
        true => Err(refused(body)),
        false => Ok(()),
    }
}

fn refused(reply: &RawDocument) -> Failure {
    let errors = reply.get_array("writeErrors");
    let exists = errors.into_iter().flatten().flatten().any(|error| {
        let error = error.as_document();
        let code = error.and_then(|error| error.get("code").ok().flatten()).and_then(integer);
        code.is_some_and(|code| DUPLICATE_KEY.contains(&code))
    });
    match exists {
        true => Failure::Exists,
        false => Failure::Refused(reply.to_owned()),
    }
}

/// Whether chunks were stored although the insert failed.
fn stores(result: &Result<(), Failure>) -> bool {
    let Err(Failure::Refused(reply)) = result else { return false };
    reply.get("n").ok().flatten().and_then(integer).is_some_and(|count| count > 0)
}

/// A write that takes only a part of its data leaves a gap.
struct Taking<'a> {
    upload: &'a Mutex<Upload>,
    taken: usize,
    length: usize,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if (1..self.length).contains(&self.taken) {
            self.upload.lock().has_gap = true;
        }
    }
}

/// Inserts that are sent at the same time. All are polled each time, as what they wait for (`net::wait`) is not known
/// by their wakers.
#[derive(Default)]
struct UnderWay {
    inserts: Vec<Pin<Box<dyn Future<Output = Sent> + Send>>>,
    ended: VecDeque<Sent>,
}

impl UnderWay {
    fn count(&self) -> usize {
        self.inserts.len()
    }

    /// Sends as much of it as can be sent at once.
    async fn begin(&mut self, insert: impl Future<Output = Sent> + Send + 'static) {
        self.inserts.push(Box::pin(insert));
        poll_fn(|context| {
            self.poll(context);
            Poll::Ready(())
        })
        .await;
    }

    /// The next one that ends; `None` if none is left.
    async fn next(&mut self) -> Option<Sent> {
        poll_fn(|context| {
            if self.ended.is_empty() {
                self.poll(context);
            }
            match self.ended.pop_front() {
                None if !self.inserts.is_empty() => Poll::Pending,
                ended => Poll::Ready(ended),
            }
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        self.inserts.retain_mut(|insert| match insert.as_mut().poll(context) {
            Poll::Ready(sent) => {
                self.ended.push_back(sent);
                false
            }
            Poll::Pending => true,
        });
    }
}

/// A few inserts of a few MB: what is gathered before they are sent.
const INSERT_BYTES: usize = 4 << 20;
const MOST_AT_ONCE: usize = 4;
const DUPLICATE_KEY: [i32; 3] = [11000, 11001, 12582];
const GAP: &str = "a write to this file failed or was cancelled midway, and a part of its data is missing: abort the \
                   upload and begin again";
