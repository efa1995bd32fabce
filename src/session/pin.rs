//! What a transaction is pinned to: a mongos, or behind a load balancer a connection.

use std::sync::Arc;

use bson::RawDocument;

use super::client::Session;
use super::transaction::State;
use crate::error::{Error, RETRYABLE_WRITE, Result, TRANSIENT_TRANSACTION};
use crate::pool::pinned::{Holder, Loan, Pinned};
use crate::topology::address::Address;
use crate::topology::server::{ServerDescription, ServerType};

pub enum Pin {
    Mongos(Address),
    Connection(Arc<Pinned>),
}

impl Session {
    /// The mongos that the transaction began on.
    pub fn pinned_mongos(&self) -> Option<Address> {
        match &self.state().pin {
            Some(Pin::Mongos(address)) => Some(address.clone()),
            _ => None,
        }
    }

    /// From a transaction's first command on, if its server is a mongos.
    pub fn pin_to(&self, server: &ServerDescription) {
        if server.kind != ServerType::Mongos {
            return;
        }
        let mut state = self.state();
        if state.transaction.is_active() && state.pin.is_none() {
            state.pin = Some(Pin::Mongos(server.address.clone()));
        }
    }

    /// The transaction's connection. Has it none yet, then an empty loan that reserves the place: a
    /// second command started meanwhile must not get a connection of its own.
    pub fn pinned_connection(&self, load_balanced: bool) -> Result<Option<Loan>> {
        let mut state = self.state();
        if let Some(Pin::Connection(pinned)) = &state.pin
            && let Some(loan) = pinned.take()?
        {
            return Ok(Some(loan));
        }
        // The ends of a transaction that lost its connection need none of their own.
        if !load_balanced || !state.transaction.is_active() {
            return Ok(None);
        }
        let (pinned, loan) = Pinned::reserve(Holder::Transaction);
        state.pin = Some(Pin::Connection(pinned));
        Ok(Some(loan))
    }

    /// Errors after which another server may know more than the pinned one. A command that was refused
    /// leaves a transaction in progress where it is, and may begin another one anywhere.
    pub fn unpin_after(&self, error: &Error, refused: bool) {
        let labelled = error.has_label(TRANSIENT_TRANSACTION) || error.has_label(RETRYABLE_WRITE);
        let stays = refused && self.state().transaction.state == State::InProgress;
        if (labelled || refused) && !stays {
            self.unpin();
        }
    }

    pub fn unpin(&self) {
        let pin = self.state().pin.take();
        drop(pin); // the pool is told while the session is not locked
    }

    /// Keeps what a mongos answered last.
    pub fn hear_recovery_token(&self, reply: &RawDocument) {
        let mut state = self.state();
        if state.pin.is_some()
            && let Ok(token) = reply.get_document("recoveryToken")
        {
            state.transaction.recovery_token = Some(token.to_owned());
        }
    }
}
