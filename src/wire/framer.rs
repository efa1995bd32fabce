//! Where a wire message ends: its first four bytes say so, little-endian, themselves included.

use std::io;

pub fn frame_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(prefix) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_le_bytes(*prefix);
    match usize::try_from(length) {
        Ok(length) if (SHORTEST..=LONGEST).contains(&length) => Ok(Some(length)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a wire message of {length} bytes is outside {SHORTEST}..={LONGEST}"),
        )),
    }
}

/// A header, the flags, one section kind and an empty document; a compressed message's envelope with
/// one byte of data is as long.
const SHORTEST: usize = 16 + 4 + 1 + 5;
/// maxMessageSizeBytes of every server; before the handshake there is nothing better to go by.
pub const LONGEST: usize = 48_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_from_four_bytes_and_lies_are_refused() {
        assert_eq!(frame_length(&[30, 0, 0]).unwrap(), None);
        assert_eq!(frame_length(&[30, 0, 0, 0, 9]).unwrap(), Some(30));
        for lie in [[25, 0, 0, 0], [0, 0, 0, 0x80], [0xff; 4], [0, 0, 0, 0x7f]] {
            let error = frame_length(&lie).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
