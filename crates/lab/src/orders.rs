//! What is said to a lab that runs, and what it says: a line each.
//!
//! An order is a mishap, written as in a scenario's file but on one line; it counts before those that
//! are there. Or it is `forget`: then there are none any more. The answer is `ordered`, or `refused`
//! with the reason. Of requests the lab says `told`, `held` and `gone`, each with the host's name and
//! what was asked for.

use std::io::BufRead;
use std::sync::Arc;

use crate::scenario::{BuildError, MishapSpec};
use crate::server::Server;

/// Who hears what a lab says.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// The order that all others and those of the scenario end by.
const FORGET: &str = "forget";

/// Why an order is not followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// It is no mishap.
    #[error("the order cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It cannot happen.
    #[error(transparent)]
    Mishap(#[from] BuildError),
}

/// Has hosts say what happens to their requests.
pub(crate) fn listen(servers: &[Server], say: &Say) {
    for server in servers {
        let (say, host) = (
            Arc::clone(say),
            server.service().repository.host.name.clone(),
        );
        server.listen(Box::new(move |event, request| {
            say(&format!("{event} {host} {request}"));
        }));
    }
}

/// Follows orders until there are no more.
pub(crate) fn follow(servers: &[Server], orders: impl BufRead, say: &Say) {
    // Who can no longer be read gives no more orders.
    for line in orders.lines().map_while(Result::ok) {
        match order(servers, &line) {
            Ok(()) => say("ordered"),
            Err(error) => say(&format!("refused {error}")),
        }
    }
}

/// Has something happen to one of several hosts: to the first, unless the order names another.
pub fn order(servers: &[Server], line: &str) -> Result<(), OrderError> {
    if line.trim() == FORGET {
        for server in servers {
            server.service().mishaps.clear();
        }
        return Ok(());
    }
    let spec: MishapSpec = serde_json::from_str(line)?;
    let wanted = |server: &&Server| {
        let service = server.service();
        let name = &service.repository.host.name;
        spec.node.as_ref().is_none_or(|node| node == name)
    };
    let Some(server) = servers.iter().find(wanted) else {
        let node = spec.node.unwrap_or_default();
        return Err(BuildError::Node(node).into());
    };
    let mut service = server.service();
    let mishap = spec.build(&service.repository.host)?;
    service.mishaps.insert(0, mishap);
    Ok(())
}
