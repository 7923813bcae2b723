//! The nodes of a failover cluster, each at an address of its own.

use std::sync::Arc;

use cim::http::{Credentials, Endpoint};
use cim::{CimError, CimProblem, CimSession, TransportError, TransportProblem};
use engine::{Code, Finding, Severity};
use hyperv::cluster::{Cluster, Node, Sessions};
use hyperv::inventory;

use super::{HostAddress, connect, named};
use crate::args::HostArgs;
use crate::failure::{Failure, Result};

/// What an address leads to.
pub(crate) enum Meant {
    /// A host that is no node of a cluster.
    Host,
    /// A cluster, all nodes of which are meant.
    All(Nodes),
    /// A node of a cluster, which stands for itself.
    Node(Nodes, Own),
    /// A host. Whether it is a node of a cluster is not known.
    Unknown(Doubt),
}

/// A cluster that an address leads to.
pub(crate) struct Nodes {
    /// The cluster.
    pub(crate) cluster: Arc<Cluster>,
    opener: Arc<Opener>,
}

/// A node that was named, among others that were not.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// Its name, as the cluster spells it.
    pub(crate) name: String,
    /// How much is known of what was meant.
    pub(crate) severity: Severity,
}

/// Why a host may be a node of a cluster.
pub(crate) struct Doubt {
    why: String,
    severity: Severity,
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

/// Who names a host by its own name means this host, and what others have is safe elsewhere or
/// nobody's wish. Any other name and any number may be the cluster's.
fn severity(named: [&str; 2], own: Option<&str>) -> Severity {
    let is_own = |own: &str| named.iter().any(|name| hyperv::same_host(name, own));
    match own.is_some_and(is_own) {
        true => Severity::Warning,
        false => Severity::Partial,
    }
}

impl Meant {
    /// What is meant by an address: the cluster if that is the cluster's own name, or if it is
    /// `wanted` of a node. `given` is what stood on the command line.
    ///
    /// # Errors
    /// When a cluster is wanted and there is none, or it cannot be asked.
    pub(crate) fn find(
        (given, wanted, said): (&str, bool, &HostArgs),
        (address, args): (&HostAddress, &HostArgs),
        credentials: &Credentials,
        session: &Arc<dyn CimSession>,
    ) -> Result<Self> {
        let opener = Arc::new(Opener {
            address: address.clone(),
            args: args.clone(),
            said: said.clone(),
            credentials: credentials.clone(),
            session: Arc::clone(session),
        });
        let host = address.endpoint.host();
        let named = [host, given];
        let own = Arc::clone(&opener);
        let sessions: Sessions = Arc::new(move |node| own.session(node));
        let unknown = |why: &CimError, own: Option<&str>| {
            Self::Unknown(Doubt {
                why: why.to_string(),
                severity: severity(named, own),
            })
        };
        let cluster = match Cluster::find(host, sessions) {
            Ok(Some(cluster)) => cluster,
            Ok(None) if wanted => {
                let what = format!("{address}: is no node of a failover cluster");
                return Err(Failure::usage(what).hint("leave --cluster out"));
            }
            Ok(None) => return Ok(Self::Host),
            Err(error) if wanted => return Err(super::failure(address, &error)),
            Err(error) => {
                // One that does not even say that is not known by the name that was given.
                let own = inventory::host_name(session.as_ref()).ok().flatten();
                return Ok(unknown(&error, own.as_deref()));
            }
        };
        let nodes = Nodes {
            cluster: Arc::new(cluster),
            opener,
        };
        let cluster = &nodes.cluster;
        if wanted
            || named
                .iter()
                .any(|name| hyperv::same_host(cluster.name(), name))
        {
            return Ok(Self::All(nodes));
        }
        let node = |own: &str| cluster.node(own);
        let own = inventory::host_name(session.as_ref());
        match own.and_then(|own| own.as_deref().map_or(Ok(None), node)) {
            Ok(Some(node)) => {
                cluster.add_session(&node.name, Arc::clone(session));
                let own = Own {
                    severity: severity(named, Some(&node.name)),
                    name: node.name,
                };
                Ok(Self::Node(nodes, own))
            }
            Ok(None) => Ok(Self::Unknown(Doubt {
                why: format!(
                    "it tells of the cluster {}, and not its own name",
                    cluster.name()
                ),
                severity: Severity::Partial,
            })),
            Err(error) => Ok(unknown(&error, None)),
        }
    }
}

impl Meant {
    /// What to say to whom has `done` something with one host alone. Who calls a node by its own name
    /// needs not be told that it has others beside it.
    pub(crate) fn beside(&self, address: &HostAddress, done: &str) -> Option<Finding> {
        match self {
            Self::Host | Self::All(_) => None,
            Self::Unknown(doubt) => Some(doubt.finding(address, done)),
            Self::Node(nodes, own) => nodes
                .others(std::slice::from_ref(own), done)
                .filter(|finding| finding.severity > Severity::Warning),
        }
    }
}

impl Doubt {
    /// As a finding of who has `done` something with the host alone.
    pub(crate) fn finding(&self, address: &HostAddress, done: &str) -> Finding {
        let message = format!(
            "whether it is a node of a cluster is not known; if it is, VMs of the other nodes are not \
             {done}, and one that moves is lost sight of: {}",
            self.why
        );
        Finding::new(Code::HostNote, self.severity, address.to_string(), message).hint(
            r"see that the account may read root\MSCluster (`hyperkeep doctor HOST --set-up ACCOUNT`) and that the cluster's service runs",
        )
    }
}

impl Nodes {
    /// What to say of the nodes that nobody named, to whom has `done` something with these ones.
    pub(crate) fn others(&self, named: &[Own], done: &str) -> Option<Finding> {
        // They were told a moment ago. When they are not now, that there are some is said all the same.
        let all = self.cluster.nodes().unwrap_or_default();
        let all: Vec<String> = all.into_iter().map(|node| node.name).collect();
        let is_named = |node: &String| named.iter().any(|own| hyperv::same_host(&own.name, node));
        let others: Vec<&str> = all
            .iter()
            .filter(|node| !is_named(node))
            .map(String::as_str)
            .collect();
        if others.is_empty() && !all.is_empty() {
            return None;
        }
        let which = match others.is_empty() {
            true => String::new(),
            false => format!(": {}", others.join(", ")),
        };
        let names: Vec<&str> = named.iter().map(|own| own.name.as_str()).collect();
        let severity = named.iter().map(|own| own.severity).max();
        let finding = Finding::new(
            Code::NotCovered,
            severity.unwrap_or(Severity::Partial),
            names.join(", "),
            format!(
                "the other nodes of its cluster {} are not {done} by this{which}",
                self.cluster.name()
            ),
        );
        Some(finding.hint(
            "name the cluster, give --cluster, or name all of its nodes; who means this one alone \
             calls it by its own name, in --hosts if need be",
        ))
    }

    /// Whether it is the same cluster as another one, of which this is a node.
    pub(crate) fn is_of(&self, other: &Cluster, node: &str) -> bool {
        let own = &self.cluster;
        hyperv::same_host(own.name(), other.name())
            && own.node(node).is_ok_and(|node| node.is_some())
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
