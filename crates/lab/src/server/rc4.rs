//! RC4, since NTLM seals with it. It protects nothing here: the lab's passwords are public.

/// A key stream that goes on from message to message.
#[derive(Clone)]
pub(super) struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// The stream of a key, which is not empty.
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let mut state = [0; 256];
        for (at, slot) in (0..=255).zip(state.iter_mut()) {
            *slot = at;
        }
        let mut j = 0_u8;
        for i in 0..256 {
            j = j.wrapping_add(state[i]).wrapping_add(key[i % key.len()]);
            state.swap(i, usize::from(j));
        }
        Self { state, i: 0, j: 0 }
    }

    /// Encrypts or decrypts in place.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        for byte in data {
            self.i = self.i.wrapping_add(1);
            let a = self.state[usize::from(self.i)];
            self.j = self.j.wrapping_add(a);
            let b = self.state[usize::from(self.j)];
            self.state.swap(usize::from(self.i), usize::from(self.j));
            *byte ^= self.state[usize::from(a.wrapping_add(b))];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6229, the key of 128 bits 0x0102…10, offsets 0 and 16.
    #[test]
    fn it_is_rc4() {
        let key: [u8; 16] = std::array::from_fn(|at| at as u8 + 1);
        let mut stream = [0; 32];
        Rc4::new(&key).apply(&mut stream[..7]);
        let mut rc4 = Rc4::new(&key);
        let (first, rest) = stream.split_at_mut(7);
        first.fill(0);
        rc4.apply(first);
        rc4.apply(rest);
        let expected = "9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c";
        assert_eq!(data_encoding::HEXLOWER.encode(&stream), expected);
    }
}
