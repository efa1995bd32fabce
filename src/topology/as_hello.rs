//! A description back into a hello reply, from which PyMongo's objects are made. The reply itself is
//! not kept: a description may be merged from several, and is made without one too.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, RawDocumentBuf, doc};

use super::address::Address;
use super::server::{ServerDescription, ServerType};

/// Parsed again it gives the same description, but for times and errors.
pub fn document(server: &ServerDescription) -> RawDocumentBuf {
    let mut reply = doc! {
        "minWireVersion": server.min_wire_version,
        "maxWireVersion": server.max_wire_version,
        "maxBsonObjectSize": server.max_bson_object_size,
        "maxMessageSizeBytes": server.max_message_size_bytes,
        "maxWriteBatchSize": server.max_write_batch_size,
    };
    let mut put = |name: &str, value: Option<Bson>| {
        if let Some(value) = value {
            reply.insert(name, value);
        }
    };
    let number = |number: i64| i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32);
    put("ok", server.kind.is_known().then_some(Bson::Double(1.0)));
    let (flag, value) = mark(server);
    put(flag, Some(value));
    put("setName", server.set_name.clone().map(Bson::String));
    put("setVersion", server.set_version.map(number));
    put("electionId", server.election_id.map(Bson::ObjectId));
    put("primary", server.primary.as_ref().map(shown));
    put("me", server.me.as_ref().map(shown));
    for (name, members) in
        [("hosts", &server.hosts), ("passives", &server.passives), ("arbiters", &server.arbiters)]
    {
        let members = || Bson::Array(members.iter().map(shown).collect());
        put(name, server.kind.is_known().then(members));
    }
    let tags = || server.tags.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    put("tags", (!server.tags.is_empty()).then(|| Bson::Document(tags().collect())));
    let minutes = server.logical_session_timeout_minutes;
    put("logicalSessionTimeoutMinutes", minutes.map(number));
    let write = |date: DateTime| Bson::Document(doc! {"lastWriteDate": date});
    put("lastWrite", server.last_write_date.map(write));
    let version = server.topology_version.map(|version| {
        Bson::Document(doc! {"processId": version.process_id, "counter": version.counter})
    });
    put("topologyVersion", version);
    put("helloOk", server.hello_ok.then_some(Bson::Boolean(true)));
    RawDocumentBuf::try_from(&reply).expect("names and numbers are good BSON")
}

/// The field that tells the type.
fn mark(server: &ServerDescription) -> (&'static str, Bson) {
    match server.kind {
        ServerType::Mongos => ("msg", "isdbgrid".into()),
        ServerType::RSSecondary => ("secondary", true.into()),
        ServerType::RSArbiter => ("arbiterOnly", true.into()),
        ServerType::RSGhost => ("isreplicaset", true.into()),
        // Nobody has asked the balancer itself, so the service may be unknown.
        ServerType::LoadBalancer => {
            ("serviceId", server.service_id.unwrap_or(ObjectId::from_bytes([0; 12])).into())
        }
        kind => ("isWritablePrimary", kind.is_writable().into()),
    }
}

fn shown(address: &Address) -> Bson {
    Bson::String(address.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::topology::hello;
    use crate::topology::server::TopologyVersion;

    #[test]
    fn a_description_is_the_same_when_parsed_again() {
        use ServerType::*;
        let id = ObjectId::from_bytes([7; 12]);
        for kind in
            [Mongos, RSPrimary, RSSecondary, RSArbiter, RSOther, RSGhost, Standalone, LoadBalancer]
        {
            let in_set = matches!(kind, RSPrimary | RSSecondary | RSArbiter | RSOther);
            let member = |host: &str| Address::tcp(host, 27018).unwrap();
            let server = ServerDescription {
                kind,
                set_name: in_set.then(|| "rs".to_owned()),
                set_version: Some(5_000_000_000),
                election_id: Some(id),
                primary: Some(member("a")),
                hosts: vec![member("a"), member("::1")],
                arbiters: vec![member("c")],
                tags: [("dc".to_owned(), "ny".to_owned())].into(),
                me: Some(member("a")),
                max_wire_version: 17,
                logical_session_timeout_minutes: Some(30),
                last_write_date: Some(DateTime::from_millis(5)),
                topology_version: Some(TopologyVersion { process_id: id, counter: 3 }),
                ..ServerDescription::unknown(member("a"))
            };
            let again = hello::parse(member("a"), &document(&server), None, Instant::now());
            assert!(server.same_as(&again), "{server:?} {again:?}");
            assert_eq!(server.last_write_date, again.last_write_date);
        }
    }
}
