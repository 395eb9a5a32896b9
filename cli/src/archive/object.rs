//! Reading an object: its end first, then the columns that are needed of the groups that can hold what is wanted. Every byte is compared
//! with a digest before it is interpreted.

use super::names::{Entry, LogName};
use super::stated::{Bad, Footer, digest, range_of};
use crate::backup::store::{Searched, Wanted};
use crate::exit::{Exit, Failure};
use hyper::body::Bytes;
use parquet::basic::Type as Physical;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

/// So much of the end of an object is read at first where its entry is not known.
const FIRST_LOOK_BYTES: u64 = 64 << 10;

/// A part of an object, in its place.
#[derive(Clone)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Length for Piece {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Piece {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let at = self.at(start)?;
        Ok(Cursor::new(self.bytes.slice(at..)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let at = self.at(start)?;
        let end = at.checked_add(length).filter(|it| *it <= self.bytes.len());
        let end = end.ok_or_else(|| ParquetError::EOF("behind the piece".to_owned()))?;
        Ok(self.bytes.slice(at..end))
    }
}

impl Piece {
    fn at(&self, start: u64) -> ParquetResult<usize> {
        let at = start.checked_sub(self.start).map(|it| it as usize);
        let at = at.filter(|it| *it <= self.bytes.len());
        at.ok_or_else(|| ParquetError::EOF("outside of the piece".to_owned()))
    }
}

/// The values of a column in a group, in the order of its rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Bytes(Vec<Option<ByteArray>>),
    Long(Vec<Option<i64>>),
    Int(Vec<Option<i32>>),
    Bool(Vec<Option<bool>>),
}

impl Column {
    /// A text.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(row)?).ok()
    }

    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Bytes(all) => all.get(row)?.as_ref().map(ByteArray::data),
            _ => None,
        }
    }

    /// A number, of which there are none below zero.
    pub(super) fn number(&self, row: usize) -> Option<u64> {
        match self {
            Self::Long(all) => (*all.get(row)?).map(|it| it as u64),
            Self::Int(all) => (*all.get(row)?).map(|it| u64::from(it as u32)),
            _ => None,
        }
    }

    pub(super) fn is_true(&self, row: usize) -> bool {
        matches!(self, Self::Bool(all) if matches!(all.get(row), Some(Some(true))))
    }
}

/// An object whose end was read.
pub(super) struct Object {
    pub(super) entry: Entry,
    pub(super) footer: Footer,
    tail: Piece,
}

impl Object {
    /// Reads the ends of the objects of these entries.
    pub(super) fn open_all(
        objects: &dyn Searched,
        entries: &[Entry],
    ) -> Vec<Result<Self, Failure>> {
        let wanted = |it: &Entry| (it.object(), it.bytes - it.tail..it.bytes);
        let wanted: Vec<Wanted> = entries.iter().map(wanted).collect();
        let ends = objects.parts(&wanted);
        let open = |(entry, end): (&Entry, Result<Vec<u8>, _>)| {
            let object = Self::of(entry, end?);
            object.map_err(|bad| failure(&entry.object(), bad))
        };
        entries.iter().zip(ends).map(open).collect()
    }

    /// The object of an entry with this end.
    pub(super) fn of(entry: &Entry, end: Vec<u8>) -> Result<Self, Bad> {
        if end.len() as u64 != entry.tail || digest(&end) != entry.digest {
            return Err(Bad::because("its end is not what its entry states"));
        }
        let footer = Footer::decode(&end, entry.bytes)?;
        if footer.entry(&end)? != *entry {
            return Err(Bad::because("it is not the object of its entry"));
        }
        Ok(Self {
            entry: entry.clone(),
            footer,
            tail: Piece {
                start: entry.bytes - entry.tail,
                bytes: end.into(),
            },
        })
    }

    pub(super) fn groups(&self) -> usize {
        self.footer.metadata.num_row_groups()
    }

    /// Number of rows of a group.
    pub(super) fn rows(&self, group: usize) -> usize {
        let rows = self.footer.metadata.row_group(group).num_rows();
        usize::try_from(rows).unwrap_or_default()
    }

    /// Whether a group may hold this id.
    pub(super) fn may_hold_id(&self, group: usize, id: &str) -> Result<bool, Failure> {
        let Some(at) = self.column_named("pcs_id") else {
            return Ok(true);
        };
        let column = self.footer.metadata.row_group(group).column(at);
        let filter = Sbbf::read_from_column_chunk(column, &self.tail);
        let filter = filter.map_err(|error| failure(&self.entry.object(), error.into()))?;
        // Without a filter the ids have to be read.
        let filter = filter.filter(|it| it.num_blocks() > 0);
        Ok(filter.is_none_or(|it| it.check(&ByteArray::from(id))))
    }

    /// The least and the largest value of a column in a group, as bytes; none if that is not stated.
    pub(super) fn bounds(&self, group: usize, name: &str) -> Option<(&[u8], &[u8])> {
        let column = self.column_named(name)?;
        let column = self.footer.metadata.row_group(group).column(column);
        let statistics = column.statistics()?;
        Some((statistics.min_bytes_opt()?, statistics.max_bytes_opt()?))
    }

    /// Reads columns of a group.
    pub(super) fn columns(
        &self,
        objects: &dyn Searched,
        group: usize,
        names: &[&str],
    ) -> Result<Vec<Column>, Failure> {
        let object = self.entry.object();
        let bad = |bad| failure(&object, bad);
        let mut wanted = Vec::new();
        for name in names {
            let column = self.column_named(name).map(|at| {
                let column = self.footer.metadata.row_group(group).column(at);
                range_of(column, self.footer.tail_start)
            });
            let range = column.flatten();
            let range = range.ok_or_else(|| bad(Bad::because("it lacks a column")))?;
            wanted.push((object.clone(), range));
        }
        let read = names.iter().zip(objects.parts(&wanted));
        let read = read.map(|(name, bytes)| self.column(group, name, bytes?).map_err(bad));
        read.collect()
    }

    /// The values of a column whose bytes these are.
    pub(super) fn column(&self, group: usize, name: &str, bytes: Vec<u8>) -> Result<Column, Bad> {
        let lacks = || Bad::because("it lacks a column");
        let at = self.column_named(name).ok_or_else(lacks)?;
        let column = self.footer.metadata.row_group(group).column(at);
        let range = range_of(column, self.footer.tail_start).ok_or_else(lacks)?;
        let stated = self.footer.digests.get(group).and_then(|it| it.get(at));
        if Some(&digest(&bytes)) != stated {
            return Err(Bad::because("a column is not what its footer states"));
        }
        let piece = Arc::new(Piece {
            start: range.start,
            bytes: bytes.into(),
        });
        let rows = self.rows(group);
        let pages = SerializedPageReader::new(piece, column, rows, None)?;
        decode(self, at, Box::new(pages), rows)
    }

    fn column_named(&self, name: &str) -> Option<usize> {
        let schema = self.footer.metadata.file_metadata().schema_descr();
        schema.columns().iter().position(|it| it.name() == name)
    }
}

fn decode(
    object: &Object,
    at: usize,
    pages: Box<dyn PageReader>,
    rows: usize,
) -> Result<Column, Bad> {
    let schema = object.footer.metadata.file_metadata().schema_descr();
    let column = schema.column(at);
    let physical = column.physical_type();
    let is_optional = column.max_def_level() > 0;
    let reader = get_column_reader(column, pages);
    Ok(match physical {
        Physical::BYTE_ARRAY => Column::Bytes(values(
            get_typed_column_reader::<ByteArrayType>(reader),
            is_optional,
            rows,
        )?),
        Physical::INT64 => Column::Long(values(
            get_typed_column_reader::<Int64Type>(reader),
            is_optional,
            rows,
        )?),
        Physical::INT32 => Column::Int(values(
            get_typed_column_reader::<Int32Type>(reader),
            is_optional,
            rows,
        )?),
        Physical::BOOLEAN => Column::Bool(values(
            get_typed_column_reader::<BoolType>(reader),
            is_optional,
            rows,
        )?),
        _ => return Err(Bad::because("a column is of another type")),
    })
}

/// All values of a column, with what is null in its place.
fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    is_optional: bool,
    rows: usize,
) -> Result<Vec<Option<T::T>>, Bad> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let levels = is_optional.then_some(&mut levels);
        let (records, _, _) = reader.read_records(rows - read, levels, None, &mut values)?;
        if records == 0 {
            return Err(Bad::because("a column has fewer rows than its group"));
        }
        read += records;
    }
    if !is_optional {
        levels = vec![1; values.len()];
    }
    let there = levels.iter().filter(|level| **level > 0).count();
    if levels.len() != rows || there != values.len() {
        return Err(Bad::because("a column has other rows than its group"));
    }
    let mut values = values.into_iter();
    let place = |level: &i16| (*level > 0).then(|| values.next()).flatten();
    Ok(levels.iter().map(place).collect())
}

/// The first batches of all objects of a log.
pub(super) fn firsts(objects: &dyn Searched, log: &LogName) -> Result<BTreeSet<u64>, Failure> {
    let names = objects.folder(&log.folder())?.objects;
    Ok(names.keys().filter_map(|it| log.first_of(it)).collect())
}

/// The entry of the object of a log that begins with this batch; none if there is no such object.
pub(super) fn entry_of(
    objects: &dyn Searched,
    log: &LogName,
    first: u64,
) -> Result<Option<Entry>, Failure> {
    let name = log.object(first);
    let Some(bytes) = objects.length(&name)? else {
        return Ok(None);
    };
    let mut look = FIRST_LOOK_BYTES.min(bytes);
    loop {
        let end = objects.part(&name, bytes - look..bytes)?;
        let entry = Footer::decode(&end, bytes).and_then(|footer| footer.entry(&end));
        match entry {
            Ok(entry) if entry.log == *log && entry.first == first => return Ok(Some(entry)),
            Ok(_) => {
                let bad = Bad::because("it holds another range of a log than its name says");
                return Err(failure(&name, bad));
            }
            Err(Bad::NotAll(needed)) if look < needed && needed <= bytes => look = needed,
            Err(bad) => return Err(failure(&name, bad)),
        }
    }
}

/// An object that cannot be read, for the operator.
pub(super) fn failure(object: &str, bad: Bad) -> Failure {
    match bad {
        Bad::Newer => Failure::with(
            Exit::Configuration,
            format!("the object {object} was made by a newer flk: use that one"),
        ),
        Bad::NotAll(_) => Failure::with(Exit::Damage, format!("the object {object} is cut off")),
        Bad::Damaged(why) => Failure::with(Exit::Damage, format!("the object {object}: {why}")),
    }
}
