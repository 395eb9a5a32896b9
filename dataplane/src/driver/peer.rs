//! Who is at the other end of a Unix socket, as the kernel says it, and which commands that allows. It carries none of them out.

use super::group::ReadGroup;
use std::fmt;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// The verbs that readers may use: they change nothing, or only what is kept for readers.
const OF_READERS: [&str; 4] = ["ping", "status", "statistics", "hold"];

/// A process is in no more groups.
const GROUPS_MAX: usize = 65_536;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Everything: it is the user of this process, or root.
    All,
    /// What readers need: it is a member of the group that may read the directory.
    Reading,
    /// Nothing.
    Nothing,
}

/// Why a line is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAllowed {
    readers: Option<ReadGroup>,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = rustix::process::geteuid().as_raw();
        write!(
            out,
            "error this needs user {uid}, as which the gateway runs, or root"
        )?;
        match self.readers {
            Some(readers) => write!(
                out,
                "; members of group {} (WAL_DIR_GROUP) may use {}",
                readers.number(),
                OF_READERS.join(", ")
            ),
            None => out.write_str("; WAL_DIR_GROUP lets a group read"),
        }
    }
}

impl Allowed {
    /// What the other end of a connection may ask for.
    pub(super) fn of(stream: &UnixStream, readers: Option<ReadGroup>) -> Allowed {
        let Some((user, main_group)) = user_and_group_of(stream) else {
            return Allowed::Nothing;
        };
        let own = rustix::process::geteuid().as_raw();
        let is_member = |group: u32| main_group == group || groups_of(stream).contains(&group);
        Allowed::to(user, own, readers, is_member)
    }

    /// What a user may ask for in a process of the user `own`.
    fn to(
        user: u32,
        own: u32,
        readers: Option<ReadGroup>,
        is_member: impl Fn(u32) -> bool,
    ) -> Allowed {
        match readers {
            _ if user == own || user == 0 => Allowed::All,
            Some(readers) if is_member(readers.number()) => Allowed::Reading,
            Some(_) | None => Allowed::Nothing,
        }
    }

    /// Whether it may have this line carried out.
    pub(super) fn permits(self, line: &str, readers: Option<ReadGroup>) -> Result<(), NotAllowed> {
        let verb = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        let may = match self {
            Allowed::All => true,
            Allowed::Reading => OF_READERS.contains(&verb),
            Allowed::Nothing => false,
        };
        may.then_some(()).ok_or(NotAllowed { readers })
    }
}

/// User and main group of the other end. Its process has the number 0 if it is in another PID namespace, as containers of one pod are
/// to each other; `rustix::net::UCred` cannot hold that.
#[allow(unsafe_code)]
fn user_and_group_of(stream: &UnixStream) -> Option<(u32, u32)> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut bytes = size_of_val(&peer) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes no more than `bytes` into memory that has as many.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut bytes,
        )
    };
    (result == 0 && bytes as usize == size_of_val(&peer)).then_some((peer.uid, peer.gid))
}

/// The supplementary groups of the other end, as they were when it connected; none where the kernel does not say.
#[allow(unsafe_code)]
fn groups_of(stream: &UnixStream) -> Vec<u32> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut bytes = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the descriptor is open, and the kernel writes no more than `bytes` into memory that has as many.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return groups;
        }
        let error = std::io::Error::last_os_error().raw_os_error();
        // It says how many there are where they do not fit.
        if error != Some(libc::ERANGE) || count <= groups.len() || count > GROUPS_MAX {
            return Vec::new();
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_may_use_the_verbs_that_change_nothing_and_holds() {
        let readers = ReadGroup::find("1234").ok();
        for (line, reading) in [
            ("flk1 ping", true),
            ("flk1 status", true),
            ("flk1 statistics", true),
            ("flk1 hold set backup", true),
            ("flk1 pin", false),
            ("flk1 unpin 1", false),
            ("flk1 compact --dry-run", false),
            ("flk1 release-clock", false),
            ("", false),
            ("ping", false),
            ("flk1 Ping", false),
        ] {
            let of = |allowed: Allowed| allowed.permits(line, readers).is_ok();
            assert!(of(Allowed::All), "{line}");
            assert_eq!(of(Allowed::Reading), reading, "{line}");
            assert!(!of(Allowed::Nothing), "{line}");
        }
        let refused = Allowed::Reading.permits("flk1 pin", readers).unwrap_err();
        assert!(refused.to_string().contains("group 1234"), "{refused}");
    }

    #[test]
    fn root_and_the_own_user_may_ask_for_all_members_for_reading_and_others_for_nothing() {
        const OWN: u32 = 1000;
        let readers = ReadGroup::find("1234").ok();
        for (user, readers, groups, allowed) in [
            (OWN, None, &[][..], Allowed::All),
            (0, None, &[], Allowed::All),
            (0, readers, &[7], Allowed::All),
            (OWN, readers, &[1234], Allowed::All),
            (1001, readers, &[7, 1234], Allowed::Reading),
            (1001, readers, &[7, 1235], Allowed::Nothing),
            (1001, readers, &[], Allowed::Nothing),
            (1001, None, &[1234, 0], Allowed::Nothing),
            (1234, readers, &[], Allowed::Nothing),
        ] {
            let is_member = |group: u32| groups.contains(&group);
            let found = Allowed::to(user, OWN, readers, is_member);
            assert_eq!(found, allowed, "{user} of {groups:?} with {readers:?}");
        }
    }

    #[test]
    fn this_process_may_do_everything_and_its_groups_are_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Allowed::of(&one, None), Allowed::All);
        let mine = rustix::process::getgroups().unwrap();
        let mine: Vec<u32> = mine.into_iter().map(rustix::fs::Gid::as_raw).collect();
        assert_eq!(groups_of(&one), mine);
    }
}
