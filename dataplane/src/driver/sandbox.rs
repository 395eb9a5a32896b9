//! Takes from the threads of this process what they no longer need once its files and listeners are open: all other files,
//! new sockets, signals to others and new privileges. It cannot be taken back. It decides nothing and opens no file to use it.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope,
};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The newest version of Landlock that is used: a newer kernel restricts no more than was tested.
const ABI_USED: ABI = ABI::V7;

/// The first version with rights for TCP.
const ABI_TCP: ABI = ABI::V4;

/// The first version that refuses all that is refused: files, TCP and signals.
pub const ABI_NEEDED: i32 = ABI::V6 as i32;

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

/// Restricts the calling thread and all that it starts from now on. What the kernel does not have is left out, and reported by
/// the text of what is returned.
pub fn enter(accessible: &Accessible<'_>) -> Sandbox {
    let landlock = restrict(accessible).map_err(|error| error.to_string());
    Sandbox {
        landlock: landlock.and_then(|status| version(status).map_err(|it| it.to_string())),
        read_count: accessible.read.len(),
        no_new_privs: give_up_privileges(),
    }
}

/// Why there is no Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLandlock {
    /// The kernel has it and does not use it.
    NotEnabled,
    /// The kernel does not have it, or a filter of system calls says so.
    NotThere,
}

impl fmt::Display for NoLandlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            NoLandlock::NotEnabled => "it is not enabled in this kernel",
            NoLandlock::NotThere => "this kernel has none, or a filter refuses it",
        })
    }
}

fn version(status: RestrictionStatus) -> Result<ABI, NoLandlock> {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi.min(ABI_USED)),
        LandlockStatus::NotEnabled => Err(NoLandlock::NotEnabled),
        LandlockStatus::NotImplemented => Err(NoLandlock::NotThere),
    }
}

/// The version of Landlock that a gateway would use here, found by restricting a thread that ends then.
///
/// # Errors
/// There is none.
pub fn available() -> Result<i32, NoLandlock> {
    let restricted = std::thread::spawn(|| ruleset().and_then(RulesetCreated::restrict_self));
    match restricted.join() {
        Ok(Ok(status)) => version(status).map(|abi| abi as i32),
        Ok(Err(_)) | Err(_) => Err(NoLandlock::NotThere),
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

/// Directories whose files stay readable, as they were when the sandbox was entered: another directory of the same name is
/// not one of them. It explains a refusal and causes none.
#[derive(Clone, Debug)]
pub struct Readable(Vec<(PathBuf, Inode)>);

/// Device and number of a file.
type Inode = (u64, u64);

/// Directories that are named in a refusal.
const NAMED_MAX: usize = 5;

impl Readable {
    /// These.
    pub fn of<'a>(directories: impl IntoIterator<Item = &'a PathBuf>) -> Readable {
        let directories = directories.into_iter();
        Readable(
            directories
                .filter_map(|it| Some((it.clone(), inode(it)?)))
                .collect(),
        )
    }

    /// Why a file that is there cannot be opened, if it is because of the sandbox.
    pub fn refusal(&self, path: &Path) -> Option<String> {
        // Looking a path up is not restricted, and a link counts where it leads.
        let real = path.canonicalize().ok()?;
        let is_readable = |it: &Path| {
            let found = inode(it);
            found.is_some_and(|found| self.0.iter().any(|(_, known)| *known == found))
        };
        if real.ancestors().any(is_readable) {
            return None;
        }
        let named = self.0.iter().take(NAMED_MAX);
        let named: Vec<String> = named.map(|(it, _)| it.display().to_string()).collect();
        let more = match self.0.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "the sandbox of the gateway allows only files in directories that were there at its start and held the configuration file or a key ({}{more}): put the file into one of them, or restart the gateway; FLK_SANDBOX=off does without",
            named.join(", ")
        ))
    }
}

fn inode(path: &Path) -> Option<Inode> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_elsewhere_is_explained_and_one_below_a_known_directory_is_not() {
        let world = tempfile::tempdir().unwrap();
        let [known, other] = ["known", "other"].map(|it| world.path().join(it));
        for directory in [&known, &other] {
            std::fs::create_dir_all(directory.join("below")).unwrap();
            std::fs::write(directory.join("below/key"), "").unwrap();
        }
        std::os::unix::fs::symlink(other.join("below/key"), known.join("link")).unwrap();
        let readable = Readable::of([&known]);
        assert_eq!(readable.refusal(&known.join("below/key")), None);
        assert_eq!(readable.refusal(&world.path().join("absent")), None);
        for path in [other.join("below/key"), known.join("link")] {
            let told = readable.refusal(&path).unwrap();
            assert!(told.contains(&known.display().to_string()), "{told}");
            assert!(told.contains("restart the gateway"), "{told}");
        }
        // Another directory took its place.
        std::fs::rename(&known, world.path().join("aside")).unwrap();
        std::fs::rename(&other, &known).unwrap();
        assert!(readable.refusal(&known.join("below/key")).is_some());
    }

    #[test]
    fn a_thread_that_asks_leaves_the_others_free() {
        let found = available();
        assert_eq!(found, available());
        assert!(found.is_err() || found.is_ok_and(|abi| abi <= ABI_USED as i32));
        assert!(std::fs::read("/proc/self/status").is_ok());
    }
}
