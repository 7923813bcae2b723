//! What shows that somebody wants a VM, as far as Hyper-V's numbers tell.

use hyperkeep_hyperv::release::{Wanted, Watch};

use crate::support::vmms::{VM, Vmms};

#[test]
fn starting_and_waiting_to_start_are_noticed() {
    let host = Vmms::new();
    host.set_power(3, None);
    let watch = Watch::begin(&host, VM).unwrap().unwrap();
    for (power, operation, wanted) in [
        (3, None, None),
        (10, None, Some(Wanted::Starting)),
        (32770, None, Some(Wanted::Starting)),
        (3, Some(32771), Some(Wanted::Waiting)),
        (2, None, Some(Wanted::Runs)),
        (6, None, Some(Wanted::Changed)),
        // Being turned off, merged, or in trouble is nobody's wish to start it.
        (4, None, None),
        (3, Some(32772), None),
        (32781, None, None),
        (0, None, None),
    ] {
        host.set_power(power, None);
        host.set_operation(operation);
        assert_eq!(watch.look(&host).unwrap(), wanted, "{power} {operation:?}");
    }
    for running in [2, 9, 10, 32781] {
        host.set_power(running, None);
        host.set_operation(None);
        assert_eq!(Watch::begin(&host, VM).unwrap(), None, "{running}");
    }
}
