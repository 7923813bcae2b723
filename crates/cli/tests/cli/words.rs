//! What the program says: exit codes, errors with advice, JSON, secrets, manual pages.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Answer, Bench, PASSPHRASE, files_below};
use crate::start::Start as _;

/// The shape of a document: names and types, without values.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => match items.first() {
            None => "[]".into(),
            Some(item) => format!("[{}]", shape(item)),
        },
        Value::Object(members) => {
            let parts: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", shape(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
    }
}

/// Scripts depend on these; a change here is a change of `docs/json.md`.
#[test]
fn json_keeps_its_shape() {
    let bench = Bench::bare();
    let init = bench.run(&["init", "--json"]).ends(0).json();
    bench.disk("a.raw", &noise(1, 10_000));
    let backup = bench.backup(0);
    let point = "{consistency:string,disk_bytes:number,id:string,level:string,outcome:string,read_bytes:number,taken:string,vm_id:string,vm_name:string}";
    let disk = "{chain:[string],consistency:string,disk_bytes:number,format:string,owner:{of:string},slot:string}";
    let holds = format!(
        "{{checkpoints:[],current:null,disks:[{disk}],files:[],missing:[],saved_memory:bool,vm_id:string,vm_name:string}}"
    );
    let evidence = "{checkpoint:null,findings:[],owner:{of:string},read:number,volumes:[{bytes:number,encrypted:null,id:string,notes:[string],slot:string,unproven:[],verdict:string,volume:string,what:string}]}";
    let stats = "{data:number,new:number,read:number}";
    let reading = "{how:string,why:string}";
    let run = |args: &[&str]| {
        let mut args = args.to_vec();
        args.push("--json");
        bench.run(&args).ends(0).json()
    };
    for (document, kind, members) in [
        (init, "init", "location:string,outcome:string,recovery_code:string,sheet:null,vault:string".to_owned()),
        (backup, "backup", format!(
            "findings:[],finished:string,latency:[],outcome:string,source:string,started:string,vms:[{{consistency:string,findings:[],id:string,layers:[{{path:string,reading:{reading},stats:{stats}}}],level:string,milliseconds:number,name:string,outcome:string,point:string,stats:{stats},stored:number}}]"
        )),
        (run(&["points"]), "points", format!("findings:[],outcome:string,points:[{point}],unreadable:[]")),
        (run(&["show", "a.raw@latest"]), "show", format!(
            "compared:null,config:null,evidence:[{evidence}],findings:[],holds:{holds},host_settings:null,layers:[{{disk_bytes:number,format:string,moved:bool,origin:string,parent:null,path:string,reading:{reading},stats:{stats}}}],mode:string,mode_reason:null,not_covered:[],outcome:string,point:{point},source:string"
        )),
        (run(&["ls", "a.raw@latest"]), "ls", format!(
            "findings:[],outcome:string,vms:[{{findings:[],holds:{holds},vm_id:string,vm_name:string}}]"
        )),
        (run(&["ls", "a.raw@latest:a.raw"]), "ls-path", "entries:[{bytes:number,kind:string,path:string}],outcome:string,path:string".to_owned()),
        (run(&["restore", "disks", "a.raw@latest", "--to", "to"]), "restore", "compared:null,files:[{became:string,damage:null,data:number,earlier:number,path:string}],findings:[],outcome:string,point:string,room:{free:number,needed:number},simulated:null".to_owned()),
        (run(&["restore", "disks", "a.raw@latest", "--to", "to", "--in-place"]), "restore-in-place", "disks:[{became:string,changed:number,path:string,undo:null}],findings:[],outcome:string,point:string".to_owned()),
        (run(&["check"]), "check", "affected_points:[],chunks_read:number,data_read:bool,duplicate_chunks:number,findings:[],outcome:string,pack_bytes:number,packs:number,points:number,unreferenced_bytes:number,unreferenced_packs:[],warnings:[]".to_owned()),
        (run(&["keys", "list"]), "keys-list", "outcome:string,slots:[{access:string,created:string,id:string,label:string,opens_with:string,problem:null}],vault:string".to_owned()),
        (bench.run(&["show", "0@latest", "--json"]).ends(1).json(), "error", "error:{causes:[],hint:string,message:string},outcome:string".to_owned()),
    ] {
        assert_eq!(document["kind"], kind);
        assert_eq!(document["version"], 1);
        let mut document = document;
        document.as_object_mut().unwrap().remove("kind");
        document.as_object_mut().unwrap().remove("version");
        if kind == "keys-list" {
            // The order of slots is that of their random ids: only one has a label.
            let slots = document["slots"].as_array_mut().unwrap();
            slots.retain(|slot| slot["label"].is_string());
        }
        assert_eq!(shape(&document), format!("{{{members}}}"), "{kind}");
    }
}

#[test]
fn bad_usage_is_2_and_says_what_to_do() {
    let bench = Bench::bare();
    for args in [
        &["nonsense"][..],
        &["backup"],
        &["backup", "folder:source", "--mode", "cbt"],
        &[
            "backup",
            "folder:source",
            "--audit",
            "0",
            "--audit-runs",
            "7",
        ],
        &["backup", "folder:source", "--floor", "10"],
        &["backup", "folder:source", "--cluster"],
        &["backup", "winrm://host"],
        &["backup", "local"],
        &["backup", "source"],
        &["show", "not a point"],
        &["restore", "disks", "abc", "--to", "x", "--format", "vmdk"],
        &["restore", "disks", "abc", "--to", "x", "--overwrite", "ask"],
        &[
            "restore",
            "disks",
            "abc",
            "--to",
            "x",
            "--in-place",
            "--flatten",
        ],
        &["restore", "undo"],
        &["restore", "undo", "--vm", "web"],
        &[
            "restore", "confirm", "disk", "--vm", "web", "--host", "hv01",
        ],
        &["--vault", "s3://bucket/vault", "points"],
        &["points", "--threads", "0"],
    ] {
        let answer = bench.run(args).ends(2);
        assert!(
            answer.err.starts_with("error: ") && answer.out.is_empty(),
            "{answer:?}"
        );
        let mut args = args.to_vec();
        args.push("--json");
        let error = bench.run(&args).ends(2).json();
        assert_eq!(
            (&error["kind"], &error["outcome"]),
            (&"error".into(), &"usage".into())
        );
        assert!(error["error"]["hint"].is_string(), "{error}");
    }
    for args in [
        &["--help"][..],
        &["--version"],
        &["restore", "disks", "--help"],
    ] {
        let answer = bench.run(args).ends(0);
        assert!(answer.err.is_empty() && !answer.out.is_empty());
    }
}

#[test]
fn a_wrong_passphrase_and_no_passphrase_are_told_with_advice() {
    let bench = Bench::new();
    fs::write(bench.path("wrong"), "guess").unwrap();
    let wrong = bench.run(&["points", "--passphrase-file", "wrong"]).ends(1);
    assert!(
        wrong.err.contains("hint: check the passphrase"),
        "{wrong:?}"
    );
    assert!(!wrong.err.contains("guess"), "secrets are not repeated");
    let mut none = bench.command(&["points"]);
    none.env_remove("HYPERKEEP_PASSPHRASE_FILE");
    let none = none.answer().ends(1);
    assert!(
        none.err.contains("hint: give --passphrase-file"),
        "{none:?}"
    );
    let mut by_env = bench.command(&["points"]);
    by_env
        .env_remove("HYPERKEEP_PASSPHRASE_FILE")
        .env("HYPERKEEP_PASSPHRASE", PASSPHRASE);
    by_env.answer().ends(0);
    let no_vault = bench.run(&["--vault", "elsewhere", "points"]).ends(1);
    assert!(no_vault.err.contains("hint: "), "{no_vault:?}");
    bench.run(&["init"]).ends(1);
}

#[test]
fn the_recovery_code_opens_and_keys_change() {
    let bench = Bench::bare();
    let init = bench
        .run(&["init", "--sheet", "sheet.txt", "--json"])
        .ends(0)
        .json();
    let code = init["recovery_code"].as_str().unwrap();
    let sheet = fs::read_to_string(bench.path("sheet.txt")).unwrap();
    let half = code.len() / 2;
    assert!(
        sheet.contains(&code[..half]) && sheet.contains(&code[half + 1..]),
        "{sheet}"
    );
    fs::write(bench.path("code"), code.to_lowercase().replace('-', " ")).unwrap();
    bench.run(&["points", "--passphrase-file", "code"]).ends(0);
    let mut as_passphrase = bench.command(&["init", "other", "--passphrase-file", "code"]);
    as_passphrase.env_remove("HYPERKEEP_VAULT");
    let refused = as_passphrase.answer().ends(1);
    assert!(
        refused.err.contains("cannot be a passphrase"),
        "{refused:?}"
    );
    let with_code = ["--recovery-code-file", "code"];
    let run = |args: &[&str], more: &[&str]| bench.run(&[args, more].concat());
    run(&["points"], &with_code).ends(0);

    fs::write(bench.path("new"), "another one\n").unwrap();
    let new = ["--new-passphrase-file", "new"];
    run(&["keys", "change-passphrase"], &new).ends(0);
    bench.run(&["points"]).ends(1);
    run(&["points"], &["--passphrase-file", "new"]).ends(0);

    // A host that may write and not read.
    fs::write(bench.path("host"), "host secret").unwrap();
    let host = ["--passphrase-file", "host"];
    let add = ["keys", "add-passphrase", "--write-only", "--label", "hv01"];
    run(
        &add,
        &["--passphrase-file", "new", "--new-passphrase-file", "host"],
    )
    .ends(0);
    bench.disk("a.raw", &noise(1, 10_000));
    run(&["backup", "folder:source"], &host).ends(0);
    bench.disk("b.raw", &noise(2, 10_000));
    run(&["backup", "folder:source"], &host).ends(0);
    // Three points that it cannot read are one thing to say.
    let points = run(&["points", "--json"], &host).ends(3).json();
    assert_eq!(points["findings"].as_array().unwrap().len(), 1, "{points}");
    let told = run(&["points"], &host).ends(3);
    assert!(told.out.contains("3 restore points"), "{told:?}");
    let to = ["restore", "disks", "a.raw@latest", "--to", "host-restored"];
    assert_ne!(run(&to, &host).code, 0);
    run(
        &["restore", "disks", "a.raw@latest", "--to", "restored"],
        &with_code,
    )
    .ends(0);

    let list = run(&["keys", "list", "--json"], &with_code).ends(0).json();
    let slots = list["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 3);
    let of_host = slots.iter().find(|slot| slot["label"] == "hv01").unwrap();
    assert_eq!(of_host["access"], "write-only");
    run(
        &["keys", "remove", of_host["id"].as_str().unwrap()],
        &with_code,
    )
    .ends(0);
    run(&["backup", "folder:source"], &host).ends(1);
    run(&["keys", "add-recovery-code"], &with_code).ends(0);
    run(&["keys", "remove", ""], &with_code).ends(1);
}

#[test]
fn a_vault_of_the_future_is_refused_by_name() {
    let bench = Bench::new();
    let path = bench.path("vault/vault.json");
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replace("\"required\": []", "\"required\": [\"erasure-coding\"]");
    assert_ne!(text, newer);
    fs::remove_file(&path).unwrap();
    fs::write(&path, newer).unwrap();
    let answer = bench.run(&["points"]).ends(1);
    assert!(answer.err.contains("erasure-coding"), "{answer:?}");
    assert!(answer.err.contains("newer hyperkeep"), "{answer:?}");
}

/// What is in them, `pages.rs` tests against the definitions that parse the line.
#[test]
fn manual_pages_and_completions_are_written() {
    let bench = Bench::bare();
    fs::create_dir(bench.path("man")).unwrap();
    let told = bench.run(&["man", "man", "--json"]).ends(0).json();
    let told = told["files"].as_array().unwrap().iter();
    let mut told: Vec<_> = told
        .map(|file| bench.path(file.as_str().unwrap()))
        .collect();
    told.sort();
    assert_eq!(told, files_below(&bench.path("man")));
    assert!(told.contains(&bench.path("man").join("hyperkeep-restore-folder.1")));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = bench.run(&["completions", shell]).ends(0).out;
        assert!(script.contains("change-passphrase"), "{shell}");
    }
}

/// Whatever goes wrong: `Answer::ends` wants a hint with every error.
#[test]
fn errors_of_files_and_folders_come_with_advice() {
    let bench = Bench::new();
    bench.disk("a.raw", &noise(1, 10_000));
    bench.backup(0);
    fs::write(bench.path("file"), "").unwrap();
    let error = |args: &[&str], named: &str| {
        let answer = bench.run(args).ends(1);
        assert!(answer.err.contains(named), "{answer:?}");
        let document = bench.run(&[args, &["--json"]].concat()).ends(1).json();
        assert!(document["error"]["hint"].is_string(), "{document}");
    };
    let ranges = ["backup", "folder:source/a.raw", "--changed-ranges", "none"];
    error(&ranges, "none");
    error(&["backup", "folder:none"], "none");
    error(&["man", "no such folder"], "no such folder");
    error(&["points", "--passphrase-file", "none"], "none");
    error(&["points", "--passphrase-file", "file"], "empty");
    error(&["points", "--recovery-code-file", "none"], "none");
    error(
        &["points", "--recovery-code-file", "passphrase"],
        "passphrase",
    );
    error(&["init", "file"], "file");
    error(&["init", "file/below"], "file/below");
    error(&["--vault", "file", "points"], "file");
    error(&["ls", "a.raw@latest:none"], "none");
    error(&["keys", "remove", "0000"], "0000");
    // A sheet that cannot be written comes after the code, which must be shown.
    let sheet = ["keys", "add-recovery-code", "--sheet", "none/sheet"];
    let answer = bench.run(&sheet).ends(1);
    assert!(
        answer.err.contains("was printed all the same"),
        "{answer:?}"
    );
    assert!(answer.out.contains("ecovery code"), "{answer:?}");
}

/// Two checkpoints that froze one file: nothing tells which came first, and that is what is said.
#[test]
fn an_order_that_nothing_tells_is_said_to_be_unknown() {
    let bench = Bench::new();
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("one", &["web.vhdx"])
        .checkpoint("other", &["web.vhdx"]);
    let source = bench.path("source");
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 10_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2).write(&disks.join("web_1.avhdx"));
    let unknown = |findings: &Value| {
        let mut findings = findings.as_array().unwrap().iter();
        findings.any(|f| f["code"] == "order-unknown" && f["severity"] == "info")
    };
    let said = |document: &Value| {
        let vm = &document["vms"][0];
        let checkpoints = vm["holds"]["checkpoints"].as_array().unwrap();
        assert_eq!(checkpoints.len(), 2);
        let all = checkpoints.iter().all(|c| c["parent"]["is"] == "unknown");
        assert!(all && unknown(&vm["findings"]), "{document:#}");
        assert_eq!(vm["holds"]["current"], Value::Null);
    };
    let shown = |args: &[&str]| {
        let text = bench.run(args).ends(0).out;
        let tree = text.split_once("  order unknown:\n").expect(&text).1;
        assert!(
            tree.contains("    one ") && tree.contains("    other "),
            "{text}"
        );
        assert!(text.contains("note: web: neither the configuration nor the disks"));
    };
    shown(&["ls", "folder:source"]);
    said(&bench.run(&["ls", "folder:source", "--json"]).ends(0).json());
    let report = bench.backup(0);
    assert!(unknown(&report["vms"][0]["findings"]), "{report:#}");
    shown(&["ls", "web@latest"]);
    shown(&["show", "web@latest"]);
    said(&bench.run(&["ls", "web@latest", "--json"]).ends(0).json());
    let show = bench.run(&["show", "web@latest", "--json"]).ends(0).json();
    assert!(unknown(&show["findings"]), "{show:#}");
}

/// `hyperkeep points | head -0` is not an error.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::bare();
    let mut child = bench
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .start();
    drop(child.stdout.take());
    let answer = Answer::of(&child.wait_with_output().unwrap());
    assert!(answer.ends(0).err.is_empty());
}

#[test]
fn a_vault_is_made_in_an_empty_folder_and_its_sheet_says_where() {
    let bench = Bench::bare();
    fs::create_dir_all(bench.path("mine/lost+found")).unwrap();
    fs::write(bench.path("mine/letter.txt"), "dear").unwrap();
    let args = ["init", "--vault", "mine", "--sheet", "sheet.txt"];
    let refused = bench.run(&args).ends(1);
    assert!(refused.err.contains("letter.txt"), "{refused:?}");
    assert_eq!(fs::read_dir(bench.path("mine")).unwrap().count(), 2);
    assert!(!bench.path("sheet.txt").exists());

    fs::remove_file(bench.path("mine/letter.txt")).unwrap();
    bench.run(&args).ends(0);
    let sheet = fs::read_to_string(bench.path("sheet.txt")).unwrap();
    let vault = fs::canonicalize(bench.path("mine")).unwrap();
    // Windows' canonical paths begin with a prefix that no person writes.
    let vault = vault.to_str().unwrap().trim_start_matches(r"\\?\");
    assert!(sheet.contains(vault), "{sheet}");

    // Without a file the whole sheet is printed, with a code that opens the vault.
    let printed = bench.run(&["init", "--vault", "printed"]).ends(0).out;
    let sheet = &printed[printed.find("HYPERKEEP RECOVERY SHEET").unwrap()..];
    assert!(sheet.contains("To restore\n"), "{printed}");
    let (_, code) = sheet.split_once("Recovery code\n\n").unwrap();
    let (code, _) = code.split_once("\n\n").unwrap();
    fs::write(bench.path("code"), code).unwrap();
    let args = [
        "--vault",
        "printed",
        "--recovery-code-file",
        "code",
        "points",
    ];
    bench.run(&args).ends(0);
}

/// What the command line says goes before the environment, and whoever would be surprised later is
/// told now.
#[test]
fn a_vault_named_on_the_command_line_goes_before_the_environment() {
    let bench = Bench::bare();
    let made = bench.run(&["init", "other", "--json"]).ends(0);
    assert_eq!(made.json()["location"], "other");
    assert!(
        made.err.contains("HYPERKEEP_VAULT names another vault"),
        "{made:?}"
    );
    assert!(bench.path("other/vault.json").exists() && !bench.path("vault").exists());
    bench.run(&["--vault", "other", "points"]).ends(0);
    let quiet = bench.run(&["init"]).ends(0);
    assert!(!quiet.err.contains("HYPERKEEP_VAULT"), "{quiet:?}");
    let twice = bench.run(&["init", "third", "--vault", "fourth"]).ends(2);
    assert!(
        twice.err.contains("third") && twice.err.contains("fourth") && twice.err.contains("hint: "),
        "{twice:?}"
    );
    assert!(!bench.path("third").exists() && !bench.path("fourth").exists());
}

#[test]
fn the_vault_is_kept_apart_from_sources_targets_and_sheets() {
    let bench = Bench::new();
    bench.disk("a.raw", &noise(1, 10_000));
    bench.backup(0);
    let files = files_below(&bench.path("vault"));
    let refused = |args: &[&str]| {
        let answer = bench.run(args).ends(2);
        assert!(answer.err.contains("hint: "), "{answer:?}");
    };
    refused(&["restore", "disks", "a.raw@latest", "--to", "vault/restored"]);
    refused(&[
        "restore",
        "folder",
        "a.raw@latest",
        "--to",
        "source/../vault",
    ]);
    refused(&["backup", "folder:."]);
    refused(&["backup", "folder:vault/packs"]);
    refused(&["keys", "add-recovery-code", "--sheet", "vault/sheet.txt"]);
    refused(&["init", "new", "--sheet", "new/sheet.txt"]);
    assert_eq!(
        files_below(&bench.path("vault")),
        files,
        "nothing was written"
    );
    bench.restore("a.raw@latest", &[]);
}
