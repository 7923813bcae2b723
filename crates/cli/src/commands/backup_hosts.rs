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
use crate::host::{Claim, HostAddress, HostPace, Nodes, Reach, State};
use crate::ui::Ui;
use crate::{open, stop};

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
    let own = named.iter().map(|(_, _, reached, _)| &reached.hooks);
    let hooks = match &args.hooks {
        Some(hooks) => Some(hooks.clone()),
        None => same(own)?.clone(),
    };
    let options = options(global, args, hooks.as_deref())?;
    let vault = open::vault(global, ui)?;
    let cancel = stop::on_signal(ui);
    let mut opening = Opening {
        args,
        vault: vault.id().to_string(),
        pace: Arc::new(HostPace::new(cancel.clone())),
        cancel: cancel.clone(),
        staging,
        hosts: Vec::new(),
        findings: Vec::new(),
        is_cluster: false,
    };
    let alone = named.len() == 1;
    for (given, address, reached, reach) in named {
        match opening.host(given, (&address, &reached), reach) {
            Err(failure) if !alone => opening.not_reached(&address, Severity::Error, &failure),
            done => done?,
        }
    }
    let Opening {
        hosts,
        findings,
        is_cluster,
        ..
    } = opening;
    let (mut sources, claims): (Vec<HostSource>, Vec<Claim>) = hosts.into_iter().unzip();
    let mut source: Box<dyn Source> = match (alone && !is_cluster, sources.pop()) {
        (_, None) => return Err(nobody(findings)),
        (true, Some(only)) => Box::new(only),
        (false, Some(last)) => {
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
    /// Why others are not there.
    findings: Vec<Finding>,
    is_cluster: bool,
}

impl Opening<'_> {
    /// Opens a host, or all nodes of the cluster that it stands for.
    fn host(
        &mut self,
        given: &str,
        (address, reached): (&HostAddress, &HostArgs),
        reach: Reach,
    ) -> Result<()> {
        // Nobody else may be at it when it is spoken to; nodes are claimed one by one.
        let claim = State::open(reached)?.claim(address, &self.vault)?;
        let account = crate::host::credentials(address, reached)?;
        let session = crate::host::session_as(account.clone(), address, reached)?;
        let meant = (given, self.args.cluster.cluster, &self.args.host);
        let nodes = Nodes::find(meant, (address, reached), &account, &session)?;
        let Some(nodes) = nodes else {
            return self.open((address, reach), account, session, (claim, None));
        };
        drop(claim);
        self.is_cluster = true;
        for node in nodes.all()? {
            let name = node.name.clone();
            if node.state == NodeState::Down {
                self.findings.push(Finding::note(
                    Code::HostNote,
                    name,
                    "the node is down; its VMs are backed up where they are now",
                ));
                continue;
            }
            let (address, reached, account) = nodes.reach(&name)?;
            let cluster = Arc::clone(&nodes.cluster);
            let open = || {
                let reach = Reach::read(&address, &reached)?;
                let claim = State::open(&reached)?.claim(&address, &self.vault)?;
                let session = cluster.session(&name);
                let session = session.map_err(|error| crate::host::failure(&address, &error))?;
                Ok((reach, claim, session))
            };
            // What the cluster keeps there and nobody tells of is told as well.
            let opened: Result<(Reach, Claim, Arc<dyn CimSession>)> = open();
            match opened.and_then(|(reach, claim, session)| {
                let node = Some(Node { cluster, name });
                self.open((&address, reach), account, session, (claim, node))
            }) {
                Ok(()) => {}
                Err(failure) => self.not_reached(&address, Severity::Warning, &failure),
            }
        }
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
        });
        let mut source = source.map_err(source::failure)?;
        if let Some(staging) = &self.staging {
            source = source.with_memory(staging.clone());
        }
        self.hosts.push((source, claim));
        Ok(())
    }

    fn not_reached(&mut self, address: &HostAddress, severity: Severity, failure: &Failure) {
        let (message, causes) = failure.causes();
        let told: Vec<String> = std::iter::once(message).chain(causes).collect();
        let message = format!("nothing of it is backed up: {}", told.join(": "));
        let hint = failure.hint.clone();
        self.findings.push(
            Finding::new(Code::Failed, severity, address.to_string(), message)
                .hint(hint.unwrap_or_else(|| "see that it is up and can be reached".to_owned())),
        );
    }
}
