//! `$clusterTime` gossip: keep the greatest one seen, as the bytes the server signed.

use bson::{RawDocument, RawDocumentBuf, Timestamp};

#[derive(Clone, Debug)]
pub struct ClusterTime {
    time: Timestamp,
    document: RawDocumentBuf,
}

impl ClusterTime {
    /// `None` if the document has no `clusterTime` timestamp.
    pub fn new(document: &RawDocument) -> Option<ClusterTime> {
        let time = document.get_timestamp("clusterTime").ok()?;
        Some(ClusterTime { time, document: document.to_owned() })
    }

    pub fn seconds(&self) -> i64 {
        self.time.time.into()
    }

    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// Replaces `known` if the gossip is newer; a look at the timestamp decides, without a copy.
    pub fn advance(known: &mut Option<ClusterTime>, heard: &RawDocument) {
        let Ok(time) = heard.get_timestamp("clusterTime") else { return };
        if known.as_ref().is_none_or(|known| known.time < time) {
            *known = Some(ClusterTime { time, document: heard.to_owned() });
        }
    }

    pub fn later<'a>(
        a: Option<&'a ClusterTime>,
        b: Option<&'a ClusterTime>,
    ) -> Option<&'a ClusterTime> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if a.time < b.time { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(time: u32, increment: u32) -> RawDocumentBuf {
        bson::rawdoc! { "clusterTime": Timestamp { time, increment }, "signature": { "keyId": 1_i64 } }
    }

    #[test]
    fn only_newer_gossip_is_kept() {
        let mut known = None;
        ClusterTime::advance(&mut known, &document(5, 2));
        ClusterTime::advance(&mut known, &document(5, 1));
        ClusterTime::advance(&mut known, &bson::rawdoc! { "no": "time" });
        assert_eq!(known.as_ref().unwrap().document().as_bytes(), document(5, 2).as_bytes());
        ClusterTime::advance(&mut known, &document(6, 0));
        let newer = known.unwrap();
        let older = ClusterTime::new(&document(1, 9)).unwrap();
        let later = ClusterTime::later(Some(&older), Some(&newer)).unwrap();
        assert_eq!(later.time.time, 6);
    }
}
