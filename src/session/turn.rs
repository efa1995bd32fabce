//! Whose turn it is on a session that several tasks or threads share: one operation at a time, first come,
//! first served. A turn is a guard: who was cancelled while it waited passes it on just by dropping it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use futures_channel::oneshot;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::net::{fork, wait};
use crate::sync::Mutex;

/// What an operation does while another one is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    #[default]
    Wait,
    Refuse,
}

pub struct Turns {
    policy: Policy,
    queue: Mutex<Queue>,
    born_in: u64,
}

#[derive(Default)]
struct Queue {
    /// Who has the turn.
    holder: Option<Caller>,
    waiting: VecDeque<(Caller, oneshot::Sender<Turn>)>,
}

/// The thread that a caller blocks; `None` if others run in it meanwhile.
type Caller = Option<ThreadId>;

pub struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub fn new(policy: Policy) -> Arc<Turns> {
        Arc::new(Turns { policy, queue: Mutex::default(), born_in: fork::generation() })
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    pub fn is_taken(&self) -> bool {
        self.queue.lock().holder.is_some()
    }

    /// For an operation.
    pub async fn take(self: &Arc<Self>, limit: Deadline) -> Result<Turn> {
        if self.policy == Policy::Refuse && self.is_taken() {
            return Err(Error::invalid_operation(
                "another operation of this transaction is under way, and concurrency=\"error\" was given",
            ));
        }
        self.wait(limit).await
    }

    /// Whatever the policy is.
    pub async fn wait(self: &Arc<Self>, limit: Deadline) -> Result<Turn> {
        match self.ask(wait::blocks_thread().then(|| thread::current().id()))? {
            Ok(turn) => Ok(turn),
            Err(mailbox) => match wait::until(limit, wait::gate(mailbox)).await {
                Some(Ok(turn)) => Ok(turn),
                Some(Err(oneshot::Canceled)) | None => Err(Error::time_limit_exceeded(
                    "timed out while another operation of the transaction was under way",
                )),
            },
        }
    }

    /// The turn, or a mailbox to wait at.
    fn ask(
        self: &Arc<Self>,
        caller: Caller,
    ) -> Result<std::result::Result<Turn, oneshot::Receiver<Turn>>> {
        let mut queue = self.queue.lock();
        let Some(holder) = queue.holder else {
            queue.holder = Some(caller);
            return Ok(Ok(Turn(Some(self.clone()))));
        };
        let mut before = queue.waiting.iter().map(|(waiting, _)| *waiting).chain([holder]);
        if caller.is_some() && before.any(|other| other == caller) {
            return Err(Error::invalid_operation(
                "an operation of this transaction was started in the middle of another one, by a signal \
                 handler or a finalizer: use outside_transaction() there",
            ));
        }
        let (sender, receiver) = oneshot::channel();
        queue.waiting.push_back((caller, sender));
        Ok(Err(receiver))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The parent's lock may have been held at the fork.
        let Some(turns) = self.0.take().filter(|turns| turns.born_in == fork::generation()) else {
            return;
        };
        loop {
            let mailbox = {
                let mut queue = turns.queue.lock();
                let next = queue.waiting.pop_front();
                queue.holder = next.as_ref().map(|(caller, _)| *caller);
                next
            };
            let Some((_, mailbox)) = mailbox else { return };
            match mailbox.send(Turn(Some(turns.clone()))) {
                Ok(()) => return,
                Err(mut unsent) => unsent.0 = None, // its caller has left: the next one's
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::net::wait::WaitSet;

    type Taking<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn>> + Send + 'a>>;

    fn poll(taking: &mut Taking<'_>) -> Poll<Result<Turn>> {
        taking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn taken(taking: &mut Taking<'_>) -> Option<Turn> {
        match poll(taking) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    fn taking(turns: &Arc<Turns>) -> Taking<'_> {
        Box::pin(turns.take(Deadline::NEVER))
    }

    #[test]
    fn turns_are_taken_in_the_order_of_asking() {
        let turns = Turns::new(Policy::Wait);
        let (mut one, mut two, mut three) = (taking(&turns), taking(&turns), taking(&turns));
        let first = taken(&mut one).unwrap();
        assert!(taken(&mut two).is_none());
        assert!(taken(&mut three).is_none());
        drop(first);
        assert!(taken(&mut three).is_none());
        let second = taken(&mut two).unwrap();
        assert!(taken(&mut three).is_none());
        drop(second);
        drop(taken(&mut three).unwrap());
        assert!(!turns.is_taken());
    }

    #[test]
    fn one_that_left_passes_its_turn_on() {
        let turns = Turns::new(Policy::Wait);
        let (mut one, mut two, mut three, mut four) =
            (taking(&turns), taking(&turns), taking(&turns), taking(&turns));
        let first = taken(&mut one).unwrap();
        for waiting in [&mut two, &mut three, &mut four] {
            assert!(taken(waiting).is_none());
        }
        drop(two); // before its turn
        drop(first);
        drop(three); // with its turn in the mailbox
        let last = taken(&mut four).unwrap();
        drop(last);
        assert!(!turns.is_taken());
        assert!(taken(&mut taking(&turns)).is_some());
    }

    #[test]
    fn another_operation_may_be_refused() {
        let turns = Turns::new(Policy::Refuse);
        let turn = taken(&mut taking(&turns)).unwrap();
        assert!(matches!(poll(&mut taking(&turns)), Poll::Ready(Err(_))));
        let mut patient: Taking<'_> = Box::pin(turns.wait(Deadline::NEVER));
        assert!(taken(&mut patient).is_none());
        drop(turn);
        assert!(taken(&mut patient).is_some());
    }

    #[test]
    fn a_thread_does_not_wait_for_itself() {
        let turns = Turns::new(Policy::Wait);
        let mut set = WaitSet { blocks_thread: true, ..WaitSet::default() };
        let mut poll =
            |taking: &mut Taking<'_>| wait::poll(&mut set, Waker::noop(), taking.as_mut());
        let Poll::Ready(Ok(turn)) = poll(&mut taking(&turns)) else { panic!("it was free") };
        assert!(matches!(poll(&mut taking(&turns)), Poll::Ready(Err(_))));
        // Another thread waits; and one that waits there is not asked to wait for itself either.
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut set = WaitSet { blocks_thread: true, ..WaitSet::default() };
                let mut waiting = taking(&turns);
                let polled = wait::poll(&mut set, Waker::noop(), waiting.as_mut());
                assert!(polled.is_pending());
                let nested = wait::poll(&mut set, Waker::noop(), taking(&turns).as_mut());
                assert!(matches!(nested, Poll::Ready(Err(_))));
            });
        });
        drop(turn);
        assert!(!turns.is_taken());
    }

    #[test]
    fn nobody_waits_longer_than_its_limit() {
        let turns = Turns::new(Policy::Wait);
        let _turn = taken(&mut taking(&turns)).unwrap();
        let passed = Deadline::after(std::time::Instant::now(), Some(std::time::Duration::ZERO));
        let mut late: Taking<'_> = Box::pin(turns.take(passed));
        assert!(matches!(poll(&mut late), Poll::Ready(Err(error)) if error.is_timeout()));
    }
}
