//! How fast a disk in a vault answers: opening it, and reads of 4 KiB all over it.
//!
//! ```text
//! HYPERKEEP_PASSPHRASE=… random_reads VAULT CACHE IMAGE [READS]
//! ```
//! Opens the first disk of the newest point in VAULT, asks where its data is, and reads pages at
//! random places of the data, in one thread: twice the same ones in the same order, of which the
//! second round finds the vault's files in memory, as an instant restore would. IMAGE is the disk
//! that was backed up; what is read must be equal. Prints one JSON object.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use disk::{BlockRead, ByteRange, Content, ReadAt};
use hyperkeep_engine::restore::Opened;
use hyperkeep_engine::restore::layer::open_chain;
use store::LocalStore;
use vault::{Env, Unlock, Vault};

type Any<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PAGE: u64 = 4096;

fn main() -> Any<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, cache, image, rest @ ..] = &args[..] else {
        return Err("usage: random_reads VAULT CACHE IMAGE [READS]".into());
    };
    let count: usize = rest.first().map_or(Ok(4000), |n| n.parse())?;
    let image = File::open(image)?;

    let start = Instant::now();
    let vault = open(folder, cache)?;
    let unlock_ms = ms(start);

    let start = Instant::now();
    let newest = vault.points(None)?.into_iter().max_by_key(|p| p.stored);
    let point = Opened::open(&vault.point(&newest.ok_or("the vault has no points")?)?)?;
    let disk = open_chain(&vault, &point.details, &point.layer_roots, 0)?;
    let open_ms = ms(start);

    let start = Instant::now();
    let extents = disk.extents(ByteRange::new(0, disk.len()))?;
    let map_ms = ms(start);
    let data: Vec<ByteRange> = extents
        .iter()
        .filter(|extent| extent.content == Content::Data)
        .map(|extent| extent.range)
        .collect();
    let places = places(&data, count);

    cold(&disk, &places)?;
    // Opened again, so that the chunks of the first round are not in this program's memory.
    let vault = open(folder, cache)?;
    let disk = open_chain(&vault, &point.details, &point.layer_roots, 0)?;
    let mut times = Vec::with_capacity(count);
    let (mut page, mut expected) = ([0; PAGE as usize], [0; PAGE as usize]);
    for place in &places {
        let start = Instant::now();
        disk.read_at(*place, &mut page)?;
        times.push(ms(start));
        image.read_exact_at(&mut expected, *place)?;
        if page != expected {
            return Err(format!("the page at {place} is not equal").into());
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    println!(
        "{{\"disk_bytes\":{},\"data_bytes\":{},\"unlock_ms\":{unlock_ms:.1},\"open_ms\":{open_ms:.1},\
         \"map_ms\":{map_ms:.1},\"reads\":{},\"mean_ms\":{mean:.3},\"median_ms\":{:.3},\"p99_ms\":{:.3}}}",
        disk.len(),
        data.iter().map(ByteRange::len).sum::<u64>(),
        times.len(),
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn open(folder: &str, cache: &str) -> Any<Vault> {
    let passphrase = std::env::var("HYPERKEEP_PASSPHRASE")?;
    let store = Arc::new(LocalStore::open(folder)?);
    let env = Env::system().with_cache(Path::new(cache).to_owned());
    Ok(Vault::open(
        store,
        Unlock::Passphrase(passphrase.as_bytes()),
        env,
    )?)
}

fn cold(disk: &dyn BlockRead, places: &[u64]) -> Any<()> {
    let mut page = [0; PAGE as usize];
    for place in places {
        disk.read_at(*place, &mut page)?;
    }
    Ok(())
}

/// Pages at random within the data; the same ones in every run.
fn places(data: &[ByteRange], count: usize) -> Vec<u64> {
    let pages: u64 = data.iter().map(|range| range.len() / PAGE).sum();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pick = |mut page: u64| {
        for range in data {
            match page.checked_sub(range.len() / PAGE) {
                Some(rest) => page = rest,
                None => return range.start + page * PAGE,
            }
        }
        0
    };
    (0..count).map(|_| pick(next() % pages.max(1))).collect()
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
