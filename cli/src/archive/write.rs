//! An object: rows of one log, as Parquet. Rows are in the order of tenants and times, so that the statistics of a group exclude it from
//! most searches; filters of ids and the footer lie at the end, so that one read of the end says whether an id may be there. The
//! footer has a digest of each column of each group, and the name of the entry one of the end.

use super::content::{Content, Origin, schema};
use super::names::{Entry, OBJECT_BYTES_MAX};
use super::row::{Kept, Kind};
use super::stated::{Stated, seal};
use crate::exit::{Exit, Failure};
use crate::wal::export::parquet::Columns;
use parquet::basic::Compression;
use parquet::data_type::BoolType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaDataPtr};
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a group.
const GROUP_ROWS_MAX: usize = 20_000;
/// ... and bytes of their bodies.
const GROUP_BODY_BYTES_MAX: usize = 8 << 20;

/// The most that an id takes in its filter being there by chance.
const FILTER_WRONG: f64 = 0.01;

/// Columns whose values hardly repeat: neither a dictionary nor the least and the largest of them say anything, and of a body they
/// would be a part of it.
const DISTINCT: [&str; 4] = ["pcs_id", "signing_digest", "sha256", "body"];

/// The bytes of an object, and what its entry states.
pub(super) fn encode(
    mut content: Content,
    origin: &Origin,
    made_us: u64,
) -> Result<(Vec<u8>, Entry), Failure> {
    assert!(content.first <= content.last, "an object has batches");
    let range = content.first..=content.last;
    let is_inside = |row: &Kept| range.contains(&row.met.counter());
    assert!(
        content.rows.iter().all(is_inside),
        "an object has the rows of its range"
    );
    content.rows.sort_by(|a, b| a.order().cmp(&b.order()));
    let stated = Stated::of(&content, origin, made_us);
    let bytes = write(&content.rows, origin, &stated).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > OBJECT_BYTES_MAX {
        return Err(Failure::with(
            Exit::File,
            format!(
                "{}: batches {} to {} would be an object of {} bytes, and {OBJECT_BYTES_MAX} are the most",
                content.log,
                content.first,
                content.last,
                bytes.len()
            ),
        ));
    }
    let entry = stated.entry(&bytes);
    let entry = entry.map_err(|why| Failure::with(Exit::File, why))?;
    Ok((bytes, entry))
}

fn write(rows: &[Kept], origin: &Origin, stated: &Stated) -> Result<Vec<u8>, ParquetError> {
    let properties = Arc::new(properties());
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema()?), properties)?;
    let mut digests = Vec::new();
    for group in groups(rows) {
        let written = write_group(writer.next_row_group()?, &rows[group], origin)?;
        writer.flush()?;
        digests.push(seal(&written, writer.inner())?);
    }
    for (key, value) in stated.key_values(&digests) {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    writer.into_inner()
}

fn write_group<'a>(
    group: SerializedRowGroupWriter<'a, Vec<u8>>,
    rows: &'a [Kept],
    origin: &Origin,
) -> Result<RowGroupMetaDataPtr, ParquetError> {
    let mut columns = Columns { group, rows };
    columns.shared()?;
    columns.texts(|_| Some(origin.installation.clone()))?;
    columns.texts(|_| Some(origin.node.clone()))?;
    columns.ints(|it| it.snapshot.map(|it| it as i32))?;
    columns.column::<BoolType>(|it| Some(it.is_erased()))?;
    columns.column::<BoolType>(|it| Some(it.kind == Kind::LateDecision))?;
    columns.binaries(|it| it.row.body.clone())?;
    columns.group.close()
}

fn properties() -> WriterProperties {
    let id = || ColumnPath::from("pcs_id");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_column_bloom_filter_enabled(id(), true)
        .set_column_bloom_filter_fpp(id(), FILTER_WRONG)
        .set_column_bloom_filter_max_ndv(id(), GROUP_ROWS_MAX as u64);
    for name in DISTINCT {
        let column = || ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(column(), false)
            .set_column_statistics_enabled(column(), EnabledStatistics::None);
    }
    properties.build()
}

/// Rows in groups that bound what is read at a time.
fn groups(rows: &[Kept]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        bytes += row.body_bytes();
        let count = at + 1 - begin;
        if count == GROUP_ROWS_MAX || bytes >= GROUP_BODY_BYTES_MAX || at + 1 == rows.len() {
            groups.push(begin..at + 1);
            (begin, bytes) = (at + 1, 0);
        }
    }
    groups
}

fn failed(error: &ParquetError) -> Failure {
    Failure::with(Exit::File, format!("cannot write rows as Parquet: {error}"))
}
