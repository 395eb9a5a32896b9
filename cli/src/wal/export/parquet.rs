//! Rows as a Parquet file, in groups that bound the memory. Bodies are a column of bytes, there only where they are wanted.

use super::Rows;
use super::out::Out;
use super::row::Row;
use crate::exit::{Exit, Failure};
use crate::wal::show::hex;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of a group.
const GROUP_ROWS_MAX: usize = 50_000;
/// ... and bytes of their bodies.
const GROUP_BODY_BYTES_MAX: usize = 64 << 20;

/// The columns without bodies. Sequences fit 63 bits: a start number has 24.
pub(crate) const COLUMNS: &str = "
    required binary incarnation (UTF8);
    required binary log (UTF8);
    required int64 sequence (UINT_64);
    required int32 index (UINT_32);
    optional int32 line (UINT_32);
    required int64 received (TIMESTAMP_MICROS);
    required binary tenant (UTF8);
    optional binary pcs_id (UTF8);
    required binary disposition (UTF8);
    optional int32 status;
    optional binary reason (UTF8);
    optional binary regime (UTF8);
    optional binary params_version (UTF8);
    optional binary key_id (UTF8);
    optional binary signing_digest (UTF8);
    optional int64 decided_at;
    optional int64 expiry;
    required int64 bytes;
    optional binary sha256 (UTF8);
";

/// See the module.
pub(super) struct Parquet {
    writer: SerializedFileWriter<Out>,
    /// Rows of the group that is filled.
    rows: Vec<Row>,
    body_bytes: usize,
    with_bodies: bool,
}

impl Parquet {
    pub(super) fn new(out: Out, with_bodies: bool) -> Result<Self, Failure> {
        let bodies = match with_bodies {
            true => "optional binary body;",
            false => "",
        };
        let schema = format!("message record {{ {COLUMNS} {bodies} }}");
        let schema = parse_message_type(&schema).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(failed)?,
            rows: Vec::new(),
            body_bytes: 0,
            with_bodies,
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        self.body_bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = Columns {
            group: self.writer.next_row_group()?,
            rows: &rows,
        };
        columns.shared()?;
        if self.with_bodies {
            columns.binaries(|row| row.body.clone())?;
        }
        columns.group.close().map(drop)
    }
}

impl Rows for Parquet {
    fn row(&mut self, row: Row) -> Result<(), Failure> {
        self.body_bytes += row.body.as_ref().map_or(0, Vec::len);
        self.rows.push(row);
        match self.rows.len() >= GROUP_ROWS_MAX || self.body_bytes >= GROUP_BODY_BYTES_MAX {
            true => self.write_group().map_err(failed),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        self.write_group().map_err(failed)?;
        let out = self.writer.into_inner().map_err(failed)?;
        out.finish()
    }
}

/// What is written as a row.
pub(crate) trait HasRow {
    /// The columns of every export.
    fn row(&self) -> &Row;
}

impl HasRow for Row {
    fn row(&self) -> &Row {
        self
    }
}

/// A group while its columns are written, in the order of the schema.
pub(crate) struct Columns<'a, W: Write, R> {
    pub(crate) group: SerializedRowGroupWriter<'a, W>,
    pub(crate) rows: &'a [R],
}

impl<W: Write + Send, R: HasRow> Columns<'_, W, R> {
    /// All of [`COLUMNS`].
    pub(crate) fn shared(&mut self) -> Result<(), ParquetError> {
        self.place()?;
        self.disposition()?;
        self.decision()?;
        self.longs(|it| Some(i64::from(it.row().bytes)))?;
        self.texts(|it| it.row().sha256.map(|it| hex(&it)))
    }

    /// Where a body is, and when it came under which tenant.
    fn place(&mut self) -> Result<(), ParquetError> {
        self.texts(|it| Some(it.row().incarnation.clone()))?;
        self.texts(|it| Some(it.row().log.clone()))?;
        self.longs(|it| Some(it.row().place.sequence.0 as i64))?;
        self.ints(|it| Some(it.row().place.index as i32))?;
        self.ints(|it| it.row().line.map(|line| line as i32))?;
        self.longs(|it| Some(it.row().received_us as i64))?;
        self.texts(|it| Some(it.row().tenant.clone()))?;
        self.texts(|it| it.row().pcs_id.clone())
    }

    /// What became of it.
    fn disposition(&mut self) -> Result<(), ParquetError> {
        self.texts(|it| Some(it.row().disposed.word().to_owned()))?;
        self.ints(|it| it.row().disposed.status().map(i32::from))?;
        self.texts(|it| it.row().disposed.why().map(str::to_owned))?;
        self.texts(|it| it.row().regime().map(str::to_owned))
    }

    /// What only a decision has.
    fn decision(&mut self) -> Result<(), ParquetError> {
        let of = |it: &R| it.row().decision().cloned();
        self.texts(|it| of(it).map(|it| it.params))?;
        self.texts(|it| of(it).map(|it| it.key_id))?;
        self.texts(|it| of(it).map(|it| it.signing_digest))?;
        self.longs(|it| of(it).map(|it| i64::from(it.decided_at)))?;
        self.longs(|it| of(it).map(|it| i64::from(it.expiry)))
    }

    /// The next column, of this type.
    pub(crate) fn texts(
        &mut self,
        value: impl Fn(&R) -> Option<String>,
    ) -> Result<(), ParquetError> {
        self.binaries(|row| value(row).map(String::into_bytes))
    }

    /// The next column, of this type.
    pub(crate) fn binaries(
        &mut self,
        value: impl Fn(&R) -> Option<Vec<u8>>,
    ) -> Result<(), ParquetError> {
        self.column::<ByteArrayType>(|row| value(row).map(ByteArray::from))
    }

    /// The next column, of this type.
    pub(crate) fn longs(&mut self, value: impl Fn(&R) -> Option<i64>) -> Result<(), ParquetError> {
        self.column::<Int64Type>(value)
    }

    /// The next column, of this type.
    pub(crate) fn ints(&mut self, value: impl Fn(&R) -> Option<i32>) -> Result<(), ParquetError> {
        self.column::<Int32Type>(value)
    }

    /// Writes the next column. A row without a value is null there, which only optional columns take.
    pub(crate) fn column<T: DataType>(
        &mut self,
        value: impl Fn(&R) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let all: Vec<Option<T::T>> = self.rows.iter().map(value).collect();
        let levels: Vec<i16> = all.iter().map(|it| i16::from(it.is_some())).collect();
        let values: Vec<T::T> = all.into_iter().flatten().collect();
        let Some(mut column) = self.group.next_column()? else {
            unreachable!("each column of the schema is written once")
        };
        column
            .typed::<T>()
            .write_batch(&values, Some(&levels), None)?;
        column.close()
    }
}

/// An error of the output is reported as any output's is; the library's own are about the rows.
fn failed(error: ParquetError) -> Failure {
    if let ParquetError::External(inner) = &error
        && let Some(error) = inner.downcast_ref::<io::Error>()
    {
        return Failure::output(error);
    }
    Failure::with(Exit::File, format!("cannot write the output: {error}"))
}
