//! A server as the hello reply it could have come from: the way others (PyMongo) know servers.

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};

use super::address::Address;
use super::server::{ServerDescription, ServerType};

pub fn hello_document(server: &ServerDescription) -> RawDocumentBuf {
    let names = |members: &[Address]| members.iter().map(Address::to_string).collect::<Vec<_>>();
    let tags = server.tags.iter().map(|(name, value)| (name.clone(), value.into()));
    let mut reply = doc! {
        "ok": i32::from(server.kind.is_known()),
        "hosts": names(&server.hosts),
        "passives": names(&server.passives),
        "arbiters": names(&server.arbiters),
        "tags": tags.collect::<Document>(),
        "minWireVersion": server.min_wire_version,
        "maxWireVersion": server.max_wire_version,
        "maxBsonObjectSize": server.max_bson_object_size,
        "maxMessageSizeBytes": server.max_message_size_bytes,
        "maxWriteBatchSize": server.max_write_batch_size,
    };
    use ServerType::*;
    match server.kind {
        RSPrimary => reply.insert("isWritablePrimary", true),
        RSSecondary => reply.insert("secondary", true),
        RSArbiter => reply.insert("arbiterOnly", true),
        RSGhost => reply.insert("isreplicaset", true),
        Mongos => reply.insert("msg", "isdbgrid"),
        // Nobody has asked the balancer itself, so its service may be unknown.
        LoadBalancer => reply.insert("serviceId", server.service_id.unwrap_or(NO_SERVICE)),
        // With a set's name and nothing else it is RSOther, with none Standalone.
        Unknown | RSOther | Standalone => None,
    };
    let mut add = |name: &str, value: Option<bson::Bson>| {
        value.map(|value| reply.insert(name, value));
    };
    add("setName", server.set_name.as_deref().map(Into::into));
    add("setVersion", server.set_version.map(Into::into));
    add("electionId", server.election_id.map(Into::into));
    add("primary", server.primary.as_ref().map(|primary| primary.to_string().into()));
    add("me", server.me.as_ref().map(|me| me.to_string().into()));
    add("logicalSessionTimeoutMinutes", server.logical_session_timeout_minutes.map(Into::into));
    add("lastWrite", server.last_write_date.map(|date| doc! { "lastWriteDate": date }.into()));
    let version = server
        .topology_version
        .map(|version| doc! { "processId": version.process_id, "counter": version.counter }.into());
    add("topologyVersion", version);
    RawDocumentBuf::try_from(&reply).unwrap_or_default() // names that came from BSON fit into it
}

const NO_SERVICE: ObjectId = ObjectId::from_bytes([0; 12]);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bson::rawdoc;

    use super::*;
    use crate::topology::hello;

    fn parsed(reply: &RawDocumentBuf) -> ServerDescription {
        hello::parse(Address::new("a", 1), reply, None, Instant::now())
    }

    #[test]
    fn what_is_told_is_read_as_the_same_server() {
        let id = ObjectId::from_bytes([3; 12]);
        let full = rawdoc! {
            "ok": 1, "isWritablePrimary": true, "setName": "rs", "setVersion": 3, "electionId": id,
            "hosts": ["a:1", "[::1]:2"], "passives": ["p:1"], "arbiters": ["x:1"], "me": "a:1",
            "primary": "a:1", "tags": {"dc": "ny"}, "minWireVersion": 3, "maxWireVersion": 17,
            "maxBsonObjectSize": 5, "maxMessageSizeBytes": 6, "maxWriteBatchSize": 7,
            "logicalSessionTimeoutMinutes": 30, "lastWrite": {"lastWriteDate": bson::DateTime::from_millis(9)},
            "topologyVersion": {"processId": id, "counter": 4_i64},
        };
        let others = [
            rawdoc! { "ok": 0 },
            rawdoc! { "ok": 1 },
            rawdoc! { "ok": 1, "msg": "isdbgrid" },
            rawdoc! { "ok": 1, "isreplicaset": true },
            rawdoc! { "ok": 1, "setName": "rs", "secondary": true },
            rawdoc! { "ok": 1, "setName": "rs", "arbiterOnly": true },
            rawdoc! { "ok": 1, "setName": "rs", "hidden": true, "secondary": true },
            rawdoc! { "ok": 1, "serviceId": id },
        ];
        for reply in others.iter().chain([&full]) {
            let server = parsed(reply);
            let again = parsed(&hello_document(&server));
            assert!(again.kind == server.kind, "{:?} became {:?}", server.kind, again.kind);
            if server.kind.is_known() {
                assert!(again.same_as(&server), "{again:?} is not {server:?}");
            }
            let rest = |it: &ServerDescription| {
                let sizes = (it.max_bson_object_size, it.max_message_size_bytes);
                (sizes, it.max_write_batch_size, it.last_write_date, it.service_id)
            };
            assert_eq!(rest(&again), rest(&server));
        }
    }
}
