//! Which entries a log keeps in memory: those that are not settled, and the latest of the others. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::{Entry, Key};
use crate::sync::Mutex;

/// An entry that a transaction of this process may still change, or that is only kept.
///
/// Its lock is taken while that of the ring is held, never the other way round.
#[derive(Debug)]
pub struct Slot {
    /// By which entries are in order.
    place: u64,
    pub entry: Mutex<Entry>,
    /// A session of this process may still end it, or send its commit again.
    living: AtomicBool,
}

impl Slot {
    pub fn is_living(&self) -> bool {
        self.living.load(Ordering::Relaxed)
    }

    pub fn set_living(&self, living: bool) {
        self.living.store(living, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub struct Ring {
    next: u64,
    unsettled: BTreeMap<u64, Arc<Slot>>,
    settled: VecDeque<Arc<Slot>>,
}

impl Ring {
    pub fn add(&mut self, entry: Entry) -> Arc<Slot> {
        let place = self.next;
        self.next += 1;
        let slot =
            Arc::new(Slot { place, entry: Mutex::new(entry), living: AtomicBool::new(false) });
        self.unsettled.insert(place, slot.clone());
        slot
    }

    pub fn remove(&mut self, slot: &Slot) {
        self.unsettled.remove(&slot.place);
    }

    /// Nothing is left to find out, or nobody will: it may make room for others.
    pub fn settle(&mut self, slot: &Slot, capacity: usize) {
        if let Some(slot) = self.unsettled.remove(&slot.place) {
            self.settled.push_back(slot);
        }
        while self.settled.len() > capacity {
            self.settled.pop_front();
        }
    }

    /// It goes on: its commit is sent again.
    pub fn unsettle(&mut self, slot: &Slot) {
        if let Some(at) = self.settled.iter().rposition(|other| other.place == slot.place)
            && let Some(slot) = self.settled.remove(at)
        {
            self.unsettled.insert(slot.place, slot);
        }
    }

    pub fn find(&self, key: Key) -> Option<Arc<Slot>> {
        let mut all = self.unsettled.values().chain(self.settled.iter().rev());
        all.find(|slot| slot.entry.lock().key == key).cloned()
    }

    pub fn unsettled(&self) -> impl ExactSizeIterator<Item = &Arc<Slot>> {
        self.unsettled.values()
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Arc<Slot>> {
        let mut all: Vec<_> = self.settled.iter().chain(self.unsettled.values()).cloned().collect();
        all.sort_unstable_by_key(|slot| slot.place);
        all
    }
}

#[cfg(test)]
mod tests {
    use bson::Uuid;

    use super::*;

    fn numbers(ring: &Ring) -> Vec<i64> {
        ring.all().iter().map(|slot| slot.entry.lock().key.1).collect()
    }

    #[test]
    fn settled_entries_make_room_and_the_others_stay() {
        let (mut ring, id) = (Ring::default(), Uuid::new());
        let slots: Vec<_> = (0..5).map(|number| ring.add(Entry::new((id, number), 0))).collect();
        for number in [3, 1, 4, 0] {
            ring.settle(&slots[number], 2);
        }
        assert_eq!(numbers(&ring), [0, 2, 4]);
        ring.unsettle(&slots[4]);
        ring.settle(&slots[2], 1);
        assert_eq!(numbers(&ring), [2, 4]);
        assert_eq!(ring.find((id, 4)).unwrap().entry.lock().key.1, 4);
        assert!(ring.find((id, 1)).is_none());
        assert_eq!(ring.unsettled().count(), 1);
    }
}
