//! The audit at the end of a seed, behind a graceful stop: a second reader of the directory that folds what the manifest
//! names, extents and slices, and compares it with what was acknowledged. It shares the decoding of single batches, blocks
//! and the manifest with the gateway; scan, fold, load and recovery are not used.

use super::count::Count;
use super::logbook;
use super::oracle::Property;
use super::records::{TENANTS, pool, tenant_of};
use super::world::World;
use crate::dedup::Key;
use crate::dedup::key::KeyHash;
use crate::dedup::slice::SliceReader;
use crate::dedup::slice::frame::SLICE_MAGIC;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{LOCK, MANIFEST, NumberedFile, SECRET};
use crate::wal::manifest::Manifest;
use crate::wal::name::Sequence;
use crate::wal::packed::PACKED_MAGIC;
use crate::wal::secret::Secret;
use crate::wal::segment::SEGMENT_MAGIC;
use std::collections::BTreeMap;

/// A decision, as far as the audit cares.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    decided_at: u32,
    expiry: u32,
    digest_tag: u64,
    d_hat: f64,
}

/// Decisions by key, in any order.
type Replay = BTreeMap<Key, Vec<Found>>;

/// What is wrong with a directory.
type Fault = (Property, String);

impl World {
    /// Reads the whole directory behind the last graceful stop.
    pub fn audit(&mut self) {
        if self.truth.is_in_doubt() || !self.truth.stopped_cleanly {
            return;
        }
        self.counts.one(Count::Audits);
        let audited = self.audited_manifest().and_then(|manifest| {
            self.only_named_files(&manifest)?;
            let fold = self.folded(&manifest)?;
            self.lives_as_long_as_set(&manifest, &fold)?;
            self.holds_what_was_acknowledged(&manifest, &fold)
        });
        if let Err((property, how)) = audited {
            self.fail(property, format!("the audit at the end: {how}"));
        }
    }

    fn file(&self, name: &str) -> Result<&[u8], Fault> {
        let inode = self.disk.find(name);
        let missing = || (Property::AcknowledgedLost, format!("{name} is missing"));
        inode.map(|inode| self.disk.seen(inode)).ok_or_else(missing)
    }

    fn audited_manifest(&self) -> Result<Manifest, Fault> {
        let decoded = Manifest::decode(self.file(MANIFEST)?);
        let manifest = decoded.map_err(|fault| (Property::DamageOrTornTail, fault.to_string()))?;
        match manifest.clean_stop {
            true => Ok(manifest),
            false => Err((
                Property::Bounded,
                "a graceful stop ended, and the manifest does not say so".to_string(),
            )),
        }
    }

    /// Nothing lies in the directory but what the manifest names and what an operator put there.
    fn only_named_files(&self, manifest: &Manifest) -> Result<(), Fault> {
        let named = manifest.files();
        let known = |name: &str| match NumberedFile::parse(name) {
            Some(NumberedFile::Segment(number)) => named.contains(&number),
            // One that was replaced may stay until every shard reads the new ones; the next start removes it.
            Some(NumberedFile::Slice(number)) => {
                named.contains(&number) || self.truth.replaced_slices.contains(&number)
            }
            None => {
                [MANIFEST, SECRET, LOCK].contains(&name)
                    || ["backup-", "quarantine-"]
                        .iter()
                        .any(|prefix| name.starts_with(prefix))
            }
        };
        // What a power cut left of a file that was never synced may begin with anything: what does not look like a file of
        // the gateway's is kept, and said to be kept.
        let kept = |name: &str, inode| {
            let begins = self.disk.seen(inode).get(..8).unwrap_or_default();
            let ours = [&SEGMENT_MAGIC, &PACKED_MAGIC, &SLICE_MAGIC]
                .iter()
                .any(|it| it.starts_with(begins));
            let zeros = begins.iter().all(|byte| *byte == 0);
            self.truth.strays_kept.contains(name) && !ours && !zeros
        };
        let mut names = self.disk.names();
        match names.find(|(name, inode)| !known(name) && !kept(name, *inode)) {
            Some((name, _)) => Err((
                Property::Bounded,
                format!("{name} is left over: the manifest does not name it"),
            )),
            None => Ok(()),
        }
    }

    fn folded(&self, manifest: &Manifest) -> Result<Replay, Fault> {
        let secret = Secret::decode(self.file(SECRET)?);
        let secret = secret.map_err(|fault| (Property::DamageOrTornTail, fault.to_string()))?;
        let hash = KeyHash::new(secret.key);
        let mut fold = Replay::new();
        for slice in &manifest.slices {
            let name = NumberedFile::Slice(slice.file).to_string();
            let unreadable = |how: String| (Property::DamageOrTornTail, format!("{name}: {how}"));
            let read = read_slice(self.file(&name)?, &mut fold);
            let entries = read.map_err(unreadable)?;
            if entries != slice.entries {
                return Err(unreadable(format!(
                    "{entries} entries, and the manifest says {}",
                    slice.entries
                )));
            }
        }
        for log in &manifest.logs {
            for segment in &log.segments {
                let Some(extent) = segment.state.extent() else {
                    continue;
                };
                let name = NumberedFile::Segment(segment.file).to_string();
                let bytes = self.file(&name)?;
                let file_bytes = segment.state.file_bytes().unwrap_or(extent.bytes);
                let bytes = bytes.get(..file_bytes as usize).ok_or_else(|| {
                    let how = format!("{name} is shorter than the manifest says");
                    (Property::AcknowledgedLost, how)
                })?;
                let batches = logbook::read(bytes).batches;
                let range = extent.first.0..=extent.last.0;
                let mut expected = extent.first.0;
                let given_up = |at: u64| manifest.gap(log.id, Sequence(at)).is_some();
                for batch in batches.iter().filter(|it| range.contains(&it.sequence)) {
                    while given_up(expected) && expected < batch.sequence {
                        expected += 1;
                    }
                    if batch.sequence != expected || !batch.whole || batch.salt != segment.salt {
                        break;
                    }
                    expected += 1;
                    for logged in &batch.decisions {
                        let key = hash.key(&logged.tenant, &logged.pcs_id);
                        fold.entry(key).or_default().push(Found {
                            decided_at: logged.decided_at,
                            expiry: logged.expiry,
                            digest_tag: logged.digest_tag,
                            d_hat: logged.d_hat,
                        });
                    }
                }
                while given_up(expected) && expected <= extent.last.0 {
                    expected += 1;
                }
                if expected != extent.last.0 + 1 {
                    let how = format!(
                        "{name} of log {} holds no batch {expected:x}, and its extent ends with {:x}",
                        log.id, extent.last.0
                    );
                    return Err((Property::AcknowledgedLost, how));
                }
            }
        }
        Ok(fold)
    }

    /// Every expiry is what a setting of this seed made it, and no decision lies in the future.
    fn lives_as_long_as_set(&self, manifest: &Manifest, fold: &Replay) -> Result<(), Fault> {
        let ttls = self.scenario.ttls();
        for found in fold.values().flatten() {
            let ttl_s = found.expiry.saturating_sub(found.decided_at);
            if !ttls.contains(&ttl_s) || found.decided_at > manifest.clock.expiry_s {
                let how = format!(
                    "a decision of {} s lives until {} s, the settings were {ttls:?}, the clock is {} s",
                    found.decided_at, found.expiry, manifest.clock.expiry_s
                );
                return Err((Property::OneOutcome, how));
            }
        }
        Ok(())
    }

    /// Each acknowledged record that is surely alive stands, with its content.
    fn holds_what_was_acknowledged(&self, manifest: &Manifest, fold: &Replay) -> Result<(), Fault> {
        let secret = Secret::decode(self.file(SECRET)?);
        let secret = secret.map_err(|fault| (Property::DamageOrTornTail, fault.to_string()))?;
        let hash = KeyHash::new(secret.key);
        for (id, logged) in self.oracle.alive() {
            let tenant = TENANTS[tenant_of(id)];
            let id = pool().id(id);
            let decisions = fold.get(&hash.key(tenant, &id.pcs_id));
            let live = |it: &&Found| it.expiry > manifest.clock.expiry_s;
            let stands = decisions
                .iter()
                .flat_map(|all| all.iter().filter(live))
                .min_by_key(|it| it.decided_at);
            let wanted = &id.variants[usize::from(logged.variant)];
            let same = stands
                .is_some_and(|it| it.digest_tag == wanted.digest_tag && it.d_hat == wanted.d_hat);
            if !same {
                let how = format!(
                    "{} was acknowledged as {logged:?} and is alive at {} s; what stands is {stands:?}",
                    id.pcs_id, manifest.clock.expiry_s
                );
                return Err((Property::AcknowledgedLost, how));
            }
        }
        Ok(())
    }
}

/// Adds the decisions of a slice file, and says how many those were.
fn read_slice(bytes: &[u8], fold: &mut Replay) -> Result<u64, String> {
    let last_at = bytes.len().checked_sub(BLOCK_BYTES);
    let last_at = last_at.ok_or("it is shorter than a block")?;
    let first = bytes.get(..BLOCK_BYTES).unwrap_or_default();
    let reader = SliceReader::open(first, &bytes[last_at..], bytes.len() as u64);
    let reader = reader.map_err(|fault| fault.to_string())?;
    let mut entries = 0;
    for number in reader.blocks() {
        let start = number as usize * BLOCK_BYTES;
        let block = bytes.get(start..start + BLOCK_BYTES).unwrap_or_default();
        let block = reader.block(number, block).map_err(|it| it.to_string())?;
        for decided in block.entries() {
            entries += 1;
            fold.entry(decided.key).or_default().push(Found {
                decided_at: decided.decided_at,
                expiry: decided.expiry,
                digest_tag: decided.digest_tag,
                d_hat: decided.numbers[0],
            });
        }
    }
    Ok(entries)
}
