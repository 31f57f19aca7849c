use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// `{"model":"m","prompt":"the quick ..."}` as other people's compressors write it.
const BROTLI: &str = "1b0801188cd462cd19ee8c50e950379c56dd3ec8f2910c4a8a450736e0c021b002a485f868d01b46\
                      8821a5433711a84ed534314594dee2b90679";
const ZSTD: &str = "28b52ffd640900ad0100d4027b226d6f64656c223a226d222c2270726f6d7074223a227468652071\
                    7569636b2062726f776e20666f7820227d0100cb1e35cbf17cc2ef";

/// 64 MiB of spaces.
const BROTLI_BOMB: &str = "cbffff3ff82540e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c302\
                           00ddfb3ffeffffc12f0110870500baf77ffcffff835f02200e0b0074effff8ffff07bf04\
                           401c1600e8defff1ffff0f7e0980382c00d0bdffcbffff3ffc1200715800a07bff07";

/// A thousand spaces in a window of 2^28 bytes, which is not RFC 7932.
const BROTLI_LARGE_WINDOW: &str = "115c9c0fe0970089c60201a101";

fn text() -> String {
    format!(
        "{{\"model\":\"m\",\"prompt\":\"{}\"}}",
        "the quick brown fox ".repeat(12)
    )
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn body(bytes: &[u8], chunk: usize) -> Body {
    Body::from(
        bytes
            .chunks(chunk)
            .map(Bytes::copy_from_slice)
            .collect::<Vec<_>>(),
    )
}

fn joined(body: &Body) -> Vec<u8> {
    body.chunks().concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame of runs of spaces, with this window descriptor (RFC 8878 section 3.1.1).
fn zstd_runs(window: u8, runs: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, window];
    for run in 0..runs {
        let last = u32::from(run + 1 == runs);
        let header = (131_072 << 3) | (1 << 1) | last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

#[test]
fn every_coding_in_chunks_of_any_size() {
    let text = text();
    let bytes = text.as_bytes();
    for (encoding, encoded) in [
        ("gzip", gzip(bytes)),
        ("X-GZIP", gzip(bytes)),
        ("gzip", [gzip(&bytes[..50]), gzip(&bytes[50..])].concat()),
        ("deflate", zlib(bytes)),
        ("deflate", deflate(bytes)),
        ("br", unhex(BROTLI)),
        ("zstd", unhex(ZSTD)),
        ("zstd", unhex(ZSTD)),
        ("", bytes.to_vec()),
        ("identity", bytes.to_vec()),
        ("gzip, identity", gzip(bytes)),
        ("deflate , gzip", gzip(&zlib(bytes))),
        ("zstd,,br,", Vec::new()),
    ] {
        let expected = if encoded.is_empty() { &b""[..] } else { bytes };
        for chunk in [1, 10, 1000] {
            let decoded = decode(encoding, bytes.len(), &body(&encoded, chunk)).unwrap();
            assert_eq!(
                joined(&decoded),
                expected,
                "{encoding} in chunks of {chunk}"
            );
        }
    }
    let twice = [unhex(ZSTD), unhex(ZSTD)].concat();
    assert_eq!(
        decode("zstd", 1000, &body(&twice, 7)).unwrap().len(),
        2 * bytes.len()
    );
}

#[test]
fn one_byte_over_the_limit_is_too_large() {
    let text = text();
    let limit = text.len() - 1;
    for (encoding, encoded) in [
        ("gzip", gzip(text.as_bytes())),
        ("deflate", zlib(text.as_bytes())),
        ("br", unhex(BROTLI)),
        ("zstd", unhex(ZSTD)),
    ] {
        let result = decode(encoding, limit, &body(&encoded, 100));
        assert_eq!(
            result.unwrap_err(),
            BodyError::TooLarge { limit },
            "{encoding}"
        );
    }
}

#[test]
fn bombs_are_stopped() {
    let limit = 1024 * 1024;
    let too_large = BodyError::TooLarge { limit };
    for (encoding, bomb) in [
        ("gzip", gzip(&vec![b' '; 8 * 1024 * 1024])),
        ("br", unhex(BROTLI_BOMB)),
        ("zstd", zstd_runs(0x50, 5000)),
        ("gzip, gzip", gzip(&gzip(&vec![b' '; 8 * 1024 * 1024]))),
    ] {
        assert_eq!(
            decode(encoding, limit, &body(&bomb, 4096)).unwrap_err(),
            too_large
        );
    }
    assert_eq!(
        decode("zstd", 1 << 20, &body(&zstd_runs(0x68, 8), 9))
            .unwrap()
            .len(),
        1 << 20
    );
    for (encoding, bytes) in [
        ("zstd", zstd_runs(0x70, 1)),
        ("br", unhex(BROTLI_LARGE_WINDOW)),
    ] {
        let error = decode(encoding, limit, &body(&bytes, 100)).unwrap_err();
        assert_eq!(error, BodyError::BadEncoding { encoding });
    }
    let frames = zstd_runs(0x50, 1).repeat(ZSTD_FRAMES + 1);
    assert!(decode("zstd", usize::MAX, &body(&frames, 4096)).is_err());
}

#[test]
fn what_cannot_be_undone() {
    for encoding in [
        "compress",
        "gzip, sdch",
        "*",
        "gzip gzip",
        "gzip,gzip,gzip,gzip",
    ] {
        let error = decode(encoding, 100, &body(b"x", 1)).unwrap_err();
        assert_eq!(error, BodyError::UnsupportedEncoding, "{encoding}");
    }
    let text = text();
    for (encoding, encoded) in [
        ("gzip", gzip(text.as_bytes())),
        ("deflate", zlib(text.as_bytes())),
        ("br", unhex(BROTLI)),
        ("zstd", unhex(ZSTD)),
    ] {
        let error = BodyError::BadEncoding { encoding };
        let cut = &encoded[..encoded.len() / 2];
        assert_eq!(decode(encoding, 1000, &body(cut, 5)).unwrap_err(), error);
        assert!(decode(encoding, 1000, &body(text.as_bytes(), 5)).is_err());
    }
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_grows_past_the_limit(
        encoding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd"]),
        start in prop::sample::select(vec![vec![], unhex(BROTLI), unhex(ZSTD), gzip(b"abc"), zlib(b"abc")]),
        noise in prop::collection::vec(any::<u8>(), 1..80),
        at in any::<prop::sample::Index>(),
        limit in 0usize..500,
    ) {
        let mut bytes = start;
        let at = at.index(bytes.len() + 1);
        bytes.splice(at.., noise);
        if let Ok(decoded) = decode(encoding, limit, &body(&bytes, 13)) {
            prop_assert!(decoded.len() <= limit);
        }
    }
}
