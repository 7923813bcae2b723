//! A writer of BitLocker volumes, for tests alone: from the description of the format, and without a line of
//! the reader.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use ring::digest::{SHA256, digest};

pub(crate) const GUID: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];
pub(crate) const COPIES: [usize; 3] = [0x40000, 0x90000, 0x130000];
const COPY: usize = 64 << 10;
pub(crate) const MOVED: usize = 0x110000;
const MOVED_LEN: usize = 8192;
const MASTER: [u8; 32] = [0x6d; 32];
const CLEAR: [u8; 32] = [0xc1; 32];

/// How a volume is made.
pub(crate) struct Maker<'a> {
    pub(crate) method: u16,
    pub(crate) sector: usize,
    pub(crate) recovery: Option<[u16; 8]>,
    pub(crate) passphrase: Option<&'a str>,
    pub(crate) clear: bool,
    /// Bytes from the start on that are encrypted.
    pub(crate) encrypted: Option<usize>,
}

impl Maker<'_> {
    /// The volume key: of CBC with a diffuser the tweak's key is in the second half.
    pub(crate) fn key(&self) -> Vec<u8> {
        let len = [64, 64, 16, 32, 32, 64][usize::from(self.method - 0x8000)];
        (0..len)
            .map(|number| (number as u8).wrapping_mul(7) + 1)
            .collect()
    }

    /// A volume with these contents.
    pub(crate) fn volume(&self, plain: &[u8]) -> Vec<u8> {
        let encrypted = self.encrypted.unwrap_or(plain.len());
        let mut volume = plain.to_vec();
        for at in (0..encrypted).step_by(self.sector) {
            self.encrypt(at, &mut volume[at..at + self.sector]);
        }
        for from in (0..MOVED_LEN).step_by(self.sector) {
            let at = MOVED + from;
            volume[at..at + self.sector].copy_from_slice(&plain[from..from + self.sector]);
            if at < encrypted {
                self.encrypt(at, &mut volume[at..at + self.sector]);
            }
        }
        volume[..MOVED_LEN].fill(0);
        volume[..11].copy_from_slice(b"\xeb\x58\x90-FVE-FS-");
        volume[11..13].copy_from_slice(&(self.sector as u16).to_le_bytes());
        volume[13] = 8;
        volume[160..176].copy_from_slice(&GUID);
        for (number, copy) in COPIES.into_iter().enumerate() {
            volume[176 + number * 8..][..8].copy_from_slice(&(copy as u64).to_le_bytes());
        }
        volume[510..512].copy_from_slice(&[0x55, 0xaa]);
        let metadata = self.metadata(encrypted);
        for copy in COPIES {
            volume[copy..copy + COPY].copy_from_slice(&metadata);
        }
        volume
    }

    fn metadata(&self, encrypted: usize) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut protected = |kind: u16, number: u8, first: Vec<u8>, by: &[u8]| {
            let mut master = vec![number; 16];
            master.extend([number; 8]);
            master.extend(0_u16.to_le_bytes());
            master.extend(kind.to_le_bytes());
            master.extend(first);
            master.extend(entry(0, 5, &sealed(by, number, 0x2003, &MASTER)));
            entries.extend(entry(2, 8, &master));
        };
        let salted = |salt: [u8; 16]| {
            let mut data = 0x1000_u32.to_le_bytes().to_vec();
            data.extend(salt);
            data.extend(entry(0, 5, &sealed(&MASTER, 9, 0x1000, &[0; 32])));
            entry(0, 3, &data)
        };
        if let Some(groups) = self.recovery {
            let key: Vec<u8> = groups.into_iter().flat_map(u16::to_le_bytes).collect();
            let by = stretched(digest(&SHA256, &key).as_ref(), &[1; 16]);
            protected(0x800, 1, salted([1; 16]), &by);
        }
        if let Some(text) = self.passphrase {
            let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let once = digest(&SHA256, &text);
            let by = stretched(digest(&SHA256, once.as_ref()).as_ref(), &[2; 16]);
            protected(0x2000, 2, salted([2; 16]), &by);
        }
        if self.clear {
            let key = [&0x2000_u32.to_le_bytes()[..], &CLEAR].concat();
            protected(0, 3, entry(0, 1, &key), &CLEAR);
        }
        entries.extend(entry(3, 5, &sealed(&MASTER, 4, self.method, &self.key())));
        let mut place = (MOVED as u64).to_le_bytes().to_vec();
        place.extend((MOVED_LEN as u64).to_le_bytes());
        entries.extend(entry(15, 15, &place));
        let size = 48 + entries.len();
        let all = (64 + size).next_multiple_of(16);
        let mut copy = Vec::new();
        copy.extend(b"-FVE-FS-");
        copy.extend((all as u16 / 16).to_le_bytes());
        for number in [2_u16, if encrypted.is_multiple_of(COPY) { 4 } else { 2 }, 4] {
            copy.extend(number.to_le_bytes());
        }
        copy.extend((encrypted as u64).to_le_bytes());
        copy.extend(0_u32.to_le_bytes());
        copy.extend(((MOVED_LEN / self.sector) as u32).to_le_bytes());
        for place in COPIES.into_iter().chain([MOVED]) {
            copy.extend((place as u64).to_le_bytes());
        }
        for number in [size as u32, 1, 48, size as u32] {
            copy.extend(number.to_le_bytes());
        }
        copy.extend([0xab; 16]);
        copy.extend(10_u32.to_le_bytes());
        copy.extend(u32::from(self.method).to_le_bytes());
        copy.extend(132_000_000_000_000_000_u64.to_le_bytes());
        copy.extend(entries);
        copy.resize(all, 0);
        let sum = crc32fast::hash(&copy);
        // Behind the sum is a hash of the same, sealed by the master key.
        let hash = digest(&SHA256, &copy);
        let hash = entry(0, 5, &sealed(&MASTER, 8, 0x2005, hash.as_ref()));
        copy.extend((8 + hash.len() as u16).to_le_bytes());
        copy.extend(2_u16.to_le_bytes());
        copy.extend(sum.to_le_bytes());
        copy.extend(hash);
        copy.resize(COPY, 0);
        copy
    }

    fn encrypt(&self, at: usize, sector: &mut [u8]) {
        let key = self.key();
        match self.method {
            0x8000 => diffused::<Aes128>(at, &key[..16], &key[32..48], sector),
            0x8001 => diffused::<Aes256>(at, &key[..32], &key[32..], sector),
            0x8002 => cbc::<Aes128>(at, &key, sector),
            0x8003 => cbc::<Aes256>(at, &key, sector),
            0x8004 => xts::<Aes128>(at / self.sector, &key, sector),
            _ => xts::<Aes256>(at / self.sector, &key, sector),
        }
    }
}

/// What the guest reads: nothing where metadata and the moved start are.
pub(crate) fn seen(plain: &[u8]) -> Vec<u8> {
    let mut seen = plain.to_vec();
    for copy in COPIES {
        seen[copy..copy + COPY].fill(0);
    }
    seen[MOVED..MOVED + MOVED_LEN].fill(0);
    seen
}

fn entry(role: u16, value: u16, data: &[u8]) -> Vec<u8> {
    let words = [8 + data.len() as u16, role, value, 1];
    let mut entry: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
    entry.extend(data);
    entry
}

fn stretched(first: &[u8], salt: &[u8; 16]) -> Vec<u8> {
    let mut all = [0; 88];
    all[32..64].copy_from_slice(first);
    all[64..80].copy_from_slice(salt);
    for round in 0..1_u64 << 20 {
        all[80..].copy_from_slice(&round.to_le_bytes());
        let hash = digest(&SHA256, &all);
        all[..32].copy_from_slice(hash.as_ref());
    }
    all[..32].to_vec()
}

fn one<A: BlockCipherEncrypt + KeyInit>(key: &[u8], block: [u8; 16]) -> [u8; 16] {
    let mut bytes = Block::<A>::default();
    bytes.copy_from_slice(&block);
    A::new_from_slice(key).unwrap().encrypt_block(&mut bytes);
    let mut block = [0; 16];
    block.copy_from_slice(&bytes);
    block
}

fn xor(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

/// AES-CCM over a key with what is before it.
fn sealed(by: &[u8], number: u8, method: u16, key: &[u8]) -> Vec<u8> {
    let mut bytes = (12 + key.len() as u32).to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(u32::from(method).to_le_bytes());
    bytes.extend(key);
    let nonce = [number; 12];
    let block = |flags: u8, count: usize| {
        let mut block = [flags; 16];
        block[1..13].copy_from_slice(&nonce);
        block[13..].copy_from_slice(&(count as u32).to_be_bytes()[1..]);
        block
    };
    let mut code = one::<Aes256>(by, block(0x3a, bytes.len()));
    for part in bytes.chunks(16) {
        xor(&mut code, part);
        code = one::<Aes256>(by, code);
    }
    xor(&mut code, &one::<Aes256>(by, block(2, 0)));
    for (number, part) in bytes.chunks_mut(16).enumerate() {
        xor(part, &one::<Aes256>(by, block(2, number + 1)));
    }
    [&nonce[..], &code, &bytes].concat()
}

fn number(at: usize) -> [u8; 16] {
    (at as u128).to_le_bytes()
}

fn xts<A: BlockCipherEncrypt + KeyInit>(at: usize, key: &[u8], sector: &mut [u8]) {
    let (data, tweak) = key.split_at(key.len() / 2);
    let mut tweak = u128::from_le_bytes(one::<A>(tweak, number(at)));
    for block in sector.chunks_mut(16) {
        xor(block, &tweak.to_le_bytes());
        block.copy_from_slice(&one::<A>(data, (&*block).try_into().unwrap()));
        xor(block, &tweak.to_le_bytes());
        tweak = tweak << 1 ^ if tweak >> 127 == 1 { 0x87 } else { 0 };
    }
}

fn cbc<A: BlockCipherEncrypt + KeyInit>(at: usize, key: &[u8], sector: &mut [u8]) {
    let mut before = one::<A>(key, number(at));
    for block in sector.chunks_mut(16) {
        xor(block, &before);
        before = one::<A>(key, (&*block).try_into().unwrap());
        block.copy_from_slice(&before);
    }
}

fn diffused<A: BlockCipherEncrypt + KeyInit>(
    at: usize,
    key: &[u8],
    tweak: &[u8],
    sector: &mut [u8],
) {
    let mut second = number(at);
    second[15] = 0x80;
    let mask = [one::<A>(tweak, number(at)), one::<A>(tweak, second)].concat();
    sector.chunks_mut(32).for_each(|part| xor(part, &mask));
    let word = |word: &[u8]| u32::from_le_bytes(word.try_into().unwrap());
    let mut words: Vec<u32> = sector.chunks(4).map(word).collect();
    let count = words.len();
    for _ in 0..5 {
        for at in (0..count).rev() {
            let turned = words[(at + count - 5) % count].rotate_left([9, 0, 13, 0][at % 4]);
            words[at] = words[at].wrapping_sub(words[(at + count - 2) % count] ^ turned);
        }
    }
    for _ in 0..3 {
        for at in (0..count).rev() {
            let turned = words[(at + 5) % count].rotate_left([0, 10, 0, 25][at % 4]);
            words[at] = words[at].wrapping_sub(words[(at + 2) % count] ^ turned);
        }
    }
    for (bytes, word) in sector.chunks_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    cbc::<A>(at, key, sector);
}
