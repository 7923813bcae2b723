//! Keys of encrypted volumes: from files, the environment or a question on the terminal, never from the command
//! line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use engine::guest::{Key, Keys};
use zeroize::Zeroizing;

use crate::args::{VolumeKeyArg, VolumeKeyArgs};
use crate::failure::{Failure, OnPath as _, Result};
use crate::secret;

/// Bytes of a key file at most, as cryptsetup has it too.
const MAX_LEN: u64 = 8 << 20;

/// What is used where no file is named.
const VARIABLE: &str = "HYPERKEEP_VOLUME_KEY";

/// All keys that were given.
pub(crate) fn all(args: &VolumeKeyArgs) -> Result<Keys> {
    let mut keys = Keys::default();
    let from_input = |one: &&VolumeKeyArg| one.file.as_deref() == Some(Path::new("-"));
    if args.volume_key.iter().filter(from_input).count() > 1 {
        return Err(Failure::usage("standard input holds one key, not several")
            .hint("give each volume a file of its own"));
    }
    for one in &args.volume_key {
        let key = match &one.file {
            Some(path) => read(path)?,
            None => secret::of_volume(&one.volume, VARIABLE)?,
        };
        keys.add(&one.volume, Key::new(key));
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let limit = MAX_LEN + 1;
    // Room for all, so that no copy is left behind by growing.
    let room = |len: u64| Zeroizing::new(Vec::with_capacity(len.clamp(1, limit) as usize + 1));
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = room(limit);
            let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
            read.map(|_| bytes)
        }
        false => File::open(path).and_then(|file| {
            // A pipe tells no length.
            let about = file.metadata()?;
            let len = if about.is_file() { about.len() } else { limit };
            let mut bytes = room(len);
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        }),
    };
    let bytes = bytes.on_path(
        "reading the volume's key",
        path,
        "name a file that is there and that you may read, or `-` for standard input",
    )?;
    let why = match bytes.len() as u64 {
        0 => "the key is empty",
        len if len > MAX_LEN => "too long for a key",
        _ => return Ok(bytes),
    };
    let failure = Failure::new(format!("{}: {why}", path.display()));
    Err(failure.hint("the file must hold the passphrase, recovery password or key alone"))
}
