//! What a client was told, typed once at the edge; inner rooms never check it again.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::credentials::Credentials;
use crate::net::tls::settings::TlsSettings;
use crate::topology::address::Address;
use crate::wire::compression::Offer;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub seeds: Vec<Address>,
    pub replica_set: Option<String>,
    pub direct_connection: bool,
    pub load_balanced: bool,
    pub app_name: Option<String>,
    /// Libraries on top of ferromongo: name, version, platform.
    pub driver: Vec<(String, Option<String>, Option<String>)>,
    /// The interpreter, for the handshake's metadata ("CPython 3.11.7").
    pub platform: String,
    /// Per server and event loop; 0 is no limit.
    pub max_pool_size: usize,
    pub min_pool_size: usize,
    pub max_idle_time: Option<Duration>,
    pub max_connecting: usize,
    pub wait_queue_timeout: Option<Duration>,
    pub server_selection_timeout: Option<Duration>,
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
}
