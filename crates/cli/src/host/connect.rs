//! The session with a host.

use std::sync::Arc;

use cim::http::{Credentials, HttpTransport, Logon, Trust, parse_fingerprint};
use cim::{CimSession, WsmanSession, random_ids};

use super::HostAddress;
use crate::args::{AuthArg, HostArgs};
use crate::failure::{Failure, OnPath, Result};
use crate::secret;

/// Logs on. The password is asked for here if nothing holds it.
pub(crate) fn session(address: &HostAddress, args: &HostArgs) -> Result<Arc<dyn CimSession>> {
    session_as(credentials(address, args)?, address, args)
}

/// The account. Its password is asked for here if nothing holds it.
pub(crate) fn credentials(address: &HostAddress, args: &HostArgs) -> Result<Credentials> {
    Ok(Credentials {
        user: address.user.clone(),
        password: secret::host(args.password_file.as_deref(), address)?,
    })
}

/// Logs on with an account.
pub(crate) fn session_as(
    credentials: Credentials,
    address: &HostAddress,
    args: &HostArgs,
) -> Result<Arc<dyn CimSession>> {
    let (trust, logon) = (trust(args)?, logon(args)?);
    let transport = HttpTransport::new(address.endpoint.clone(), trust, credentials, logon);
    let transport = transport.map_err(|error| {
        Failure::usage(error).hint("see --auth, and winrm:// against winrm+http://")
    })?;
    let ids = random_ids().map_err(|error| {
        Failure::from(anyhow::Error::new(error).context("asking for random numbers"))
            .hint("the operating system gives none: nothing can be done without them")
    })?;
    let session = WsmanSession::new(Box::new(transport), Box::new(ids));
    match session.adapt() {
        // The limits are told to administrators only, and any host's will do.
        Err(error) if error.fault_kind().is_none() => Err(super::failure(address, &error)),
        _ => Ok(Arc::new(session)),
    }
}

/// Whether the account shows itself by Kerberos.
pub(super) fn by_kerberos(args: &HostArgs) -> bool {
    let auth = args.auth.unwrap_or_default();
    auth == AuthArg::Kerberos || (auth == AuthArg::Negotiate && args.kdc.is_some())
}

fn trust(args: &HostArgs) -> Result<Trust> {
    if let Some(pin) = &args.pin {
        let fingerprint = parse_fingerprint(pin).map_err(Failure::usage)?;
        return Ok(Trust::Pinned(fingerprint));
    }
    let Some(path) = &args.ca else {
        return Ok(Trust::System);
    };
    let pem = std::fs::read(path).on_path(
        "reading the authorities",
        path,
        "name a file of certificates in PEM that you may read",
    )?;
    Trust::from_pem(&pem).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()))
            .hint("name a file of certificates in PEM")
    })
}

fn logon(args: &HostArgs) -> Result<Logon> {
    let kerberos = |kdc: &String| Logon::Kerberos {
        kdc: kdc.clone(),
        service: "HTTP".to_owned(),
    };
    match (args.auth.unwrap_or_default(), &args.kdc) {
        (AuthArg::Negotiate | AuthArg::Kerberos, Some(kdc)) => Ok(kerberos(kdc)),
        (AuthArg::Kerberos, None) => Err(Failure::usage(
            "--auth kerberos does not know where to get its tickets",
        )
        .hint("name the key distribution centre, a domain controller: --kdc HOST")),
        (AuthArg::Negotiate, None) | (AuthArg::Ntlm, _) => Ok(Logon::Ntlm),
        (AuthArg::Basic, _) => Ok(Logon::Basic),
    }
}
