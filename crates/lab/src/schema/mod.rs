//! The classes of a host, with their properties, keys and methods.
//!
//! They are written as MOF, the language in which Windows' own are, and read at the start. A
//! class has the properties of its superclass too, as hosts tell it.

mod mof;

use std::sync::OnceLock;

use cim::{Class, Instance, Property, Value};

pub use mof::BadMof;

/// Hyper-V's namespace.
pub const HYPER_V: &str = "root/virtualization/v2";
/// The namespace of failover clusters; hosts that are in none do not have it.
pub const CLUSTER: &str = "root/mscluster";
/// The namespace of Windows itself.
pub const CIMV2: &str = "root/cimv2";

/// All classes of one namespace.
#[derive(Debug)]
pub struct Schema {
    /// The namespace with slashes.
    pub namespace: &'static str,
    classes: Vec<Class>,
}

impl Schema {
    /// The classes of a namespace of the lab's hosts, in any case and with either kind of slash.
    pub fn of(namespace: &str) -> Option<&'static Self> {
        static ALL: OnceLock<[Schema; 3]> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            [
                Schema::own(HYPER_V, include_str!("hyperv.mof")),
                Schema::own(CIMV2, include_str!("cimv2.mof")),
                Schema::own(CLUSTER, include_str!("mscluster.mof")),
            ]
        });
        let wanted = namespace.replace('\\', "/");
        let wanted = wanted.trim_matches('/');
        all.iter()
            .find(|schema| schema.namespace.eq_ignore_ascii_case(wanted))
    }

    /// Our own text: that it can be read is a matter of a test.
    fn own(namespace: &'static str, text: &str) -> Self {
        match mof::read(namespace, text) {
            Ok(classes) => Self { namespace, classes },
            Err(error) => panic!("the lab's own classes of {namespace}: {error}"),
        }
    }

    /// All classes, superclasses first.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// A class by its name, in any case.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes
            .iter()
            .find(|class| class.name.eq_ignore_ascii_case(name))
    }

    /// Whether a class is another one or a subclass of it. Names in any case.
    pub fn is_a(&self, class: &str, ancestor: &str) -> bool {
        let mut next = Some(class);
        while let Some(name) = next {
            if name.eq_ignore_ascii_case(ancestor) {
                return true;
            }
            next = self
                .class(name)
                .and_then(|class| class.superclass.as_deref());
        }
        false
    }

    /// An instance with all properties of its class in alphabetical order, those that were not
    /// set being null; and with its path.
    ///
    /// # Panics
    /// When a property is none of the class, or of another type: the views of the lab are wrong
    /// then, not what somebody sent.
    pub(crate) fn complete(&self, host: &str, instance: &Instance) -> Instance {
        let class = self.class(&instance.class);
        let class = class.unwrap_or_else(|| panic!("no class {}", instance.class));
        for property in instance.properties() {
            let declared = class.property(&property.name).map(|p| p.kind);
            assert_eq!(
                (declared, property.told_kind()),
                (property.told_kind(), declared),
                "{}.{}",
                class.name,
                property.name
            );
        }
        let mut complete = Instance::new(&class.name);
        let mut all: Vec<_> = class.properties.iter().collect();
        all.sort_by_key(|declared| declared.name.to_ascii_lowercase());
        for declared in all {
            let value = instance.property(&declared.name).map(|p| p.value.clone());
            let Property { name, kind, .. } = declared.into();
            complete.put(&name, kind, value.unwrap_or(Value::Null));
        }
        complete.namespace = Some(self.namespace.to_owned());
        if class.properties.iter().any(|p| p.key)
            && let Ok(mut path) = class.path_of(&complete)
        {
            path.host = Some(host.to_owned());
            // As WMI writes them.
            path.keys.sort_by(|a, b| a.name.cmp(&b.name));
            complete.path = Some(path);
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cim::{CimType, Kind};

    #[test]
    fn the_classes_can_be_read_and_inherit() {
        let schema = Schema::of("ROOT\\Virtualization\\V2").unwrap();
        let vm = schema.class("msvm_computersystem").unwrap();
        assert_eq!(vm.superclass.as_deref(), Some("CIM_ComputerSystem"));
        let keys: Vec<_> = vm
            .properties
            .iter()
            .filter(|p| p.key)
            .map(|p| &p.name)
            .collect();
        assert_eq!(keys, ["Name", "CreationClassName"]);
        let status = vm.property("OperationalStatus").unwrap();
        assert_eq!(status.kind, Kind::array(CimType::Uint16));
        assert!(schema.is_a("Msvm_ComputerSystem", "cim_managedelement"));
        assert!(!schema.is_a("CIM_ComputerSystem", "Msvm_ComputerSystem"));
        let service = schema.class("Msvm_VirtualSystemSnapshotService").unwrap();
        let create = service.method("CreateSnapshot").unwrap();
        let told: Vec<_> = create
            .parameters
            .iter()
            .map(|p| (p.name.as_str(), p.kind.base, p.input, p.output))
            .collect();
        assert_eq!(
            told,
            [
                ("AffectedSystem", CimType::Reference, true, false),
                ("SnapshotSettings", CimType::String, true, false),
                ("SnapshotType", CimType::Uint16, true, false),
                ("ResultingSnapshot", CimType::Reference, true, true),
                ("Job", CimType::Reference, false, true),
            ]
        );
        assert!(create.parameters[1].embeds.is_some());
        assert!(
            Schema::of("root/cimv2")
                .unwrap()
                .class("Win32_OperatingSystem")
                .is_some()
        );
        assert!(Schema::of("root/nothing").is_none());
    }

    #[test]
    fn what_is_not_set_is_null_and_names_are_in_order() {
        let schema = Schema::of(HYPER_V).unwrap();
        let job = Instance::new("Msvm_ConcreteJob")
            .with("InstanceID", "1")
            .with("JobState", 4_u16);
        let job = schema.complete("HV01", &job);
        let names: Vec<_> = job.properties().iter().map(|p| p.name.as_str()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(job.property("ErrorDescription").unwrap().value.is_null());
        let path = job.path.unwrap().to_string();
        assert_eq!(
            path,
            "\\\\HV01\\root\\virtualization\\v2:Msvm_ConcreteJob.InstanceID=\"1\""
        );
    }
}
