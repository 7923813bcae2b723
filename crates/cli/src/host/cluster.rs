//! The nodes of a failover cluster, each at an address of its own.

use std::sync::Arc;

use cim::http::{Credentials, Endpoint};
use cim::{CimError, CimProblem, CimSession, TransportError, TransportProblem};
use hyperv::cluster::{Cluster, Node, Sessions};

use super::{HostAddress, connect, named};
use crate::args::HostArgs;
use crate::failure::{Failure, Result};

/// A cluster that an address leads to.
pub(crate) struct Nodes {
    /// The cluster.
    pub(crate) cluster: Arc<Cluster>,
    opener: Arc<Opener>,
}

/// How nodes are found, from the address that was named.
struct Opener {
    address: HostAddress,
    args: HostArgs,
    /// What the command line says of every host.
    said: HostArgs,
    credentials: Credentials,
    session: Arc<dyn CimSession>,
}

impl Nodes {
    /// The cluster that is meant by an address: if that is the cluster's own name, or if it is
    /// `wanted` of a node. `given` is what stood on the command line.
    ///
    /// # Errors
    /// When one is wanted and there is none, or it cannot be asked.
    pub(crate) fn find(
        (given, wanted, said): (&str, bool, &HostArgs),
        (address, args): (&HostAddress, &HostArgs),
        credentials: &Credentials,
        session: &Arc<dyn CimSession>,
    ) -> Result<Option<Self>> {
        let opener = Arc::new(Opener {
            address: address.clone(),
            args: args.clone(),
            said: said.clone(),
            credentials: credentials.clone(),
            session: Arc::clone(session),
        });
        let host = address.endpoint.host();
        let own = Arc::clone(&opener);
        let sessions: Sessions = Arc::new(move |node| own.session(node));
        let found = match Cluster::find(host, sessions) {
            Ok(found) => found,
            Err(error) if wanted => return Err(super::failure(address, &error)),
            // Whether it is in one the inventory tells, as far as that can be told.
            Err(_) => None,
        };
        let is_named = |cluster: &Cluster| {
            [host, given]
                .iter()
                .any(|name| hyperv::same_host(cluster.name(), name))
        };
        match found {
            Some(cluster) if wanted || is_named(&cluster) => Ok(Some(Self {
                cluster: Arc::new(cluster),
                opener,
            })),
            None if wanted => Err(Failure::usage(format!(
                "{address}: is no node of a failover cluster"
            ))
            .hint("leave --cluster out")),
            _ => Ok(None),
        }
    }

    /// All nodes.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub(crate) fn all(&self) -> Result<Vec<Node>> {
        let told = self.cluster.nodes();
        told.map_err(|error| super::failure(&self.opener.address, &error))
    }

    /// Where a node listens, what else is said of it, and its account.
    pub(crate) fn reach(&self, node: &str) -> Result<(HostAddress, HostArgs, Credentials)> {
        let (address, args) = self.opener.of(node)?;
        let credentials = self.opener.credentials(&address, &args)?;
        Ok((address, args, credentials))
    }
}

impl Opener {
    /// The account of a node, which is the cluster's unless something else is said.
    fn credentials(&self, address: &HostAddress, args: &HostArgs) -> Result<Credentials> {
        let same = address.user == self.address.user;
        match same && args.password_file == self.args.password_file {
            true => Ok(self.credentials.clone()),
            false => connect::credentials(address, args),
        }
    }

    /// What --hosts says of the node; otherwise it is found like the address that was named.
    fn of(&self, node: &str) -> Result<(HostAddress, HostArgs)> {
        match named::look_up(node, &self.said)? {
            Some(found) => Ok(found),
            None => Ok((self.address.of_node(node)?, self.args.clone())),
        }
    }

    fn session(&self, node: &str) -> std::result::Result<Arc<dyn CimSession>, CimError> {
        if node == self.address.endpoint.host() {
            return Ok(Arc::clone(&self.session));
        }
        let open = || {
            let (address, args) = self.of(node)?;
            connect::session_as(self.credentials(&address, &args)?, &address, &args)
        };
        open().map_err(|failure| CimError {
            call: "connect".to_owned(),
            problem: Box::new(CimProblem::Transport(TransportError {
                endpoint: node.to_owned(),
                problem: TransportProblem::Connect(failure.causes().0),
                maybe_sent: false,
            })),
            changes: false,
        })
    }
}

impl HostAddress {
    /// The same for a node of the cluster that this address leads to: in its domain, if it has one.
    fn of_node(&self, node: &str) -> Result<Self> {
        let host = self.endpoint.host();
        let is_address = host.parse::<std::net::IpAddr>().is_ok() || host.contains(':');
        let domain = host.split_once('.').filter(|_| !is_address);
        let name = match domain {
            Some((_, domain)) if !node.contains('.') => format!("{node}.{domain}"),
            _ => node.to_owned(),
        };
        let port = Some(self.endpoint.port());
        let endpoint = match self.endpoint.is_tls() {
            true => Endpoint::https(&name, port),
            false => Endpoint::http(&name, port),
        };
        let endpoint = endpoint.map_err(|_| {
            Failure::new(format!("“{node}” is no name of a node"))
                .hint("name it in --hosts with its address")
        })?;
        Ok(Self {
            user: self.user.clone(),
            endpoint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_beside_their_cluster() {
        let node = |address: &str, node: &str| {
            let address: HostAddress = address.parse().unwrap();
            address.of_node(node).unwrap().to_string()
        };
        assert_eq!(
            node("winrm://a@cl1.lab.org", "HV01"),
            "winrm://hv01.lab.org:5986".replace("hv01", "HV01")
        );
        assert_eq!(node("winrm://a@cl1", "HV01"), "winrm://HV01:5986");
        assert_eq!(
            node("winrm+http://a@10.0.0.1:99", "HV01"),
            "winrm+http://HV01:99"
        );
        assert_eq!(
            node("winrm://a@cl1.lab.org", "hv.b.org"),
            "winrm://hv.b.org:5986"
        );
    }
}
