//! Each condition of an online backup, for which VMs it is met.

use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;
use crate::preflight::{Condition, Met, conditions as of_vm};

/// A condition, for all VMs of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionReport {
    /// The condition.
    pub condition: Condition,
    /// What it says when it is met.
    pub says: String,
    /// For how many VMs it is met.
    pub met: usize,
    /// The VMs for which it is not, by name.
    pub not: Vec<String>,
    /// The VMs of which nobody can tell from outside, by name.
    pub unknown: Vec<String>,
}

/// Looks at each condition for each VM, in a fixed order.
pub fn conditions(inventory: &Inventory) -> Vec<ConditionReport> {
    let mut reports: Vec<ConditionReport> = Vec::new();
    for machine in &inventory.machines {
        for (condition, met) in of_vm(machine) {
            let known = reports.iter().position(|r| r.condition == condition);
            let at = known.unwrap_or_else(|| {
                reports.push(ConditionReport {
                    condition,
                    says: condition.to_string(),
                    met: 0,
                    not: Vec::new(),
                    unknown: Vec::new(),
                });
                reports.len() - 1
            });
            let report = &mut reports[at];
            let name = machine.name().to_owned();
            match met {
                Met::Yes => report.met += 1,
                Met::No => report.not.push(name),
                Met::Unknown => report.unknown.push(name),
            }
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Contact;
    use crate::preflight::tests::well;

    #[test]
    fn each_vm_is_counted_once_for_each_condition() {
        let (mut lost, mut silent) = (well(), well());
        lost.guest.backup_service = Some(Contact::Lost);
        lost.settings.config.name = "lost".to_owned();
        silent.guest.backup_service = None;
        silent.settings.config.name = "silent".to_owned();
        let inventory = Inventory {
            machines: vec![well(), lost, silent],
            ..Inventory::default()
        };
        let reports = conditions(&inventory);
        assert_eq!(reports.len(), 10);
        for report in &reports {
            let all = report.met + report.not.len() + report.unknown.len();
            assert_eq!(all, 3, "{report:?}");
        }
        let answers = |report: &&ConditionReport| report.condition == Condition::ServiceAnswers;
        let report = reports.iter().find(answers).unwrap();
        let told = (report.met, report.not.concat(), report.unknown.concat());
        assert_eq!(told, (1, "lost".to_owned(), "silent".to_owned()));
        assert!(conditions(&Inventory::default()).is_empty());
    }
}
