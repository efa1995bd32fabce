//! The next batch of a cursor: the command that brings it, and who is fetching it.
//!
//! A fetch begins when its future is polled for the first time. If it is cancelled before that, it has no
//! effect. If it is cancelled later, documents of the batch may be lost: the cursor raises from then on.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use super::ahead::Ahead;
use super::close;
use super::server_cursor::ServerCursor;
use super::state::{Fetching, Options, Origin, State};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome};
use crate::exec::run::run;
use crate::net::fork;

/// The right to fetch the next batch, which one caller at a time has.
pub struct Claim {
    /// None when it is over.
    cursor: Option<Arc<ServerCursor>>,
    /// The cursor has it too, and knows the claim by it.
    fetching: Arc<Fetching>,
    /// By the first command.
    opens: bool,
}

/// A command that brings the next batch.
pub struct Fetch {
    core: Arc<ClientCore>,
    command: Command,
    claim: Claim,
}

enum Command {
    Send(Operation),
    /// It was sent before, and stays with the cursor until the first poll.
    Await(TimeLimit),
}

impl ServerCursor {
    /// `None` at the end.
    pub fn claim(self: &Arc<Self>) -> Result<Option<Claim>> {
        let mut state = self.state();
        if let Some(fetching) = &state.fetching
            && fetching.born_in != fork::generation()
        {
            // The parent's, which has what comes of it.
            (state.fetching, state.cut) = (None, true);
        }
        if state.cut {
            return Err(Error::invalid_operation(CUT));
        }
        if state.fetching.is_some() && !state.closed {
            return Err(Error::in_use());
        }
        if !state.more_to_fetch() || std::mem::take(&mut state.dry) {
            return Ok(None);
        }
        let (begun, born_in) = (AtomicBool::new(false), fork::generation());
        let fetching = Arc::new(Fetching { begun, born_in });
        state.fetching = Some(fetching.clone());
        Ok(Some(Claim { cursor: Some(self.clone()), fetching, opens: !state.started }))
    }

    /// Takes in a reply; on an error the cursor is over. What the server still has of it is closed soon.
    pub fn install(&self, outcome: Result<Outcome>) -> Result<()> {
        let (installed, left_open) = self.take_in(outcome);
        left_open.into_iter().for_each(|(core, held)| close::kill_later(core, held));
        installed
    }

    /// The same, but what the server still has of it is closed before an error is raised. Of a server that has no
    /// time, or does not speak the protocol, an answer is not waited for.
    async fn install_or_close(&self, outcome: Result<Outcome>, limit: TimeLimit) -> Result<()> {
        let (installed, left_open) = self.take_in(outcome);
        match (left_open, &installed) {
            (Some((core, held)), Err(error)) if !error.is_timeout() && !error.is_nonsense() => {
                close::kill_now_or_later(core, held, limit).await;
            }
            (left_open, _) => {
                left_open.into_iter().for_each(|(core, held)| close::kill_later(core, held));
            }
        }
        installed
    }

    /// Sends the next getMore if the caller wants `wanted` items and this batch has fewer.
    async fn read_ahead(&self, limit: TimeLimit, wanted: usize) {
        let next = self.state().get_more_ahead(limit, wanted);
        let Some((core, operation)) = next else { return };
        let mut ahead = Ahead::new(core, operation);
        poll_fn(|context| {
            ahead.advance(context);
            Poll::Ready(())
        })
        .await;
        let mut state = self.state();
        let wanted = !state.closed && state.fetching.is_none() && state.started;
        if wanted && !ahead.is_unsent() {
            state.ahead = Some(ahead);
        }
    }

    /// Takes in what has come of the batch that was asked for ahead. It waits for nothing.
    pub fn take_in_ahead(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        poll_fn(move |context| {
            if let Some(ahead) = &mut self.state().ahead {
                ahead.advance(context);
            }
            Poll::Ready(())
        })
    }
}

impl Claim {
    pub fn opens(&self) -> bool {
        self.opens
    }

    /// There is nothing to ask for: the cursor is over.
    pub fn end_without_documents(self) {
        if let Some(cursor) = self.end() {
            let mut state = cursor.state();
            (state.started, state.closed) = (true, true);
        }
    }

    pub fn open(self, core: Arc<ClientCore>, operation: Operation, options: Options) -> Fetch {
        if let Some(cursor) = &self.cursor {
            let mut state = cursor.state();
            state.started = true;
            state.origin = Some(Origin::new(core.clone(), &operation, options));
        }
        Fetch { core, command: Command::Send(operation), claim: self }
    }

    /// `None` if there is no cursor to read on from.
    pub fn get_more(self, core: Arc<ClientCore>, limit: TimeLimit) -> Option<Fetch> {
        let mut state = self.cursor.as_ref()?.state();
        let command = match &state.ahead {
            Some(_) => Command::Await(limit),
            None => Command::Send(state.get_more(&core, limit)?),
        };
        drop(state);
        Some(Fetch { core, command, claim: self })
    }

    /// `None` if the cursor was closed or rewound meanwhile.
    fn take_ahead(&self) -> Option<Ahead> {
        let mut state = self.cursor.as_ref()?.state();
        if self.is_of(&state) { state.ahead.take() } else { None }
    }

    fn is_of(&self, state: &State) -> bool {
        state.fetching.as_ref().is_some_and(|fetching| Arc::ptr_eq(fetching, &self.fetching))
    }

    /// The cursor, to take in what came; `None` if it was rewound meanwhile.
    fn end(mut self) -> Option<Arc<ServerCursor>> {
        let cursor = self.cursor.take()?;
        let mut state = cursor.state();
        if !self.is_of(&state) {
            return None;
        }
        state.fetching = None;
        drop(state);
        Some(cursor)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(cursor) = self.cursor.take() else { return };
        let mut state = cursor.state();
        if !self.is_of(&state) {
            return;
        }
        state.fetching = None;
        if self.fetching.begun.load(Ordering::Relaxed) {
            drop(state);
            cursor.cut();
        } else if self.opens {
            state.started = false;
            state.origin = None;
        }
    }
}

impl Fetch {
    pub fn limit(&self) -> TimeLimit {
        match &self.command {
            Command::Send(operation) => operation.terms.limit,
            Command::Await(limit) => *limit,
        }
    }

    /// Brings the next batch into the cursor. If the caller wants `wanted` items and the batch has fewer, the
    /// command for the next one is sent, too.
    pub async fn run(self, wanted: usize) -> Result<()> {
        let limit = self.limit();
        let (cursor, outcome) = self.answer().await?;
        cursor.install_or_close(outcome, limit).await?;
        cursor.read_ahead(limit, wanted).await;
        Ok(())
    }

    /// What came of the command, to be given to `install`.
    pub async fn answer(self) -> Result<(Arc<ServerCursor>, Result<Outcome>)> {
        self.answer_by(|core, mut operation| async move { run(&core, &mut operation).await }).await
    }

    /// The same, sent by `send`.
    pub async fn answer_by<F>(
        self,
        send: impl FnOnce(Arc<ClientCore>, Operation) -> F,
    ) -> Result<(Arc<ServerCursor>, Result<Outcome>)>
    where
        F: Future<Output = Result<Outcome>>,
    {
        let Fetch { core, command, claim } = self;
        let outcome = match command {
            Command::Send(operation) => {
                let sent = send(core, operation);
                claim.fetching.begun.store(true, Ordering::Relaxed);
                sent.await
            }
            Command::Await(limit) => {
                let ahead = claim.take_ahead().ok_or_else(Error::in_use)?;
                claim.fetching.begun.store(true, Ordering::Relaxed);
                if ahead.is_strange() {
                    return Err(Error::invalid_operation(ELSEWHERE));
                }
                ahead.outcome(&core, limit).await
            }
        };
        Ok((claim.end().ok_or_else(Error::in_use)?, outcome))
    }
}

const ELSEWHERE: &str = "this cursor has asked for its next documents in another process or on another event \
                         loop, which are lost with it: send the query again";
const CUT: &str = "this cursor was cancelled or interrupted while it fetched documents, which are lost \
                   with it: send the query again";
