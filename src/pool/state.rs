//! The pool's books: who may have a connection, who may make one, who waits. Decides, never acts.
//!
//! Callers are served in the order they came: while somebody waits, a newcomer queues behind. While
//! the pool is paused nobody is served and nobody waits.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// 0 is no limit.
    pub max_size: usize,
    pub max_connecting: usize,
}

/// Pools begin paused: nothing is known of their server yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Paused,
    Ready,
    Closed,
}

/// `C` is a connection, `W` a waiter's mailbox.
pub struct State<C, W> {
    limits: Limits,
    /// The latest used is lent first, so that the others age and can be pruned.
    idle: Vec<C>,
    /// Connections lent or idle, and those being made.
    total: usize,
    connecting: usize,
    waiting: VecDeque<W>,
    phase: Phase,
}

pub enum Answer<C> {
    Take(C),
    Create,
    Wait,
    /// Paused or closed.
    Refused,
}

pub enum Grant<C> {
    Connection(C),
    Create,
}

impl<C, W> State<C, W> {
    pub fn new(limits: Limits, phase: Phase) -> Self {
        let (idle, waiting) = (Vec::new(), VecDeque::new());
        State { limits, idle, total: 0, connecting: 0, waiting, phase }
    }

    /// A caller asks; after `Wait` it leaves its mailbox with `queue`.
    pub fn ask(&mut self) -> Answer<C> {
        if self.phase != Phase::Ready {
            Answer::Refused
        } else if !self.waiting.is_empty() {
            Answer::Wait
        } else {
            match self.grant() {
                Some(Grant::Connection(connection)) => Answer::Take(connection),
                Some(Grant::Create) => Answer::Create,
                None => Answer::Wait,
            }
        }
    }

    /// An idle connection, for which nobody waits.
    pub fn ask_for_idle(&mut self) -> Option<C> {
        let free = self.phase == Phase::Ready && self.waiting.is_empty();
        if free { self.idle.pop() } else { None }
    }

    pub fn queue(&mut self, waiter: W) {
        self.waiting.push_back(waiter);
    }

    /// The first waiter that still listens, with what can be handed to it.
    pub fn serve(&mut self, listens: impl Fn(&W) -> bool) -> Option<(W, Grant<C>)> {
        while self.waiting.front().is_some_and(|waiter| !listens(waiter)) {
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            return None;
        }
        let grant = self.grant()?;
        Some((self.waiting.pop_front()?, grant))
    }

    /// A connection comes back in good order; refused (and uncounted) once closed.
    pub fn give_back(&mut self, connection: C) -> Option<C> {
        if self.phase == Phase::Closed {
            self.total -= 1;
            return Some(connection);
        }
        self.idle.push(connection);
        None
    }

    /// A connection that was lent or idle is gone.
    pub fn lost(&mut self) {
        self.total -= 1;
    }

    /// The making of a connection ended.
    pub fn made(&mut self, succeeded: bool) {
        self.connecting -= 1;
        if !succeeded {
            self.total -= 1;
        }
    }

    /// Takes the idle connections for which `unfit` has a reason out of the books.
    pub fn prune<R>(&mut self, unfit: impl Fn(&C) -> Option<R>) -> Vec<(C, R)> {
        let mut gone = Vec::new();
        for connection in std::mem::take(&mut self.idle) {
            match unfit(&connection) {
                Some(reason) => gone.push((connection, reason)),
                None => self.idle.push(connection),
            }
        }
        self.total -= gone.len();
        gone
    }

    /// Upkeep may make one more connection for minPoolSize.
    pub fn reserve_for_upkeep(&mut self, min_size: usize) -> bool {
        let wanted = self.phase == Phase::Ready && self.total < min_size && self.can_create();
        if wanted {
            self.total += 1;
            self.connecting += 1;
        }
        wanted
    }

    /// Nothing is lent until `resume`; answers the waiters to be told.
    pub fn pause(&mut self) -> VecDeque<W> {
        if self.phase == Phase::Ready {
            self.phase = Phase::Paused;
        }
        std::mem::take(&mut self.waiting)
    }

    pub fn resume(&mut self) {
        if self.phase == Phase::Paused {
            self.phase = Phase::Ready;
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Nothing is lent any more; answers what was idle, and the waiters to be told.
    pub fn close(&mut self) -> (Vec<C>, VecDeque<W>) {
        self.phase = Phase::Closed;
        self.total -= self.idle.len();
        (std::mem::take(&mut self.idle), std::mem::take(&mut self.waiting))
    }

    pub fn total(&self) -> usize {
        self.total
    }

    /// Connections in use, and those being made.
    pub fn lent(&self) -> usize {
        self.total - self.idle.len()
    }

    fn can_create(&self) -> bool {
        let room = self.limits.max_size == 0 || self.total < self.limits.max_size;
        room && self.connecting < self.limits.max_connecting
    }

    fn grant(&mut self) -> Option<Grant<C>> {
        if let Some(connection) = self.idle.pop() {
            return Some(Grant::Connection(connection));
        }
        if !self.can_create() {
            return None;
        }
        self.total += 1;
        self.connecting += 1;
        Some(Grant::Create)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(max_size: usize, max_connecting: usize) -> State<&'static str, u8> {
        State::new(Limits { max_size, max_connecting }, Phase::Ready)
    }

    #[test]
    fn the_latest_used_connection_is_lent_first() {
        let mut state = state(0, 2);
        assert!(matches!(state.ask(), Answer::Create));
        assert!(matches!(state.ask(), Answer::Create));
        state.made(true);
        state.made(true);
        assert!(state.give_back("old").is_none());
        assert!(state.give_back("new").is_none());
        assert!(matches!(state.ask(), Answer::Take("new")));
        assert_eq!(state.total(), 2);
    }

    #[test]
    fn only_so_many_are_made_at_once_and_only_so_many_exist() {
        let mut state = state(3, 2);
        assert!(matches!(state.ask(), Answer::Create));
        assert!(matches!(state.ask(), Answer::Create));
        assert!(matches!(state.ask(), Answer::Wait)); // maxConnecting
        state.made(true);
        assert!(matches!(state.ask(), Answer::Create));
        state.made(true);
        state.made(true);
        assert!(matches!(state.ask(), Answer::Wait)); // maxPoolSize
        state.lost();
        assert!(matches!(state.ask(), Answer::Create));
        state.made(false);
        assert_eq!(state.total(), 2);
    }

    #[test]
    fn waiters_are_served_in_order_and_newcomers_queue_behind() {
        let mut state = state(1, 1);
        assert!(matches!(state.ask(), Answer::Create));
        state.made(true);
        for waiter in [1, 2, 3] {
            assert!(matches!(state.ask(), Answer::Wait));
            state.queue(waiter);
        }
        assert!(state.serve(|_| true).is_none());
        state.give_back("c");
        assert!(matches!(state.ask(), Answer::Wait)); // not past those who wait
        let listens = |waiter: &u8| *waiter != 1; // the first was cancelled
        assert!(matches!(state.serve(listens), Some((2, Grant::Connection("c")))));
        assert!(state.serve(listens).is_none());
        state.lost();
        assert!(matches!(state.serve(listens), Some((3, Grant::Create))));
    }

    #[test]
    fn an_idle_connection_for_which_nobody_waits() {
        let mut state = state(2, 2);
        assert!(state.ask_for_idle().is_none());
        state.ask();
        state.made(true);
        state.give_back("c");
        state.queue(9);
        assert!(state.ask_for_idle().is_none());
        assert!(state.serve(|_| false).is_none()); // the waiter has left
        assert_eq!(state.ask_for_idle(), Some("c"));
        state.give_back("c");
        state.pause();
        assert!(state.ask_for_idle().is_none());
    }

    #[test]
    fn closing_tells_the_waiters_and_refuses_what_comes_back() {
        let mut state = state(2, 2);
        state.ask();
        state.ask();
        state.made(true);
        state.made(true);
        state.give_back("idle");
        state.queue(9);
        let (idle, waiting) = state.close();
        assert_eq!((idle, waiting.len()), (vec!["idle"], 1));
        assert!(matches!(state.ask(), Answer::Refused));
        assert_eq!(state.give_back("late"), Some("late"));
        assert_eq!(state.total(), 0);
    }

    #[test]
    fn pruning_and_upkeep_keep_the_count() {
        let mut state = state(0, 1);
        assert!(state.reserve_for_upkeep(2));
        assert!(!state.reserve_for_upkeep(2)); // maxConnecting
        state.made(true);
        assert!(state.reserve_for_upkeep(2));
        state.made(true);
        state.give_back("stale");
        state.give_back("kept");
        let unfit = |connection: &&str| (*connection == "stale").then_some(7);
        assert_eq!(state.prune(unfit), vec![("stale", 7)]);
        assert!(matches!(state.ask(), Answer::Take("kept")));
    }

    #[test]
    fn while_paused_nobody_gets_anything() {
        let mut state = state(1, 1);
        assert!(matches!(state.ask(), Answer::Create));
        state.made(true);
        state.queue(9);
        assert_eq!(state.pause(), [9]);
        assert!(state.give_back("lent before").is_none());
        assert!(matches!(state.ask(), Answer::Refused));
        assert!(!state.reserve_for_upkeep(2));
        state.resume();
        assert!(matches!(state.ask(), Answer::Take("lent before")));
        state.close();
        state.resume();
        assert_eq!(state.phase(), Phase::Closed);
    }
}
