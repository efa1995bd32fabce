//! A connection that a cursor or a transaction keeps between its commands.
//!
//! Whoever holds the `Pinned` keeps the connection, and the last one to let go gives it back to the
//! pool. For a command it is taken out as a `Loan`, which brings it home again when it is dropped.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::checkout::Checkout;
use crate::error::{Error, Result};
use crate::net::fork::OfProcess;
use crate::net::lane::Lane;
use crate::net::wait;
use crate::sync::Mutex;

pub struct Pinned {
    place: OfProcess<Mutex<Place>>,
    holder: Holder,
    /// The event loop it belongs to, as its connection does.
    lane: Option<Arc<Lane>>,
}

/// Who keeps a connection; a pool counts them for the error of a caller that waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Cursor,
    Transaction,
    /// A batch that was asked for ahead.
    Ahead,
}

enum Place {
    Home(Checkout),
    /// A command uses it, or it is being made.
    Away,
    /// It broke, or its command was cancelled midway.
    Closed,
}

/// A connection for one command: of the pool, or out of a `Pinned`.
pub struct Loan {
    checkout: Option<Checkout>,
    home: Option<Arc<Pinned>>,
}

impl Pinned {
    pub fn keep(mut checkout: Checkout, holder: Holder) -> Arc<Pinned> {
        checkout.count_as(holder);
        Arc::new(Pinned {
            place: OfProcess::new(Mutex::new(Place::Home(checkout))),
            holder,
            lane: wait::current_lane(),
        })
    }

    /// The place for a connection that is about to be checked out: the loan is to be filled.
    pub fn reserve(holder: Holder) -> (Arc<Pinned>, Loan) {
        let lane = wait::current_lane();
        let place = OfProcess::new(Mutex::new(Place::Away));
        let pinned = Arc::new(Pinned { place, holder, lane });
        (pinned.clone(), Loan { checkout: None, home: Some(pinned) })
    }

    /// `None` once the connection is closed.
    pub fn take(self: &Arc<Self>) -> Result<Option<Loan>> {
        let id = |lane: &Option<Arc<Lane>>| lane.as_ref().map(|lane| lane.id);
        if self.place.is_inherited() {
            return Ok(None); // another thread may have locked it at the fork
        }
        let mut place = self.place.lock();
        if matches!(*place, Place::Home(_)) && id(&self.lane) != id(&wait::current_lane()) {
            return Err(self.refuse("belongs to another event loop or thread"));
        }
        match std::mem::replace(&mut *place, Place::Away) {
            Place::Home(checkout) => {
                Ok(Some(Loan { checkout: Some(checkout), home: Some(self.clone()) }))
            }
            Place::Away => Err(self.refuse("is in use by another operation")),
            Place::Closed => {
                *place = Place::Closed;
                Ok(None)
            }
        }
    }

    pub fn is_home(&self) -> bool {
        self.at_home(|_| true)
    }

    /// The server goes on answering over it unasked: nothing else can be sent, and all that can be done
    /// about the rest is to let go of the connection.
    pub fn goes_on(&self) -> bool {
        self.at_home(|checkout| checkout.connection().goes_on())
    }

    pub fn lane(&self) -> Option<&Arc<Lane>> {
        self.lane.as_ref()
    }

    fn at_home(&self, test: impl Fn(&Checkout) -> bool) -> bool {
        !self.place.is_inherited()
            && matches!(&*self.place.lock(), Place::Home(checkout) if test(checkout))
    }

    fn refuse(&self, why: &str) -> Error {
        let holder = match self.holder {
            Holder::Cursor | Holder::Ahead => "cursor",
            Holder::Transaction => "transaction",
        };
        Error::invalid_operation(format!("the connection of this {holder} {why}"))
    }
}

impl Loan {
    pub fn fill(&mut self, mut checkout: Checkout) {
        if let Some(home) = &self.home {
            checkout.count_as(home.holder);
        }
        self.checkout = Some(checkout);
    }

    pub fn is_empty(&self) -> bool {
        self.checkout.is_none()
    }

    fn is_pinned(&self) -> bool {
        self.home.is_some()
    }

    /// Keeps a connection of the pool for more than this command; `None` if it is kept already.
    pub fn pin(mut self, holder: Holder) -> Option<Arc<Pinned>> {
        if self.is_pinned() {
            return None;
        }
        self.checkout.take().map(|checkout| Pinned::keep(checkout, holder))
    }
}

impl From<Checkout> for Loan {
    fn from(checkout: Checkout) -> Loan {
        Loan { checkout: Some(checkout), home: None }
    }
}

impl Deref for Loan {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        self.checkout.as_ref().expect("filled before it is used")
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Checkout {
        self.checkout.as_mut().expect("filled before it is used")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(home) = self.home.take().filter(|home| !home.place.is_inherited()) else { return };
        let fit = |checkout: &Checkout| {
            let connection = checkout.connection();
            connection.is_reusable() || connection.goes_on()
        };
        let place = match self.checkout.take() {
            Some(checkout) if fit(&checkout) => Place::Home(checkout),
            _broken => Place::Closed,
        };
        *home.place.lock() = place;
    }
}
