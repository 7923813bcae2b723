//! The host's side of NTLMv2 (MS-NLMP): challenge, proof, integrity of the messages, sealing.
//!
//! Only what hosts of today accept: NTLMv2 with extended session security, 128-bit keys, key
//! exchange, sealing, and the code over all three messages (MIC). The proof of the password is
//! always checked, and the binding to the TLS connection if the client tells one.

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::rc4::Rc4;

const MAGIC: &[u8; 8] = b"NTLMSSP\0";
/// Bytes of a token.
const MOST_TOKEN: usize = 16 << 10;
/// UNICODE, SIGN, SEAL, NTLM, extended session security, 128, KEY_EXCH: what must be asked for.
const NEEDED: u32 = 0x0000_0001 | 0x10 | 0x20 | 0x200 | 0x0008_0000 | 0x2000_0000 | 0x4000_0000;
/// The same with REQUEST_TARGET, ALWAYS_SIGN, TARGET_TYPE_SERVER, TARGET_INFO and VERSION.
const OFFERED: u32 = NEEDED | 0x4 | 0x8000 | 0x0002_0000 | 0x0080_0000 | 0x0200_0000;

/// A logon that is refused. Clients are not told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

/// Who wants to log on, as the last message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) domain: String,
    pub(super) user: String,
}

/// A logon under way: the challenge was made.
pub(super) struct Acceptor {
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
    nonce: [u8; 8],
}

/// A connection's keys and counters.
pub(super) struct Session {
    key: [u8; 16],
    incoming: Direction,
    outgoing: Direction,
}

struct Direction {
    signing: [u8; 16],
    sealing: Rc4,
    sequence: u32,
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac =
        <Hmac<Md5> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Md5::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn text(bytes: &[u8]) -> Result<String, Refused> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
    text.ok_or(Refused("a name is no text"))
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Refused> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    word.map(|word| u32::from_le_bytes(*word))
        .ok_or(Refused("the message is too short"))
}

/// Length, room and place of something in the message.
fn field(bytes: &[u8], at: usize) -> Result<&[u8], Refused> {
    let len = usize::try_from(word(bytes, at)? & 0xffff).unwrap_or(0);
    let from = usize::try_from(word(bytes, at + 4)?).unwrap_or(usize::MAX);
    let found = from.checked_add(len).and_then(|to| bytes.get(from..to));
    found.ok_or(Refused("something lies outside of the message"))
}

fn check(message: &[u8], kind: u32) -> Result<(), Refused> {
    let good =
        message.len() <= MOST_TOKEN && message.starts_with(MAGIC) && word(message, 8)? == kind;
    good.then_some(())
        .ok_or(Refused("it is not the message that was expected"))
}

impl Acceptor {
    /// Answers the first message with a challenge. `time` is in the 100 ns since 1601.
    pub(super) fn challenge(
        negotiate: &[u8],
        host: &str,
        nonce: [u8; 8],
        time: u64,
    ) -> Result<(Self, Vec<u8>), Refused> {
        check(negotiate, 1)?;
        let flags = word(negotiate, 12)?;
        if flags & NEEDED != NEEDED {
            return Err(Refused("it does not offer what is needed"));
        }
        let name = utf16(host);
        let mut info = Vec::new();
        let lower = utf16(&host.to_lowercase());
        let stamp = time.to_le_bytes();
        let pairs: [(u16, &[u8]); 6] = [
            (2, &name),
            (1, &name),
            (4, &lower),
            (3, &lower),
            (7, &stamp),
            (0, &[]),
        ];
        for (id, value) in pairs {
            info.extend_from_slice(&id.to_le_bytes());
            info.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
            info.extend_from_slice(value);
        }
        let mut out = MAGIC.to_vec();
        let put_field = |out: &mut Vec<u8>, value: &[u8], at: usize| {
            let len = u16::try_from(value.len()).unwrap_or(0).to_le_bytes();
            out.extend_from_slice(&len);
            out.extend_from_slice(&len);
            out.extend_from_slice(&u32::try_from(at).unwrap_or(0).to_le_bytes());
        };
        out.extend_from_slice(&2_u32.to_le_bytes());
        put_field(&mut out, &name, 56);
        out.extend_from_slice(&(OFFERED & (flags | !0x0200_0004)).to_le_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&[0; 8]);
        put_field(&mut out, &info, 56 + name.len());
        // Windows 10.0.20348, NTLM revision 15.
        out.extend_from_slice(&[10, 0, 0x7c, 0x4f, 0, 0, 0, 15]);
        out.extend_from_slice(&name);
        out.extend_from_slice(&info);
        let acceptor = Self {
            negotiate: negotiate.to_vec(),
            challenge: out.clone(),
            nonce,
        };
        Ok((acceptor, out))
    }

    /// Judges the last message. `password` gives that of who claims to log on; `binding` is the
    /// application data that ties the logon to a TLS connection.
    pub(super) fn accept(
        &self,
        message: &[u8],
        password: impl FnOnce(&Claim) -> Option<String>,
        binding: Option<&[u8]>,
    ) -> Result<(Claim, Session), Refused> {
        check(message, 3)?;
        let flags = word(message, 60)?;
        if flags & NEEDED != NEEDED {
            return Err(Refused("it does not choose what is needed"));
        }
        let (proof, blob) = field(message, 20)?
            .split_first_chunk::<16>()
            .ok_or(Refused("it is no NTLMv2"))?;
        let claim = Claim {
            domain: text(field(message, 28)?)?,
            user: text(field(message, 36)?)?,
        };
        let wrapped: [u8; 16] = field(message, 52)?
            .try_into()
            .map_err(|_| Refused("its session key has not 16 bytes"))?;
        let pairs = pairs(blob.get(28..).ok_or(Refused("it is no NTLMv2"))?)?;
        // An account that is not known takes the way of one with another password.
        let password = password(&claim);
        let hash = Md4::digest(utf16(password.as_deref().unwrap_or("")));
        let whose = utf16(&format!("{}{}", claim.user.to_uppercase(), claim.domain));
        let key = hmac(&hash, &[&whose]);
        let expected = hmac(&key, &[&self.nonce, blob]);
        if !bool::from(expected.ct_eq(proof)) || password.is_none() {
            return Err(Refused("the password is wrong or the account unknown"));
        }
        let mut session = wrapped;
        Rc4::new(&hmac(&key, &[proof])).apply(&mut session);
        let find = |id: u16| {
            pairs
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, value)| *value)
        };
        let has_mic = find(6).is_some_and(|value| value.first().is_some_and(|bits| bits & 2 != 0));
        let mic = message
            .get(72..88)
            .filter(|_| has_mic)
            .ok_or(Refused("it has no MIC"))?;
        let zeroed = [
            &message[..72],
            &[0; 16],
            message.get(88..).unwrap_or_default(),
        ]
        .concat();
        let expected = hmac(&session, &[&self.negotiate, &self.challenge, &zeroed]);
        if !bool::from(expected.as_slice().ct_eq(mic)) {
            return Err(Refused("its MIC is wrong: a message was changed"));
        }
        let told = find(10).filter(|told| told.iter().any(|byte| *byte != 0));
        if let (Some(told), Some(binding)) = (told, binding) {
            let len = u32::try_from(binding.len()).unwrap_or(0).to_le_bytes();
            if told != md5(&[&[0; 16], &len, binding]) {
                return Err(Refused("it is bound to another connection"));
            }
        }
        Ok((claim, Session::new(&session)))
    }
}

type Pairs<'a> = Vec<(u16, &'a [u8])>;

fn pairs(mut rest: &[u8]) -> Result<Pairs<'_>, Refused> {
    let mut pairs = Vec::new();
    loop {
        let head = word(rest, 0)?;
        let (id, len) = (head & 0xffff, usize::try_from(head >> 16).unwrap_or(0));
        if id == 0 {
            return Ok(pairs);
        }
        let (value, after) = rest[4..]
            .split_at_checked(len)
            .ok_or(Refused("its target is cut off"))?;
        pairs.push((u16::try_from(id).unwrap_or(0), value));
        rest = after;
    }
}

impl Session {
    fn new(key: &[u8; 16]) -> Self {
        let direction = |way: &str| {
            let of = |what: &str| {
                md5(&[
                    key,
                    format!("session key to {way} {what} key magic constant\0").as_bytes(),
                ])
            };
            Direction {
                signing: of("signing"),
                sealing: Rc4::new(&of("sealing")),
                sequence: 0,
            }
        };
        Self {
            key: *key,
            incoming: direction("client-to-server"),
            outgoing: direction("server-to-client"),
        }
    }

    /// Judges the client's code over something that both know, and makes the host's. Afterwards
    /// the key streams begin anew and the counters go on (MS-SPNG 3.3.5.1).
    pub(super) fn exchange_codes(&mut self, over: &[u8], code: &[u8]) -> Option<[u8; 16]> {
        let expected = self.incoming.sign(over);
        let own = self.outgoing.sign(over);
        let fresh = Self::new(&self.key);
        self.incoming.sealing = fresh.incoming.sealing;
        self.outgoing.sealing = fresh.outgoing.sealing;
        bool::from(expected.as_slice().ct_eq(code)).then_some(own)
    }

    /// Encrypts a message; its signature comes with it.
    pub(super) fn seal(&mut self, plain: &[u8]) -> ([u8; 16], Vec<u8>) {
        let mut data = plain.to_vec();
        self.outgoing.sealing.apply(&mut data);
        (self.outgoing.sign(plain), data)
    }

    /// Decrypts a message; `None` when it is not the next one, or was changed.
    pub(super) fn unseal(&mut self, signature: &[u8; 16], mut data: Vec<u8>) -> Option<Vec<u8>> {
        self.incoming.sealing.apply(&mut data);
        let expected = self.incoming.sign(&data);
        bool::from(expected.ct_eq(signature)).then_some(data)
    }
}

impl Direction {
    /// The signature of the next message, whose bytes have gone through the stream already.
    fn sign(&mut self, plain: &[u8]) -> [u8; 16] {
        let sequence = self.sequence.to_le_bytes();
        let mut sum = hmac(&self.signing, &[&sequence, plain]);
        self.sealing.apply(&mut sum[..8]);
        self.sequence = self.sequence.wrapping_add(1);
        let mut signature = [0; 16];
        signature[..4].copy_from_slice(&1_u32.to_le_bytes());
        signature[4..12].copy_from_slice(&sum[..8]);
        signature[12..].copy_from_slice(&sequence);
        signature
    }
}

/// 100 ns since 1601 of a time.
pub(super) fn file_time(at: jiff::Timestamp) -> u64 {
    let ticks = (at.as_nanosecond() / 100) + 116_444_736_000_000_000;
    u64::try_from(ticks).unwrap_or(0)
}
