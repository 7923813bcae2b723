//! Unpacking against what wimlib packs: resources of WIM images are laid out as WOF's streams are.

use std::fs;
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::ntfs::{lzx, xpress};
use testkit::corpus;
use testkit::crash::Random;
use testkit::image::noise;
use testkit::vary;
use testkit::vhd::oracle;

#[path = "../fuzz/ntfs_codecs.rs"]
mod model;

#[test]
fn guestfs_ntfs_codecs() {
    corpus::replay("guestfs_ntfs_codecs", model::check);
}

#[test]
fn packed_bytes_with_random_damage_have_an_end() {
    let folder = corpus::dir("guestfs_ntfs_codecs");
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|seed| seed.unwrap().path())
        .collect();
    seeds.sort();
    let mut random = Random(vary::seed(12));
    for _ in 0..vary::cases(60) {
        for seed in &seeds {
            let mut input = fs::read(seed).unwrap();
            for _ in 0..=random.below(3) {
                let at = random.below(input.len() as u64) as usize;
                input[at] ^= 1 << random.below(8);
            }
            let len = random.below(2 * input.len() as u64) as usize;
            input.truncate(len);
            model::check(&input);
        }
    }
}

/// A way to pack: wimlib's name, bytes of a chunk, WOF's number.
pub(crate) const WAYS: [(&str, usize, u32); 4] = [
    ("XPRESS", 4 << 10, 0),
    ("LZX", 32 << 10, 1),
    ("XPRESS", 8 << 10, 2),
    ("XPRESS", 16 << 10, 3),
];

/// Files with all sorts of contents, no two of one length.
fn samples() -> Vec<Vec<u8>> {
    let words: Vec<u8> = (0..90_000_u32)
        .flat_map(|number| format!("{} ", number.wrapping_mul(number) % 1013).into_bytes())
        .collect();
    // What looks like CALLs, whose targets LZX changes: near to each other, and at the ends of chunks.
    let mut calls = Vec::new();
    for number in 0..20_000_i32 {
        calls.extend(b"\x90\x8b\xec".iter().take(number as usize % 4));
        calls.push(0xe8);
        calls.extend((number.wrapping_mul(7) % 1000 - 300).to_le_bytes());
    }
    for end in (1..calls.len() / 32768).map(|chunk| chunk * 32768) {
        calls[end - 12..end].copy_from_slice(&[0xe8, 1, 0, 0, 0xe8, 5, 0, 0, 0, 0xe8, 1, 0]);
    }
    let program = std::env::current_exe().unwrap();
    let program = fs::read(program).unwrap();
    let mixed = [&words[..10_000], &noise(1, 50_000), &words[..40_000]].concat();
    vec![
        words.clone(),
        calls,
        program[..1_000_003].to_vec(),
        mixed,
        vec![0; 200_000],
        b"ab".repeat(20_000),
        words[..4096].to_vec(),
        words[..4097].to_vec(),
        words[..32768].to_vec(),
        b"abc abc abc abc abc abc abc abc abc abc abc abc abc abc abc abc".to_vec(),
        (0..=255).cycle().take(70_000).collect(),
    ]
}

/// The compressed resource of each length of a WIM image.
fn resources(image: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let number = |at: usize, len: usize| {
        let bytes = image[at..at + len].iter().rev();
        bytes.fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(&image[..8], b"MSWIM\0\0\0");
    let (len, table) = (number(48, 7), number(56, 8));
    let mut found = Vec::new();
    for entry in (table..table + len).step_by(50) {
        let (stored, flags) = (number(entry, 7), image[entry + 7]);
        let (offset, plain) = (number(entry + 8, 8), number(entry + 16, 8));
        // Compressed, and no metadata.
        if flags & 6 == 4 {
            found.push((plain, image[offset..offset + stored].to_vec()));
        }
    }
    found
}

/// Packs samples in one way: plain contents, each with its resource.
pub(crate) fn packed(
    test: &str,
    folder: &Path,
    way: (&str, usize, u32),
) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let (source, image) = (folder.join("source"), folder.join(format!("{}.wim", way.2)));
    fs::create_dir_all(&source).unwrap();
    let samples = samples();
    for (number, sample) in samples.iter().enumerate() {
        fs::write(source.join(number.to_string()), sample).unwrap();
    }
    let words = [
        format!("--compress={}", way.0),
        format!("--chunk-size={}", way.1),
    ];
    let output = Command::new("wimcapture")
        .args(words)
        .args(["--threads=1", "--no-acls"])
        .args([&source, &image])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            oracle::skip(test, &format!("wimcapture: {error}"));
            return None;
        }
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = resources(&fs::read(image).unwrap());
    let plain = |len| {
        samples
            .iter()
            .find(|sample| sample.len() == len)
            .unwrap()
            .clone()
    };
    Some(
        all.into_iter()
            .map(|(len, resource)| (plain(len), resource))
            .collect(),
    )
}

#[test]
fn what_wimlib_packs_is_unpacked() {
    let test = "what_wimlib_packs_is_unpacked";
    let folder = tempfile::tempdir().unwrap();
    for way in WAYS {
        let Some(packed) = packed(test, folder.path(), way) else {
            return;
        };
        assert!(packed.len() >= 8, "{way:?}: {}", packed.len());
        for (plain, resource) in packed {
            let chunks = plain.len().div_ceil(way.1);
            let table = (chunks - 1) * 4;
            let end = |chunk: usize| match chunk {
                0 => table,
                chunk if chunk == chunks => resource.len(),
                chunk => {
                    let at = (chunk - 1) * 4;
                    table + u32::from_le_bytes(resource[at..at + 4].try_into().unwrap()) as usize
                }
            };
            for (number, chunk) in plain.chunks(way.1).enumerate() {
                let stored = &resource[end(number)..end(number + 1)];
                if stored.len() == chunk.len() {
                    assert!(stored == chunk);
                    continue;
                }
                let mut out = vec![7; chunk.len()];
                let unpack = if way.2 == 1 {
                    lzx::decompress
                } else {
                    xpress::decompress
                };
                unpack(stored, &mut out).unwrap_or_else(|e| panic!("{way:?} chunk {number}: {e}"));
                assert!(out == chunk, "{way:?} chunk {number} of {}", plain.len());
                // A chunk that is cut is an error, or at least no more than was there.
                assert!(unpack(&stored[..stored.len() / 2], &mut out).is_err());
            }
        }
    }
}
