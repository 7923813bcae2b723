//! Names of FAT: eight and three characters of a code page, and long ones in pieces of thirteen units.

/// Code page 437 behind ASCII. Windows and Linux take it where they were not told another one; which one
/// wrote a name is nowhere on the disk.
const PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Units of a long name at most.
const MOST_UNITS: usize = 255;
/// Units of a piece.
const PIECE: usize = 13;

/// Bytes of code page 437 as text.
pub(super) fn text(bytes: &[u8]) -> String {
    let char = |byte: &u8| match byte {
        ..0x80 => char::from(*byte),
        _ => PAGE_437
            .chars()
            .nth(usize::from(byte - 0x80))
            .unwrap_or('?'),
    };
    bytes.iter().map(char).collect()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(0, |last| last + 1);
    bytes.get(..len).unwrap_or_default()
}

/// A label of eleven bytes.
pub(super) fn label(bytes: &[u8]) -> String {
    text(trimmed(bytes))
}

/// A name of 8.3 characters out of its eleven bytes, and the two bits by which Windows NT keeps that base
/// or extension are of small letters.
pub(super) fn short(bytes: &[u8; 11], bits: u8) -> String {
    let mut bytes = *bytes;
    // The byte that marks what was deleted is a letter in some code pages.
    if bytes[0] == 0x05 {
        bytes[0] = 0xe5;
    }
    let (base, extension) = bytes.split_at(8);
    let part = |bytes: &[u8], is_small: bool| match is_small {
        true => text(bytes).to_lowercase(),
        false => text(bytes),
    };
    let mut name = part(trimmed(base), bits & 0x08 != 0);
    let extension = trimmed(extension);
    if !extension.is_empty() {
        name.push('.');
        name.push_str(&part(extension, bits & 0x10 != 0));
    }
    match name.is_empty() {
        // Of nothing but spaces.
        true => text(&bytes),
        false => name,
    }
}

/// The checksum of a short name that each piece of its long one bears.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    let turn = |sum: u8, byte: &u8| sum.rotate_right(1).wrapping_add(*byte);
    short.iter().fold(0, turn)
}

/// A long name while its pieces come in, the last one first.
#[derive(Default)]
pub(super) struct Long {
    units: Vec<u16>,
    checksum: u8,
    /// The number of the piece that came last.
    number: u8,
}

impl Long {
    /// Takes a piece in. One that does not follow begins anew, or leaves nothing.
    pub(super) fn push(&mut self, raw: &[u8; 32]) {
        let (number, is_last) = (raw[0] & 0x3f, raw[0] & 0x40 != 0);
        if is_last {
            *self = Self {
                checksum: raw[13],
                number: number + 1,
                units: Vec::new(),
            };
        }
        if number == 0 || number > 20 || number + 1 != self.number || raw[13] != self.checksum {
            *self = Self::default();
            return;
        }
        self.number = number;
        let mut piece = Vec::with_capacity(PIECE);
        for range in [1..11, 14..26, 28..32] {
            let bytes = raw.get(range).unwrap_or_default().chunks_exact(2);
            piece.extend(bytes.map(|pair| crate::partitions::le(pair, 0, 2) as u16));
        }
        piece.append(&mut self.units);
        self.units = piece;
    }

    /// The name, if it is whole and of this short one; begins anew.
    pub(super) fn take(&mut self, short: &[u8; 11]) -> Option<Vec<u16>> {
        let long = std::mem::take(self);
        if long.number != 1 || long.checksum != checksum(short) {
            return None;
        }
        let units: Vec<u16> = long
            .units
            .into_iter()
            .take_while(|unit| *unit != 0)
            .collect();
        (!units.is_empty() && units.len() <= MOST_UNITS).then_some(units)
    }
}

/// What is the same for two names: FAT makes no difference between great and small letters.
pub(super) fn folded(name: &str) -> String {
    let great = |char: char| {
        let mut great = char.to_uppercase();
        match (great.next(), great.next()) {
            (Some(one), None) => one,
            _ => char,
        }
    };
    name.chars().map(great).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the FAT specification: what `mkfs.fat`, Windows and all others compute.
    #[test]
    fn checksums_are_those_of_others() {
        assert_eq!(checksum(b"THEQUI~1FOX"), 0x07);
        assert_eq!(PAGE_437.chars().count(), 128);
    }

    #[test]
    fn short_names_are_read() {
        assert_eq!(short(b"README  TXT", 0), "README.TXT");
        assert_eq!(short(b"README  TXT", 0x08), "readme.TXT");
        assert_eq!(short(b"README  TXT", 0x18), "readme.txt");
        assert_eq!(short(b"\x8eB C       ", 0x18), "äb c");
        assert_eq!(short(b"\x05A         ", 0), "σA");
        assert_eq!(short(b"           ", 0), "           ");
    }
}
