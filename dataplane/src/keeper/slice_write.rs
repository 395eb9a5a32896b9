//! Writing a slice: it is durable under its name, and all that shards need of it is in memory, before a manifest names it.
//! One that no manifest came to name is removed at once.

use crate::dedup::slice::{SliceError, SliceMeta, SliceWriter};
use crate::keeper::Service;
use crate::keeper::ended_early::EndedEarly;
use crate::keeper::files::{File, MAKE};
use crate::keeper::halt::Halt;
use crate::keeper::replay::{Replay, report_conflicts};
use crate::keeper::slices::{Merge, Slice};
use crate::keeper::views::InUse;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Cover, SliceEntry};

/// A slice is written in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A slice is read and written for at most so many entries between two looks at what shards ask for: about a piece.
const ENTRIES_MAX: u32 = 16 * 1024;

/// A slice that is durable under its name and that no manifest names yet.
pub(crate) struct Made {
    /// What the manifest is to state of it.
    pub(crate) entry: SliceEntry,
    pub(crate) in_use: InUse,
}

impl Service {
    /// Writes a slice, makes it durable under its name, and reads what shards will need of it. Nothing if there was trouble
    /// that may pass; then no file of it is left, or it is an orphan.
    pub(crate) async fn write_slice(
        &mut self,
        merge: Merge,
        covers: Vec<Cover>,
    ) -> Result<Option<Made>, Halt> {
        let number = self.store.number();
        let name = NumberedFile::Slice(number).to_string();
        let mut bytes = 0;
        match self
            .make_slice(&name, number, merge, covers, &mut bytes)
            .await
        {
            Ok(made) => Ok(Some(made)),
            Err(EndedEarly::End(halt)) => Err(halt),
            Err(cut) => {
                if let EndedEarly::Trouble(halt) = cut {
                    self.slice_trouble("writing a slice to", &halt);
                }
                self.discard(name, bytes).await;
                Ok(None)
            }
        }
    }

    /// Names segments and answers between the steps of work on a slice, and ends the work where a stop was asked for. A merge
    /// lets a seal pass that shards cannot wait for: it may take minutes, and they have seconds.
    pub(crate) async fn poll_requests_between(&mut self) -> Result<(), EndedEarly> {
        self.poll_requests().await.map_err(EndedEarly::End)?;
        if self.sealing.is_merging && self.seal_is_urgent() {
            self.seal_while_merging().await.map_err(EndedEarly::End)?;
        }
        match self.stop.is_asked() {
            true => Err(EndedEarly::Stopping),
            false => Ok(()),
        }
    }

    async fn make_slice(
        &mut self,
        name: &str,
        number: u64,
        merge: Merge,
        covers: Vec<Cover>,
        bytes: &mut u64,
    ) -> Result<Made, EndedEarly> {
        let opened = self.store.files.open(name, MAKE).await;
        let file = opened.map_err(EndedEarly::Trouble)?;
        let filled = self.fill_slice(&file, number, merge, covers, bytes).await;
        self.store.files.close(&file).await;
        let entry = filled?;
        // The pair of the write: it is opened as a start would open it.
        let slice = Slice::open(&self.store, &entry, &mut self.dictionary).await;
        let slice = slice.map_err(EndedEarly::Trouble)?;
        let in_use = self.read_views(slice).await?;
        Ok(Made { entry, in_use })
    }

    /// Writes and syncs the file; `bytes` is how long it is at least.
    async fn fill_slice(
        &mut self,
        file: &File,
        number: u64,
        merge: Merge,
        covers: Vec<Cover>,
        bytes: &mut u64,
    ) -> Result<SliceEntry, EndedEarly> {
        let id = self
            .store
            .files
            .random()
            .await
            .map_err(EndedEarly::Trouble)?;
        let id = u64::from_le_bytes(id);
        let manifest = &self.store.manifest;
        let meta = SliceMeta {
            slice_id: id,
            generation: manifest.generation,
            installation: manifest.installation,
            incarnation: manifest.incarnation,
            secret: manifest.secret,
        };
        // Slices and decisions of the merge were numbered by the dictionary when they were opened and read.
        let mut writer = SliceWriter::new(meta, self.dictionary.versions());
        self.write_entries(file, &mut writer, merge, bytes).await?;
        let sealed = writer.finish(&covers);
        let sealed = sealed.map_err(|fault| refused(file, &fault))?;
        for piece in sealed.bytes.chunks(PIECE_BYTES) {
            self.put(file, bytes, piece).await?;
            self.poll_requests_between().await?;
        }
        let files = &self.store.files;
        files.sync(file).await.map_err(EndedEarly::Trouble)?;
        files.sync_dir().await.map_err(EndedEarly::Trouble)?;
        Ok(sealed.summary.entry(number, id, covers))
    }

    /// Writes what is alive of the merge.
    async fn write_entries(
        &mut self,
        file: &File,
        writer: &mut SliceWriter,
        mut merge: Merge,
        bytes: &mut u64,
    ) -> Result<(), EndedEarly> {
        // The manifest that will name this slice carries a clock at least as late: what is left out here stays expired.
        let now_s = self.store.expiry_now_s();
        let mut replay = Replay::default();
        let mut entries = 0;
        loop {
            let next = merge.next().await.map_err(EndedEarly::Trouble)?;
            let outcome = match next {
                Some(decided) => replay.push(decided),
                None => replay.finish(),
            };
            if let Some(outcome) = outcome.filter(|it| it.live_at(now_s)) {
                let pushed = writer.push(&outcome);
                pushed.map_err(|fault| refused(file, &fault))?;
            }
            if writer.ready_bytes() >= PIECE_BYTES {
                self.put(file, bytes, &writer.take_ready()).await?;
                entries = ENTRIES_MAX;
            }
            entries += 1;
            if entries > ENTRIES_MAX {
                entries = 0;
                self.poll_requests_between().await?;
            }
            if next.is_none() {
                break;
            }
        }
        report_conflicts(&self.store.port, &mut replay);
        Ok(())
    }

    async fn put(&self, file: &File, offset: &mut u64, bytes: &[u8]) -> Result<(), EndedEarly> {
        let written = self.store.files.write(file, *offset, bytes).await;
        *offset += bytes.len() as u64;
        written.map_err(EndedEarly::Trouble)
    }

    /// Logs what failed. A slice that is damaged is merged no more; look-ups go on answering what they find.
    pub(crate) fn slice_trouble(&mut self, doing: &'static str, halt: &Halt) {
        self.trouble(doing, halt);
        if let Halt::Damage { file, .. } = halt
            && let Some(NumberedFile::Slice(number)) = NumberedFile::parse(file)
        {
            self.sealing.unmergeable.insert(number);
        }
    }

    /// Removes a file that no manifest names, now or later.
    pub(crate) async fn discard(&mut self, name: String, bytes: u64) {
        if let Err(halt) = self.store.discard(name, bytes).await {
            self.trouble("removing", &halt);
        }
    }
}

/// Entries that a slice cannot hold are our mistake or of another version: nothing would ever be sealed again.
fn refused(file: &File, fault: &SliceError) -> EndedEarly {
    EndedEarly::End(Halt::Refused(format!("{}: {fault}", file.name)))
}
