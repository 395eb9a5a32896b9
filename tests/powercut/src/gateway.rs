//! How the real gateway is started here: with the driver and on the file system that were asked for, and so that it ends
//! with this program, whatever happens to it.

use flk_testkit::gateway::Gateway;
use flk_testkit::plan::Plan;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// A start that takes longer has failed.
pub(crate) const START_MAX: Duration = Duration::from_secs(60);

/// The system call openat; its third argument holds the flags.
#[cfg(target_arch = "x86_64")]
const OPENAT: i64 = 257;
#[cfg(not(target_arch = "x86_64"))]
const OPENAT: i64 = 56;

/// How a gateway begins its refusal of `FLK_DRIVER=uring` on a machine that does not allow io_uring.
const URING_REFUSED: &str = "FLK_DRIVER=uring:";

/// This machine cannot run the gateway as asked, for example because io_uring is not allowed here.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for Refused {}

/// How gateways are started.
pub(crate) struct Setup<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// `uring` or `portable`.
    pub(crate) driver: &'a str,
    /// Whether direct writes are refused, so that the log falls back to buffered writes and syncs.
    pub(crate) buffered: bool,
    /// The planted bug, if any.
    pub(crate) bug: Option<&'a str>,
}

impl Setup<'_> {
    /// Starts one with so many shards on this directory and waits until it listens. It may still be reading its log.
    pub(crate) fn start(&self, directory: &Path, cores: u64) -> Result<Gateway, Box<dyn Error>> {
        let mut plan = Plan::new("setpriv", &directory.join("wal"))
            .with_arguments(&["--pdeathsig", "KILL", "--"])
            .with_arguments(&[self.program])
            .with("FLK_CORES", &cores.to_string())
            .with("FLK_DRIVER", self.driver)
            .with_start_max(START_MAX);
        if let Some(bug) = self.bug {
            plan = plan.with("FLK_PLANT", bug);
        }
        if self.buffered {
            plan = plan.under(without_direct()?);
        }
        plan.launch().map_err(|ended| {
            let text = format!("the gateway ended by itself: {ended}");
            match ended.said.contains(URING_REFUSED) {
                true => Refused(text).into(),
                false => text.into(),
            }
        })
    }
}

/// Refuses to open a file for direct access with EINVAL, as file systems without it do.
fn without_direct() -> Result<BpfProgram, Box<dyn Error>> {
    let direct = u64::from(rustix::fs::OFlags::DIRECT.bits());
    let opens_direct = SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(direct),
        direct,
    )?;
    let rules = [(OPENAT, vec![SeccompRule::new(vec![opens_direct])?])];
    let refuse = SeccompAction::Errno(rustix::io::Errno::INVAL.raw_os_error() as u32);
    let machine = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules.into(), SeccompAction::Allow, refuse, machine)?.try_into()?)
}
