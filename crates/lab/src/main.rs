//! `hyperkeep-lab SCENARIO FOLDER [ADDRESS]`: one simulated host, until the process ends.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use hyperkeep_lab::serve;

const USAGE: &str = "usage: hyperkeep-lab SCENARIO FOLDER [ADDRESS]

SCENARIO  a JSON file that describes the host
FOLDER    where the host's files lie or are made
ADDRESS   where to listen, 127.0.0.1:5985 unless given; port 0 takes any that is free";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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
        Ok(server) => {
            // The first and only line, for programs that wait for it.
            println!("{}", server.address());
            server.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
