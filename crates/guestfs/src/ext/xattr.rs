//! Extended attributes: within the inode, in a block, and with values in inodes of their own.

use super::bytes::{le16, le32};
use super::content::Stored;
use super::inode::{Inode, OLD_SIZE, flag};
use super::sum::crc32c;
use super::volume::Volume;
use crate::error::{Error, Result};
use crate::name::Name;

const MAGIC: u32 = 0xea02_0000;
/// Bytes of a value in an inode of its own.
const MOST_VALUE: u64 = 16 << 20;
/// Bytes of all values of an inode.
const MOST_VALUES: u64 = 64 << 20;
/// The number of names of the file system's own: contents within the inode.
const SYSTEM: u8 = 7;

/// A name and where its value is.
struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Value<'a>,
}

enum Value<'a> {
    Here(&'a [u8]),
    Inode { number: u32, len: u32 },
}

impl Volume {
    /// All that Linux would list, sorted by name.
    pub(super) fn xattrs(&self, inode: &Inode) -> Result<Vec<(Name, Vec<u8>)>> {
        let mut all = Vec::new();
        let mut left = MOST_VALUES;
        let mut take = |attribute: Attribute<'_>| {
            let Some(name) = named(&attribute) else {
                return Ok(());
            };
            let value = match attribute.value {
                Value::Here(bytes) => bytes.to_vec(),
                Value::Inode { number, len } => {
                    left = left.checked_sub(u64::from(len)).ok_or_else(|| {
                        Error::damaged(whose(inode), format!("more than {MOST_VALUES} bytes"))
                    })?;
                    self.value(inode, number, len)?
                }
            };
            let value = match attribute.index {
                2 | 3 => acl(&value).ok_or_else(|| {
                    Error::damaged(whose(inode), format!("“{name}” is no access control list"))
                })?,
                _ => value,
            };
            all.push((name, value));
            Ok(())
        };
        self.within(inode, &mut take)?;
        self.beside(inode, &mut take)?;
        all.sort();
        Ok(all)
    }

    /// Contents that lie within the inode: the place of pointers, and an attribute with the rest.
    pub(super) fn inline(&self, inode: &Inode) -> Result<Vec<u8>> {
        let mut bytes = inode.block().to_vec();
        self.within(inode, &mut |attribute| {
            if let (SYSTEM, b"data", Value::Here(rest)) =
                (attribute.index, attribute.name, attribute.value)
            {
                bytes.truncate(60);
                bytes.extend_from_slice(rest);
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    fn within(
        &self,
        inode: &Inode,
        take: &mut dyn FnMut(Attribute<'_>) -> Result<()>,
    ) -> Result<()> {
        let start = OLD_SIZE + inode.extra_size();
        if inode.raw.len() <= OLD_SIZE || le32(&inode.raw, start) != MAGIC {
            return Ok(());
        }
        let area = inode.raw.get(start + 4..).unwrap_or_default();
        each(inode, area, 0, take)
    }

    fn beside(
        &self,
        inode: &Inode,
        take: &mut dyn FnMut(Attribute<'_>) -> Result<()>,
    ) -> Result<()> {
        let number = inode.attribute_block();
        if number == 0 {
            return Ok(());
        }
        let block = self.block(number, &|| whose(inode))?;
        let bad = |why: String| Error::damaged(whose(inode), why);
        if le32(&block, 0) != MAGIC || le32(&block, 8) != 1 {
            return Err(bad(format!(
                "block {number} has the magic {:#x}",
                le32(&block, 0)
            )));
        }
        if self.sb.sums() {
            let sum = crc32c(self.sb.seed, &number.to_le_bytes());
            let sum = crc32c(crc32c(sum, &block[..16]), &[0; 4]);
            let sum = crc32c(sum, &block[20..]);
            let stored = le32(&block, 16);
            if stored != sum {
                return Err(bad(format!(
                    "the checksum of block {number} is {stored:#010x} and should be {sum:#010x}"
                )));
            }
        }
        each(inode, &block, 32, take)
    }

    fn value(&self, of: &Inode, number: u32, len: u32) -> Result<Vec<u8>> {
        let inode = self.inode(number)?;
        let bad = |why: String| Error::damaged(whose(of), why);
        if !inode.has(flag::EA_INODE) || !inode.is_file() || inode.size() != u64::from(len) {
            return Err(bad(format!("inode {number} is no value of {len} bytes")));
        }
        let value = Stored::new(self, inode.clone())?.all(MOST_VALUE)?;
        // The sum of the value is where other inodes have the time of reading. Lustre's have none.
        let (stored, sum) = (le32(&inode.raw, 0x08), crc32c(self.sb.seed, &value));
        let lustre = le32(&inode.raw, 0x10) == of.number;
        if stored != sum && !lustre {
            return Err(bad(format!(
                "the checksum of inode {number} is {stored:#010x} and should be {sum:#010x}"
            )));
        }
        Ok(value)
    }
}

fn whose(inode: &Inode) -> String {
    format!("extended attributes of {}", inode.name())
}

/// Calls `take` for the attributes in an area whose list begins at a place.
fn each(
    inode: &Inode,
    area: &[u8],
    from: usize,
    take: &mut dyn FnMut(Attribute<'_>) -> Result<()>,
) -> Result<()> {
    let mut at = from;
    loop {
        // Four zeros are the end.
        let Some(head) = area.get(at..at + 16).filter(|head| le32(head, 0) != 0) else {
            if area.get(at..at + 4).is_some_and(|end| le32(end, 0) == 0) || at == area.len() {
                return Ok(());
            }
            return Err(Error::damaged(
                whose(inode),
                format!("a list without an end at {at}"),
            ));
        };
        let name_len = usize::from(head[0]);
        let (place, number, len) = (usize::from(le16(head, 2)), le32(head, 4), le32(head, 8));
        let name = area.get(at + 16..at + 16 + name_len);
        let value = match number {
            0 => area
                .get(place..)
                .and_then(|rest| rest.get(..len as usize))
                .map(Value::Here),
            number => Some(Value::Inode { number, len }),
        };
        let (Some(name), Some(value)) = (name, value) else {
            return Err(Error::damaged(
                whose(inode),
                format!("a name of {name_len} bytes at {at}, its value of {len} at {place}"),
            ));
        };
        take(Attribute {
            index: head[1],
            name,
            value,
        })?;
        at += (16 + name_len).next_multiple_of(4);
    }
}

/// The name as Linux tells it; `None` for what it does not list.
fn named(attribute: &Attribute<'_>) -> Option<Name> {
    let prefix = match attribute.index {
        1 => "user.",
        2 => "system.posix_acl_access",
        3 => "system.posix_acl_default",
        4 => "trusted.",
        5 => "lustre.",
        6 => "security.",
        SYSTEM if attribute.name == b"data" => return None,
        SYSTEM => "system.",
        8 => "system.richacl",
        _ => return None,
    };
    Some(Name::new([prefix.as_bytes(), attribute.name].concat()))
}

/// An access control list in the form in which Linux gives it out; it is stored in a shorter one, in
/// which only users and groups with a number have one.
fn acl(stored: &[u8]) -> Option<Vec<u8>> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    let mut rest = stored.strip_prefix(&1_u32.to_le_bytes())?;
    while !rest.is_empty() {
        let numbered = matches!(le16(rest, 0), 0x02 | 0x08);
        let (entry, behind) = rest.split_at_checked(if numbered { 8 } else { 4 })?;
        list.extend_from_slice(&entry[..4]);
        list.extend_from_slice(entry.get(4..8).unwrap_or(&[0xff; 4]));
        rest = behind;
    }
    Some(list)
}
