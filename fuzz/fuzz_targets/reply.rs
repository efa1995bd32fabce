//! Whatever a server sends, compressed or not, the reply parser answers a reply or an error: it neither
//! panics nor reads out of bounds, and the batch it finds lies within the reply.
#![no_main]

use std::sync::{Arc, LazyLock};

use ferromongo::net::buffers::Buffers;
use ferromongo::ops::cursor::batch::Batch;
use ferromongo::wire::compression::{Agreement, Offer};
use ferromongo::wire::compressor::Compressor;
use ferromongo::wire::framer;
use ferromongo::wire::reply::Reply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = framer::frame_length(data);
    let mut buffer = Arc::new(Buffers::default()).take(data.len());
    buffer.extend_from_slice(data);
    let answers = data.get(8..12).map_or(0, |id| i32::from_le_bytes(id.try_into().unwrap()));
    let Ok(buffer) = AGREEMENT.decompress(buffer) else { return };
    let Ok(mut reply) = Reply::parse(buffer, answers) else { return };
    let _ = reply.check();
    let _ = (reply.cluster_time(), reply.check_write_concern());
    if let Ok(batch) = Batch::of(reply) {
        assert!(batch.count * 7 <= batch.documents().len());
    }
});

/// Everything that can be agreed on.
static AGREEMENT: LazyLock<Agreement> = LazyLock::new(|| {
    let compressors = vec![Compressor::Snappy, Compressor::Zlib, Compressor::Zstd];
    Offer { compressors, zlib_level: -1 }
        .agree(&bson::rawdoc! { "compression": ["snappy", "zlib", "zstd"] })
});
