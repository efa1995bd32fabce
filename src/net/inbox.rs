//! What a stream has received and nobody has taken yet: a frame or a part of it, and what came behind it in the
//! same piece.

use std::io;
use std::sync::Arc;

use super::buffers::{Buffer, Buffers};

/// The length of the frame that starts with these bytes; `None` while they are too few to tell.
pub type FrameLength = fn(&[u8]) -> io::Result<Option<usize>>;

pub struct Inbox {
    frame_length: FrameLength,
    buffers: Arc<Buffers>,
    buffer: Option<Buffer>,
    frame: Option<usize>,
    /// End of stream or the error that ended it.
    ended: Option<(io::ErrorKind, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    Partly,
    Frame,
    Ended,
    /// A frame that nobody has taken yet holds up those behind it: until then there is nothing to read.
    Full,
    /// A TLS handshake needs its future: it is done, or has something to write.
    Handshake,
}

impl Inbox {
    pub fn new(frame_length: FrameLength, buffers: Arc<Buffers>) -> Inbox {
        Inbox { frame_length, buffers, buffer: None, frame: None, ended: None }
    }

    pub fn state(&self) -> Filled {
        match (&self.buffer, self.frame) {
            (Some(buffer), Some(length)) if buffer.len() >= length => Filled::Frame,
            _ if self.ended.is_some() => Filled::Ended,
            _ => Filled::Partly,
        }
    }

    pub fn length(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// How many bytes of the current frame are still to come, as far as known.
    pub fn outstanding(&self) -> usize {
        self.frame.map_or(0, |length| length.saturating_sub(self.length()))
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_none()
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub fn end(&mut self, error: io::Error) {
        self.ended = Some((error.kind(), error.to_string()));
    }

    /// What came was not asked for.
    pub fn end_out_of_turn(&mut self) {
        self.end(io::Error::new(io::ErrorKind::UnexpectedEof, OUT_OF_TURN));
    }

    pub fn error(&self) -> io::Error {
        let (kind, message) = self.ended.clone().expect("an ended stream says why");
        io::Error::new(kind, message)
    }

    /// The buffer with room for the rest of the frame, or for a first piece of one.
    pub fn room(&mut self) -> &mut Buffer {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take(FIRST_READ));
        let wanted = self.frame.map_or(FIRST_READ, |length| length - buffer.len());
        buffer.reserve(wanted);
        buffer
    }

    /// Nothing came into the room that was made.
    pub fn forget_empty(&mut self) {
        if self.length() == 0 {
            self.buffer = None;
        }
    }

    pub fn append(&mut self, bytes: &[u8]) {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take(FIRST_READ));
        buffer.extend_from_slice(bytes);
    }

    /// Learns the frame's length as soon as it can be told, and moves to a buffer of that size.
    pub fn measure(&mut self) -> io::Result<()> {
        let Some(buffer) = &mut self.buffer else { return Ok(()) };
        if self.frame.is_none()
            && let Some(length) = (self.frame_length)(buffer)?
        {
            self.frame = Some(length);
            if length > buffer.capacity() {
                let mut larger = self.buffers.take(length);
                larger.extend_from_slice(buffer);
                *buffer = larger;
            }
        }
        Ok(())
    }

    /// Several frames may have come in one piece, so the first is measured only here.
    pub fn has_whole_frame(&mut self) -> bool {
        self.measure().is_ok() && self.state() == Filled::Frame
    }

    pub fn take(&mut self) -> Buffer {
        let mut frame = self.buffer.take().expect("a whole frame is here");
        let length = self.frame.take().expect("a whole frame is here");
        if frame.len() > length {
            let mut rest = self.buffers.take(FIRST_READ.max(frame.len() - length));
            rest.extend_from_slice(&frame[length..]);
            frame.truncate(length);
            self.buffer = Some(rest);
        }
        frame
    }
}

const OUT_OF_TURN: &str = "the peer closed or spoke out of turn";

/// Most replies fit; a larger one moves to a buffer of its own size.
const FIRST_READ: usize = 16 * 1024;
