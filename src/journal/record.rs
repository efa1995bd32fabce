//! The records of a log's file: a checksum and one BSON document each, whose length frames them. Pure.
//!
//! A file is a header and records. What a crash leaves is a torn tail: a last record that is incomplete,
//! zeros, or a last record with another checksum than it says. Anything else is damage.

use bson::RawDocument;
use flate2::Crc;

use super::entry::{Entry, State, append_key};
use crate::wire::elements;

pub const HEADER: &[u8] = b"FMJ1\n";

/// A transaction has begun.
pub fn open(entry: &Entry) -> Vec<u8> {
    // What was captured would never be run again: other statements may have followed.
    frame(|out| {
        elements::string(out, KIND, "open");
        entry.append(out, false);
    })
}

/// Its statements are known, and its commit is about to be sent.
pub fn committing(entry: &Entry) -> Vec<u8> {
    frame(|out| {
        elements::string(out, KIND, "committing");
        entry.append(out, true);
    })
}

/// How it ended. `whole`: its statements are in no record yet.
pub fn ended(entry: &Entry, whole: bool) -> Vec<u8> {
    frame(|out| {
        elements::string(out, KIND, "ended");
        match whole {
            true => entry.append(out, true),
            false => {
                append_key(entry.key, out);
                entry.append_end(out);
            }
        }
    })
}

/// All that is known of it, for a new file.
pub fn any(entry: &Entry) -> Vec<u8> {
    match entry.state {
        State::Open => open(entry),
        State::Committing => committing(entry),
        State::Ended => ended(entry, true),
    }
}

fn frame(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; CHECKSUM];
    elements::open_document(&mut bytes, fill);
    let sum = checksum(&bytes[CHECKSUM..]);
    bytes[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Where a file's records end to be readable.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// At the end of the file, or at a torn tail.
    At(usize),
    /// There is a bad record, and intact ones follow.
    Damaged(usize),
}

/// Passes the record at each place to `each`, which returns false for one that it cannot take.
pub fn scan(file: &[u8], mut each: impl FnMut(&RawDocument) -> bool) -> End {
    let mut at = HEADER.len().min(file.len());
    while at < file.len() {
        match intact(&file[at..]) {
            Some(document) if each(document) => at += CHECKSUM + document.as_bytes().len(),
            Some(_) => return End::Damaged(at),
            None if is_torn(&file[at..]) => return End::At(at),
            None => return End::Damaged(at),
        }
    }
    End::At(at)
}

/// The record that begins here.
fn intact(bytes: &[u8]) -> Option<&RawDocument> {
    let (sum, rest) = bytes.split_first_chunk::<CHECKSUM>()?;
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    if length < LEAST {
        return None; // zeros have the checksum that zeros say
    }
    let document = rest.get(..length)?;
    let intact = checksum(document) == u32::from_le_bytes(*sum);
    intact.then(|| RawDocument::from_bytes(document).ok()).flatten()
}

/// Whether no record follows.
fn is_torn(tail: &[u8]) -> bool {
    let start = CHECKSUM + 4;
    let mut marks = tail.windows(MARK.len()).enumerate().skip(start + 1);
    !marks.any(|(at, bytes)| bytes == MARK && intact(&tail[at - start..]).is_some())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// The first field of a record.
pub const KIND: &str = "t";
/// How each record's document goes on behind its length.
const MARK: &[u8] = b"\x02t\0";
const CHECKSUM: usize = 4;
const LEAST: usize = 5 + MARK.len();

#[cfg(test)]
mod tests {
    use bson::Uuid;

    use super::*;

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        [HEADER.to_vec(), records.concat()].concat()
    }

    fn records() -> [Vec<u8>; 3] {
        let mut entry = Entry::new((Uuid::new(), 3), 1);
        let first = open(&entry);
        entry.state = State::Committing;
        let second = committing(&entry);
        entry.state = State::Ended;
        [first, second, ended(&entry, false)]
    }

    fn read(file: &[u8]) -> (usize, End) {
        let mut count = 0;
        let end = scan(file, |_| {
            count += 1;
            true
        });
        (count, end)
    }

    #[test]
    fn records_are_read_to_the_end_of_the_file() {
        let file = file(&records());
        assert_eq!(read(&file), (3, End::At(file.len())));
        assert_eq!(read(HEADER), (0, End::At(HEADER.len())));
        assert_eq!(read(b""), (0, End::At(0)));
    }

    #[test]
    fn a_record_that_was_cut_anywhere_is_a_torn_tail() {
        let [first, second, third] = records();
        let intact = HEADER.len() + first.len() + second.len();
        let whole = file(&[first, second, third]);
        for end in intact..whole.len() {
            assert_eq!(read(&whole[..end]), (2, End::At(intact)), "{end}");
            // A file system may have made the file longer before it wrote the data.
            let mut zeros = whole[..end].to_vec();
            zeros.resize(whole.len() + 5000, 0);
            let expected = match zeros.starts_with(&whole) {
                true => (3, End::At(whole.len())), // it ended with zeros
                false => (2, End::At(intact)),
            };
            assert_eq!(read(&zeros), expected, "{end}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let all = records();
        let whole = file(&all);
        let last = whole.len() - all[2].len();
        for at in HEADER.len()..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let (count, end) = read(&changed);
            match at < last {
                true => assert!(matches!(end, End::Damaged(_)), "{at}: {count} {end:?}"),
                false => assert_eq!((count, end), (2, End::At(last)), "{at}"),
            }
        }
    }

    #[test]
    fn a_record_that_says_nothing_known_is_damage() {
        let file = file(&records());
        assert_eq!(scan(&file, |_| false), End::Damaged(HEADER.len()));
    }
}
