//! `hyperkeep-lab [--orders] [--keep-frozen DIR] SCENARIO FOLDER [ADDRESS]`: a simulated host, or the
//! nodes of a cluster, until the process ends.

use std::io::{BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hyperkeep_lab::{Say, keep_going, serve};

const USAGE: &str = "usage: hyperkeep-lab [--orders] [--keep-frozen DIR] SCENARIO FOLDER [ADDRESS]

--orders  what goes wrong is also told on standard input: a mishap a line
--keep-frozen
          copies of what each checkpoint for a backup froze go to DIR/ID OF THE VM/NUMBER
SCENARIO  a JSON file that describes the host
FOLDER    where the host's files lie or are made
ADDRESS   where to listen, 127.0.0.1:5985 unless given; port 0 takes any that is free,
          and nodes of a cluster have ports that follow each other";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut orders, mut frozen) = (false, None);
    loop {
        match arguments.first().map(String::as_str) {
            Some("--orders") => {
                arguments.remove(0);
                orders = true;
            }
            Some("--keep-frozen") if arguments.len() > 1 => {
                frozen = arguments.drain(..2).next_back();
            }
            _ => break,
        }
    }
    let (scenario, folder, address) = match arguments.as_slice() {
        [scenario, folder] => (scenario, folder, "127.0.0.1:5985"),
        [scenario, folder, address] => (scenario, folder, address.as_str()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Ok(address) = address.parse::<SocketAddr>() else {
        eprintln!("{address} is no address with a port\n\n{USAGE}");
        return ExitCode::from(2);
    };
    match serve(Path::new(scenario), Path::new(folder), address) {
        Ok(servers) => {
            if let Some(folder) = &frozen {
                for server in &servers {
                    server.service().repository.host.keep_frozen(folder);
                }
            }
            // One line for each host, for programs that wait for them.
            for server in &servers {
                println!("{}", server.address());
            }
            // Whoever waited for the addresses may not listen any more.
            let say: Say = Arc::new(|line| _ = writeln!(std::io::stdout(), "{line}"));
            let orders = orders.then(|| BufReader::new(std::io::stdin()));
            keep_going(&servers, orders, &say)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
