//! Calling methods: which there are, and what is common to all.
//!
//! A method that the schema has and that is not built here returns 32770, *not supported*, and
//! has done nothing.

mod export;
mod folder;
mod image;
mod inputs;
mod job;
mod management;
mod planned;
mod point;
mod replication;
mod resources;
mod security;
mod snapshot;
mod system;

use cim::class::Method;
use cim::{CimType, Instance, ObjectPath, Value};

use super::{Repository, RepositoryError, Result, views};
use crate::state::{Host, JobId, Refusal};

/// What a method gave.
enum Outcome {
    /// It is done; these are its outputs.
    Done(Instance),
    /// A job does it.
    Job(JobId),
}

type Called = std::result::Result<Outcome, Refusal>;

impl Repository {
    /// The declaration of a method, for a client's parameters to be understood by.
    pub fn method(&self, namespace: &str, class: &str, method: &str) -> Result<&'static Method> {
        let class = self.class(namespace, class)?;
        class
            .method(method)
            .ok_or_else(|| RepositoryError::NoMethod {
                class: class.name.clone(),
                method: method.to_owned(),
            })
    }

    /// What a method returns that does nothing but return a code.
    pub fn refusal(
        &self,
        namespace: &str,
        class: &str,
        method: &str,
        code: u32,
    ) -> Result<Instance> {
        let declared = self.method(namespace, class, method)?;
        Ok(outputs(&self.host, declared, Err(Refusal(code))))
    }

    /// Calls a method of an object with inputs of the declared types. The result has all outputs,
    /// those that were not given being null, and `ReturnValue`.
    pub fn invoke(
        &mut self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<Instance> {
        let declared = self.method(target.namespace_or_default(), &target.class, method)?;
        let object = self.get(target)?;
        let host = &mut self.host;
        let called = match (object.class.as_str(), declared.name.as_str()) {
            ("Win32_Directory", "DeleteEx") => folder::delete(host, &object, inputs),
            ("Msvm_ComputerSystem" | "Msvm_PlannedComputerSystem", "RequestStateChange") => {
                system::request_state(host, &object, inputs)
            }
            ("Msvm_ComputerSystem", "RequestReplicationStateChangeEx") => {
                system::request_replication(host, &object, inputs)
            }
            ("Msvm_ConcreteJob" | "Msvm_StorageJob", "RequestStateChange") => {
                job::request_state(host, &object, inputs)
            }
            ("Msvm_ConcreteJob" | "Msvm_StorageJob", "GetError") => {
                job::error(host, &object, "Error")
            }
            ("Msvm_ConcreteJob" | "Msvm_StorageJob", "GetErrorEx") => {
                job::error(host, &object, "Errors")
            }
            ("Msvm_ImageManagementService", "GetVirtualDiskChanges") => {
                image::changes(host, inputs)
            }
            ("Msvm_ImageManagementService", "GetVirtualHardDiskSettingData") => {
                image::settings(host, inputs)
            }
            ("Msvm_ImageManagementService", "GetVirtualHardDiskState") => {
                image::state(host, inputs)
            }
            ("Msvm_ReplicationService", "RemoveReplicationRelationship") => {
                replication::remove(host, inputs)
            }
            ("Msvm_ReplicationService", "RemoveReplicationRelationshipEx") => {
                replication::remove_one(host, inputs)
            }
            ("Msvm_SecurityService", "GetKeyProtector") => security::key_protector(host, inputs),
            ("Msvm_VirtualSystemManagementService", "DestroySystem") => {
                management::destroy(host, inputs)
            }
            ("Msvm_VirtualSystemManagementService", "ExportSystemDefinition") => {
                export::export(host, inputs)
            }
            ("Msvm_VirtualSystemManagementService", "ModifyDiskMergeSettings") => {
                export::merge_settings(host, inputs)
            }
            ("Msvm_VirtualSystemManagementService", "GetSummaryInformation") => {
                management::summary(host, inputs)
            }
            ("Msvm_VirtualSystemManagementService", "ModifySystemSettings") => {
                management::modify(self, inputs)
            }
            ("Msvm_VirtualSystemManagementService", method) => match method {
                "DefineSystem" => planned::define(host, inputs, false),
                "DefinePlannedSystem" => planned::define(host, inputs, true),
                "ImportSystemDefinition" => planned::import(host, inputs),
                "ImportSnapshotDefinitions" => planned::import_snapshots(host, inputs),
                "ValidatePlannedSystem" => planned::validate(host, inputs),
                "RealizePlannedSystem" => planned::realize(host, inputs),
                "AddResourceSettings" => resources::add(host, inputs),
                "ModifyResourceSettings" => resources::modify(self, inputs),
                "RemoveResourceSettings" => resources::remove(host, inputs),
                "AddFeatureSettings" => resources::add_features(host, inputs),
                "ModifyFeatureSettings" => resources::modify_features(host, inputs),
                _ => Err(Refusal::NOT_SUPPORTED),
            },
            ("Msvm_VirtualSystemReferencePointService", "DestroyReferencePoint") => {
                point::destroy(host, inputs)
            }
            ("Msvm_VirtualSystemSnapshotService", "ApplySnapshot") => snapshot::apply(host, inputs),
            ("Msvm_VirtualSystemSnapshotService", "ClearSnapshotState") => {
                snapshot::clear_state(host, inputs)
            }
            ("Msvm_VirtualSystemSnapshotService", "DestroySnapshotTree") => {
                snapshot::destroy_tree(host, inputs)
            }
            ("Msvm_VirtualSystemSnapshotService", "ConvertToReferencePoint") => {
                snapshot::convert(host, inputs)
            }
            ("Msvm_VirtualSystemSnapshotService", "CreateSnapshot") => {
                snapshot::create(host, inputs)
            }
            ("Msvm_VirtualSystemSnapshotService", "DestroySnapshot") => {
                snapshot::destroy(host, inputs)
            }
            _ => Err(Refusal::NOT_SUPPORTED),
        };
        Ok(outputs(&self.host, declared, called))
    }
}

fn outputs(host: &Host, declared: &Method, called: Called) -> Instance {
    let (code, given) = match called {
        Ok(Outcome::Done(given)) => (0, given),
        Ok(Outcome::Job(id)) => {
            let job = views::job_path(host, id);
            (4096, Instance::new("").with("Job", job))
        }
        Err(Refusal(code)) => (code, Instance::new("")),
    };
    let mut outputs = Instance::new(format!("{}_OUTPUT", declared.name));
    for parameter in declared.parameters.iter().filter(|p| p.output) {
        let value = given.property(&parameter.name).map(|p| p.value.clone());
        outputs.put(
            &parameter.name,
            Some(parameter.kind),
            value.unwrap_or(Value::Null),
        );
    }
    outputs.set("ReturnValue", code);
    debug_assert!(given.properties().iter().all(|p| outputs.has(&p.name)));
    outputs
}

/// No outputs but the code.
fn done() -> Called {
    Ok(Outcome::Done(Instance::new("")))
}

/// The kinds of embedded instances are strings.
fn embed(instance: &Instance) -> std::result::Result<String, Refusal> {
    debug_assert!(
        instance
            .properties()
            .iter()
            .all(|p| p.told_kind().is_some_and(|k| k.base != CimType::Object))
    );
    cim::cimxml::write_instance(instance).map_err(|_| Refusal::FAILED)
}
