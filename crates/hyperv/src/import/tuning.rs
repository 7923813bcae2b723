//! How a VM is tuned: its shares of processors, memory and disks, and its notes. What was restored by
//! its configuration is compared with the restore point in all that both tell.
//!
//! Hosts of different versions do not tell the same of a VM, and none of this decides whether its
//! data is right: what one side does not tell is no difference. A limit of a disk is told by
//! every host that knows of limits, and zero is none.

use vmconfig::model::{Location, VmConfig};

use super::applied::Difference;

/// What differs. `place` tells where a place of the restore point is in what was found.
pub(super) fn differs(
    wanted: &VmConfig,
    found: &VmConfig,
    place: &dyn Fn(Location) -> Location,
) -> Vec<Difference> {
    let mut all = Vec::new();
    shares(wanted, found, &mut all);
    // Lines end as the host ends them.
    let lines = |notes: &str| notes.lines().collect::<Vec<_>>().join("\n");
    let notes = (lines(&wanted.notes), lines(&found.notes));
    if !notes.0.is_empty() && notes.0 != notes.1 {
        all.push(Difference {
            what: "its notes".to_owned(),
            planned: format!("{:?}", notes.0),
            found: format!("{:?}", notes.1),
        });
    }
    limits(wanted, found, place, &mut all);
    all
}

fn shares(wanted: &VmConfig, found: &VmConfig, all: &mut Vec<Difference>) {
    let (cpu, own) = (&wanted.processors, &found.processors);
    both(all, "the limit of its processors", cpu.limit, own.limit);
    let what = "the reserve of its processors";
    both(all, what, cpu.reservation, own.reservation);
    both(all, "the weight of its processors", cpu.weight, own.weight);
    let what = "whether it may run VMs itself";
    let (nested, own) = (cpu.nested_virtualization, own.nested_virtualization);
    both(all, what, nested, own);
    let (memory, own) = (&wanted.memory, &found.memory);
    both(all, "the weight of its memory", memory.weight, own.weight);
    if memory.dynamic == Some(true) {
        let what = "the buffer of its memory in percent";
        both(all, what, memory.buffer_percent, own.buffer_percent);
    }
}

fn limits(
    wanted: &VmConfig,
    found: &VmConfig,
    place: &dyn Fn(Location) -> Location,
    all: &mut Vec<Difference>,
) {
    for (at, drive) in wanted.drives() {
        let meant = place(at);
        let mut there = found.drives();
        // One that is not there is told as such.
        let Some((_, own)) = there.find(|(other, _)| *other == meant) else {
            continue;
        };
        let (qos, own) = (&drive.qos, &own.qos);
        let none = |told: Option<u64>| Some(told.unwrap_or(0));
        let (least, most) = (none(own.iops_reservation), none(own.iops_limit));
        let of = format!("of the disk at {at}");
        both(
            all,
            &format!("the most operations {of}"),
            qos.iops_limit,
            most,
        );
        let wanted = qos.iops_reservation;
        both(all, &format!("the least operations {of}"), wanted, least);
        both(all, &format!("the weight {of}"), qos.weight, own.weight);
    }
}

fn both<T: PartialEq + ToString>(
    all: &mut Vec<Difference>,
    what: &str,
    wanted: Option<T>,
    found: Option<T>,
) {
    if let (Some(wanted), Some(found)) = (wanted, found)
        && wanted != found
    {
        all.push(Difference {
            what: what.to_owned(),
            planned: wanted.to_string(),
            found: found.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use vmconfig::model::{Memory, Processors, Qos};

    use super::*;

    fn config() -> VmConfig {
        let mut config = super::super::tests::point().config;
        config.processors = Processors {
            count: Some(2),
            limit: Some(50_000),
            reservation: Some(10_000),
            weight: Some(200),
            nested_virtualization: Some(true),
        };
        config.memory = Memory {
            dynamic: Some(true),
            buffer_percent: Some(30),
            weight: Some(7000),
            ..Memory::default()
        };
        config.notes = "one\ntwo".to_owned();
        config.controllers[0].drives[0].qos = Qos {
            iops_limit: Some(500),
            iops_reservation: Some(100),
            weight: None,
        };
        config
    }

    fn told(wanted: &VmConfig, found: &VmConfig) -> Vec<String> {
        let all = differs(wanted, found, &|at| at);
        all.iter().map(ToString::to_string).collect()
    }

    /// Something that is otherwise, and how it is told.
    type Case = (fn(&mut VmConfig), &'static str);

    #[test]
    fn all_that_both_tell_is_compared() {
        let wanted = config();
        assert_eq!(told(&wanted, &wanted), [""; 0]);
        let cases: [Case; 9] = [
            (
                |c| c.processors.limit = Some(100_000),
                "the limit of its processors should be 50000 and is 100000",
            ),
            (
                |c| c.processors.reservation = Some(0),
                "the reserve of its processors should be 10000 and is 0",
            ),
            (
                |c| c.processors.weight = Some(100),
                "the weight of its processors should be 200 and is 100",
            ),
            (
                |c| c.processors.nested_virtualization = Some(false),
                "whether it may run VMs itself should be true and is false",
            ),
            (
                |c| c.memory.weight = Some(5000),
                "the weight of its memory should be 7000 and is 5000",
            ),
            (
                |c| c.memory.buffer_percent = Some(20),
                "the buffer of its memory in percent should be 30 and is 20",
            ),
            (
                |c| c.notes = "one".to_owned(),
                "its notes should be \"one\\ntwo\" and is \"one\"",
            ),
            (
                |c| c.controllers[0].drives[0].qos.iops_limit = Some(600),
                "the most operations of the disk at SCSI 0:0 should be 500 and is 600",
            ),
            // A host tells zero for none.
            (
                |c| c.controllers[0].drives[0].qos.iops_reservation = None,
                "the least operations of the disk at SCSI 0:0 should be 100 and is 0",
            ),
        ];
        for (change, difference) in cases {
            let mut found = wanted.clone();
            change(&mut found);
            assert_eq!(told(&wanted, &found), [difference]);
        }
    }

    #[test]
    fn what_one_side_does_not_tell_is_no_difference() {
        let (wanted, mut found) = (config(), config());
        found.processors = Processors::default();
        found.memory = Memory::default();
        assert_eq!(told(&wanted, &found), [""; 0]);
        found.controllers.clear();
        found.notes = "one\r\ntwo\r\n".to_owned();
        assert_eq!(told(&wanted, &found), [""; 0]);
        let mut silent = config();
        silent.notes = String::new();
        silent.processors = Processors::default();
        silent.memory = Memory::default();
        silent.controllers[0].drives[0].qos = Qos::default();
        assert_eq!(told(&silent, &config()), [""; 0]);
        // Without dynamic memory there is no buffer.
        let mut fixed = config();
        fixed.memory.dynamic = Some(false);
        fixed.memory.buffer_percent = Some(99);
        assert_eq!(told(&fixed, &config()), [""; 0]);
    }
}
