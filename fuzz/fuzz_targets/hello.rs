//! Any document as a hello reply: a description comes of it, and applying it to a topology keeps
//! the topology's own rules (a primary only in a set that has one).
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocument;
use ferromongo::topology::address::Address;
use ferromongo::topology::snapshot::{Snapshot, TopologyKind, TopologySettings};
use ferromongo::topology::{hello, reduce};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(document) = RawDocument::from_bytes(data) else { return };
    let seed = Address::tcp("a", 27017).unwrap();
    let settings = TopologySettings {
        id: bson::oid::ObjectId::new(),
        seeds: vec![seed.clone()],
        replica_set: None,
        direct_connection: false,
        load_balanced: false,
        heartbeat_frequency: Duration::from_secs(10),
    };
    let server = hello::parse(seed, document, None, Instant::now());
    let next = reduce::apply(&Snapshot::new(Arc::new(settings)), server);
    assert_eq!(next.primary().is_some(), next.kind == TopologyKind::ReplicaSetWithPrimary);
});
