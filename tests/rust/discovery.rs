//! The official server discovery and monitoring scenarios, played to the reducer: no server, no socket.

mod scenarios;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf};
use ferromongo::event::topology::{self as event, TopologyChange};
use ferromongo::topology::address::Address;
use ferromongo::topology::error_rules::{self, ApplicationError, ApplicationErrorKind, When};
use ferromongo::topology::hello;
use ferromongo::topology::reduce;
use ferromongo::topology::server::{ServerDescription, TopologyVersion};
use ferromongo::topology::snapshot::{Snapshot, TopologySettings};
use scenarios::{Score, list, same, string};
use serde_json::{Value, json};

#[test]
fn replica_sets() {
    Score::run("server-discovery-and-monitoring/tests/rs", play).finish();
}

#[test]
fn single_servers() {
    Score::run("server-discovery-and-monitoring/tests/single", play).finish();
}

#[test]
fn sharded_clusters() {
    Score::run("server-discovery-and-monitoring/tests/sharded", play).finish();
}

#[test]
fn load_balancers() {
    Score::run("server-discovery-and-monitoring/tests/load-balanced", play).finish();
}

#[test]
fn application_errors() {
    Score::run("server-discovery-and-monitoring/tests/errors", play)
        .skip("server-discovery-and-monitoring/tests/unified", "they need a running server")
        .finish();
}

#[test]
fn monitoring() {
    Score::run("server-discovery-and-monitoring/tests/monitoring", play_for_events).finish();
}

/// The client a scenario plays to: the topology and the pools' generations.
struct Client {
    snapshot: Snapshot,
    generations: BTreeMap<Address, u64>,
}

fn play(scenario: &Value) -> Result<(), String> {
    let snapshot = Snapshot::new(Arc::new(settings(string(&scenario["uri"]))));
    let mut client = Client { snapshot, generations: BTreeMap::new() };
    for (index, phase) in list(&scenario["phases"]).iter().enumerate() {
        for response in list(&phase["responses"]) {
            client.hear(string(&response[0]), &response[1]);
        }
        for error in list(&phase["applicationErrors"]) {
            client.fail(error);
        }
        client.check(&phase["outcome"]).map_err(|why| format!("phase {}: {why}", index + 1))?;
    }
    Ok(())
}

/// Plays the replies of a scenario, and compares what a listener would have heard after each phase.
fn play_for_events(scenario: &Value) -> Result<(), String> {
    let mut snapshot = Arc::new(Snapshot::new(Arc::new(settings(string(&scenario["uri"])))));
    let mut heard = event::opened(&snapshot);
    for (index, phase) in list(&scenario["phases"]).iter().enumerate() {
        for response in list(&phase["responses"]) {
            let address = Address::parse(string(&response[0])).expect("an address");
            let reply = RawDocumentBuf::try_from(&document(&response[1])).expect("a reply");
            let time = Some(Duration::from_millis(1));
            let server = hello::parse(address, &reply, time, Instant::now());
            let next = Arc::new(reduce::apply(&snapshot, server));
            heard.extend(event::changed(&snapshot, &next));
            snapshot = next;
        }
        let heard: Vec<Value> = heard.drain(..).map(|change| shown(&change)).collect();
        let expected = list(&phase["outcome"]["events"]).iter().map(without_hint).collect();
        same("the list of events", heard, expected)
            .map_err(|why| format!("phase {}: {why}", index + 1))?;
    }
    Ok(())
}

/// An event as the scenarios write it.
fn shown(change: &TopologyChange) -> Value {
    let id = "42"; // the scenarios' name for every topology
    match change {
        TopologyChange::Opened => json!({"topology_opening_event": {"topologyId": id}}),
        TopologyChange::Closed => json!({"topology_closed_event": {"topologyId": id}}),
        TopologyChange::Changed { old, new } => json!({"topology_description_changed_event": {
            "topologyId": id, "previousDescription": topology(old), "newDescription": topology(new)
        }}),
        TopologyChange::ServerOpened(address) => {
            json!({"server_opening_event": {"topologyId": id, "address": address.to_string()}})
        }
        TopologyChange::ServerClosed(address) => {
            json!({"server_closed_event": {"topologyId": id, "address": address.to_string()}})
        }
        TopologyChange::ServerChanged { old, new } => json!({"server_description_changed_event": {
            "topologyId": id, "address": new.address.to_string(),
            "previousDescription": server(old), "newDescription": server(new)
        }}),
    }
}

fn topology(snapshot: &Snapshot) -> Value {
    let servers: Vec<Value> = snapshot.servers.values().map(server).collect();
    let mut shown = json!({"topologyType": snapshot.kind.name(), "servers": servers});
    if let Some(name) = &snapshot.set_name {
        shown["setName"] = json!(name);
    }
    shown
}

fn server(server: &ServerDescription) -> Value {
    let texts = |members: &[Address]| members.iter().map(Address::to_string).collect::<Vec<_>>();
    let mut shown = json!({
        "address": server.address.to_string(), "type": server.kind.name(),
        "hosts": texts(&server.hosts), "passives": texts(&server.passives),
        "arbiters": texts(&server.arbiters),
    });
    if let Some(name) = &server.set_name {
        shown["setName"] = json!(name);
    }
    if let Some(primary) = &server.primary {
        shown["primary"] = json!(primary.to_string());
    }
    shown
}

/// A hint for drivers with one thread; others know such a server as Unknown.
fn without_hint(event: &Value) -> Value {
    let text = event.to_string().replace("PossiblePrimary", "Unknown");
    serde_json::from_str(&text).expect("JSON")
}

impl Client {
    /// An empty reply stands for a network error during the check.
    fn hear(&mut self, address: &str, reply: &Value) {
        let address = Address::parse(address).expect("an address");
        let reply = document(reply);
        let now = Instant::now();
        let server = if reply.is_empty() {
            *self.generations.entry(address.clone()).or_default() += 1;
            ServerDescription::failed(address, "network error", now)
        } else {
            let raw = RawDocumentBuf::try_from(&reply).expect("a document that BSON can hold");
            hello::parse(address, &raw, Some(Duration::from_millis(1)), now)
        };
        self.snapshot = reduce::apply(&self.snapshot, server);
    }

    fn fail(&mut self, error: &Value) {
        let address = Address::parse(string(&error["address"])).expect("an address");
        let generation = self.generations.entry(address.clone()).or_default();
        let when = match string(&error["when"]) {
            "beforeHandshakeCompletes" => When::BeforeHandshake,
            _ => When::AfterHandshake,
        };
        let kind = match string(&error["type"]) {
            "network" => ApplicationErrorKind::Network,
            "timeout" => ApplicationErrorKind::Timeout,
            _ => {
                let raw = RawDocumentBuf::try_from(&document(&error["response"])).expect("a reply");
                match ApplicationErrorKind::from_reply(&raw) {
                    Some(kind) => kind,
                    None => return,
                }
            }
        };
        let error = ApplicationError {
            when,
            kind,
            generation: error["generation"].as_u64().unwrap_or(*generation),
            current_generation: *generation,
            service_id: None,
            // The pool labels what goes wrong on the line before the handshake is done.
            overloaded: when == When::BeforeHandshake
                && !matches!(kind, ApplicationErrorKind::Command { .. }),
            message: "scripted".to_owned(),
        };
        let verdict = error_rules::after_error(&self.snapshot, &address, &error, Instant::now());
        if verdict.clear_pool {
            *generation += 1;
        }
        if let Some(new) = verdict.new {
            self.snapshot = new;
        }
    }

    fn check(&self, outcome: &Value) -> Result<(), String> {
        let Snapshot { kind, set_name, servers, .. } = &self.snapshot;
        same("topologyType", kind.name(), string(&outcome["topologyType"]))?;
        same("setName", set_name.as_deref(), outcome["setName"].as_str())?;
        let minutes = self.snapshot.logical_session_timeout_minutes;
        same(
            "logicalSessionTimeoutMinutes",
            minutes,
            outcome["logicalSessionTimeoutMinutes"].as_i64(),
        )?;
        if let Some(version) = outcome.get("maxSetVersion") {
            same("maxSetVersion", self.snapshot.max_set_version, version.as_i64())?;
        }
        if let Some(id) = outcome.get("maxElectionId") {
            same("maxElectionId", self.snapshot.max_election_id, object_id(id))?;
        }
        let compatible = outcome["compatible"].as_bool();
        if let Some(compatible) = compatible {
            same("compatible", self.snapshot.compatibility_error.is_none(), compatible)?;
        }
        let expected = outcome["servers"].as_object().expect("a list of servers");
        let addresses = expected.keys().map(|text| Address::parse(text).expect("an address"));
        let mut addresses: Vec<Address> = addresses.collect();
        addresses.sort();
        same("servers", servers.keys().cloned().collect(), addresses)?;
        for (text, expected) in expected {
            let address = Address::parse(text).expect("an address");
            self.check_server(&servers[&address], expected)
                .map_err(|why| format!("{text}: {why}"))?;
        }
        Ok(())
    }

    fn check_server(&self, server: &ServerDescription, expected: &Value) -> Result<(), String> {
        for (field, value) in expected.as_object().expect("a server") {
            match field.as_str() {
                "type" => {
                    // A hint for drivers with one thread; others know such a server as Unknown.
                    let kind = string(value).replace("PossiblePrimary", "Unknown");
                    same("type", server.kind.name(), kind.as_str())?;
                }
                "setName" => same(field, server.set_name.as_deref(), value.as_str())?,
                "setVersion" => same(field, server.set_version, value.as_i64())?,
                "electionId" => same(field, server.election_id, object_id(value))?,
                "topologyVersion" => same(field, server.topology_version, topology_version(value))?,
                "logicalSessionTimeoutMinutes" => {
                    same(field, server.logical_session_timeout_minutes, value.as_i64())?;
                }
                // Zero stands for "not told".
                "minWireVersion" => {
                    same(field, i64::from(server.min_wire_version), value.as_i64().unwrap_or(0))?
                }
                "maxWireVersion" => {
                    same(field, i64::from(server.max_wire_version), value.as_i64().unwrap_or(0))?
                }
                "error" => {
                    let error = server.error.as_deref().unwrap_or_default();
                    same(field, error.contains(string(value)), true)
                        .map_err(|_| format!("error is {error:?}"))?;
                }
                "pool" => {
                    let generation =
                        self.generations.get(&server.address).copied().unwrap_or_default();
                    same(field, Some(generation), value["generation"].as_u64())?;
                }
                other => return Err(format!("the scenario expects an unknown field {other}")),
            }
        }
        Ok(())
    }
}

fn document(value: &Value) -> Document {
    match scenarios::bson(value) {
        bson::Bson::Document(document) => document,
        other => panic!("expected a document, found {other}"),
    }
}

fn object_id(value: &Value) -> Option<ObjectId> {
    scenarios::bson(value).as_object_id()
}

fn topology_version(value: &Value) -> Option<TopologyVersion> {
    let version = value.as_object()?;
    Some(TopologyVersion {
        process_id: object_id(&version["processId"])?,
        counter: scenarios::bson(&version["counter"]).as_i64()?,
    })
}

/// The few URI options the scenarios use; the real parser is PyMongo's, on the Python side.
fn settings(uri: &str) -> TopologySettings {
    let rest = uri.strip_prefix("mongodb://").expect("a MongoDB URI");
    let (hosts, options) = rest.split_once("/?").unwrap_or((rest.trim_end_matches('/'), ""));
    let option = |name: &str| {
        options.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
    };
    TopologySettings {
        id: ObjectId::new(),
        seeds: hosts.split(',').map(|host| Address::parse(host).expect("a seed")).collect(),
        replica_set: option("replicaSet").map(|(_, name)| name.to_owned()),
        direct_connection: option("directConnection").is_some_and(|(_, value)| value == "true"),
        load_balanced: option("loadBalanced").is_some_and(|(_, value)| value == "true"),
        heartbeat_frequency: Duration::from_secs(10),
    }
}
