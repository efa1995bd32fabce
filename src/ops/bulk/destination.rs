//! The server that a bulk write goes to: its limits, and whether it is new enough.

use super::limits::BatchLimits;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::Terms;
use crate::exec::run::destination;
use crate::topology::server::{ServerDescription, ServerType};

/// What needs MongoDB 8.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    ClientBulkWrite,
    /// Older servers refuse it, in a reply that an unacknowledged write does not get.
    UnacknowledgedSort,
}

impl Feature {
    fn unsupported(self) -> Error {
        match self {
            Feature::ClientBulkWrite => {
                Error::invalid_operation("MongoClient.bulk_write needs MongoDB 8.0 or later")
            }
            Feature::UnacknowledgedSort => Error::new(
                ErrorKind::Configuration,
                "an unacknowledged write supports sort on MongoDB 8.0 or later",
            ),
        }
    }
}

/// Waits for a server that can take writes.
pub async fn meet(
    core: &ClientCore,
    terms: &Terms,
    needed: Option<Feature>,
) -> Result<BatchLimits> {
    limits_of(&destination(core, terms).await?, needed)
}

/// Of a server that is known already, if there is one.
pub fn known(core: &ClientCore, needed: Option<Feature>) -> Result<Option<BatchLimits>> {
    let Some(cluster) = core.opened() else { return Ok(None) };
    let snapshot = cluster.snapshot();
    let server = snapshot.known_servers().find(|server| server.kind.is_writable());
    server.map(|server| limits_of(server, needed)).transpose()
}

fn limits_of(server: &ServerDescription, needed: Option<Feature>) -> Result<BatchLimits> {
    // What is behind a load balancer is not known before a connection is made.
    let old =
        server.kind != ServerType::LoadBalancer && server.max_wire_version < WIRE_VERSION_OF_8;
    match needed.filter(|_| old) {
        Some(feature) => Err(feature.unsupported()),
        None => Ok(BatchLimits::of(server)),
    }
}

const WIRE_VERSION_OF_8: i32 = 25;
