//! SPNEGO around NTLM (RFC 4178): which mechanism, and a code over the list of those offered.
//!
//! Clients of Windows wrap their tokens; others send them bare, and hosts take both. Only NTLM is
//! accepted; of a client that prefers Kerberos the second choice is taken.

/// 1.3.6.1.5.5.2 and 1.3.6.1.4.1.311.2.2.10, without tag and length.
const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];
const NTLM: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
/// Mechanisms of a list.
const MOST_MECHANISMS: usize = 32;

/// A token that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Not wrapped at all.
    Bare(&'a [u8]),
    /// The first of a negotiation in which NTLM is offered.
    First {
        /// The list of mechanisms as it was encoded, which is what codes are made over.
        list: &'a [u8],
        /// NTLM's first message, when NTLM is what the client wants most.
        inner: Option<&'a [u8]>,
    },
    /// A later one.
    Later {
        inner: Option<&'a [u8]>,
        /// The code over the list.
        mic: Option<&'a [u8]>,
    },
}

/// Tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// The content of the one element that is expected.
fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, content, rest) = element(bytes)?;
    (found == tag && rest.is_empty()).then_some(content)
}

/// A field of a sequence by its number, with its own tag checked.
fn field(mut sequence: &[u8], number: u8, tag: u8) -> Option<&[u8]> {
    while let Some((found, content, rest)) = element(sequence) {
        if found == 0xa0 | number {
            return only(content, tag);
        }
        sequence = rest;
    }
    None
}

/// Reads a token; `None` for one that is no negotiation of NTLM.
pub(super) fn read(token: &[u8]) -> Option<Token<'_>> {
    if token.starts_with(b"NTLMSSP\0") {
        return Some(Token::Bare(token));
    }
    let (tag, content, _) = element(token).filter(|(.., rest)| rest.is_empty())?;
    if tag == 0xa1 {
        let sequence = only(content, 0x30)?;
        return Some(Token::Later {
            inner: field(sequence, 2, 4),
            mic: field(sequence, 3, 4),
        });
    }
    let (oid, name, rest) = element(content)?;
    if (tag, oid, name) != (0x60, 6, SPNEGO) {
        return None;
    }
    let sequence = only(only(rest, 0xa0)?, 0x30)?;
    let (_, list, _) = element(sequence).filter(|(tag, ..)| *tag == 0xa0)?;
    let mut mechanisms = only(list, 0x30)?;
    for place in 0..MOST_MECHANISMS {
        let (tag, name, rest) = element(mechanisms)?;
        if (tag, name) == (6, NTLM) {
            // A token belongs to the first mechanism.
            let inner = field(sequence, 2, 4).filter(|_| place == 0);
            return Some(Token::First { list, inner });
        }
        mechanisms = rest;
    }
    None
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u16::try_from(content.len()).unwrap_or(u16::MAX) {
        len @ 0..=0x7f => out.push(len as u8),
        len @ 0x80..=0xff => out.extend_from_slice(&[0x81, len as u8]),
        len => {
            out.push(0x82);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

/// The answer while it goes on: NTLM it is, with its next message.
pub(super) fn go_on(inner: Option<&[u8]>) -> Vec<u8> {
    let state = wrap(0xa0, &wrap(10, &[1]));
    let mechanism = wrap(0xa1, &wrap(6, NTLM));
    let inner = inner
        .map(|inner| wrap(0xa2, &wrap(4, inner)))
        .unwrap_or_default();
    wrap(0xa1, &wrap(0x30, &[state, mechanism, inner].concat()))
}

/// The last answer, with the host's code over the list if the client made one.
pub(super) fn done(mic: Option<&[u8]>) -> Vec<u8> {
    let state = wrap(0xa0, &wrap(10, &[0]));
    let mic = mic.map(|mic| wrap(0xa3, &wrap(4, mic))).unwrap_or_default();
    wrap(0xa1, &wrap(0x30, &[state, mic].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(mechanisms: &[&[u8]], inner: &[u8]) -> Vec<u8> {
        let list: Vec<u8> = mechanisms.iter().flat_map(|name| wrap(6, name)).collect();
        let list = wrap(0xa0, &wrap(0x30, &list));
        let token = wrap(0xa2, &wrap(4, inner));
        let init = wrap(0xa0, &wrap(0x30, &[list, token].concat()));
        wrap(0x60, &[wrap(6, SPNEGO), init].concat())
    }

    #[test]
    fn ntlm_is_found_and_chosen() {
        let kerberos: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
        let long = [7; 300];
        let token = first(&[NTLM], &long);
        let Some(Token::First { list, inner }) = read(&token) else {
            panic!("not understood");
        };
        assert_eq!(
            (list, inner),
            (&wrap(0x30, &wrap(6, NTLM))[..], Some(&long[..]))
        );
        let second = first(&[kerberos, NTLM], b"a ticket");
        assert!(matches!(
            read(&second),
            Some(Token::First { inner: None, .. })
        ));
        assert_eq!(read(&first(&[kerberos], b"a ticket")), None);
        assert_eq!(read(b"NTLMSSP\0x"), Some(Token::Bare(b"NTLMSSP\0x")));
        let later = wrap(
            0xa1,
            &wrap(
                0x30,
                &[wrap(0xa2, &wrap(4, b"x")), wrap(0xa3, &wrap(4, b"y"))].concat(),
            ),
        );
        let expected = Token::Later {
            inner: Some(b"x"),
            mic: Some(b"y"),
        };
        assert_eq!(read(&later), Some(expected));
    }

    proptest! {
        #[test]
        fn any_token_is_read_or_refused(mut token in proptest::collection::vec(any::<u8>(), 0..80), at in 0..60_usize, to in any::<u8>()) {
            let _ = read(&token);
            token = first(&[NTLM], &token);
            let at = at % token.len();
            token[at] = to;
            let _ = read(&token);
        }
    }
}
