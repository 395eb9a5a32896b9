//! Takes from the threads of this process what they no longer need once its files and listeners are open: all other files,
//! new sockets, signals to others and new privileges. It cannot be taken back. It decides nothing and opens no file to use it.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope,
};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// The newest version of Landlock that is used: a newer kernel restricts no more than was tested.
const ABI_USED: ABI = ABI::V7;

/// The first version with rights for TCP.
const ABI_TCP: ABI = ABI::V4;

/// What a setting asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// All that the kernel has of it.
    #[default]
    On,
    /// Files and sockets are not restricted.
    Off,
}

/// What stays accessible.
#[derive(Clone, Copy, Debug)]
pub struct Accessible<'a> {
    /// The directory of the log, to read and write.
    pub directory: BorrowedFd<'a>,
    /// Files, and directories with all that is in them, to read.
    pub read: &'a [PathBuf],
}

/// What is in force for a thread and all threads that it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The version of Landlock, or why files are not restricted.
    landlock: Result<ABI, String>,
    read_count: usize,
    no_new_privs: bool,
}

/// Restricts the calling thread and all that it starts from now on. What the kernel does not have is left out, and told by
/// the text of what is returned.
pub fn enter(accessible: &Accessible<'_>) -> Sandbox {
    let landlock = restrict(accessible).map_err(|error| error.to_string());
    Sandbox {
        landlock: landlock.and_then(|status| match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi.min(ABI_USED)),
            LandlockStatus::NotEnabled => Err("it is not enabled in this kernel".to_owned()),
            LandlockStatus::NotImplemented => {
                Err("this kernel has none, or a filter refuses it".to_owned())
            }
        }),
        read_count: accessible.read.len(),
        no_new_privs: give_up_privileges(),
    }
}

/// Restricts the calling thread, which needs no file, and all that it starts. For threads that run before the settings have
/// been read; as far as the kernel can.
pub(super) fn give_up_files() {
    give_up_privileges();
    let _as_told_for_the_main_thread = ruleset().and_then(RulesetCreated::restrict_self);
}

/// Only a filter of system calls refuses this.
fn give_up_privileges() -> bool {
    rustix::thread::set_no_new_privs(true).is_ok()
}

fn restrict(accessible: &Accessible<'_>) -> Result<RestrictionStatus, Box<dyn std::error::Error>> {
    let own = AccessFs::from_all(ABI_USED) & !never();
    let mut ruleset = ruleset()?.add_rule(PathBeneath::new(accessible.directory, own))?;
    for path in accessible.read {
        let read = PathBeneath::new(PathFd::new(path)?, AccessFs::ReadFile);
        ruleset = ruleset.add_rule(read)?;
    }
    Ok(ruleset.restrict_self()?)
}

/// Refuses everything that a version of Landlock can refuse, as long as no rule allows it.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI_USED))?
        .handle_access(AccessNet::from_all(ABI_USED))?
        .scope(Scope::from_all(ABI_USED))?
        .create()
}

/// What is done to no file of the log.
fn never() -> BitFlags<AccessFs> {
    AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym
        | AccessFs::IoctlDev
}

impl fmt::Display for Sandbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.landlock {
            Ok(abi) => {
                write!(out, "Landlock ABI {abi}: WAL_DIR read and written")?;
                match self.read_count {
                    0 => {}
                    1 => write!(out, ", 1 other path read")?,
                    count => write!(out, ", {count} other paths read")?,
                }
                match *abi >= ABI_TCP {
                    true => write!(out, ", no other file, no new TCP socket")?,
                    false => write!(
                        out,
                        ", no other file; new TCP sockets need a newer kernel to be refused"
                    )?,
                }
            }
            Err(why) => write!(out, "files are NOT restricted, no Landlock: {why}")?,
        }
        match self.no_new_privs {
            true => write!(out, "; no new privileges"),
            false => write!(
                out,
                "; new privileges are NOT refused, a filter forbids that"
            ),
        }
    }
}

impl Sandbox {
    /// Whether access to files is restricted.
    pub fn restricts_files(&self) -> bool {
        self.landlock.is_ok()
    }

    /// Whether new TCP sockets are refused.
    pub fn restricts_tcp(&self) -> bool {
        self.landlock.as_ref().is_ok_and(|&abi| abi >= ABI_TCP)
    }
}
