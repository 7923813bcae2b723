//! `winrm://USER@HOST[:PORT]`.

use std::fmt;
use std::str::FromStr;

use cim::http::Endpoint;

/// A host and the account to log on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAddress {
    /// The account, as it was written.
    pub(crate) user: String,
    /// Where the host listens.
    pub(crate) endpoint: Endpoint,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadAddress {
    text: String,
    why: &'static str,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}”: {}", self.text, self.why)
    }
}

impl std::error::Error for BadAddress {}

const TLS: &str = "winrm://";
const PLAIN: &str = "winrm+http://";

impl HostAddress {
    /// Whether a text means a host at all.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.starts_with("winrm:") || text.starts_with("winrm+")
    }

    /// The host and its port as a name for a folder.
    pub(crate) fn folder_name(&self) -> String {
        let host = self.endpoint.host().to_lowercase();
        format!("{}_{}", host.replace(':', "-"), self.endpoint.port())
    }
}

/// Without the account, which is nobody's business later.
impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.endpoint.is_tls() { TLS } else { PLAIN };
        write!(f, "{scheme}{}", self.endpoint.authority())
    }
}

impl FromStr for HostAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress {
            text: without_password(text),
            why,
        };
        let (tls, rest) = match (text.strip_prefix(TLS), text.strip_prefix(PLAIN)) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(bad("write winrm://USER@HOST")),
        };
        // Accounts may be user@realm.
        let (user, host) = rest
            .rsplit_once('@')
            .ok_or_else(|| bad("it names no account: write winrm://USER@HOST"))?;
        if user.is_empty() {
            return Err(bad("it names no account: write winrm://USER@HOST"));
        }
        if user.contains(':') {
            return Err(bad(
                "a password does not belong on the command line: give --password-file",
            ));
        }
        let (host, port) = port(host).ok_or_else(|| bad("its port is no port"))?;
        let endpoint = match tls {
            true => Endpoint::https(host, port),
            false => Endpoint::http(host, port),
        };
        Ok(Self {
            user: user.to_owned(),
            endpoint: endpoint.map_err(|_| bad("it names no host"))?,
        })
    }
}

/// A text that may have been meant for an address, without what may be a password in it: messages go
/// to logs and mails.
pub(crate) fn without_password(text: &str) -> String {
    // Whatever the scheme is, and however it was misspelt.
    let scheme = text.find(':').map_or(0, |at| at + 1);
    let slashes = text[scheme..].len() - text[scheme..].trim_start_matches('/').len();
    let known = [TLS, PLAIN].iter().any(|known| text.starts_with(known));
    let scheme = match known || slashes > 0 || text.starts_with("winrm") {
        true => scheme + slashes,
        false => 0,
    };
    let (scheme, rest) = text.split_at(scheme);
    // A password may have any of these in it: it ends with the last.
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (user, Some(host)),
        None if rest.starts_with('[') => ("", Some(rest)),
        None => (rest, None),
    };
    let cut = |text: &str, from: usize| match text[from..].find(':') {
        Some(at) => format!("{}:…", &text[..from + at]),
        None => text.to_owned(),
    };
    let user = cut(user, 0);
    let host = host.map(|host| {
        let from = host.rfind(']').map_or(0, |at| at + 1);
        match host[from..].split_once(':') {
            Some((_, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => cut(host, from),
            _ => host.to_owned(),
        }
    });
    match host {
        Some(host) if rest.contains('@') => format!("{scheme}{user}@{host}"),
        Some(host) => format!("{scheme}{host}"),
        None => format!("{scheme}{user}"),
    }
}

/// The port behind a host; an IPv6 address is in brackets.
fn port(text: &str) -> Option<(&str, Option<u16>)> {
    let bracket = text.rfind(']').map_or(0, |at| at + 1);
    match text[bracket..].find(':') {
        None => Some((text, None)),
        Some(at) => {
            let (host, port) = text.split_at(bracket + at);
            let port = port[1..].parse().ok().filter(|port| *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_accounts_and_ports() {
        let at = |text: &str| {
            let address: HostAddress = text.parse().unwrap();
            (address.user.clone(), address.to_string())
        };
        let is = |user: &str, url: &str| (user.to_owned(), url.to_owned());
        assert_eq!(at("winrm://a@hv01"), is("a", "winrm://hv01:5986"));
        assert_eq!(at(r"winrm://LAB\a@hv01:1"), is(r"LAB\a", "winrm://hv01:1"));
        assert_eq!(at("winrm://a@r.org@h"), is("a@r.org", "winrm://h:5986"));
        let plain = is("a", "winrm+http://[::1]:5985");
        assert_eq!(at("winrm+http://a@[::1]"), plain);
        assert_eq!(at("winrm+http://a@[::1]:5985"), plain);
        for bad in [
            "winrm://hv01",
            "winrm://@hv01",
            "winrm://a@",
            "winrm://a@h:0",
            "winrm://a@h:70000",
            "winrm://a@h/x",
            "winrm://a:secret@h",
            "winrm:a@h",
            "winrm+https://a@h",
        ] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad}");
            assert!(HostAddress::is_meant(bad));
        }
    }

    #[test]
    fn a_password_is_in_no_message() {
        for (bad, shown) in [
            ("winrm://a:secret@h", "winrm://a:…@h"),
            ("winrm://a:sec@re/t:x@h:1", "winrm://a:…@h:1"),
            ("winrm://a:secret@", "winrm://a:…@"),
            ("winrm:a:secret@h", "winrm:a:…@h"),
            ("winrm:/a:secret@h", "winrm:/a:…@h"),
            ("winrm+https://a:secret@h", "winrm+https://a:…@h"),
            ("winrm+http://a:secret@[::1]", "winrm+http://a:…@[::1]"),
            ("winrm://a:secret", "winrm://a:…"),
            ("winrm://a@h:secret", "winrm://a@h:…"),
            // It is the port that is bad here.
            ("winrm://a@h:70000", "winrm://a@h:70000"),
            ("winrm://[::1]", "winrm://[::1]"),
        ] {
            let told = bad.parse::<HostAddress>().unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
            assert!(told.starts_with(&format!("“{shown}”: ")), "{told}");
        }
        for (text, shown) in [
            ("http://a:secret@h", "http://a:…@h"),
            ("Winrm://a:secret@h", "Winrm://a:…@h"),
            ("a:secret@h", "a:…@h"),
            ("hv01", "hv01"),
            ("", ""),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
