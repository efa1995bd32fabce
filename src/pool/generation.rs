//! What a clear makes unfit: everything made before it, or behind a load balancer what was made
//! before it for one service.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::oid::ObjectId;

use crate::sync::Mutex;

/// When a connection was made, counted in clears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    pub number: u64,
    /// Only load balancers name one, in the answer to hello.
    pub service_id: Option<ObjectId>,
}

/// A server's clears.
#[derive(Debug, Default)]
pub struct Generations {
    overall: AtomicU64,
    /// Clears of one service alone; they come on top of the others.
    by_service: Mutex<HashMap<ObjectId, u64>>,
}

impl Generations {
    pub fn current(&self, service_id: Option<ObjectId>) -> Generation {
        let own = match service_id {
            None => 0,
            Some(id) => self.by_service.lock().get(&id).copied().unwrap_or_default(),
        };
        Generation { number: self.overall.load(Ordering::SeqCst) + own, service_id }
    }

    pub fn is_current(&self, generation: Generation) -> bool {
        self.current(generation.service_id) == generation
    }

    pub fn raise(&self, service_id: Option<ObjectId>) {
        match service_id {
            None => drop(self.overall.fetch_add(1, Ordering::SeqCst)),
            Some(id) => *self.by_service.lock().entry(id).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_of_one_service_leaves_the_others() {
        let [one, other] = [1, 2].map(|byte| Some(ObjectId::from_bytes([byte; 12])));
        let generations = Generations::default();
        let made: Vec<_> = [None, one, other].map(|id| generations.current(id)).into();
        let fit = || -> Vec<bool> { made.iter().map(|it| generations.is_current(*it)).collect() };
        assert_eq!(fit(), [true, true, true]);
        generations.raise(one);
        assert_eq!(fit(), [true, false, true]);
        generations.raise(None);
        assert_eq!(fit(), [false, false, false]);
    }
}
