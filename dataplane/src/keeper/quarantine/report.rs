//! A plan in words, for the operator: what is kept, what is lost, and of which ids the decisions are lost.

use super::held::Seen;
use super::plan::Plan;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::Gap;
use crate::wal::name::Sequence;
use std::collections::BTreeMap;
use std::fmt;

impl Plan {
    pub(super) fn lost_count(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum()
    }

    /// Which decisions are lost, one id a line, and of how many batches that cannot be known.
    pub(super) fn lost_ids(&self) -> String {
        let lost = |seen: &&Seen| {
            let sequence = seen.header.fields.sequence;
            let given_up = |gap: &Gap| (gap.from..=gap.to).contains(&sequence);
            !seen.whole && self.gaps.iter().any(given_up)
        };
        let known = self.held.seen.iter().filter(lost);
        let known: BTreeMap<Sequence, Vec<[u8; 32]>> = known
            .filter_map(|seen| Some((seen.header.fields.sequence, self.held.ids_of(seen)?)))
            .collect();
        let unknown = self.lost_count() - known.len() as u64;
        let ids: Vec<&[u8; 32]> = known.values().flatten().collect();
        let mut text = match unknown {
            0 => String::new(),
            _ => format!(". Of {unknown} batches nothing is left that says which ids were in them"),
        };
        if !ids.is_empty() {
            text.push_str(&format!(". The decisions of {} ids are lost:", ids.len()));
        }
        for id in ids {
            text.push('\n');
            text.extend(id.iter().map(|byte| format!("{byte:02x}")));
        }
        text
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NumberedFile::Segment(self.entry.file);
        write!(
            out,
            "{name}: log {}, {} batches whole",
            self.log.id,
            self.kept.len()
        )?;
        match (self.held.contents.missing, &self.held.lead) {
            (true, _) => out.write_str("; the file is not there")?,
            (_, None) => out.write_str("; its header is damaged and is made anew")?,
            _ => {}
        }
        if self.held.misplaced {
            out.write_str("; it holds another segment")?;
        }
        if let Some(short) = self.too_short() {
            write!(out, "; {short}")?;
        }
        if self.held.contents.unreadable_bytes > 0 {
            let bytes = self.held.contents.unreadable_bytes;
            write!(out, "; the device refuses to read {bytes} bytes of it")?;
        }
        if self.gaps.is_empty() && !self.may_lose_more() {
            out.write_str("; no batch is lost")?;
        }
        for gap in &self.gaps {
            write!(out, "; missing {} to {}", gap.from, gap.to)?;
        }
        if self.may_lose_more() {
            let last = self.gaps.iter().map(|gap| gap.to);
            let last = last.chain([self.extent.last]).max().unwrap_or_default();
            write!(
                out,
                "; batches behind {last} may be lost too, and how many those were is not known"
            )?;
        }
        Ok(())
    }
}
