//! Installations that know nothing of each other protect the same VM, each with several vaults.

use serde_json::{Value, json};

use crate::bench::{Bench, vm};
use crate::host::{SIZE, disk, raw};
use crate::lab::{Lab, scenario, texts};

/// Bytes that the guest writes before each run, and their place, which is of this run only.
const PAGE: usize = 4096;
const ROUNDS: usize = 3;

/// An installation and one of its vaults.
struct Keeper {
    state: &'static str,
    vault: &'static str,
    /// Pages that its newest point has to have: those of the runs up to its own.
    pages: usize,
    point: String,
}

fn page(run: usize) -> usize {
    run * 16 * PAGE
}

#[test]
fn two_installations_with_two_vaults_each_build_on_their_own_points() {
    let bench = Bench::bare();
    let mut keepers: Vec<Keeper> = [("one", "a"), ("two", "b"), ("one", "c"), ("two", "d")]
        .map(|(state, vault)| Keeper {
            state,
            vault,
            pages: 0,
            point: String::new(),
        })
        .into();
    let program = |vault: &str, args: &[&str]| {
        let mut command = bench.command(args);
        command.env("HYPERKEEP_VAULT", bench.path(vault));
        crate::start::Start::answer(&mut command).ends(0)
    };
    for keeper in &keepers {
        program(keeper.vault, &["init"]);
    }
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}],
        "checkpoints": [{"name": "theirs"}]}]);
    let writes = |run: usize| {
        let what = json!({"offset": page(run), "length": PAGE, "seed": run + 1});
        json!({"on": "CreateSnapshot", "before": [{"writes": {"vm": "web", "what": what}}]})
    };
    let writes: Vec<Value> = (0..ROUNDS * keepers.len()).map(writes).collect();
    let lab = Lab::start(&bench, &scenario(vms, json!({"mishaps": writes})));
    let mut runs = 0;
    for round in 0..ROUNDS {
        for at in 0..keepers.len() {
            let count = keepers.len();
            let keeper = &mut keepers[at];
            let mut args = lab.backup(&["--audit", "0"]);
            for word in args.iter_mut().filter(|word| *word == "state") {
                keeper.state.clone_into(word);
            }
            let report = program(keeper.vault, &texts(&args)).json();
            runs += 1;
            let web = vm(&report, "web");
            assert_eq!(web["outcome"], "ok", "{report:#}");
            let layer = &web["layers"][0];
            if round > 0 {
                // What was written since its own last run, and nothing else.
                assert_eq!(web["level"], "incremental", "{web:#}");
                assert_eq!(layer["stats"]["read"], count * PAGE, "{web:#}");
            }
            keeper.pages = runs;
            web["point"].as_str().unwrap().clone_into(&mut keeper.point);
            // A reference point for each that has run, and what is of others.
            assert_eq!(lab.left(), [("web".to_owned(), 0, 1, runs.min(count))]);
            let found = report["findings"].as_array().unwrap();
            assert!(found.iter().all(|f| f["code"] != "put-right"), "{found:#?}");
        }
    }
    let machine = lab.inventory().machines.remove(0);
    let top = machine.settings.media[0].path["D:\\".len()..].replace('\\', "/");
    let now = disk(&lab, &lab.file(&top));
    for keeper in &keepers {
        let to = bench.path(&format!("restored from {}", keeper.vault));
        let words = ["restore", "disks", "--to", to.to_str().unwrap()];
        let more = ["--flatten", "--format", "raw", "--", &keeper.point];
        program(keeper.vault, &[&words[..], &more].concat());
        let mut frozen = now.clone();
        for run in keeper.pages..runs {
            assert!(frozen[page(run)..][..PAGE].iter().any(|byte| *byte != 0));
            frozen[page(run)..][..PAGE].fill(0);
        }
        assert!(raw(&to) == frozen, "{}", keeper.vault);
    }
}
