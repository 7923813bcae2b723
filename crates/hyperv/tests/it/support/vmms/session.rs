//! The host's answers.

use std::sync::Arc;
use std::time::Duration;

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{
    CimError, CimSession, CimType, Class, Instance, Kind, MethodResult, ObjectPath,
    class::ClassProperty,
};

use super::super::{DENIED, Machine, NO_CLASS, broken, fault, guid, untyped};
use super::{Failure, Kept, State, Vmms, settings, time};

const NOT_FOUND: u32 = 0x8033_8000;

impl State {
    /// The devices of the VM or of a checkpoint.
    fn devices(&self, config: &str) -> Vec<Instance> {
        let own = self.unmerged.as_ref().filter(|_| config == guid(1));
        let of_checkpoint = self.own_disks.get(&format!("Microsoft:{config}"));
        let of_checkpoint = of_checkpoint.unwrap_or(&self.disks);
        let disks = own.map_or(of_checkpoint, |(_, disks)| disks);
        if disks.is_empty() {
            return Vec::new();
        }
        let mut rows = Machine::new(1, "a").devices(config, disks);
        if self.tpm {
            rows.push(
                Instance::new("Msvm_SecuritySettingData")
                    .with("InstanceID", format!("Microsoft:{config}\\{}", guid(0x5ec)))
                    .with("TpmEnabled", true),
            );
        }
        rows
    }
}

fn returned(method: &str, value: u32) -> Instance {
    Instance::new(format!("{method}_OUTPUT")).with("ReturnValue", value)
}

impl CimSession for Vmms {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        let mut state = self.state.lock().unwrap();
        if state.has_left() {
            return Err(fault("get", NOT_FOUND, false));
        }
        if path.class == "Msvm_ComputerSystem" {
            let mut status = vec![2_u16];
            status.extend(state.operation);
            let mut machine = Instance::new("Msvm_ComputerSystem")
                .with("ElementName", "a")
                .with("EnabledState", state.power)
                .with("OperationalStatus", status);
            if self.tells_state_time {
                machine.set("TimeOfLastStateChange", time(state.power_since));
            }
            return Ok(untyped(&machine));
        }
        self.moment(&state, format!("before {path} is looked at"));
        let id = path.key("InstanceID").unwrap();
        if let Some(kept) = state.checkpoints.get(&id) {
            return Ok(untyped(&settings(&id, kept)));
        }
        if id == format!("Microsoft:{}", guid(1)) {
            let row = Instance::new("Msvm_VirtualSystemSettingData")
                .with("InstanceID", id)
                .with("VirtualSystemType", "Microsoft:Hyper-V:System:Realized");
            return Ok(untyped(&row));
        }
        let Some((job, _)) = state.jobs.get(&id) else {
            return Err(fault("get", NOT_FOUND, false));
        };
        // More than a hundred: that it ended well and with an error, or with another error.
        let error = match *job {
            300.. => 32775_u16,
            200.. => 32773,
            10.. => 32768,
            _ => 0,
        };
        let job = Instance::new("Msvm_ConcreteJob")
            .with("JobState", *job % 100)
            .with("ErrorCode", error)
            .with("ErrorDescription", "失敗");
        Ok(untyped(&job))
    }

    fn query(&self, _: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        // Few accounts may read the event log.
        if wql.starts_with("SELECT * FROM Win32_NTLogEvent ") {
            return Err(fault(wql, DENIED, false));
        }
        assert_eq!(wql, "SELECT * FROM Win32_OperatingSystem");
        if !self.tells_time {
            return Err(fault(wql, DENIED, false));
        }
        let state = self.state.lock().unwrap();
        self.moment(&state, "before the time is asked".to_owned());
        let row = Instance::new("Win32_OperatingSystem");
        Ok(vec![untyped(&row.with("LocalDateTime", time(state.now)))])
    }

    fn query_paths(&self, _: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        let class = wql.strip_prefix("SELECT * FROM ").unwrap();
        assert!(class.ends_with("Service"), "{class}");
        Ok(vec![
            ObjectPath::new(HYPER_V, class).with_key("Name", "vmms"),
        ])
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        let mut state = self.state.lock().unwrap();
        if state.has_left() {
            return Ok(Vec::new());
        }
        self.moment(&state, format!("before {:?} is asked", which.association));
        let rows: Vec<Instance> = match which.association.as_deref().unwrap() {
            "Msvm_SnapshotOfVirtualSystem" => {
                let all = state.checkpoints.iter();
                all.map(|(id, kept)| settings(id, kept)).collect()
            }
            "Msvm_ReferencePointOfVirtualSystem" => {
                state.points.iter().map(|p| state.point(p)).collect()
            }
            "Msvm_LastAppliedSnapshot" => state
                .applied
                .iter()
                .map(|id| {
                    let kept = Kept {
                        name: "applied".to_owned(),
                        recovery: false,
                        created: Duration::ZERO,
                        parent: None,
                    };
                    settings(id, &kept)
                })
                .collect(),
            "Msvm_VirtualSystemSettingDataComponent" => {
                let id = which.of.key("InstanceID").unwrap();
                let mut rows = state.devices(id.strip_prefix("Microsoft:").unwrap());
                rows.retain(|row| which.result.as_ref().is_none_or(|of| *of == row.class));
                rows
            }
            "Msvm_AffectedJobElement" if which.of.class == "Msvm_ComputerSystem" => {
                let job = |kind: &u16| {
                    let job = Instance::new("Msvm_ConcreteJob").with("JobState", 4_u16);
                    job.with("ErrorCode", 0_u16).with("JobType", *kind)
                };
                state.at_work.iter().map(job).collect()
            }
            "Msvm_AffectedJobElement" => {
                let id = which.of.key("InstanceID").unwrap();
                let class = which.result.clone().unwrap();
                let job = state
                    .jobs
                    .get(&id)
                    .ok_or_else(|| fault("associators", NOT_FOUND, false))?;
                job.1
                    .iter()
                    .filter(|row| row.class == class)
                    .cloned()
                    .collect()
            }
            other => panic!("{other}"),
        };
        Ok(rows.iter().map(untyped).collect())
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        panic!("{which:?}")
    }

    fn invoke(
        &self,
        _: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        let mut state = self.state.lock().unwrap();
        let give = |outputs: Instance| {
            Ok(MethodResult {
                outputs: untyped(&outputs),
            })
        };
        if method == "GetErrorEx" {
            return give(returned(method, 0));
        }
        if method == "GetKeyProtector" {
            let settings: Instance = inputs.get("SecuritySettingData").unwrap();
            assert_eq!(settings.get::<bool>("TpmEnabled"), Ok(true));
            let id: String = settings.get("InstanceID").unwrap();
            // That of the checkpoint, not of the VM.
            assert!(!id.contains(&guid(1)), "{id}");
            return give(returned(method, 0).with("KeyProtector", vec![1_u8, 2, 255]));
        }
        if method == "GetVirtualDiskChanges" {
            state.asked.push(inputs.get("LimitId").unwrap());
            let failure = state.failures.iter().position(|(of, _)| of == method);
            if let Some(at) = failure
                && let Failure::Refused(code) = state.failures.remove(at).1
            {
                return give(returned(method, code));
            }
            let changes = state.changes.iter();
            let (offsets, lengths): (Vec<u64>, Vec<u64>) = changes.copied().unzip();
            let processed: u64 = inputs.get("ByteLength").unwrap();
            let answer = returned(method, 0).with("ProcessedByteLength", processed);
            let answer = answer.with("ChangedByteOffsets", offsets);
            return give(answer.with("ChangedByteLengths", lengths));
        }
        if state.has_left() {
            return Err(fault(method, NOT_FOUND, true));
        }
        self.moment(&state, format!("before {method}"));
        state.calls.push(method.to_owned());
        state.inputs.push(inputs.clone());
        let at = state.failures.iter().position(|(of, _)| of == method);
        let failure = at.map(|at| state.failures.remove(at).1);
        let jobs = |state: &mut State, job: u16, made: Vec<Instance>, kept: bool| {
            let id = state.id("J");
            if kept {
                state.jobs.insert(id.clone(), (job, made));
            }
            let path = ObjectPath::new(HYPER_V, "Msvm_ConcreteJob").with_key("InstanceID", id);
            give(returned(method, 4096).with("Job", path))
        };
        match failure {
            Some(Failure::Refused(code)) => return give(returned(method, code)),
            Some(Failure::LostRequest) => return Err(broken(method, false, true)),
            Some(Failure::FailedJob) => return jobs(&mut state, 10, Vec::new(), true),
            Some(Failure::BusyJob) => return jobs(&mut state, 310, Vec::new(), true),
            _ => {}
        }
        let asked: Option<Instance> = inputs.get_opt("SnapshotSettings").unwrap();
        let name = asked.and_then(|asked| asked.get_opt("ElementName").unwrap());
        if self.refuses_in_job && name.is_some() {
            return jobs(&mut state, 210, Vec::new(), true);
        }
        if self.refuses_names && name.is_some() {
            return give(returned(method, 32773));
        }
        let name = name.filter(|_| self.names_at_once);
        let made = match state.perform(method, inputs, name) {
            Ok(made) => made,
            Err(code) => return give(returned(method, code)),
        };
        self.moment(&state, format!("after {method}, before its answer"));
        match failure {
            Some(Failure::LostReply) => Err(broken(method, true, true)),
            Some(Failure::DoneFailedJob(how)) => jobs(&mut state, how, Vec::new(), true),
            Some(Failure::ForgottenJob) => jobs(&mut state, 7, made, false),
            Some(Failure::SilentJob) => jobs(&mut state, 7, Vec::new(), true),
            _ if self.direct => {
                let mut outputs = returned(method, 0);
                if let Some(made) = made.first() {
                    let name = match method {
                        "CreateSnapshot" => "ResultingSnapshot",
                        _ => "ResultingReferencePoint",
                    };
                    let id: String = made.get("InstanceID").unwrap();
                    let path = ObjectPath::new(HYPER_V, &made.class).with_key("InstanceID", id);
                    outputs.set(name, path);
                }
                give(outputs)
            }
            _ => jobs(&mut state, 7, made, true),
        }
    }

    fn class(&self, _: &str, name: &str) -> Result<Arc<Class>, CimError> {
        let property = |name: &str, kind: CimType| ClassProperty {
            name: name.to_owned(),
            kind: Kind::of(kind),
            key: false,
            embeds: None,
        };
        if self.hides_classes {
            return Err(fault("class", DENIED, false));
        }
        let properties = match name {
            "Msvm_VirtualSystemSnapshotSettingData" => {
                let mut properties = vec![
                    property("ConsistencyLevel", CimType::Uint8),
                    property("ElementName", CimType::String),
                ];
                if self.guest_backup_type {
                    properties.push(property("GuestBackupType", CimType::Uint8));
                }
                properties
            }
            "Msvm_SecuritySettingData" => vec![
                property("InstanceID", CimType::String),
                property("TpmEnabled", CimType::Boolean),
            ],
            _ => return Err(fault("class", NO_CLASS, false)),
        };
        let (name, namespace) = (name.to_owned(), Some(HYPER_V.to_owned()));
        Ok(Arc::new(Class {
            name,
            namespace,
            properties,
            ..Class::default()
        }))
    }
}
