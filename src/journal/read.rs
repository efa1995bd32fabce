//! The entries of a log's file, from its records.

use std::collections::HashMap;
use std::path::Path;

use bson::RawDocument;

use super::entry::{Entry, Key, State, key_of};
use super::record::{self, End, HEADER, KIND};
use crate::error::{Error, ErrorKind, Result};

/// A file's entries, oldest first, and where its last intact record ends.
pub fn entries(file: &[u8], path: &Path) -> Result<(Vec<Entry>, usize)> {
    if !file.starts_with(HEADER) {
        // A crash while it was being made leaves less.
        return match HEADER.starts_with(file) {
            true => Ok((Vec::new(), 0)),
            false => Err(refused(format!("{} is not a transaction log", path.display()))),
        };
    }
    let mut found = Found::default();
    match record::scan(file, |record| found.take(record)) {
        End::At(end) => Ok((found.entries, end)),
        End::Damaged(at) => Err(refused(format!(
            "the transaction log {} is damaged: the record at byte {at} cannot be read, and it is not the \
             last one. Nothing was changed. Move the file away to begin a new one",
            path.display()
        ))),
    }
}

#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    places: HashMap<Key, usize>,
}

impl Found {
    fn take(&mut self, record: &RawDocument) -> bool {
        let Some(key) = key_of(record) else { return false };
        let place = self.places.get(&key).copied();
        match record.get_str(KIND) {
            Ok("ended") if record.get("state").is_ok_and(|state| state.is_none()) => {
                let place = place.unwrap_or_else(|| self.add(Entry::new(key, 0)));
                let entry = &mut self.entries[place];
                entry.state = State::Ended;
                entry.apply_end(record);
                true
            }
            Ok("open" | "committing" | "ended") => {
                let Some(entry) = Entry::read(record) else { return false };
                match place {
                    Some(place) => self.entries[place] = entry,
                    None => {
                        self.add(entry);
                    }
                }
                true
            }
            _ => false,
        }
    }

    fn add(&mut self, entry: Entry) -> usize {
        let place = self.entries.len();
        self.places.insert(entry.key, place);
        self.entries.push(entry);
        place
    }
}

pub fn refused(text: String) -> Error {
    Error::new(ErrorKind::Configuration, text)
}
