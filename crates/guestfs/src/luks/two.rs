//! LUKS2's header: two copies of a binary part with a checksum, and text in JSON behind each.

use disk::BlockRead;

use super::header::{Field, MAGIC, SECOND_MAGIC};
use super::{Header, json};
use crate::cipher::Hash;
use crate::error::{Error, Result};

/// Bytes of the binary part.
const BINARY: u64 = 4096;
/// Bytes of a whole copy, from and to; they are powers of two, and one is where the second copy begins.
const LEAST: u64 = 16 << 10;
const MOST: u64 = 4 << 20;

pub(super) fn read(device: &dyn BlockRead) -> Result<Header> {
    let first = copy(device, 0, MAGIC);
    // Where the second one is, is told by the first one, if that can be believed.
    let second = match &first {
        Ok((_, header, len)) => copy(device, *len, SECOND_MAGIC).map_err(|error| (error, header)),
        Err(_) => {
            let mut places = std::iter::successors(Some(LEAST), |at| Some(at * 2));
            let places = places.by_ref().take_while(|at| *at <= MOST);
            let mut found = places.filter_map(|at| copy(device, at, SECOND_MAGIC).ok());
            return match (found.next(), first) {
                (Some((_, mut header, _)), Err(error)) => {
                    let odd = format!("{error}: the second one is used");
                    header.oddities.push(odd);
                    Ok(header)
                }
                (_, Err(error)) => Err(error),
                (_, Ok((_, header, _))) => Ok(header),
            };
        }
    };
    let second = second.map_err(|(error, _)| error);
    match (first, second) {
        (Ok((old, _, _)), Ok((new, mut header, _))) if new > old => {
            let odd = "the second LUKS2 header is newer than the first one, and is used";
            header.oddities.push(odd.into());
            Ok(header)
        }
        (Ok((_, header, _)), Ok(_)) => Ok(header),
        (Ok((_, mut header, _)), Err(error)) => {
            header.oddities.push(format!("of the second copy: {error}"));
            Ok(header)
        }
        (Err(error), _) => Err(error),
    }
}

/// One copy: its age, what it tells, and its length.
fn copy(device: &dyn BlockRead, at: u64, magic: &[u8]) -> Result<(u64, Header, u64)> {
    let bad = |why: &str| Error::damaged(format!("LUKS2 header at {at}"), why);
    if at + BINARY > device.len() {
        return Err(Error::NotThis("LUKS"));
    }
    let mut bytes = vec![0; BINARY as usize];
    device.read_at(at, &mut bytes)?;
    let field = Field(&bytes);
    if field.part(0, 6) != Some(magic) || field.be16(6) != Some(2) {
        return Err(Error::NotThis("LUKS"));
    }
    let len = field.be64(8).unwrap_or(0);
    if !len.is_power_of_two() || !(LEAST..=MOST).contains(&len) || at + len > device.len() {
        return Err(bad(&format!("it has {len} bytes")));
    }
    if field.be64(256) != Some(at) {
        return Err(bad("it says that it is elsewhere"));
    }
    let age = field.be64(16).unwrap_or(0);
    let (uuid, label) = (field.text(168, 40), field.text(24, 48));
    let name = field.text(72, 32);
    let hash = Hash::named(&name);
    let hash = hash.ok_or_else(|| bad(&format!("a checksum of the unknown kind {name}")))?;
    let mut text = vec![0; (len - BINARY) as usize];
    device.read_at(at + BINARY, &mut text)?;
    let mut sum = [0; 64];
    if let Some(field) = bytes.get_mut(448..512) {
        sum.copy_from_slice(field);
        field.fill(0);
    }
    if !sum.starts_with(&hash.of(&[&bytes, &text])) {
        return Err(bad("its checksum does not fit"));
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut header = json::read(text)?;
    header.uuid = uuid;
    header.label = label;
    Ok((age, header, len))
}
