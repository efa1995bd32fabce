//! How large a command may be: the server's limit for documents, told before anything is sent.
//!
//! A batch of statements (`insert`, `bulk_write`) lies in sequences, and who cuts it measures it.

use bson::RawDocument;
use bson::raw::{RawArray, RawBsonRef};

use crate::error::{Error, ErrorKind, Result};
use crate::wire::message::Message;

/// What the server leaves for a command around a document of the largest size.
pub const COMMAND_OVERHEAD: usize = 16_382;

/// To be called with a sealed message: what an attempt adds counts.
pub fn check(message: &Message, largest: i32) -> Result<()> {
    let size = message.body().len();
    let largest = usize::try_from(largest).unwrap_or(0);
    if size <= largest || !message.sequences().is_empty() {
        return Ok(());
    }
    // What is refused of an unacknowledged write is told by nobody.
    let too_large = match message.name() {
        "find" => true,
        _ if size > largest + COMMAND_OVERHEAD => true,
        _ => !message.expects_reply() && largest_statement(message) > largest,
    };
    match too_large {
        true => Err(error(message.name(), size, largest)),
        false => Ok(()),
    }
}

pub fn error(command: &str, size: usize, limit: usize) -> Error {
    let text = match command {
        "insert" | "find" => format!(
            "BSON document too large ({size} bytes) - the connected server supports BSON document sizes up to {limit} bytes."
        ),
        command => format!("{command} command document too large"),
    };
    Error::new(ErrorKind::DocumentTooLarge, text)
}

fn largest_statement(message: &Message) -> usize {
    let Ok(command) = RawDocument::from_bytes(message.body()) else { return 0 };
    let statements = |name| command.get_array(name).ok();
    let statements: Option<&RawArray> = statements("updates").or_else(|| statements("deletes"));
    let sizes = statements.into_iter().flatten().map(|statement| match statement {
        Ok(RawBsonRef::Document(statement)) => statement.as_bytes().len(),
        _ => 0,
    });
    sizes.max().unwrap_or(0)
}
