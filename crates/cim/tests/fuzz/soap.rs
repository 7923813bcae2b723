//! What holds for any bytes that are read as a reply of WS-Management.

use hyperkeep_cim::job::JobSnapshot;
use hyperkeep_cim::wsman::{Item, Reply};
use hyperkeep_cim::{Instance, ObjectPath};

/// Reads `data`, and what it holds as all that a caller may ask for.
///
/// # Panics
/// Never.
pub(crate) fn check(data: &[u8]) {
    match Reply::read(data, None) {
        Ok(Reply::Fault(fault)) => {
            let _ = (fault.kind(), fault.hresult(), fault.to_string());
        }
        Ok(Reply::Instance(instance)) => look(&instance),
        Ok(Reply::Page(page)) => page.items.iter().for_each(|item| match item {
            Item::Instance(instance) => look(instance),
            Item::Path(path) => _ = path.to_string(),
            _ => {}
        }),
        Ok(Reply::Identity(identity)) => _ = identity.os(),
        Ok(_) | Err(_) => {}
    }
}

fn look(instance: &Instance) {
    let _ = JobSnapshot::read(instance);
    for property in instance.properties() {
        let name = &property.name;
        let _ = instance.get::<u64>(name);
        let _ = instance.get_list::<String>(name);
        let _ = instance.get::<hyperkeep_cim::DateTime>(name);
        let _ = instance.get::<ObjectPath>(name);
        let _ = instance.get::<Instance>(name);
    }
}
