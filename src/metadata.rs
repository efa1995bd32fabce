//! What the client tells of itself in each handshake. Who calls decides what it says; here it is kept,
//! and may grow while connections are made.

use arc_swap::{ArcSwap, Guard};
use bson::RawDocumentBuf;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Metadata(ArcSwap<Current>);

#[derive(Clone, Debug, Default)]
pub struct Current {
    /// The hello's `client`, within the servers' limit of 512 bytes.
    pub document: RawDocumentBuf,
    /// Shown by monitors after the official driver's own name.
    pub drivers: Vec<DriverName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverName {
    pub name: String,
    pub version: Option<String>,
    pub platform: Option<String>,
}

impl Metadata {
    pub fn new(document: RawDocumentBuf, drivers: Vec<DriverName>) -> Metadata {
        let metadata = Metadata::default();
        drivers.into_iter().for_each(|driver| {
            metadata.append(RawDocumentBuf::new(), driver);
        });
        metadata.0.rcu(|known| Current { document: document.clone(), ..Current::clone(known) });
        metadata
    }

    pub fn current(&self) -> Guard<Arc<Current>> {
        self.0.load()
    }

    /// From now on connections say `document`. True if monitors should name the driver too.
    pub fn append(&self, document: RawDocumentBuf, driver: DriverName) -> bool {
        let mut named = false;
        self.0.rcu(|known| {
            let mut next = Current { document: document.clone(), drivers: known.drivers.clone() };
            let used: usize = known.drivers.iter().map(DriverName::size).sum();
            named = used + driver.size() <= NAMES_LIMIT && !known.drivers.contains(&driver);
            if named {
                next.drivers.push(driver.clone());
            }
            next
        });
        named
    }
}

impl DriverName {
    fn size(&self) -> usize {
        self.name.len() + self.version.as_ref().map_or(0, String::len) + 2
    }
}

/// The official driver shortens everything in its handshake but these names; with an application
/// name of 128 bytes, as long as PyMongo allows, this much still fits.
const NAMES_LIMIT: usize = 150;

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn driver(name: &str) -> DriverName {
        DriverName { name: name.to_owned(), version: None, platform: None }
    }

    #[test]
    fn monitors_name_a_driver_once_and_only_while_it_fits() {
        let metadata = Metadata::new(rawdoc! { "driver": "one" }, vec![driver("a")]);
        assert_eq!(metadata.current().document, rawdoc! { "driver": "one" });
        assert!(metadata.append(rawdoc! {}, driver("b")));
        assert!(!metadata.append(rawdoc! {}, driver("b")));
        assert!(!metadata.append(rawdoc! { "driver": "long" }, driver(&"c".repeat(NAMES_LIMIT))));
        assert_eq!(metadata.current().drivers, [driver("a"), driver("b")]);
        assert_eq!(metadata.current().document, rawdoc! { "driver": "long" });
    }
}
