//! The memory of the statistics: a `memfd` that this process writes and others map to read. It maps and unmaps; what the
//! memory says is the business of `stats`. The file has no name on any disk and is gone with the last process that has it.

use super::line_socket::ASK_FOR_STATISTICS;
use crate::stats::exposition::{self, Format};
use crate::stats::page::{Header, Layout, NAME, PageError, Parts};
use crate::stats::refused::{self, Refused};
use crate::stats::{KeeperStats, ObservedStats, ProcessStats, ShardStats, Stats, Traces};
use crate::stats::{render_by_shard, tenant_name};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::ffi::c_void;
use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr::{NonNull, null_mut, slice_from_raw_parts};
use std::slice::from_ref;
use std::time::Duration;

/// A serving gateway answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Statistics that other processes can read by the descriptor.
#[derive(Debug)]
pub struct Published {
    /// What this process writes.
    pub stats: Stats,
    /// The memory, for a process that is to read it.
    pub memory: OwnedFd,
}

/// Makes the statistics of a process in memory that others can map.
///
/// # Errors
/// The system refuses; [`Stats::new`] does without.
pub fn publish(shards_count: u16) -> std::io::Result<Published> {
    let layout = Layout::of(shards_count);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create(NAME, flags)?;
    rustix::fs::ftruncate(&memory, layout.bytes as u64)?;
    // A reader's mapping must not lose its memory: that would kill the reader.
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW)?;
    let mapping = Mapping::new(memory.as_fd(), layout.bytes, Access::Write)?;
    // From here on nothing else can be mapped for writing. Kernels before 5.1 lack this, and owners of the descriptor are
    // trusted there.
    let _ = rustix::fs::fcntl_add_seals(&memory, SealFlags::FUTURE_WRITE);
    let parts = mapping.leak(&layout);
    let stats = Stats::shared(parts);
    Ok(Published { stats, memory })
}

/// The statistics of another process, or of this one as another would see them.
#[derive(Debug)]
pub struct Reader {
    mapping: Mapping,
    layout: Layout,
}

impl Reader {
    /// Opens the page of a process by its path, `/proc/PID/fd/N`.
    ///
    /// # Errors
    /// It cannot be opened, or is no page that this build reads.
    pub fn open(path: &Path) -> Result<Reader, PageError> {
        let file = File::open(path).map_err(PageError::Io)?;
        Reader::of(file.as_fd())
    }

    /// Asks a serving gateway for its page, on `keeper.sock` in its WAL_DIR.
    ///
    /// # Errors
    /// Nothing answers within some seconds, or with no page that this build reads.
    pub fn ask(socket: &Path) -> Result<Reader, PageError> {
        let answer = ask(socket).map_err(PageError::Io)?;
        answer.map_or(Err(PageError::NoPage), |memory| Reader::of(memory.as_fd()))
    }

    /// Maps the page behind a descriptor, which may be closed afterwards.
    ///
    /// # Errors
    /// It cannot be mapped, or is no page that this build reads.
    pub fn of(memory: BorrowedFd<'_>) -> Result<Reader, PageError> {
        let io = |error: rustix::io::Errno| PageError::Io(error.into());
        // Memory that could be cut short behind our back, a plain file for example, would kill this process when read.
        let seals = rustix::fs::fcntl_get_seals(memory).map_err(|_| PageError::NoPage)?;
        let bytes = rustix::fs::fstat(memory).map_err(io)?.st_size as usize;
        if !seals.contains(SealFlags::SHRINK) || bytes < size_of::<Header>() {
            return Err(PageError::NoPage);
        }
        let mapping = Mapping::new(memory, bytes, Access::Read).map_err(PageError::Io)?;
        let layout = mapping.header().check(bytes)?;
        Ok(Reader { mapping, layout })
    }

    /// All parts as they are now. They change while they are read; nothing may be written to them.
    fn parts(&self) -> Parts<'_> {
        self.mapping.parts(&self.layout)
    }

    /// Shards of that process.
    pub fn shards_count(&self) -> u16 {
        self.layout.shards_count
    }

    /// Process id of the writer.
    pub fn pid(&self) -> u64 {
        self.parts().header.pid.get()
    }

    /// When that process began to count, in microseconds since 1970.
    pub fn started_wall_us(&self) -> u64 {
        self.parts().header.started_wall_us.get()
    }

    /// Version, region and node of that process.
    pub fn origin(&self) -> [String; 3] {
        let Parts { header, .. } = self.parts();
        [header.version.get(), header.region.get(), header.node.get()]
    }

    /// What runs its shards; empty where it did not say.
    pub fn driver(&self) -> String {
        self.parts().header.driver.get()
    }

    /// The CPU that each shard is pinned to, as far as it is known.
    pub fn cpus(&self) -> Vec<Option<u64>> {
        let observed = self.parts().observed.iter();
        observed
            .map(|it| it.cpu_from_one.get().checked_sub(1))
            .collect()
    }

    /// What all shards refused last, the newest first.
    pub fn refusals(&self) -> Vec<Refused> {
        refused::all(&self.parts())
    }

    /// What each shard traced last.
    pub fn traces(&self) -> &[Traces] {
        self.parts().traces
    }

    /// The tenant of a row, as metrics name it.
    pub fn tenant_name(&self, row: u16) -> String {
        tenant_name(&self.parts(), row)
    }

    /// Writes all metrics as that process would itself.
    pub fn render(&self, format: Format, out: &mut String) {
        exposition::render(&self.parts(), format, out);
    }

    /// Appends some numbers of each shard alone, under the names of their sums with the label `shard`.
    pub fn render_by_shard(&self, out: &mut String) {
        render_by_shard(&self.parts(), out);
    }

    /// All metrics, for each shard as if it were the only one: what is observed of it has the label `0`, and what no shard
    /// counts is the process's.
    pub fn render_shards(&self, format: Format) -> impl Iterator<Item = String> {
        let all = self.parts();
        let shards = all.observed.iter().zip(all.shards).zip(all.traces);
        shards.map(move |((observed, shard), traces)| {
            let (observed, shards) = (from_ref(observed), from_ref(shard));
            let one = Parts {
                observed,
                shards,
                traces: from_ref(traces),
                ..all
            };
            let mut text = String::new();
            exposition::render(&one, format, &mut text);
            text
        })
    }
}

/// Sends the question and returns the descriptor that comes back, if one does.
fn ask(socket: &Path) -> std::io::Result<Option<OwnedFd>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("{ASK_FOR_STATISTICS}\n").as_bytes())?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut line = [0; 128];
    let into = &mut [IoSliceMut::new(&mut line)];
    recvmsg(&stream, into, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    Ok(descriptors.next())
}

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Memory mapped until this is dropped.
#[derive(Debug)]
struct Mapping {
    base: NonNull<c_void>,
    bytes: usize,
}

#[allow(unsafe_code)]
// SAFETY: the mapping belongs to no thread, and all that it is seen as are atomic words.
unsafe impl Send for Mapping {}
#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl Sync for Mapping {}

#[allow(unsafe_code)]
impl Mapping {
    fn new(memory: BorrowedFd<'_>, bytes: usize, access: Access) -> std::io::Result<Mapping> {
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the kernel chooses a place where nothing is mapped.
        let base = unsafe { mmap(null_mut(), bytes, protection, MapFlags::SHARED, memory, 0)? };
        let base = NonNull::new(base).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, bytes })
    }

    fn header(&self) -> &Header {
        assert!(self.bytes >= size_of::<Header>());
        // SAFETY: the mapping is page-aligned and long enough; a header is atomic words, for which any bits are valid. It is
        // written through shared references only, and lives as long as `self`.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    fn parts(&self, layout: &Layout) -> Parts<'_> {
        assert!(layout.bytes <= self.bytes, "all parts are mapped");
        let at = |offset: usize| {
            // SAFETY: the offsets of a layout are below its bytes, which are mapped.
            unsafe { self.base.byte_add(offset) }
        };
        let count = usize::from(layout.shards_count);
        let observed = at(layout.observed_at).cast::<ObservedStats>().as_ptr();
        let observed = slice_from_raw_parts(observed, count);
        let shards = at(layout.shards_at).cast::<ShardStats>().as_ptr();
        let shards = slice_from_raw_parts(shards, count);
        let traces = at(layout.traces_at).cast::<Traces>().as_ptr();
        let traces = slice_from_raw_parts(traces, count);
        // SAFETY: `Layout::of` places each part, aligned, within the bytes that are mapped, and they do not overlap. All are
        // atomic words, for which any bits are valid, written through shared references only; they live as long as `self`.
        unsafe {
            Parts {
                header: self.header(),
                process: at(layout.process_at).cast::<ProcessStats>().as_ref(),
                keeper: at(layout.keeper_at).cast::<KeeperStats>().as_ref(),
                observed: &*observed,
                shards: &*shards,
                traces: &*traces,
            }
        }
    }

    /// Keeps the mapping for as long as the process lives: shards write to it until the very end.
    fn leak(self, layout: &Layout) -> Parts<'static> {
        Box::leak(Box::new(self)).parts(layout)
    }
}

#[allow(unsafe_code)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from `self` any more.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn page(reader: &Reader) -> String {
        let mut text = String::new();
        reader.render(Format::Prometheus, &mut text);
        text
    }

    #[test]
    fn a_second_mapping_reads_what_shards_and_keeper_write() {
        let published = publish(2).unwrap();
        let path = format!("/proc/self/fd/{}", published.memory.as_raw_fd());
        let reader = Reader::open(Path::new(&path)).unwrap();
        assert_eq!(reader.shards_count(), 2);
        assert_eq!(reader.pid(), u64::from(std::process::id()));
        let stats = &published.stats;
        stats.shards[0].ingest.add(2);
        stats.shards[1].ingest.add(3);
        stats.shards[1].latency_s.observe(0.05);
        stats.keeper.segments.set(7);
        let text = page(&reader);
        for line in [
            "flk_ingest_total 5",
            "http_request_duration_seconds_count 1",
            "http_request_duration_seconds_bucket{le=\"0.05\"} 1",
            "flk_wal_segments 7",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
        let mut own = String::new();
        exposition::render(&stats.parts(), Format::Prometheus, &mut own);
        assert_eq!(text, own);
    }

    #[test]
    fn each_shard_is_rendered_alone() {
        let published = publish(2).unwrap();
        let reader = Reader::of(published.memory.as_fd()).unwrap();
        published.stats.shards[0].ingest.add(2);
        published.stats.shards[1].ingest.add(3);
        published.stats.observed[1].stuck.set(1);
        let pages: Vec<String> = reader.render_shards(Format::Prometheus).collect();
        assert_eq!(pages.len(), 2);
        for (text, ingest, stuck) in [(&pages[0], 2, 0), (&pages[1], 3, 1)] {
            for line in [
                format!("flk_ingest_total {ingest}"),
                format!("flk_shard_stuck{{shard=\"0\"}} {stuck}"),
                "flk_shards 1".to_owned(),
            ] {
                assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
            }
        }
    }

    #[test]
    fn another_process_reads_what_this_one_writes() {
        let published = publish(1).unwrap();
        published.stats.shards[0].ingest.add(0x1122_3344_5566_7788);
        let at = Layout::of(1).shards_at;
        let path = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            published.memory.as_raw_fd()
        );
        let read = std::process::Command::new("od")
            .args([
                "-A",
                "n",
                "-t",
                "x8",
                "-j",
                &at.to_string(),
                "-N",
                "8",
                &path,
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(read.stdout).unwrap();
        assert_eq!(text.trim(), "1122334455667788");
    }

    #[test]
    fn a_page_can_neither_be_cut_nor_written_by_those_who_have_it() {
        let published = publish(1).unwrap();
        let memory = published.memory.as_fd();
        assert!(rustix::fs::ftruncate(memory, 0).is_err());
        assert!(rustix::io::pwrite(memory, b"x", 0).is_err());
        assert!(Mapping::new(memory, 4096, Access::Write).is_err());
        published.stats.shards[0].ingest.add(1);
    }

    #[test]
    fn what_is_no_page_of_this_layout_is_refused_with_a_reason() {
        let refused = |memory: BorrowedFd<'_>| Reader::of(memory).unwrap_err().to_string();
        let published = publish(1).unwrap();
        let header = published.stats.parts().header;
        header.layout_version.set(77);
        assert!(refused(published.memory.as_fd()).contains("has layout 77"));
        header.magic.set(1);
        assert!(refused(published.memory.as_fd()).contains("no page of statistics"));
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(1 << 16).unwrap();
        assert!(refused(plain.as_fd()).contains("no page of statistics"));
        let empty = rustix::fs::memfd_create("empty", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(refused(empty.as_fd()).contains("no page of statistics"));
        let missing = Reader::open(Path::new("/proc/self/fd/99999"));
        assert!(matches!(missing, Err(PageError::Io(_))));
    }
}
