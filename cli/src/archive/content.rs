//! What becomes an object of an archive: rows of a range of one log, where they are from, and their columns.

use super::names::LogName;
use super::row::Kept;
use crate::wal::export::parquet::COLUMNS;
use flk_dataplane::wal::tail::Missing;
use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

/// The columns behind those of an export.
const FURTHER: &str = "
    required binary installation (UTF8);
    required binary node (UTF8);
    optional int32 snapshot (UINT_32);
    required boolean erased;
    required boolean late;
    optional binary body;
";

/// The directory that is archived.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) installation: String,
    pub(super) node: String,
}

/// What becomes an object: a range of a log with all rows that were met in it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) log: LogName,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) rows: Vec<Kept>,
    /// Ranges in it that nothing could be read of.
    pub(super) missing: Vec<Missing>,
}

/// The schema of all objects.
pub(super) fn schema() -> Result<Type, ParquetError> {
    parse_message_type(&format!("message record {{ {COLUMNS} {FURTHER} }}"))
}
