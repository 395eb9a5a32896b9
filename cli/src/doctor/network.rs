//! The port that a gateway would take, and how many connections may wait for it. It listens for a moment and accepts
//! nothing.

use super::finding::{Finding, Place};
use super::host::Host;
use flk_dataplane::config::Config;
use flk_dataplane::driver::holder::Holder;
use flk_dataplane::driver::listen::{BACKLOG, ListenError, listeners};
use flk_dataplane::driver::lock::holder_of_directory;
use std::os::fd::AsFd;
use std::time::Duration;

/// Port and listen queue.
pub(super) fn check(host: &Host, config: &Config) -> Vec<Finding> {
    let taken = listeners(config.listen, 1, Duration::ZERO, || ());
    let gateway = gateway(config);
    vec![port(config, taken.map(drop), gateway.as_ref()), queue(host)]
}

/// The gateway of these settings, if it runs. Its own user cannot see which sockets it has, so it is found by its directory.
fn gateway(config: &Config) -> Option<Holder> {
    let directory = std::fs::File::open(&config.wal_dir).ok()?;
    let holder = holder_of_directory(directory.as_fd())?;
    holder.may_listen_on(config.listen).then_some(holder)
}

fn port(config: &Config, taken: Result<(), ListenError>, gateway: Option<&Holder>) -> Finding {
    let check = "port";
    let address = config.listen;
    let error = match taken {
        Ok(()) => return Finding::ok(check, format!("{address} is free")),
        Err(error) => error,
    };
    let holder = match error.is_taken() {
        // The socket of a gateway may be kept by its service manager, which is the one that the kernel names.
        true => gateway.or(error.holder.as_ref()),
        false => None,
    };
    let holder = holder.map(ToString::to_string);
    match holder {
        Some(holder) if holder.contains("(flk") => {
            Finding::ok(check, format!("{holder} has {address}: a gateway runs here"))
        }
        _ => Finding::fail(check, error.to_string(), format!("{address}, free for the gateway"))
            .fix(Place::Setting, "PORT, LISTEN")
            .fix(Place::Systemd, "Environment=PORT=8081; below 1024: AmbientCapabilities=CAP_NET_BIND_SERVICE")
            .fix(Place::Compose, "ports: [\"8080:8080\"]: the port inside the container is free unless another process of it has it")
            .fix(Place::Kubernetes, "containerPort and PORT; hostPort only where one is needed"),
    }
}

/// Connections that come in one burst wait here; behind that the kernel drops them and clients try again after a second.
fn queue(host: &Host) -> Finding {
    let check = "listen queue";
    let needed = u64::from(BACKLOG.unsigned_abs());
    match host.number("proc/sys/net/core/somaxconn") {
        Some(found) if found < needed => Finding::warn(
            check,
            format!("net.core.somaxconn={found}"),
            format!("{needed}: connections beyond it wait a second or more in a burst"),
        )
        .fix(Place::Host, format!("sysctl net.core.somaxconn={needed}"))
        .fix(Place::Compose, format!("sysctls: {{net.core.somaxconn: {needed}}}"))
        .fix(
            Place::Kubernetes,
            format!("securityContext.sysctls: [{{name: net.core.somaxconn, value: \"{needed}\"}}] (the kubelet must allow it)"),
        ),
        Some(found) => Finding::ok(check, format!("net.core.somaxconn={found}")),
        None => Finding::unknown(check, "not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use crate::doctor::host::tests::Tree;
    use std::net::TcpListener;

    fn config(port: u16) -> Config {
        let settings = move |name: &str| match name {
            "PCS_HMAC_KEY" => Some("0123456789abcdef0123456789abcdef".to_owned()),
            "PORT" => Some(port.to_string()),
            _ => None,
        };
        Config::from_env(&settings).unwrap()
    }

    #[test]
    fn a_port_that_another_process_has_is_a_failure_that_names_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(listener.local_addr().unwrap().port());
        let taken = listeners(config.listen, 1, Duration::ZERO, || ()).map(drop);
        let mut error = taken.unwrap_err();
        let me = error.holder.clone().unwrap().to_string();
        assert!(me.contains(&std::process::id().to_string()), "{me}");
        error.holder = None;
        assert_eq!(port(&config, Err(error), None).level, Level::Fail);
        drop(listener);
        assert_eq!(port(&config, Ok(()), None).level, Level::Ok);
    }

    #[test]
    fn a_short_listen_queue_is_a_warning() {
        let level =
            |text: &str| queue(&Tree::with(&[("proc/sys/net/core/somaxconn", text)]).host()).level;
        assert_eq!(level("128\n"), Level::Warn);
        assert_eq!(level("4095"), Level::Warn);
        assert_eq!(level("4096"), Level::Ok);
    }
}
