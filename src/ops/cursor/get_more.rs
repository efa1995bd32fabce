//! `getMore`: the next batch, from the server that holds the cursor.

use bson::{RawBsonRef, RawDocument};

use crate::wire::elements;
use crate::wire::message::Message;

/// `batch_size` 0 lets the server choose; `extra` holds encoded elements such as `comment`.
pub fn message(cursor_id: i64, collection: &str, batch_size: i64, extra: &[u8]) -> Message {
    Message::from_elements(|out| {
        elements::int64(out, "getMore", cursor_id);
        elements::string(out, "collection", collection);
        if batch_size != 0 {
            elements::int64(out, "batchSize", batch_size);
        }
        out.extend_from_slice(extra);
    })
}

/// The collection to go on in after a command that opens a cursor, unless the reply names another.
pub fn collection_of(command: &Message) -> String {
    let first = RawDocument::from_bytes(command.body()).ok().and_then(|body| {
        let (name, value) = body.iter().next()?.ok()?;
        Some((name.as_str().to_owned(), value))
    });
    match first {
        Some((name, RawBsonRef::String(collection)))
            if matches!(name.as_str(), "find" | "aggregate" | "listIndexes") =>
        {
            collection.to_owned()
        }
        Some((name, _)) if matches!(name.as_str(), "aggregate" | "bulkWrite") => {
            format!("$cmd.{name}")
        }
        _ => "$cmd".to_owned(),
    }
}

/// How many documents the next batch may hold, given a cursor-wide limit (0 for none).
pub fn next_batch_size(batch_size: i64, limit: i64, retrieved: i64) -> i64 {
    match limit {
        0 => batch_size,
        limit => {
            let left = (limit - retrieved).max(0);
            if batch_size == 0 { left } else { batch_size.min(left) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_never_goes_past_the_limit() {
        assert_eq!(next_batch_size(0, 0, 50), 0);
        assert_eq!(next_batch_size(10, 0, 50), 10);
        assert_eq!(next_batch_size(0, 60, 50), 10);
        assert_eq!(next_batch_size(20, 60, 50), 10);
        assert_eq!(next_batch_size(5, 60, 50), 5);
    }
}
