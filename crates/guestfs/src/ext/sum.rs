//! The checksums of ext and of its journal, as they are stored: without the last inversion.

/// CRC-32C, going on from `seed`.
pub(super) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// CRC-16 with the polynomial 0x8005, bits reflected: of group descriptors before `metadata_csum`.
pub(super) fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(seed, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xa001 & (sum & 1).wrapping_neg())
        })
    })
}

const MSB_FIRST: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum << 1) ^ (0x04c1_1db7 & (sum >> 31).wrapping_neg());
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// CRC-32 with the highest bit first, going on from `seed`: of transactions in the first form of a
/// journal's checksums.
pub(super) fn crc32_be(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |sum, byte| {
        let at = (sum >> 24) as u8 ^ byte;
        (sum << 8) ^ MSB_FIRST[usize::from(at)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_values_come_out() {
        let text = b"123456789";
        assert_eq!(!crc32c(!0, text), 0xe306_9283);
        // CRC-16/MODBUS, and CRC-32/MPEG-2.
        assert_eq!(crc16(!0, text), 0x4b37);
        assert_eq!(crc32_be(!0, text), 0x0376_e6e7);
    }
}
