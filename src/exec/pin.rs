//! Operations that must go where an earlier one went: to its server, or over its connection.

use std::sync::Arc;

use super::operation::Terms;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wait;
use crate::pool::pinned::{Holder, Loan, Pinned};
use crate::pool::server::Server;
use crate::topology::address::Address;
use crate::topology::server::ServerType;

/// The server of the cursor, or of the transaction.
pub fn address(terms: &Terms) -> Option<Address> {
    match &terms.server {
        None if !terms.session.implicit => terms.session.pinned_mongos(),
        known => known.clone(),
    }
}

/// The connection of the cursor, or of the transaction, or one of the pool.
pub async fn checkout(terms: &Terms, server: &Arc<Server>, limit: Deadline) -> Result<Loan> {
    if let Some(pinned) = &terms.pinned
        && let Some(loan) = pinned.take()?
    {
        return Ok(loan);
    }
    let pool = server.pool(wait::current_lane().as_ref());
    if terms.ahead {
        let busy =
            || Error::new(ErrorKind::WaitQueueTimeout, "no connection is free for a batch ahead");
        return pool.checkout_ahead().map(Loan::from).ok_or_else(busy);
    }
    if terms.session.implicit {
        return pool.checkout(limit).await.map(Loan::from);
    }
    match terms.session.pinned_connection(server.settings.load_balanced)? {
        None => {
            let loan = Loan::from(pool.checkout(limit).await?);
            terms.session.pin_to(&loan.connection().description);
            Ok(loan)
        }
        Some(mut loan) => {
            if loan.is_empty() {
                loan.fill(pool.checkout(limit).await?);
            }
            Ok(loan)
        }
    }
}

/// An older mongos would answer a getMore once and never go on.
pub fn check_exhaust(lent: &Loan) -> Result<()> {
    let server = &lent.connection().description;
    if server.kind == ServerType::Mongos && server.max_wire_version < EXHAUST_BY_MONGOS {
        return Err(Error::invalid_operation("a mongos knows exhaust cursors from MongoDB 7.1 on"));
    }
    Ok(())
}

/// Behind a load balancer only the same connection leads to the server that has the cursor, and an exhaust
/// cursor's batches come over it. Within a transaction that is the transaction's.
pub fn keep(terms: &Terms, lent: Loan) -> Option<Arc<Pinned>> {
    if terms.pinned.is_some() {
        return terms.pinned.clone();
    }
    let balanced = lent.connection().description.kind == ServerType::LoadBalancer;
    if terms.opens_cursor && (balanced || terms.exhaust) { lent.pin(Holder::Cursor) } else { None }
}

/// Wire version of MongoDB 7.1.
const EXHAUST_BY_MONGOS: i32 = 22;
