//! Who may log on, and how a connection gets there.

use data_encoding::BASE64;
use subtle::ConstantTimeEq;

use super::http::{Head, Reply};
use super::ntlm::{Acceptor, Claim, Refused, Session, file_time};
use super::spnego::{self, Token};
use crate::wsman::Rights;

/// An account of the host or its domain.
#[derive(Clone)]
pub struct Account {
    /// `DOMAIN\user`, or `user` for one of the host itself.
    pub user: String,
    /// Its password.
    pub password: String,
    /// What it may do.
    pub rights: Rights,
}

/// How far the logon of a connection is.
pub(super) enum Logon {
    /// Nobody is there.
    None,
    /// NTLM was chosen within SPNEGO, from this list, and its first message is awaited.
    Chosen(Vec<u8>),
    /// The challenge was sent, within SPNEGO if there is a list.
    Challenged(Acceptor, Option<Vec<u8>>),
    /// Somebody is there.
    Done(Rights, Box<Session>),
}

/// What a request's `Authorization` leads to.
pub(super) enum Step {
    /// The request is answered for whoever has these rights.
    Go(Rights),
    /// The logon goes on, or ends here.
    Reply(Reply),
}

/// What a logon needs to know of the host.
pub(super) struct Realm<'a> {
    pub(super) host: &'a str,
    pub(super) accounts: &'a [Account],
    /// The binding of the TLS connection, if it is one.
    pub(super) binding: Option<&'a [u8]>,
    pub(super) nonce: [u8; 8],
    pub(super) now: jiff::Timestamp,
}

/// 401 with what is offered: Basic only where the password is not for everybody to see.
pub(super) fn unauthorized(tls: bool) -> Reply {
    let reply = Reply::bare(401).with("WWW-Authenticate", "Negotiate");
    match tls {
        true => reply.with("WWW-Authenticate", "Basic realm=\"WSMAN\""),
        false => reply,
    }
}

impl Logon {
    /// Takes a request's header into account.
    pub(super) fn step(&mut self, head: &Head, realm: &Realm<'_>) -> Step {
        let tls = realm.binding.is_some();
        let Some((scheme, value)) = head.header("authorization").and_then(|h| h.split_once(' '))
        else {
            return match self {
                Self::Done(rights, _) => Step::Go(*rights),
                _ => Step::Reply(unauthorized(tls)),
            };
        };
        let bytes = BASE64.decode(value.trim().as_bytes()).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("basic") && tls {
            return match basic(&bytes, realm) {
                Some(rights) => Step::Go(rights),
                None => Step::Reply(unauthorized(tls)),
            };
        }
        if !scheme.eq_ignore_ascii_case("negotiate") {
            return Step::Reply(unauthorized(tls));
        }
        let reply = self.negotiate(&bytes, realm);
        match reply {
            // Over TLS the last token may come with the message itself.
            Ok(reply) if reply.status == 200 && head.length > 0 => match self {
                Self::Done(rights, _) => Step::Go(*rights),
                _ => Step::Reply(unauthorized(tls)),
            },
            Ok(reply) => Step::Reply(reply),
            Err(_) => Step::Reply(unauthorized(tls)),
        }
    }
}

impl Logon {
    /// One step of NTLM, bare or within SPNEGO. What does not fit ends the logon.
    fn negotiate(&mut self, bytes: &[u8], realm: &Realm<'_>) -> Result<Reply, Refused> {
        let token = spnego::read(bytes).ok_or(Refused("it is no token of NTLM"))?;
        let answer = |status, token: &[u8]| {
            let header = format!("Negotiate {}", BASE64.encode(token));
            Reply::bare(status).with("WWW-Authenticate", header)
        };
        let challenge = |message: &[u8]| {
            Acceptor::challenge(message, realm.host, realm.nonce, file_time(realm.now))
        };
        match (std::mem::replace(self, Self::None), token) {
            (Self::Challenged(acceptor, None), Token::Bare(message)) => {
                self.accept(&acceptor, message, realm)?;
                Ok(Reply::bare(200))
            }
            (Self::Challenged(acceptor, Some(list)), Token::Later { inner, mic }) => {
                let message = inner.ok_or(Refused("it has no message"))?;
                self.accept(&acceptor, message, realm)?;
                let own = match (mic, &mut *self) {
                    (Some(mic), Self::Done(_, session)) => session.exchange_codes(&list, mic),
                    _ => None,
                };
                if mic.is_some() && own.is_none() {
                    *self = Self::None;
                    return Err(Refused("its code over the mechanisms is wrong"));
                }
                Ok(answer(
                    200,
                    &spnego::done(own.as_ref().map(|own| own.as_slice())),
                ))
            }
            (Self::Chosen(list), Token::Later { inner, .. }) => {
                let message = inner.ok_or(Refused("it has no message"))?;
                let (acceptor, token) = challenge(message)?;
                *self = Self::Challenged(acceptor, Some(list));
                Ok(answer(401, &spnego::go_on(Some(&token))))
            }
            (_, Token::Bare(message)) => {
                let (acceptor, token) = challenge(message)?;
                *self = Self::Challenged(acceptor, None);
                Ok(answer(401, &token))
            }
            (
                _,
                Token::First {
                    list,
                    inner: Some(message),
                },
            ) => {
                let (acceptor, token) = challenge(message)?;
                *self = Self::Challenged(acceptor, Some(list.to_vec()));
                Ok(answer(401, &spnego::go_on(Some(&token))))
            }
            (_, Token::First { list, inner: None }) => {
                *self = Self::Chosen(list.to_vec());
                Ok(answer(401, &spnego::go_on(None)))
            }
            (_, Token::Later { .. }) => Err(Refused("nothing came before it")),
        }
    }

    fn accept(
        &mut self,
        acceptor: &Acceptor,
        message: &[u8],
        realm: &Realm<'_>,
    ) -> Result<(), Refused> {
        let password = |claim: &Claim| Some(realm.find(claim)?.password.clone());
        let (claim, session) = acceptor.accept(message, password, realm.binding)?;
        let account = realm.find(&claim);
        let rights = account.map_or(Rights::Filtered, |account| account.rights);
        *self = Self::Done(rights, Box::new(session));
        Ok(())
    }
}

/// Takes the tokens of a logon over plain HTTP one after the other, as a host of this name does that
/// makes this challenge at this time. What the account may do that is there afterwards, if one is.
///
/// The way to try what clients send without a connection; the tokens may be any bytes.
pub fn log_on(
    host: &str,
    accounts: &[Account],
    (nonce, now): ([u8; 8], jiff::Timestamp),
    tokens: &[&[u8]],
) -> Option<Rights> {
    let realm = Realm {
        host,
        accounts,
        binding: None,
        nonce,
        now,
    };
    let mut logon = Logon::None;
    for token in tokens {
        logon.negotiate(token, &realm).ok()?;
    }
    match logon {
        Logon::Done(rights, _) => Some(rights),
        _ => None,
    }
}

impl Realm<'_> {
    /// The account that is meant: of a domain by both names; of the host itself with its name, a
    /// dot or nothing for a domain.
    fn find(&self, claim: &Claim) -> Option<&Account> {
        self.accounts.iter().find(|account| {
            let (domain, user) = account.user.split_once('\\').unwrap_or(("", &account.user));
            let own =
                |name: &str| name.is_empty() || name == "." || name.eq_ignore_ascii_case(self.host);
            let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
            let domains = same(domain, &claim.domain) || own(domain) && own(&claim.domain);
            domains && same(user, &claim.user)
        })
    }
}

/// `user:password`, for accounts of the host itself.
fn basic(bytes: &[u8], realm: &Realm<'_>) -> Option<Rights> {
    let told = std::str::from_utf8(bytes).ok()?;
    let (user, password) = told.split_once(':')?;
    let (domain, user) = user.split_once('\\').unwrap_or(("", user));
    let claim = Claim {
        domain: domain.to_owned(),
        user: user.to_owned(),
    };
    let account = realm.find(&claim)?;
    // Basic knows no domains.
    let local = !account.user.contains('\\');
    let same = account.password.as_bytes().ct_eq(password.as_bytes());
    (local && bool::from(same)).then_some(account.rights)
}
