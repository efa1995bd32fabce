//! Any bytes are a file of the transaction log, or are refused. What was read is there again when the torn tail
//! was cut and records were appended, and entries are written as they are read.
#![no_main]

use std::path::Path;

use bson::RawDocument;
use ferromongo::journal::entry::Entry;
use ferromongo::journal::{read, record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let path = Path::new("log");
    let Ok((entries, end)) = read::entries(file, path) else { return };
    assert!(end <= file.len());
    for entry in &entries {
        let document = entry.to_document(true);
        let document = RawDocument::from_bytes(&document).unwrap();
        assert_eq!(Entry::read(document).as_ref(), Some(entry));
    }
    if end == 0 {
        return; // not even a header
    }
    let intact = &file[..end];
    assert_eq!(read::entries(intact, path).unwrap(), (entries.clone(), end));
    let mut longer = intact.to_vec();
    longer.extend(entries.iter().flat_map(record::any));
    let (again, whole) = read::entries(&longer, path).unwrap();
    assert_eq!(whole, longer.len());
    assert_eq!(again.len(), entries.len());
});
