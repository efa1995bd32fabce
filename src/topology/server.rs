//! What one server said about itself in its latest hello reply.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use super::address::Address;

/// Names and meaning as in the discovery specification (and PyMongo's `SERVER_TYPE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerType {
    #[default]
    Unknown,
    Mongos,
    RSPrimary,
    RSSecondary,
    RSArbiter,
    RSOther,
    RSGhost,
    Standalone,
    LoadBalancer,
}

impl ServerType {
    pub fn name(self) -> &'static str {
        match self {
            ServerType::Unknown => "Unknown",
            ServerType::Mongos => "Mongos",
            ServerType::RSPrimary => "RSPrimary",
            ServerType::RSSecondary => "RSSecondary",
            ServerType::RSArbiter => "RSArbiter",
            ServerType::RSOther => "RSOther",
            ServerType::RSGhost => "RSGhost",
            ServerType::Standalone => "Standalone",
            ServerType::LoadBalancer => "LoadBalancer",
        }
    }

    pub fn is_writable(self) -> bool {
        use ServerType::*;
        matches!(self, RSPrimary | Standalone | Mongos | LoadBalancer)
    }

    pub fn is_readable(self) -> bool {
        self == ServerType::RSSecondary || self.is_writable()
    }

    pub fn is_known(self) -> bool {
        self != ServerType::Unknown
    }
}

/// Orders a server's answers: the counter grows with each state change of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopologyVersion {
    pub process_id: ObjectId,
    pub counter: i64,
}

impl TopologyVersion {
    /// True when `new` was made before `self` (same process, smaller counter).
    pub fn is_newer_than(&self, new: &TopologyVersion) -> bool {
        self.process_id == new.process_id && self.counter > new.counter
    }

    /// True when `self` already includes what `new` tells: an error that carries `new` is no news.
    pub fn includes(&self, new: &TopologyVersion) -> bool {
        self.process_id == new.process_id && self.counter >= new.counter
    }
}

#[derive(Clone, Debug)]
pub struct ServerDescription {
    pub address: Address,
    pub kind: ServerType,
    pub set_name: Option<String>,
    pub set_version: Option<i64>,
    pub election_id: Option<ObjectId>,
    pub primary: Option<Address>,
    pub hosts: Vec<Address>,
    pub passives: Vec<Address>,
    pub arbiters: Vec<Address>,
    pub tags: BTreeMap<String, String>,
    /// The name under which the member stands in the replica set's config.
    pub me: Option<Address>,
    /// Both zero for a server that did not tell (or was not asked).
    pub min_wire_version: i32,
    pub max_wire_version: i32,
    pub max_bson_object_size: i32,
    pub max_message_size_bytes: i32,
    pub max_write_batch_size: i32,
    pub logical_session_timeout_minutes: Option<i64>,
    pub last_write_date: Option<bson::DateTime>,
    pub last_update_time: Option<Instant>,
    /// The average, not the latest sample: see `average_round_trip`.
    pub round_trip_time: Option<Duration>,
    /// The least of the latest samples, zero while there are too few.
    pub min_round_trip_time: Duration,
    pub topology_version: Option<TopologyVersion>,
    /// Why the server is Unknown, for people to read.
    pub error: Option<String>,
    /// The error says that the server is no longer what it was: "not primary", or "recovering".
    pub not_primary: bool,
    pub hello_ok: bool,
    /// The service behind a load balancer that this connection leads to.
    pub service_id: Option<ObjectId>,
}

impl ServerDescription {
    /// A server nobody has heard from yet. Sizes and wire versions are the defaults of the specification.
    pub fn unknown(address: Address) -> ServerDescription {
        ServerDescription {
            address,
            kind: ServerType::Unknown,
            set_name: None,
            set_version: None,
            election_id: None,
            primary: None,
            hosts: Vec::new(),
            passives: Vec::new(),
            arbiters: Vec::new(),
            tags: BTreeMap::new(),
            me: None,
            min_wire_version: 0,
            max_wire_version: 0,
            max_bson_object_size: 16 * 1024 * 1024,
            max_message_size_bytes: 48_000_000,
            max_write_batch_size: 100_000,
            logical_session_timeout_minutes: None,
            last_write_date: None,
            last_update_time: None,
            round_trip_time: None,
            min_round_trip_time: Duration::ZERO,
            topology_version: None,
            error: None,
            not_primary: false,
            hello_ok: false,
            service_id: None,
        }
    }

    /// A server that could not be reached, or whose answer was an error.
    pub fn failed(address: Address, error: impl Into<String>, now: Instant) -> ServerDescription {
        ServerDescription {
            error: Some(error.into()),
            last_update_time: Some(now),
            ..ServerDescription::unknown(address)
        }
    }

    /// The same server, forgotten for a reason; its topologyVersion stays, so that older news stays old.
    pub fn to_unknown(&self, error: impl Into<String>) -> ServerDescription {
        ServerDescription {
            error: Some(error.into()),
            topology_version: self.topology_version,
            last_update_time: self.last_update_time,
            ..ServerDescription::unknown(self.address.clone())
        }
    }

    /// With what another description says of sizes; `None` if it says the same.
    pub fn with_limits_of(&self, other: &ServerDescription) -> Option<ServerDescription> {
        let mut new = self.clone();
        new.max_bson_object_size = other.max_bson_object_size;
        new.max_message_size_bytes = other.max_message_size_bytes;
        new.max_write_batch_size = other.max_write_batch_size;
        let limits = |it: &ServerDescription| {
            (it.max_bson_object_size, it.max_message_size_bytes, it.max_write_batch_size)
        };
        (limits(self) != limits(&new)).then_some(new)
    }

    /// Every member the server names: hosts, passives and arbiters.
    pub fn all_hosts(&self) -> impl Iterator<Item = &Address> {
        self.hosts.iter().chain(&self.passives).chain(&self.arbiters)
    }

    pub fn supports_sessions(&self) -> bool {
        self.kind == ServerType::LoadBalancer || self.logical_session_timeout_minutes.is_some()
    }

    pub fn supports_retryable_writes(&self) -> bool {
        use ServerType::*;
        matches!(self.kind, Mongos | RSPrimary | LoadBalancer)
    }

    /// The specification's equality, which decides whether a change event is due: times and round trips
    /// are no part of it.
    pub fn same_as(&self, other: &ServerDescription) -> bool {
        self.address == other.address
            && self.kind == other.kind
            && self.min_wire_version == other.min_wire_version
            && self.max_wire_version == other.max_wire_version
            && self.me == other.me
            && self.hosts == other.hosts
            && self.passives == other.passives
            && self.arbiters == other.arbiters
            && self.tags == other.tags
            && self.set_name == other.set_name
            && self.set_version == other.set_version
            && self.election_id == other.election_id
            && self.primary == other.primary
            && self.logical_session_timeout_minutes == other.logical_session_timeout_minutes
            && self.topology_version == other.topology_version
            && self.error == other.error
    }
}

/// The exponentially weighted moving average of the specification: a new sample counts one fifth.
pub fn average_round_trip(average: Option<Duration>, sample: Duration) -> Duration {
    match average {
        None => sample,
        Some(average) => sample.mul_f64(WEIGHT) + average.mul_f64(1.0 - WEIGHT),
    }
}

pub const WEIGHT: f64 = 0.2;
