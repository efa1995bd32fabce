//! Cutting a file into chunks: their documents, end to end, as the messages of inserts carry them. Decides; sending
//! is the part of `upload`.
//!
//! A chunk is written where it will be sent from. While it grows its two lengths are unknown; they are filled in
//! when it is whole.

use bson::oid::ObjectId;

use crate::ops::bulk::limits::BatchLimits;

pub struct Cutter {
    /// The element `files_id`, encoded.
    file: Vec<u8>,
    chunk_size: usize,
    /// Of the chunk that is begun next.
    number: i64,
    batch: Batch,
    open: Option<Open>,
    /// How many bytes are in whole chunks.
    length: u64,
}

/// The documents of one insert.
#[derive(Default)]
pub struct Batch {
    /// Of its first chunk.
    pub number: i64,
    pub documents: Vec<u8>,
    pub chunks: usize,
    /// As PyMongo counts them: what is in the chunks, and a little for each.
    pub bytes: usize,
}

/// A chunk that grows.
struct Open {
    /// Where its document begins, and where its data does.
    document: usize,
    data: usize,
}

/// When an insert takes no more chunks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    pub chunks: usize,
    pub server: BatchLimits,
}

/// New ObjectIds that differ in their last three bytes.
pub struct Ids {
    pub prefix: [u8; 9],
    pub next: u32,
}

impl Ids {
    fn draw(&mut self) -> ObjectId {
        let mut id = [0; 12];
        id[..9].copy_from_slice(&self.prefix);
        id[9..].copy_from_slice(&self.next.to_be_bytes()[1..]);
        self.next = self.next.wrapping_add(1);
        ObjectId::from_bytes(id)
    }
}

impl Cutter {
    /// `file`: the element `files_id`.
    pub fn new(file: Vec<u8>, chunk_size: usize) -> Cutter {
        let batch = Batch::default();
        Cutter { file, chunk_size, number: 0, batch, open: None, length: 0 }
    }

    /// How many bytes complete the next chunk.
    pub fn wanted(&self) -> usize {
        self.chunk_size - self.open_length()
    }

    /// How many chunks are begun by `length` more bytes, each of which needs an id.
    pub fn begins(&self, length: usize) -> usize {
        let continues = if self.open.is_some() { self.wanted() } else { 0 };
        length.saturating_sub(continues).div_ceil(self.chunk_size)
    }

    pub fn has_begun(&self) -> bool {
        self.number > 0
    }

    /// How many bytes are in whole chunks.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes and chunks of the batch with `length` more bytes, if it takes them all.
    pub fn gathered_with(&self, length: usize) -> (usize, usize) {
        let chunks = usize::from(self.open.is_some()) + self.begins(length);
        let bytes = self.open_length() + length + chunks * CHUNK_OVERHEAD;
        (self.batch.bytes + bytes, self.batch.chunks + chunks)
    }

    /// Cuts `data` until a batch is full, which is returned; answers how much it took.
    pub fn take(
        &mut self,
        data: &[u8],
        ids: &mut Ids,
        limits: &Limits,
        spare: impl FnOnce() -> Vec<u8>,
    ) -> (usize, Option<Batch>) {
        if self.batch.documents.capacity() == 0 && !data.is_empty() {
            self.batch.documents = spare();
        }
        let mut taken = 0;
        while taken < data.len() {
            if self.open.is_none() {
                self.begin(ids, data.len() - taken, limits);
            }
            let part = self.wanted().min(data.len() - taken);
            self.batch.documents.extend_from_slice(&data[taken..taken + part]);
            taken += part;
            if self.wanted() == 0 {
                self.end();
                if self.is_full(limits) {
                    return (taken, self.finish());
                }
            }
        }
        (taken, None)
    }

    /// What is left makes the last chunk, and the last batch.
    pub fn finish(&mut self) -> Option<Batch> {
        self.end();
        (self.batch.chunks > 0).then(|| std::mem::take(&mut self.batch))
    }

    fn is_full(&self, limits: &Limits) -> bool {
        let Batch { chunks, bytes, documents, .. } = &self.batch;
        let next = self.chunk_size.saturating_add(DOCUMENT + self.file.len());
        *bytes >= limits.bytes
            || *chunks >= limits.chunks
            || !limits.server.fits(*chunks, documents.len(), next)
    }

    fn open_length(&self) -> usize {
        self.open.as_ref().map_or(0, |open| self.batch.documents.len() - open.data)
    }

    fn begin(&mut self, ids: &mut Ids, coming: usize, limits: &Limits) {
        if self.batch.chunks == 0 {
            self.batch.number = self.number;
        }
        let out = &mut self.batch.documents;
        // Room for all that is to be copied now, and no more than a batch needs.
        let chunk = self.chunk_size.saturating_add(DOCUMENT + self.file.len());
        let rest = limits.bytes.saturating_sub(self.batch.bytes).saturating_add(chunk);
        let more = coming.saturating_add(coming.div_ceil(self.chunk_size) * DOCUMENT);
        out.reserve(more.min(rest));
        let document = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(b"\x07_id\0");
        out.extend_from_slice(&ids.draw().bytes());
        out.extend_from_slice(&self.file);
        match i32::try_from(self.number) {
            Ok(number) => {
                out.extend_from_slice(b"\x10n\0");
                out.extend_from_slice(&number.to_le_bytes());
            }
            Err(_) => {
                out.extend_from_slice(b"\x12n\0");
                out.extend_from_slice(&self.number.to_le_bytes());
            }
        }
        out.extend_from_slice(b"\x05data\0");
        out.extend_from_slice(&[0; 5]); // the length, and the subtype for plain bytes
        self.open = Some(Open { document, data: out.len() });
        self.number += 1;
    }

    /// The lengths of a chunk of 2 GiB would be wrong. No server takes it, and it is not sent.
    fn end(&mut self) {
        let length = self.open_length();
        let Some(open) = self.open.take() else { return };
        let Batch { documents: out, chunks, bytes, .. } = &mut self.batch;
        out.push(0);
        let whole = out.len() - open.document;
        out[open.document..open.document + 4].copy_from_slice(&(whole as u32).to_le_bytes());
        out[open.data - 5..open.data - 1].copy_from_slice(&(length as u32).to_le_bytes());
        *chunks += 1;
        *bytes += length + CHUNK_OVERHEAD;
        self.length += length as u64;
    }
}

/// What PyMongo takes a chunk's document to be besides its data.
pub const CHUNK_OVERHEAD: usize = 60;
/// What it is, without `files_id`: at most.
const DOCUMENT: usize = 64;

#[cfg(test)]
mod tests {
    use bson::RawDocument;

    use super::*;

    const FILE: &[u8] = b"\x10files_id\0\x07\0\0\0";
    const LIMITS: Limits = Limits {
        bytes: 1000,
        chunks: 3,
        server: BatchLimits { statements: 100, bytes: 1 << 20, document_bytes: 1 << 14 },
    };

    fn ids() -> Ids {
        Ids { prefix: [9; 9], next: 0xff_fffe }
    }

    fn documents(batch: &Batch) -> Vec<(ObjectId, i32, Vec<u8>)> {
        let (mut found, mut rest) = (Vec::new(), &batch.documents[..]);
        while let Some(length) = rest.first_chunk::<4>() {
            let (document, next) = rest.split_at(i32::from_le_bytes(*length) as usize);
            let document = RawDocument::from_bytes(document).unwrap();
            assert_eq!(document.get_i32("files_id").unwrap(), 7);
            let keys: Vec<_> = document.iter().map(|it| it.unwrap().0.to_string()).collect();
            assert_eq!(keys, ["_id", "files_id", "n", "data"]);
            let data = document.get_binary("data").unwrap();
            assert_eq!(data.subtype, bson::spec::BinarySubtype::Generic);
            let id = document.get_object_id("_id").unwrap();
            found.push((id, document.get_i32("n").unwrap(), data.bytes.to_vec()));
            rest = next;
        }
        assert_eq!(found.len(), batch.chunks);
        found
    }

    #[test]
    fn bytes_become_the_same_chunks_however_they_are_written() {
        let data: Vec<u8> = (0..50).collect();
        for step in [1, 3, 4, 5, 50] {
            let (mut cutter, mut ids) = (Cutter::new(FILE.to_vec(), 4), ids());
            let mut found = Vec::new();
            for mut part in data.chunks(step) {
                assert!(cutter.wanted() <= 4);
                let expected = cutter.number as usize + cutter.begins(part.len());
                while !part.is_empty() {
                    let (taken, batch) = cutter.take(part, &mut ids, &LIMITS, Vec::new);
                    part = &part[taken..];
                    found.extend(batch.iter().flat_map(documents));
                    assert!(batch.is_none_or(|batch| batch.chunks == 3));
                }
                assert_eq!(cutter.number as usize, expected);
            }
            found.extend(cutter.finish().iter().flat_map(documents));
            assert!(cutter.finish().is_none());
            assert_eq!(cutter.length(), 50);
            let chunks: Vec<_> = data.chunks(4).collect();
            assert_eq!(found.len(), chunks.len());
            for (at, (id, number, data)) in found.iter().enumerate() {
                assert_eq!((*number, &data[..]), (at as i32, chunks[at]));
                let counter = (0xff_fffe + at as u32).to_be_bytes();
                assert_eq!(id.bytes()[9..], counter[1..]);
            }
        }
    }

    #[test]
    fn a_batch_ends_at_any_limit() {
        let server = LIMITS.server;
        let one = 4 + DOCUMENT + FILE.len();
        for (limits, expected) in [
            (Limits { bytes: 2 * (4 + CHUNK_OVERHEAD), ..LIMITS }, 2),
            (Limits { bytes: 1, ..LIMITS }, 1),
            (Limits { server: BatchLimits { statements: 2, ..server }, ..LIMITS }, 2),
            (Limits { server: BatchLimits { bytes: 16 * 1024 + 2 * one, ..server }, ..LIMITS }, 2),
            (LIMITS, 3),
        ] {
            let mut cutter = Cutter::new(FILE.to_vec(), 4);
            let (taken, batch) = cutter.take(&[0; 100], &mut ids(), &limits, Vec::new);
            assert_eq!(taken, 4 * expected, "{limits:?}");
            assert_eq!(batch.unwrap().chunks, expected, "{limits:?}");
        }
    }

    #[test]
    fn a_chunk_ends_where_the_file_does() {
        let mut cutter = Cutter::new(FILE.to_vec(), 4);
        assert!(!cutter.has_begun());
        assert!(cutter.finish().is_none());
        let (taken, full) = cutter.take(&[1; 8], &mut ids(), &LIMITS, Vec::new);
        assert_eq!((taken, full.is_none(), cutter.wanted()), (8, true, 4));
        assert_eq!(cutter.finish().unwrap().chunks, 2);
        assert_eq!(cutter.length(), 8);
    }
}
