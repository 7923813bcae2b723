//! Where a host listens.

/// The address of a host's service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

/// A name that cannot be a host's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name or address of a host")]
pub struct BadEndpoint(pub String);

impl Endpoint {
    /// Over TLS, on port 5986 unless another is given.
    pub fn https(host: &str, port: Option<u16>) -> Result<Self, BadEndpoint> {
        Self::new(true, host, port.unwrap_or(5986))
    }

    /// Over plain HTTP, on port 5985 unless another is given.
    pub fn http(host: &str, port: Option<u16>) -> Result<Self, BadEndpoint> {
        Self::new(false, host, port.unwrap_or(5985))
    }

    fn new(tls: bool, host: &str, port: u16) -> Result<Self, BadEndpoint> {
        let bare = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        let address = bare.parse::<std::net::IpAddr>().is_ok();
        let name = !bare.is_empty()
            && bare.len() <= 255
            && bare
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        if !(address || name) || port == 0 {
            return Err(BadEndpoint(host.to_owned()));
        }
        Ok(Self {
            tls,
            host: bare.to_owned(),
            port,
        })
    }

    /// Whether it is TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as HTTP's header has them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL of the service.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}/wsman", self.authority())
    }
}
