//! The batch of a client's bulk write that is being filled: operations, and the namespaces that they name by
//! number.

use std::collections::HashMap;

use super::batch::Filling;
use super::limits::BatchLimits;
use super::operation::OperationKind;
use crate::error::Result;
use crate::wire::elements;
use crate::wire::message::Message;

pub struct ClientBatch {
    command: Message,
    operations: Filling,
    namespaces: Filling,
    places: HashMap<String, usize>,
    limits: BatchLimits,
    answered: bool,
}

impl ClientBatch {
    /// `command` carries neither operations nor namespaces yet.
    pub(super) fn new(command: Message, limits: BatchLimits, answered: bool) -> ClientBatch {
        let command = if answered { command } else { command.without_reply() };
        ClientBatch {
            command,
            operations: Filling::default(),
            namespaces: Filling::default(),
            places: HashMap::new(),
            limits,
            answered,
        }
    }

    pub fn is_full(&self) -> bool {
        self.limits.is_full(self.operations.count)
    }

    /// The number of the namespace that the next operation is about.
    pub fn place(&mut self, namespace: &str) -> usize {
        if let Some(place) = self.places.get(namespace) {
            return *place;
        }
        let place = self.places.len();
        self.places.insert(namespace.to_owned(), place);
        elements::open_document(&mut self.namespaces.bytes, |out| {
            elements::string(out, "ns", namespace);
        });
        place
    }

    /// Where the next operation is to be appended.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.operations.bytes
    }

    /// As `Batch::accept`.
    pub fn accept(&mut self, kind: OperationKind) -> Result<bool> {
        let operation = self.operations.latest();
        if !self.answered {
            self.limits.check_operation(kind, operation)?;
        }
        let bytes =
            self.command.body().len() + self.operations.bytes.len() + self.namespaces.bytes.len();
        if self.limits.hold_operations(bytes) {
            self.operations.keep();
            self.namespaces.keep();
            return Ok(true);
        }
        if self.operations.count == 0 {
            return Err(self.limits.too_large(kind.field(), operation.len()));
        }
        self.operations.drop_latest();
        self.namespaces.drop_latest();
        Ok(false)
    }

    pub fn count(&self) -> usize {
        self.operations.count
    }

    pub(super) fn into_message(self) -> Message {
        self.command
            .with_sequence("nsInfo", self.namespaces.bytes)
            .with_sequence("ops", self.operations.bytes)
    }
}
