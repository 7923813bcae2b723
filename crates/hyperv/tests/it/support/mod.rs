//! A host of the tests: tables of instances, and every call kept.

mod machine;
pub(crate) mod vmms;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use cim::path::HYPER_V;
use cim::wsman::{Associations, Fault};
use cim::{
    CimError, CimProblem, CimSession, Class, Instance, MethodResult, ObjectPath, TransportError,
    TransportProblem,
};

pub(crate) use machine::{Checkpoint, Disk, Machine, Nic, guid, settings_path};
pub(crate) use wire::untyped;

/// Codes of faults.
pub(crate) const NO_CLASS: u32 = 0x8004_1010;
pub(crate) const NO_NAMESPACE: u32 = 0x8004_100e;
pub(crate) const DENIED: u32 = 5;

/// What a class answers when it has no instances.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    Fault(u32),
    Broken,
}

/// A host.
#[derive(Default)]
pub(crate) struct Host {
    tables: BTreeMap<(String, String), Vec<Instance>>,
    refusals: BTreeMap<String, Refusal>,
    associated: BTreeMap<String, Vec<Instance>>,
    namespaces: BTreeSet<String>,
    /// Whether values come without types, as over WS-Management.
    pub(crate) untyped: bool,
    pub(crate) calls: Mutex<Vec<String>>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut host = Self::default();
        host.namespaces.insert("root/cimv2".to_owned());
        host.add(
            Instance::new("Msvm_ComputerSystem")
                .with("Name", "HV01")
                .with("EnabledState", 2_u16),
        );
        host.add_in(
            "root/cimv2",
            Instance::new("Win32_OperatingSystem")
                .with("CSName", "HV01")
                .with("Version", "10.0.20348")
                .with("Caption", "Microsoft Windows Server 2022 標準")
                .with("ProductType", 3_u32),
        );
        host.add_in(
            "root/cimv2",
            Instance::new("Win32_Volume")
                .with("Name", "D:\\")
                .with("DeviceID", format!("\\\\?\\Volume{{{}}}\\", guid(0xd)))
                .with("Capacity", 1_u64 << 40)
                .with("FreeSpace", 1_u64 << 39),
        );
        host.add(
            Instance::new("Msvm_VirtualSystemManagementServiceSettingData")
                .with("DefaultExternalDataRoot", "D:\\VMs")
                .with("DefaultVirtualHardDiskPath", "D:\\Disks"),
        );
        // A class with no instances is a class all the same.
        for class in [
            "Msvm_VirtualSystemReferencePoint",
            "Msvm_VirtualSystemSettingData",
            "Msvm_ResourceAllocationSettingData",
            "Msvm_StorageAllocationSettingData",
        ] {
            host.tables.insert(key(HYPER_V, class), Vec::new());
        }
        host
    }

    pub(crate) fn add(&mut self, instance: Instance) {
        self.add_in(HYPER_V, instance);
    }

    pub(crate) fn add_in(&mut self, namespace: &str, instance: Instance) {
        self.namespaces.insert(namespace.to_owned());
        let key = key(namespace, &instance.class);
        self.tables.entry(key).or_default().push(instance);
    }

    pub(crate) fn refuse(&mut self, class: &str, how: Refusal) {
        self.refusals.insert(class.to_lowercase(), how);
    }

    /// What the association with the devices of a configuration answers.
    pub(crate) fn associate(&mut self, settings: &str, devices: Vec<Instance>) {
        self.associated.insert(settings.to_lowercase(), devices);
    }

    pub(crate) fn rows(&mut self, class: &str) -> &mut Vec<Instance> {
        self.tables.entry(key(HYPER_V, class)).or_default()
    }

    pub(crate) fn classes(&self) -> Vec<String> {
        self.tables.keys().map(|(_, class)| class.clone()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    fn called(&self, what: String) {
        self.calls.lock().unwrap().push(what);
    }

    fn give(&self, instance: &Instance) -> Instance {
        if self.untyped {
            untyped(instance)
        } else {
            instance.clone()
        }
    }
}

fn key(namespace: &str, class: &str) -> (String, String) {
    (namespace.to_lowercase(), class.to_lowercase())
}

pub(crate) fn fault(call: &str, code: u32, changes: bool) -> CimError {
    let fault = Fault {
        wsman_code: Some(code),
        reason: "Nein.".to_owned(),
        ..Fault::default()
    };
    CimError {
        call: call.to_owned(),
        problem: Box::new(CimProblem::Fault(Box::new(fault))),
        changes,
    }
}

pub(crate) fn broken(call: &str, maybe_sent: bool, changes: bool) -> CimError {
    let error = TransportError {
        endpoint: "http://hv01:5985/wsman".to_owned(),
        problem: TransportProblem::Broken("test".to_owned()),
        maybe_sent,
    };
    CimError {
        call: call.to_owned(),
        problem: Box::new(CimProblem::Transport(error)),
        changes,
    }
}

impl CimSession for Host {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        panic!("an inventory gets no single object: {path}")
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        self.called(wql.to_owned());
        let class = wql
            .strip_prefix("SELECT * FROM ")
            .expect("a query for everything");
        let (class, clause) = class.split_once(" WHERE ").unwrap_or((class, ""));
        match self.refusals.get(&class.to_lowercase()) {
            Some(Refusal::Fault(code)) => return Err(fault(wql, *code, false)),
            Some(Refusal::Broken) => return Err(broken(wql, true, false)),
            None => {}
        }
        if !self.namespaces.contains(namespace) {
            return Err(fault(wql, NO_NAMESPACE, false));
        }
        let rows = self.tables.get(&key(namespace, class));
        let rows = rows.ok_or_else(|| fault(wql, NO_CLASS, false))?;
        let fits = |row: &&Instance| match clause.split_once('=') {
            Some((name, value)) => {
                let told: Option<String> = row.get_opt(name).unwrap();
                told.as_deref() == Some(value.trim_matches('\''))
            }
            None => true,
        };
        Ok(rows.iter().filter(fits).map(|row| self.give(row)).collect())
    }

    fn query_paths(&self, _: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        panic!("an inventory asks for no paths: {wql}")
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.called(which.to_wql());
        assert_eq!(
            which.association.as_deref(),
            Some("Msvm_VirtualSystemSettingDataComponent")
        );
        let of = which.of.key("InstanceID").unwrap().to_lowercase();
        let found = self.associated.get(&of);
        Ok(found
            .into_iter()
            .flatten()
            .map(|row| self.give(row))
            .collect())
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        panic!("an inventory asks for no references: {which:?}")
    }

    fn invoke(
        &self,
        path: &ObjectPath,
        method: &str,
        _: &Instance,
    ) -> Result<MethodResult, CimError> {
        panic!("an inventory calls nothing: {method} of {path}")
    }

    fn class(&self, _: &str, name: &str) -> Result<Arc<Class>, CimError> {
        panic!("an inventory asks for no class: {name}")
    }
}
