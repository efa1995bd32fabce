//! A change stream: cursors one after another, each begun where the one before was lost.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::command;
use super::reopen::reopen;
use super::resume::{self, Position};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome, Terms};
use crate::ops::cursor::close;
use crate::ops::cursor::server_cursor::ServerCursor;
use crate::ops::cursor::state::Options;
use crate::session::client::Session;
use crate::sync::Mutex;
use crate::wire::elements;
use crate::wire::message::Message;

pub struct ChangeStream {
    watched: Watched,
    state: Mutex<State>,
}

/// What the user asked for: each of its cursors is opened so.
pub struct Watched {
    /// The `aggregate`, without the place to begin at.
    pub command: RawDocumentBuf,
    pub terms: Terms,
    pub options: Options,
}

struct State {
    /// None before it was opened. A cursor that is over while the stream is not was lost, and the next call
    /// begins with a new one.
    cursor: Option<Arc<ServerCursor>>,
    position: Position,
    closed: bool,
}

/// How long a call goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// One getMore was answered, or the command of a new cursor in its place.
    Asked,
    /// There is an event, or the stream is over.
    Event,
}

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Open,
    /// Instead of a cursor that an earlier call lost.
    Reopen,
    GetMore,
    /// Instead of a cursor whose getMore just failed.
    Resume,
}

impl ChangeStream {
    pub fn new(watched: Watched, position: Position) -> ChangeStream {
        let state = State { cursor: None, position, closed: false };
        ChangeStream { watched, state: Mutex::new(state) }
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Where it stands: a stream begun there goes on behind the last event that was passed.
    pub fn position(&self) -> Position {
        self.state.lock().position.clone()
    }

    /// The resume token last seen.
    pub fn token(&self) -> Option<Vec<u8>> {
        self.state.lock().position.token().map(<[u8]>::to_vec)
    }

    /// The latest.
    pub fn cursor(&self) -> Option<Arc<ServerCursor>> {
        self.state.lock().cursor.clone()
    }

    /// The cursor that may have an event at hand; `None` when the stream is closed.
    pub fn open_cursor(&self) -> Option<Arc<ServerCursor>> {
        let state = self.state.lock();
        state.cursor.as_ref().filter(|_| !state.closed).cloned()
    }

    pub async fn open(self: Arc<Self>, core: Arc<ClientCore>, limit: TimeLimit) -> Result<()> {
        self.next_cursor(core, limit, Sent::Open, None).await.map(drop)
    }

    /// Brings events if none is at hand.
    pub async fn advance(
        self: Arc<Self>,
        core: Arc<ClientCore>,
        limit: TimeLimit,
        until: Until,
    ) -> Result<()> {
        let mut resumes = 0;
        while let Some(cursor) = self.open_cursor() {
            if cursor.at_hand() > 0 {
                return Ok(());
            }
            let core = core.clone();
            let (cursor, sent) = if cursor.is_over() || !cursor.has_begun() {
                (self.next_cursor(core, limit, Sent::Reopen, None).await?, Sent::Reopen)
            } else {
                let fetch = cursor.claim()?.and_then(|claim| claim.get_more(core.clone(), limit));
                let (cursor, outcome) = fetch.ok_or_else(Error::in_use)?.answer().await?;
                match &outcome {
                    Err(error) if self.goes_on_after(error) && resumes < resume::MOST_IN_A_ROW => {
                        resumes += 1;
                        let next = self.next_cursor(core, limit, Sent::Resume, Some(error)).await?;
                        (next, Sent::Resume)
                    }
                    _ => {
                        self.receive(&cursor, outcome, Sent::GetMore)?;
                        (cursor, Sent::GetMore)
                    }
                }
            };
            if cursor.at_hand() > 0 {
                return Ok(());
            }
            self.note_end(&cursor);
            if sent == Sent::GetMore {
                resumes = 0;
            }
            if until == Until::Asked && sent != Sent::Reopen {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes that an event is handed out, perhaps the `last` of its batch. After that one, and after an error,
    /// `passed` must follow.
    pub fn pass(&self, event: &RawDocument, last: bool) -> Result<()> {
        self.state.lock().position.pass(event, last)
    }

    /// When the batch of the event is back in its cursor. A stream that does not know where it stands is over.
    pub fn passed(&self, cursor: &ServerCursor, noted: Result<()>) -> Result<()> {
        self.note_end(cursor);
        noted.map_err(|error| self.give_up(cursor, error))
    }

    /// To be called where a cursor that is over was not lost: the server has ended it, as the stream was
    /// invalidated, or a new one would bring the same.
    pub fn note_end(&self, cursor: &ServerCursor) {
        if cursor.is_over() {
            self.state.lock().closed = true;
        }
    }

    /// Nothing more comes. The cursor is the caller's to close.
    pub fn close(&self) -> Option<Arc<ServerCursor>> {
        let mut state = self.state.lock();
        state.closed = true;
        state.cursor.clone()
    }

    fn goes_on_after(&self, error: &Error) -> bool {
        resume::is_resumable(error) && !self.is_closed()
    }

    /// A new cursor from where the stream stands. After an error with which the server's old one may be left,
    /// that is closed first.
    async fn next_cursor(
        &self,
        core: Arc<ClientCore>,
        limit: TimeLimit,
        sent: Sent,
        after: Option<&Error>,
    ) -> Result<Arc<ServerCursor>> {
        let cursor = Arc::new(ServerCursor::default());
        let claim = cursor.claim()?.ok_or_else(Error::in_use)?;
        let operation = self.operation(&core, limit)?;
        let fetch = claim.open(core, operation, self.watched.options.clone());
        let former = self.state.lock().cursor.replace(cursor);
        let left = former.and_then(|former| former.abandon());
        let left = left.filter(|_| after.is_some_and(close::leaves_it_open)).map(|(_, held)| held);
        let send = |core, operation| reopen(core, operation, left);
        let (cursor, outcome) = fetch.answer_by(send).await?;
        self.receive(&cursor, outcome, sent)?;
        Ok(cursor)
    }

    fn operation(&self, core: &ClientCore, limit: TimeLimit) -> Result<Operation> {
        let mut terms = Terms { limit, ..self.watched.terms.clone() };
        if terms.session.implicit {
            terms.session = Session::implicit(core.sessions.clone()); // one for each cursor
        }
        let command = command::at(&self.watched.command, &self.state.lock().position)?;
        let message = Message::from_elements(|out| elements::all_of(out, &command));
        Ok(Operation { message, terms })
    }

    fn receive(&self, cursor: &ServerCursor, outcome: Result<Outcome>, sent: Sent) -> Result<()> {
        let reply = outcome.as_ref().ok().and_then(|outcome| outcome.reply.as_ref());
        let noted = reply.map_or(Ok(()), |reply| self.state.lock().position.receive(reply.body()));
        if let Err(error) = cursor.install(outcome) {
            // What a new cursor may cure, or more time, the next call tries.
            let mends = resume::is_resumable(&error) || error.is_timeout();
            self.state.lock().closed |= !mends && matches!(sent, Sent::GetMore | Sent::Resume);
            return Err(error);
        }
        noted.map_err(|error| self.give_up(cursor, error))
    }

    fn give_up(&self, cursor: &ServerCursor, error: Error) -> Error {
        self.state.lock().closed = true;
        cursor.abandon().into_iter().for_each(|(core, held)| close::kill_later(core, held));
        error
    }
}
