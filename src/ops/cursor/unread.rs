//! What is left of a batch.

use std::any::Any;
use std::sync::Arc;

use bson::RawDocument;

use super::batch::Batch;

pub struct Unread {
    pub batch: Batch,
    pub reader: Reader,
    /// Where the next document starts.
    pub at: usize,
    /// The batch is one item, and its documents are not looked at.
    pub raw: bool,
}

/// What the documents are decoded with, known only to the room that decodes them.
pub type Reader = Arc<dyn Any + Send + Sync>;

impl Unread {
    /// The next document, which stays unread.
    pub fn peek(&self) -> Option<&RawDocument> {
        let end = self.batch.documents().len() - 1;
        if self.at >= end { None } else { self.batch.document_at(self.at) }
    }

    /// Goes past the next document.
    pub fn pass(&mut self) {
        if let Some(document) = self.peek() {
            let documents = self.batch.documents();
            let start = document.as_bytes().as_ptr() as usize - documents.as_ptr() as usize;
            self.at = start + document.as_bytes().len();
        }
    }

    pub fn is_read(&self) -> bool {
        self.at + 1 >= self.batch.documents().len()
    }
}
