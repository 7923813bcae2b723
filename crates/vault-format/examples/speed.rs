//! Measures sealing and opening packs on one thread.
//!
//! ```text
//! cargo run --release -p hyperkeep-vault-format --example speed
//! ```

use std::time::Instant;

use hyperkeep_vault_format::VaultKeys;
use hyperkeep_vault_format::pack::{PackBuilder, PackKind, PackOpener};
use hyperkeep_vault_format::payload::{Decoder, Payload};

const CHUNK: usize = 64 << 10;
const COUNT: usize = 500;
const ROUNDS: usize = 10;

fn report(what: &str, from: Instant) {
    let bytes = (CHUNK * COUNT * ROUNDS) as f64;
    println!(
        "{what:24} {:7.0} MB/s",
        bytes / 1e6 / from.elapsed().as_secs_f64()
    );
}

fn main() {
    let mut state = 1u64;
    let mut rng = move |out: &mut [u8]| {
        for byte in out {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
    };
    let keys = VaultKeys::generate(&mut rng);
    let mut plain = vec![0; CHUNK];
    rng(&mut plain);

    let start = Instant::now();
    let ids: Vec<_> = (0..COUNT * ROUNDS).map(|_| keys.chunk_id(&plain)).collect();
    report("id", start);
    let start = Instant::now();
    let mut packs = Vec::new();
    for _ in 0..ROUNDS {
        let mut pack = PackBuilder::new(&keys, PackKind::Data, &mut rng).expect("a writer key");
        for id in &ids[..COUNT] {
            pack.add(*id, Payload::raw(&plain)).expect("room");
        }
        packs.push(pack);
    }
    report("seal", start);
    let start = Instant::now();
    let packs: Vec<_> = packs.into_iter().map(PackBuilder::finish).collect();
    report("finish (SHA-256)", start);
    let start = Instant::now();
    let mut decoder = Decoder::new();
    for pack in &packs {
        let opener = PackOpener::new(&keys, &pack.bytes).expect("just sealed");
        for entry in &pack.entries {
            let sealed = &pack.bytes[entry.offset as usize..][..entry.stored_len as usize];
            let chunk = opener.chunk(entry.offset, sealed, entry.plain_len, &mut decoder);
            assert_eq!(chunk.expect("just sealed").len(), CHUNK);
        }
    }
    report("open", start);
    let start = Instant::now();
    for _ in 0..1000 {
        PackOpener::new(&keys, &packs[0].bytes).expect("just sealed");
    }
    println!(
        "{:24} {:7.0} µs",
        "unwrap a data key",
        start.elapsed().as_secs_f64() * 1e3
    );
}
