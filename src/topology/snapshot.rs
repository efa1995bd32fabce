//! The whole deployment at one moment: immutable, shared behind an `Arc` by everyone who selects a server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;

use super::address::Address;
use super::server::{ServerDescription, ServerType};

/// Names and meaning as in the discovery specification (and PyMongo's `TOPOLOGY_TYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopologyKind {
    Single,
    ReplicaSetNoPrimary,
    ReplicaSetWithPrimary,
    Sharded,
    Unknown,
    LoadBalanced,
}

impl TopologyKind {
    pub fn name(self) -> &'static str {
        match self {
            TopologyKind::Single => "Single",
            TopologyKind::ReplicaSetNoPrimary => "ReplicaSetNoPrimary",
            TopologyKind::ReplicaSetWithPrimary => "ReplicaSetWithPrimary",
            TopologyKind::Sharded => "Sharded",
            TopologyKind::Unknown => "Unknown",
            TopologyKind::LoadBalanced => "LoadBalanced",
        }
    }

    pub fn is_replica_set(self) -> bool {
        matches!(self, TopologyKind::ReplicaSetNoPrimary | TopologyKind::ReplicaSetWithPrimary)
    }
}

/// What the user asked for; never changes during a client's life.
#[derive(Clone, Debug)]
pub struct TopologySettings {
    /// Names the topology in messages and events.
    pub id: ObjectId,
    pub seeds: Vec<Address>,
    pub replica_set: Option<String>,
    pub direct_connection: bool,
    pub load_balanced: bool,
    pub heartbeat_frequency: Duration,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub kind: TopologyKind,
    pub set_name: Option<String>,
    pub max_set_version: Option<i64>,
    pub max_election_id: Option<ObjectId>,
    pub servers: BTreeMap<Address, ServerDescription>,
    /// The smallest value of the data-bearing servers; None when one of them has none.
    pub logical_session_timeout_minutes: Option<i64>,
    /// Set when a server speaks no wire version that we speak: no operation may run then.
    pub compatibility_error: Option<String>,
    pub settings: Arc<TopologySettings>,
}

impl Snapshot {
    /// What is known before the first hello reply: the seeds, all Unknown. A load balancer is never
    /// monitored, so it is taken as it is; wire versions and limits are then those of each connection.
    pub fn new(settings: Arc<TopologySettings>) -> Snapshot {
        let kind = if settings.load_balanced {
            TopologyKind::LoadBalanced
        } else if settings.direct_connection {
            TopologyKind::Single
        } else if settings.replica_set.is_some() {
            TopologyKind::ReplicaSetNoPrimary
        } else {
            TopologyKind::Unknown
        };
        let mut servers = BTreeMap::new();
        for seed in &settings.seeds {
            let mut server = ServerDescription::unknown(seed.clone());
            if settings.load_balanced {
                server.kind = ServerType::LoadBalancer;
            }
            servers.insert(seed.clone(), server);
        }
        Snapshot {
            kind,
            set_name: settings.replica_set.clone(),
            max_set_version: None,
            max_election_id: None,
            servers,
            logical_session_timeout_minutes: None,
            compatibility_error: None,
            settings,
        }
    }

    /// What was known before anything was, and is after the end.
    pub fn empty(settings: Arc<TopologySettings>) -> Snapshot {
        Snapshot {
            kind: TopologyKind::Unknown,
            set_name: None,
            servers: BTreeMap::new(),
            ..Snapshot::new(settings)
        }
    }

    /// The same servers, none of which is watched any more.
    pub fn forgotten(&self) -> Snapshot {
        let kind = match self.kind {
            TopologyKind::ReplicaSetWithPrimary => TopologyKind::ReplicaSetNoPrimary,
            kind => kind,
        };
        let unknown =
            |address: &Address| (address.clone(), ServerDescription::unknown(address.clone()));
        Snapshot {
            kind,
            servers: self.servers.keys().map(unknown).collect(),
            logical_session_timeout_minutes: None,
            compatibility_error: None,
            ..self.clone()
        }
    }

    pub fn server(&self, address: &Address) -> Option<&ServerDescription> {
        self.servers.get(address)
    }

    pub fn primary(&self) -> Option<&ServerDescription> {
        self.servers.values().find(|server| server.kind == ServerType::RSPrimary)
    }

    pub fn known_servers(&self) -> impl Iterator<Item = &ServerDescription> {
        self.servers.values().filter(|server| server.kind.is_known())
    }

    /// Logical sessions work: every data-bearing server announced a session timeout, or a load balancer
    /// stands in front (servers behind one always have sessions).
    pub fn supports_sessions(&self) -> bool {
        self.kind == TopologyKind::LoadBalanced || self.logical_session_timeout_minutes.is_some()
    }

    /// Computes what follows from the servers; called once by whoever changed them.
    pub(super) fn settle(mut self) -> Snapshot {
        self.logical_session_timeout_minutes = session_timeout(&self.servers);
        self.compatibility_error = match self.kind {
            TopologyKind::LoadBalanced => None,
            _ => self.servers.values().find_map(incompatibility),
        };
        self
    }
}

fn session_timeout(servers: &BTreeMap<Address, ServerDescription>) -> Option<i64> {
    let mut smallest = None;
    for server in servers.values().filter(|server| server.kind.is_readable()) {
        let minutes = server.logical_session_timeout_minutes?;
        smallest = Some(smallest.map_or(minutes, |known: i64| known.min(minutes)));
    }
    smallest
}

fn incompatibility(server: &ServerDescription) -> Option<String> {
    if !server.kind.is_known() {
        return None;
    }
    if server.min_wire_version > MAX_WIRE_VERSION {
        return Some(format!(
            "The server at {} requires wire version {}, but ferromongo supports wire versions up to {MAX_WIRE_VERSION}.",
            server.address, server.min_wire_version
        ));
    }
    if server.max_wire_version < MIN_WIRE_VERSION {
        return Some(format!(
            "The server at {} reports wire version {}, but ferromongo requires at least {MIN_WIRE_VERSION} (MongoDB {MIN_SERVER_VERSION}).",
            server.address, server.max_wire_version
        ));
    }
    None
}

/// The wire versions spoken here; PyMongo 4.20's range.
pub const MIN_WIRE_VERSION: i32 = 9;
pub const MAX_WIRE_VERSION: i32 = 29;
const MIN_SERVER_VERSION: &str = "4.4";
