//! What a client was told, typed once at the edge; inner rooms never check it again.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use bson::oid::ObjectId;

use crate::auth::credentials::Credentials;
use crate::event::Publisher;
use crate::event::question::Callback;
use crate::journal::log::Journal;
use crate::metadata::Metadata;
use crate::net::tls::settings::TlsSettings;
use crate::topology::address::Address;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::TopologySettings;
use crate::wire::compression::Offer;

/// The user's own choice: which of the suitable servers to consider.
pub type Selector = Callback<Vec<ServerDescription>, Vec<Address>>;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Names the client in log records, and its topology in messages and events.
    pub id: ObjectId,
    /// The name of its class, for messages.
    pub client_class: String,
    pub seeds: Vec<Address>,
    pub replica_set: Option<String>,
    pub direct_connection: bool,
    pub load_balanced: bool,
    pub app_name: Option<String>,
    pub metadata: Arc<Metadata>,
    /// Per server and event loop; 0 is no limit.
    pub max_pool_size: usize,
    pub min_pool_size: usize,
    pub max_idle_time: Option<Duration>,
    pub max_connecting: usize,
    pub wait_queue_timeout: Option<Duration>,
    pub server_selection_timeout: Option<Duration>,
    /// The user's own choice among the suitable servers.
    pub server_selector: Option<Selector>,
    pub connect_timeout: Option<Duration>,
    pub socket_timeout: Option<Duration>,
    pub local_threshold: Duration,
    pub heartbeat_frequency: Duration,
    pub retry_writes: bool,
    pub retry_reads: bool,
    pub compression: Offer,
    /// `None`: connections do not authenticate.
    pub credentials: Option<Arc<Credentials>>,
    pub tls: Option<Arc<TlsSettings>>,
    /// Client-side operation timeout (timeoutMS) of operations that bring none of their own.
    pub timeout: Option<Duration>,
    /// How often an operation that met an overloaded server is tried again.
    pub max_adaptive_retries: u32,
    /// Such an operation prefers another server.
    pub overload_retargeting: bool,
    /// The elements `apiVersion`, `apiStrict`, `apiDeprecationErrors` of every command.
    pub server_api: Option<Arc<RawDocumentBuf>>,
    /// serverMonitoringMode=poll: monitors ask again and again instead of awaiting changes.
    pub poll: bool,
    pub events: Publisher,
    /// Its transactions are noted there.
    pub journal: Option<Arc<Journal>>,
}

impl Settings {
    /// What a new topology is made from.
    pub fn topology(&self) -> TopologySettings {
        TopologySettings {
            id: self.id,
            seeds: self.seeds.clone(),
            replica_set: self.replica_set.clone(),
            direct_connection: self.direct_connection,
            load_balanced: self.load_balanced,
            heartbeat_frequency: self.heartbeat_frequency,
        }
    }

    /// The same with what a name server may add. All else is kept: parts of it are shared handles.
    pub fn looked_up(&self, found: Settings) -> Settings {
        Settings {
            seeds: found.seeds,
            replica_set: found.replica_set,
            load_balanced: found.load_balanced,
            credentials: found.credentials,
            tls: found.tls,
            ..self.clone()
        }
    }
}
