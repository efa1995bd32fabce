//! The compressors themselves: snappy, zlib and zstd. Their working memory is kept for the thread: making it costs
//! more than a small message.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, zstd_sys};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    Snappy = 1,
    Zlib = 2,
    Zstd = 3,
}

impl Compressor {
    pub fn from_name(name: &str) -> Option<Compressor> {
        ALL.into_iter().find(|compressor| compressor.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Compressor::Snappy => "snappy",
            Compressor::Zlib => "zlib",
            Compressor::Zstd => "zstd",
        }
    }

    /// Both parts as one, behind as many bytes as `before` says for the envelope.
    pub fn compress(
        self,
        head: &[u8],
        tail: &[u8],
        zlib_level: i32,
        before: usize,
    ) -> Option<Vec<u8>> {
        match self {
            Compressor::Snappy => compress_snappy(head, tail, before),
            Compressor::Zlib => compress_zlib(head, tail, zlib_level, before),
            Compressor::Zstd => compress_zstd(head, tail, before),
        }
    }

    /// Succeeds if the whole of `data` makes exactly as many bytes as `plain` has.
    pub fn decompress(self, data: &[u8], plain: &mut [u8]) -> Option<()> {
        let size = plain.len();
        let made = match self {
            Compressor::Snappy => {
                let fits = snap::raw::decompress_len(data).is_ok_and(|said| said == size);
                fits.then(|| snap::raw::Decoder::new().decompress(data, plain).ok())?
            }
            Compressor::Zlib => INFLATE.with_borrow_mut(|inflate| {
                inflate.reset(true);
                let status = inflate.decompress(data, plain, FlushDecompress::Finish).ok()?;
                let whole = status == Status::StreamEnd && inflate.total_in() == data.len() as u64;
                whole.then_some(inflate.total_out() as usize)
            }),
            Compressor::Zstd => {
                ZSTD_DECOMPRESS.with_borrow_mut(|context| context.decompress(plain, data).ok())
            }
        };
        (made? == size).then_some(())
    }
}

/// A snappy stream is the length and then elements that refer backwards only, so two streams can be
/// joined behind a common length: the documents need not be copied behind the command first.
fn compress_snappy(head: &[u8], tail: &[u8], before: usize) -> Option<Vec<u8>> {
    let most = snap::raw::max_compress_len;
    let mut out = vec![0; before + VARINT + most(head.len()) + most(tail.len())];
    let mut end = before + put_varint(&mut out[before..], head.len() + tail.len());
    SNAPPY.with_borrow_mut(|snappy| {
        for part in [head, tail].into_iter().filter(|part| !part.is_empty()) {
            let made = snappy.compress(part, &mut out[end..]).ok()?;
            let own_length = put_varint(&mut [0; VARINT], part.len());
            out.copy_within(end + own_length..end + made, end);
            end += made - own_length;
        }
        Some(())
    })?;
    out.truncate(end);
    Some(out)
}

fn compress_zlib(head: &[u8], tail: &[u8], level: i32, before: usize) -> Option<Vec<u8>> {
    let size = head.len() + tail.len();
    let level = u32::try_from(level).map_or(Compression::default(), Compression::new);
    DEFLATE.with_borrow_mut(|kept| {
        let (_, deflate) = match kept {
            Some(kept) if kept.0 == level => kept,
            _ => kept.insert((level, Compress::new(level, true))),
        };
        deflate.reset();
        // More than zlib ever adds, even to what cannot be compressed.
        let mut out = Vec::with_capacity(before + size + size / 8 + 64);
        out.resize(before, 0);
        deflate.compress_vec(head, &mut out, FlushCompress::None).ok()?;
        let ended = deflate.compress_vec(tail, &mut out, FlushCompress::Finish).ok()?;
        (ended == Status::StreamEnd && deflate.total_in() == size as u64).then_some(out)
    })
}

fn compress_zstd(head: &[u8], tail: &[u8], before: usize) -> Option<Vec<u8>> {
    use zstd_sys::ZSTD_EndDirective::{ZSTD_e_continue as CONTINUE, ZSTD_e_end as END};
    let size = head.len() + tail.len();
    let mut out = Vec::with_capacity(before + zstd_safe::compress_bound(size));
    out.resize(before, 0);
    ZSTD_COMPRESS.with_borrow_mut(|context| {
        context.reset(ResetDirective::SessionAndParameters).ok()?;
        context.set_parameter(CParameter::CompressionLevel(zstd_safe::CLEVEL_DEFAULT)).ok()?;
        // Known sizes make small tables for small messages.
        context.set_pledged_src_size(Some(size as u64)).ok()?;
        let mut out = OutBuffer::around_pos(&mut out, before);
        if !tail.is_empty() {
            let mut head = InBuffer::around(head);
            context.compress_stream2(&mut out, &mut head, CONTINUE).ok()?;
            (head.pos == head.src.len()).then_some(())?;
        }
        let mut last = InBuffer::around(if tail.is_empty() { head } else { tail });
        let remaining = context.compress_stream2(&mut out, &mut last, END).ok()?;
        (remaining == 0).then_some(())
    })?;
    if size > KEPT_FOR {
        ZSTD_COMPRESS.set(CCtx::create());
    }
    Some(out)
}

/// Seven bits a byte, the lowest first; how many bytes that took.
fn put_varint(out: &mut [u8], mut value: usize) -> usize {
    let mut used = 0;
    while value >= 0x80 {
        out[used] = value as u8 | 0x80;
        value >>= 7;
        used += 1;
    }
    out[used] = value as u8;
    used + 1
}

thread_local! {
    static SNAPPY: RefCell<snap::raw::Encoder> = RefCell::new(snap::raw::Encoder::new());
    static DEFLATE: RefCell<Option<(Compression, Compress)>> = const { RefCell::new(None) };
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(true));
    static ZSTD_COMPRESS: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static ZSTD_DECOMPRESS: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

pub const ALL: [Compressor; 3] = [Compressor::Snappy, Compressor::Zlib, Compressor::Zstd];
const VARINT: usize = 5;
/// A larger message's zstd tables (some MB) are not worth keeping for each thread.
const KEPT_FOR: usize = 128 * 1024;
