//! `backup` of hosts: one, several, or the nodes of a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use cim::CimSession;
use cim::http::Credentials;
use engine::source::Source;
use engine::source::hyperv::{HostSource, Hosts, Hurry, Node, Setup};
use engine::{Cancel, Code, Finding, Severity};
use hyperv::cluster::NodeState;
use hyperv::replication::Prefer;

use crate::args::{BackupArgs, Global, HostArgs, SideArg, SourceKind};
use crate::commands::backup::{options, pacing, policy, staging, work};
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::host::{Claim, HostAddress, HostPace, Meant, Nodes, Own, Reach, State, on_return};
use crate::ui::Ui;
use crate::{open, stop};

/// What is done with hosts, as findings say it.
const BACKED_UP: &str = "backed up";

/// Backs up the VMs of hosts.
pub(crate) fn run(global: &Global, args: &BackupArgs, ui: Ui) -> Result<Exit> {
    let staging = staging(args)?;
    let mut named = Vec::new();
    for given in &args.source {
        let (address, reached) = crate::host::find(given, &args.host)?;
        let reach = Reach::read(&address, &reached)?;
        named.push((given.as_str(), address, reached, reach));
    }
    if let Some(options) = args.given.not_for(SourceKind::Host) {
        return Err(
            Failure::usage(format!("{options}: only for folder:, not for a host"))
                .hint("leave it out: a host tells what changed and where its disks are"),
        );
    }
    let mut options = options(global, args, args.hooks.as_deref())?;
    let vault = open::vault(global, ui)?;
    let cancel = stop::on_signal(ui);
    let mut opening = Opening {
        args,
        vault: vault.id().to_string(),
        pace: Arc::new(HostPace::new(cancel.clone())),
        cancel: cancel.clone(),
        staging,
        hosts: Vec::new(),
        addresses: Vec::new(),
        findings: Vec::new(),
        hooks: Vec::new(),
        clusters: Vec::new(),
    };
    let alone = named.len() == 1;
    for (given, address, reached, reach) in named {
        match opening.host(given, (&address, &reached), reach) {
            Err(failure) if !alone => {
                opening.hooks.push(reached.hooks);
                opening.not_reached(&address.to_string(), Severity::Error, &failure);
            }
            done => done?,
        }
    }
    opening.other_nodes();
    if args.hooks.is_none()
        && let Some(hooks) = same(opening.hooks.iter())?
    {
        options.hooks = crate::hooks::read(hooks)?;
    }
    let Opening {
        hosts,
        findings,
        clusters,
        ..
    } = opening;
    let several = !(alone && clusters.is_empty() && findings.is_empty());
    let (mut sources, claims): (Vec<HostSource>, Vec<Claim>) = hosts.into_iter().unzip();
    let mut source: Box<dyn Source> = match (several, sources.pop()) {
        (_, None) => return Err(nobody(findings)),
        (false, Some(only)) => Box::new(only),
        (true, Some(last)) => {
            sources.push(last);
            let prefer = match args.side {
                SideArg::PreferPrimary => Prefer::PreferPrimary,
                SideArg::PreferReplica => Prefer::PreferReplica,
            };
            Box::new(Hosts::new(sources, prefer, findings))
        }
    };
    let exit = work(global, ui, &vault, &cancel, source.as_mut(), &options);
    // Journals end before another run may have their folders.
    drop(source);
    drop(claims);
    exit
}

/// The hooks of all hosts, if they are the same.
fn same<'h>(mut all: impl Iterator<Item = &'h Option<PathBuf>>) -> Result<&'h Option<PathBuf>> {
    let first = all.next().unwrap_or(&None);
    match all.all(|hooks| hooks == first) {
        true => Ok(first),
        false => Err(Failure::usage("the hosts have different hooks in --hosts")
            .hint("name those of this run with --hooks, or back up each host by itself")),
    }
}

/// No host is left of several.
fn nobody(findings: Vec<Finding>) -> Failure {
    let told = findings.iter().map(ToString::to_string);
    let told: Vec<String> = told.collect();
    Failure::new(format!("no host can be backed up: {}", told.join("; ")))
        .hint("see that they are up and can be reached by their names")
}

/// Hosts that are being opened.
struct Opening<'a> {
    args: &'a BackupArgs,
    vault: String,
    pace: Arc<HostPace>,
    cancel: Cancel,
    /// The folder for exports with memory, if they are wanted.
    staging: Option<String>,
    hosts: Vec<(HostSource, Claim)>,
    /// Where those are.
    addresses: Vec<HostAddress>,
    /// Why others are not there.
    findings: Vec<Finding>,
    /// What is said of programs around the backups of each host.
    hooks: Vec<Option<PathBuf>>,
    clusters: Vec<Known>,
}

/// A cluster of which nodes are backed up.
struct Known {
    nodes: Nodes,
    /// Those that were named; all are meant when there are none.
    named: Vec<Own>,
}

impl Opening<'_> {
    /// Opens a host, or all nodes of the cluster that it stands for.
    fn host(
        &mut self,
        given: &str,
        (address, reached): (&HostAddress, &HostArgs),
        reach: Reach,
    ) -> Result<()> {
        if self.is_open(address) {
            return Ok(());
        }
        // Nobody else may be at it when it is spoken to; nodes are claimed one by one.
        let claim = State::open(reached)?.claim(address, &self.vault)?;
        let account = crate::host::credentials(address, reached)?;
        let session = crate::host::session_as(account.clone(), address, reached)?;
        let meant = (given, self.args.cluster.cluster, &self.args.host);
        let node = match Meant::find(meant, (address, reached), &account, &session)? {
            Meant::All(nodes) => {
                drop(claim);
                return self.all(nodes, reached.hooks.as_ref());
            }
            Meant::Host => None,
            Meant::Unknown(doubt) => {
                self.findings.push(doubt.finding(address, BACKED_UP));
                None
            }
            Meant::Node(nodes, own) => Some(self.node(nodes, own, &session)),
        };
        self.hooks.push(reached.hooks.clone());
        self.open((address, reach), account, session, (claim, node))
    }

    /// A node that stands for itself. It has its cluster in common with others that were named.
    fn node(&mut self, nodes: Nodes, own: Own, session: &Arc<dyn CimSession>) -> Node {
        let name = own.name.clone();
        let mut known = self.clusters.iter_mut();
        let cluster = match known.find(|known| known.nodes.is_of(&nodes.cluster, &name)) {
            Some(known) => {
                // All others find the node as the command line found it.
                known.nodes.cluster.add_session(&name, Arc::clone(session));
                if !known.named.is_empty() {
                    known.named.push(own);
                }
                Arc::clone(&known.nodes.cluster)
            }
            None => {
                let cluster = Arc::clone(&nodes.cluster);
                let named = vec![own];
                self.clusters.push(Known { nodes, named });
                cluster
            }
        };
        Node {
            cluster,
            name,
            all: false,
        }
    }

    /// What is not backed up of clusters of which nodes were named.
    fn other_nodes(&mut self) {
        let some = self.clusters.iter().filter(|known| !known.named.is_empty());
        let others = some.filter_map(|known| known.nodes.others(&known.named, BACKED_UP));
        self.findings.extend(others);
    }

    /// Opens all nodes of a cluster. Those that do not say which programs run have the cluster's.
    fn all(&mut self, nodes: Nodes, hooks: Option<&PathBuf>) -> Result<()> {
        let listed = nodes.all()?;
        let mut cluster = Arc::clone(&nodes.cluster);
        let mut opened: Vec<Own> = Vec::new();
        for known in &mut self.clusters {
            let mut all = listed.iter();
            if all.any(|node| known.nodes.is_of(&nodes.cluster, &node.name)) {
                // The others are meant as well now, and have it in common with those that were named.
                opened.append(&mut known.named);
                cluster = Arc::clone(&known.nodes.cluster);
            }
        }
        for node in listed {
            let name = node.name.clone();
            if opened.iter().any(|own| hyperv::same_host(&own.name, &name)) {
                continue;
            }
            let reached = nodes.reach(&name);
            if let Ok((_, reached, _)) = &reached {
                let own = reached.hooks.as_ref();
                self.hooks.push(own.or(hooks).cloned());
            }
            if node.state == NodeState::Down {
                let finding = Finding::new(
                    Code::HostNote,
                    Severity::Warning,
                    name,
                    "the node is down: VMs that the cluster keeps are backed up where they are now, \
                     and any others of it are not",
                );
                let finding = finding.hint("start it, or evict it from the cluster");
                self.findings.push(finding);
                continue;
            }
            let open = || -> Result<()> {
                let (address, reached, account) = reached?;
                if self.is_open(&address) {
                    return Ok(());
                }
                let reach = Reach::read(&address, &reached)?;
                let claim = State::open(&reached)?.claim(&address, &self.vault)?;
                let session = cluster.session(&name);
                let session = session.map_err(|error| crate::host::failure(&address, &error))?;
                let node = Some(Node {
                    cluster: Arc::clone(&cluster),
                    name: name.clone(),
                    all: true,
                });
                self.open((&address, reach), account, session, (claim, node))
            };
            // What the cluster keeps there and nobody tells of is told as well. Only it knows which
            // other VMs it has.
            let done = open();
            if let Err(failure) = done {
                self.not_reached(&name, Severity::Partial, &failure);
            }
        }
        let named = Vec::new();
        self.clusters.push(Known { nodes, named });
        Ok(())
    }

    fn open(
        &mut self,
        (address, reach): (&HostAddress, Reach),
        account: Credentials,
        session: Arc<dyn CimSession>,
        (claim, node): (Claim, Option<Node>),
    ) -> Result<()> {
        let hurry = Hurry::default();
        let files_pace = HostPace::new(self.cancel.clone()).hurried(hurry.clone());
        let files = reach.files(account, Arc::new(files_pace))?;
        let source = HostSource::open(Setup {
            name: address.to_string(),
            session,
            files,
            hurry,
            pace: self.pace.clone(),
            clock: Arc::new(jiff::Timestamp::now),
            policy: policy(self.args),
            pacing: pacing(&self.args.pacing),
            mark: claim.mark,
            journals: claim.journals.clone(),
            neighbours: claim.neighbours.clone(),
            node,
            on_return: on_return(),
        });
        let mut source = source.map_err(source::failure)?;
        if let Some(staging) = &self.staging {
            source = source.with_memory(staging.clone());
        }
        self.hosts.push((source, claim));
        self.addresses.push(address.clone());
        Ok(())
    }

    /// Whether a host was named before, by itself or with its cluster.
    fn is_open(&self, address: &HostAddress) -> bool {
        let mut open = self.addresses.iter();
        open.any(|known| known.endpoint == address.endpoint)
    }

    fn not_reached(&mut self, host: &str, severity: Severity, failure: &Failure) {
        let (message, causes) = failure.causes();
        let told: Vec<String> = std::iter::once(message).chain(causes).collect();
        let message = format!("nothing of it is backed up: {}", told.join(": "));
        let hint = failure.hint.clone();
        self.findings.push(
            Finding::new(Code::Failed, severity, host, message)
                .hint(hint.unwrap_or_else(|| "see that it is up and can be reached".to_owned())),
        );
    }
}
