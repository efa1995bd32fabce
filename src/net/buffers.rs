//! Buffers of large messages that stay warm: a fresh allocation of some MB costs its page faults each time.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::sync::Mutex;

/// A few used buffers, shared by the operations of a client.
#[derive(Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A `Vec` that goes back to its pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffers {
    /// An empty buffer with room for at least `capacity` bytes.
    pub fn take(self: &Arc<Self>, capacity: usize) -> Buffer {
        let mut kept = self.0.lock();
        let bytes = match kept.iter().position(|bytes| bytes.capacity() >= capacity) {
            Some(index) => kept.swap_remove(index),
            None => Vec::with_capacity(capacity),
        };
        Buffer { bytes, home: self.clone() }
    }

    /// The largest buffer that is kept, or an empty one. It may be given to `keep` afterwards.
    pub fn take_largest(&self) -> Vec<u8> {
        let Some(mut kept) = self.0.try_lock() else { return Vec::new() };
        let largest = (0..kept.len()).max_by_key(|&index| kept[index].capacity());
        largest.map(|index| kept.swap_remove(index)).unwrap_or_default()
    }

    pub fn keep(&self, mut bytes: Vec<u8>) {
        if (SMALLEST..=LARGEST).contains(&bytes.capacity()) {
            bytes.clear();
            // Not waited for: a reply may be dropped in a forked child, where a lock that another
            // thread held at the fork is never let go.
            if let Some(mut kept) = self.0.try_lock() {
                let total: usize = kept.iter().map(Vec::capacity).sum();
                if kept.len() < KEPT && total + bytes.capacity() <= KEPT_BYTES {
                    kept.push(bytes);
                }
            }
        }
    }
}

impl Buffer {
    /// Another buffer of the same pool, empty, with room for at least `capacity` bytes.
    pub fn another(&self, capacity: usize) -> Buffer {
        self.home.take(capacity)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.keep(std::mem::take(&mut self.bytes));
    }
}

/// Four threads that read files have two each: one that is read, and one that is filled.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 2 * LARGEST;
/// malloc is fast below; above, memory is worth more than the time.
const SMALLEST: usize = 64 * 1024;
const LARGEST: usize = 20 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_no_more_are_kept_than_a_bound() {
        let buffers = Arc::new(Buffers::default());
        let kept = |buffers: &Buffers| {
            let kept = buffers.0.lock();
            (kept.len(), kept.iter().map(Vec::capacity).sum::<usize>())
        };
        drop(buffers.take(SMALLEST - 1));
        drop(buffers.take(LARGEST + 1));
        assert_eq!(kept(&buffers), (0, 0));
        drop((0..KEPT + 2).map(|_| buffers.take(1 << 20)).collect::<Vec<_>>());
        assert_eq!(kept(&buffers), (KEPT, KEPT << 20));
        let taken = buffers.take(100);
        assert_eq!((taken.len(), kept(&buffers).0), (0, KEPT - 1));
        drop(taken);
        let large = Buffers::default();
        (0..KEPT).for_each(|_| large.keep(Vec::with_capacity(LARGEST)));
        assert_eq!(kept(&large), (2, KEPT_BYTES));
    }

    #[test]
    fn the_largest_buffer_is_taken_first() {
        let buffers = Buffers::default();
        assert_eq!(buffers.take_largest().capacity(), 0);
        for size in [2, 4, 3] {
            let bytes = vec![1; size << 20];
            buffers.keep(bytes);
        }
        let found = [(); 3].map(|()| buffers.take_largest());
        assert_eq!(
            found.map(|bytes| (bytes.len(), bytes.capacity() >> 20)),
            [(0, 4), (0, 3), (0, 2)]
        );
    }
}
