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
            text: text.to_owned(),
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
}
