//! Reads a file of a host over SMB and tells how fast that was: `scripts/bench/smb.sh` runs it.
//!
//! `smb-read HOST PORT USER PASSWORD-FILE PATH PIECE`, with pieces of so many KiB in order.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cim::http::{Credentials, Secret};
use disk::ReadAt;
use hyperkeep_sharefiles::{Settings, ShareFiles, ShareMap};
use hyperv::files::{HostFiles, HostPath};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, user, password, path, piece] = arguments.as_slice() else {
        return Err("usage: smb-read HOST PORT USER PASSWORD-FILE PATH PIECE".into());
    };
    let mut settings = Settings::new(Credentials {
        user: user.clone(),
        password: Secret::from_file(Path::new(password))?,
    });
    settings.port = port.parse()?;
    let files = ShareFiles::new(ShareMap::new(host)?, settings);
    let file = files.open(&HostPath::parse(path)?)?;
    let mut buf = vec![0; piece.parse::<usize>()? << 10];
    let (begun, len) = (Instant::now(), file.len()?);
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let part = buf.get_mut(..size).unwrap_or(&mut []);
        file.read_exact_at(part, at)?;
        at += size as u64;
    }
    file.verify()?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{len} bytes in {seconds:.2} s");
    Ok(())
}
