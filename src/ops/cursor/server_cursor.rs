//! A server's cursor, read by one caller at a time. The lock is held neither while bytes travel nor while
//! documents are decoded: decoding may run anyone's code, on other threads too.

use std::sync::Arc;

use super::batch::Batch;
use super::close;
use super::state::{Left, Options, Origin, State};
use super::unread::Unread;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome};
use crate::sync::{Mutex, MutexGuard};
use crate::topology::address::Address;

#[derive(Default)]
pub struct ServerCursor(Mutex<State>);

impl ServerCursor {
    /// A cursor whose first command was sent, and answered so.
    pub fn opened_by(
        core: Arc<ClientCore>,
        operation: &Operation,
        options: Options,
        outcome: Outcome,
    ) -> Result<Arc<ServerCursor>> {
        let mut state = State::default();
        (state.started, state.origin) = (true, Some(Origin::new(core, operation, options)));
        let cursor = ServerCursor(Mutex::new(state));
        cursor.install(Ok(outcome))?;
        Ok(Arc::new(cursor))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    pub fn has_begun(&self) -> bool {
        self.state().started
    }

    /// Neither is anything left of it nor will more come.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.left == 0 && !state.more_to_fetch()
    }

    /// How many items are here.
    pub fn at_hand(&self) -> usize {
        self.state().left
    }

    /// How many items have been received so far, read or not.
    pub fn retrieved(&self) -> usize {
        self.state().retrieved
    }

    /// `None` before the server was asked, 0 when it has no more.
    pub fn id(&self) -> Option<i64> {
        self.state().cursor_id
    }

    pub fn address(&self) -> Option<Address> {
        self.state().address.clone()
    }

    /// Whether the latest command found nothing although the cursor goes on. It is told once.
    pub fn take_dry(&self) -> bool {
        std::mem::take(&mut self.state().dry)
    }

    /// Whether iteration goes on asking although nothing came.
    pub fn waits_for_more(&self) -> bool {
        self.state().waits_for_more()
    }

    /// See `State::has_caught_up`.
    pub fn has_caught_up(&self) -> bool {
        self.state().has_caught_up()
    }

    /// Of later getMores.
    pub fn set_batch_size(&self, batch_size: i64) {
        if let Some(origin) = &mut self.state().origin {
            origin.options.batch_size = batch_size;
        }
    }

    /// From the next fetch on, each batch is asked for while the one before is read.
    pub fn set_read_ahead(&self, reads_ahead: bool) {
        self.state().reads_ahead = reads_ahead;
    }

    /// Takes the batch for decoding; `None` when it has been read.
    pub fn take_unread(&self) -> Result<Option<Box<Unread>>> {
        let mut state = self.state();
        if state.left == 0 {
            state.batch = None; // its buffer is ready for the next reply
            return Ok(None);
        }
        let session = state.origin.as_ref().map(|origin| &origin.terms.session);
        if session.is_some_and(|session| session.is_past_its_transaction()) {
            // Whether a result is whole must not depend on how much of it the first batch held.
            return Err(Error::transaction_ended());
        }
        state.batch.take().map(Some).ok_or_else(Error::in_use)
    }

    /// Takes the whole batch, which has been read then; `None` if there is nothing in it.
    pub fn take_batch(&self) -> Result<Option<Batch>> {
        let unread = self.take_unread()?;
        if unread.is_some() {
            self.state().left = 0;
        }
        Ok(unread.map(|unread| unread.batch))
    }

    /// After `take_unread`. `None`: nothing could be decoded, nor could it the next time. The cursor is over, as
    /// PyMongo's.
    pub fn give_back(&self, unread: Box<Unread>, decoded: Option<usize>) {
        let mut state = self.state();
        if state.left == 0 || state.batch.is_some() {
            return; // the cursor was rewound meanwhile
        }
        state.left = decoded.map_or(0, |decoded| state.left - decoded);
        if decoded.is_none() {
            drop(state);
            self.abandon().into_iter().for_each(|(core, held)| close::kill_later(core, held));
        } else if state.left > 0 {
            state.batch = Some(unread);
        }
    }

    /// The client that can close it, if there is anything to close.
    pub fn closer(&self) -> Option<Arc<ClientCore>> {
        self.state().closer()
    }

    /// Nothing more will be asked of it. What the server still has of it is the caller's to close.
    pub fn abandon(&self) -> Option<Left> {
        let mut state = self.state();
        let held = state.take_held();
        state.end();
        held
    }

    /// The same by the user's wish, also after a call that was cut.
    pub fn close(&self) -> Option<Left> {
        let held = self.abandon();
        self.state().cut = false;
        held
    }

    /// A call was cancelled or interrupted, and documents were lost with it. Continuing after them would
    /// skip them silently: the cursor raises until it is closed or rewound.
    pub fn cut(&self) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let held = state.take_held();
        state.end();
        (state.cut, state.left, state.batch) = (true, 0, None);
        drop(state);
        held.into_iter().for_each(|(core, held)| close::kill_later(core, held));
    }

    /// As if it had not begun. To be closed before.
    pub fn rewind(&self) {
        let former = std::mem::take(&mut *self.state());
        drop(former); // not under the lock
    }

    pub(super) fn take_in(&self, outcome: Result<Outcome>) -> (Result<()>, Option<Left>) {
        let mut state = self.state();
        let installed = state.install(outcome);
        (installed, state.take_left_open())
    }
}

impl Drop for ServerCursor {
    fn drop(&mut self) {
        let state = self.0.get_mut();
        state.ahead = None;
        state.take_held().into_iter().for_each(|(core, held)| close::kill_later(core, held));
    }
}
