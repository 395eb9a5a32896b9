//! What an object states of itself in its footer: the range of its log, what is missing from it, who made it, and digests of its
//! columns. From the footer its entry can be made again.

use super::content::{Content, Origin, schema};
use super::names::{Entry, LogName, OBJECT_BYTES_MAX, bytes_of_hex, log_id};
use crate::wal::show::hex;
use flk_dataplane::wal::tail::{Missing, WhyMissing};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::schema::types::SchemaDescriptor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;

/// The version of the layout of archives.
pub(super) const FORMAT: u32 = 1;

/// What the footer states, and where.
const KEY: &str = "flk.archive";
/// Digests of the columns of each group.
const KEY_OF_DIGESTS: &str = "flk.archive.digests";

/// What an object begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";
/// Length of the footer and magic.
const FOOTER_END_BYTES: usize = 8;

/// No group of ours has more rows.
const GROUP_ROWS_READ_MAX: u64 = 1 << 20;

/// Sequences of a range that nothing could be read of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lost {
    /// The first, as a counter in its log.
    pub(super) from: u64,
    pub(super) to: u64,
    /// `deleted`: by age, for room, or although a hold needed them. `given_up`: by an operator.
    pub(super) why: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stated {
    pub(super) format: u32,
    /// Version of the flk that made it.
    pub(super) flk: String,
    pub(super) installation: String,
    pub(super) node: String,
    pub(super) incarnation: String,
    pub(super) log: String,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) from_us: u64,
    pub(super) to_us: u64,
    pub(super) rows: u64,
    pub(super) missing: Vec<Lost>,
    pub(super) made_us: u64,
}

/// Why bytes are no object of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// More of its end is needed: so many bytes.
    NotAll(u64),
    /// A newer flk made it.
    Newer,
    /// It is damaged, or something else made it.
    Damaged(String),
}

impl Bad {
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }
}

impl From<ParquetError> for Bad {
    fn from(error: ParquetError) -> Self {
        // Texts of the library may quote what it read.
        let kind = match error {
            ParquetError::EOF(_) => "it ends too early",
            ParquetError::NYI(_) => "it uses what no object of an archive uses",
            _ => "it is no sound Parquet",
        };
        Self::because(kind)
    }
}

/// The footer of an object.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) stated: Stated,
    /// Of each column of each group.
    pub(super) digests: Vec<Vec<[u8; 16]>>,
    pub(super) log: LogName,
    /// Where filters and footer begin.
    pub(super) tail_start: u64,
    object_bytes: u64,
}

impl Stated {
    pub(super) fn of(content: &Content, origin: &Origin, made_us: u64) -> Self {
        let times = || content.rows.iter().map(|it| it.row.received_us);
        let lost = |it: &Missing| Lost {
            from: it.from.counter(),
            to: it.to.counter(),
            why: match it.why {
                WhyMissing::Deleted => "deleted".to_owned(),
                WhyMissing::GivenUp => "given_up".to_owned(),
            },
        };
        Self {
            format: FORMAT,
            flk: env!("CARGO_PKG_VERSION").to_owned(),
            installation: origin.installation.clone(),
            node: origin.node.clone(),
            incarnation: hex(&content.log.incarnation),
            log: content.log.id.to_string(),
            first: content.first,
            last: content.last,
            from_us: times().min().unwrap_or(made_us),
            to_us: times().max().unwrap_or(made_us),
            rows: content.rows.len() as u64,
            missing: content.missing.iter().map(lost).collect(),
            made_us,
        }
    }

    /// What the footer gets.
    pub(super) fn key_values(&self, digests: &[Vec<String>]) -> [(&'static str, String); 2] {
        let text = |value: serde_json::Value| value.to_string();
        [
            (KEY, text(serde_json::json!(self))),
            (KEY_OF_DIGESTS, text(serde_json::json!(digests))),
        ]
    }

    /// The entry of the object with these bytes.
    pub(super) fn entry(&self, bytes: &[u8]) -> Result<Entry, String> {
        let footer = Footer::decode(bytes, bytes.len() as u64);
        let footer =
            footer.map_err(|bad| format!("what was written does not read back: {bad:?}"))?;
        match &footer.stated == self {
            true => footer.entry(bytes).map_err(|bad| format!("{bad:?}")),
            false => Err("what was written does not read back as it was".to_owned()),
        }
    }

    /// How many sequences are missing.
    pub(super) fn missing_count(&self) -> Option<u64> {
        let mut behind = self.first.checked_sub(1)?;
        let mut count = 0;
        for lost in &self.missing {
            let is_next = behind < lost.from && lost.from <= lost.to && lost.to <= self.last;
            count += is_next.then_some(lost.to - lost.from + 1)?;
            behind = lost.to;
        }
        Some(count)
    }

    fn log(&self) -> Option<LogName> {
        Some(LogName {
            incarnation: bytes_of_hex(&self.incarnation)?,
            id: log_id(&self.log)?,
        })
    }
}

impl Footer {
    /// Reads the end of an object of this length, as far as it is at hand.
    pub(super) fn decode(end: &[u8], object_bytes: u64) -> Result<Self, Bad> {
        let short = || Bad::because("it is cut off");
        let at = end.len().checked_sub(FOOTER_END_BYTES).ok_or_else(short)?;
        let (before, last) = end.split_at(at);
        let (length, magic) = last.split_first_chunk().ok_or_else(short)?;
        if magic != MAGIC {
            return Err(Bad::because("it does not end as Parquet does"));
        }
        let length = u32::from_le_bytes(*length) as usize;
        let needed = (length + FOOTER_END_BYTES) as u64;
        if needed + MAGIC.len() as u64 > object_bytes {
            return Err(short());
        }
        let Some(begin) = before.len().checked_sub(length) else {
            return Err(Bad::NotAll(needed));
        };
        let metadata = ParquetMetaDataReader::decode_metadata(&before[begin..])?;
        let stated = text_of(&metadata, KEY)?;
        let stated: serde_json::Value = read_json(stated)?;
        match stated.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => return Err(Bad::Newer),
            _ => {}
        }
        let stated: Stated = serde_json::from_value(stated)
            .map_err(|_| Bad::because("what it states of itself cannot be read"))?;
        let log = stated
            .log()
            .ok_or_else(|| Bad::because("it names no log"))?;
        let digests = read_digests(text_of(&metadata, KEY_OF_DIGESTS)?)?;
        let tail_start = check(&metadata, &digests, stated.rows, object_bytes - needed)?;
        Ok(Self {
            metadata: Arc::new(metadata),
            stated,
            digests,
            log,
            tail_start,
            object_bytes,
        })
    }

    /// The entry of its object, of which this is the end or all of it.
    pub(super) fn entry(&self, end: &[u8]) -> Result<Entry, Bad> {
        let tail = self.object_bytes - self.tail_start;
        let Some(begin) = (end.len() as u64).checked_sub(tail) else {
            return Err(Bad::NotAll(tail));
        };
        let stated = &self.stated;
        let missing = stated.missing_count();
        let entry = Entry {
            log: self.log,
            first: stated.first,
            last: stated.last,
            from_us: stated.from_us,
            to_us: stated.to_us,
            rows: stated.rows,
            missing: missing.ok_or_else(|| Bad::because("it states impossible ranges"))?,
            bytes: self.object_bytes,
            tail,
            digest: digest(&end[begin as usize..]),
        };
        match Entry::read(&entry.name()) {
            Some(same) if same == entry => Ok(entry),
            _ => Err(Bad::because("it states an impossible range")),
        }
    }
}

/// The first half of a SHA-256.
pub(super) fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(bytes)[..16]);
    half
}

/// The digests of the columns of a group that was written.
pub(super) fn seal(group: &RowGroupMetaData, bytes: &[u8]) -> Result<Vec<String>, ParquetError> {
    let of = |column: &ColumnChunkMetaData| {
        let range = range_of(column, bytes.len() as u64)?;
        let chunk = bytes.get(range.start as usize..range.end as usize)?;
        Some(hex(&digest(chunk)))
    };
    let all: Option<Vec<String>> = group.columns().iter().map(of).collect();
    all.ok_or_else(|| ParquetError::General("a column lies outside of the object".to_owned()))
}

/// Where a column lies, if that is before an end.
pub(super) fn range_of(column: &ColumnChunkMetaData, end: u64) -> Option<Range<u64>> {
    let data = u64::try_from(column.data_page_offset()).ok()?;
    let dictionary = match column.dictionary_page_offset() {
        Some(offset) => Some(u64::try_from(offset).ok()?),
        None => None,
    };
    let start = dictionary.map_or(data, |it| it.min(data));
    let bytes = u64::try_from(column.compressed_size()).ok()?;
    let range = start..start.checked_add(bytes)?;
    (MAGIC.len() as u64 <= start && range.end <= end).then_some(range)
}

/// Whether everything is where and what it must be; where the last column ends.
fn check(
    metadata: &ParquetMetaData,
    digests: &[Vec<[u8; 16]>],
    rows: u64,
    end: u64,
) -> Result<u64, Bad> {
    let expected = SchemaDescriptor::new(Arc::new(schema()?));
    let shape = |schema: &SchemaDescriptor| {
        let columns = schema.columns().iter();
        let shape = columns.map(|it| {
            let levels = (it.max_def_level(), it.max_rep_level());
            (it.path().string(), it.physical_type(), levels)
        });
        shape.collect::<Vec<_>>()
    };
    if shape(metadata.file_metadata().schema_descr()) != shape(&expected) {
        return Err(Bad::because("it has other columns"));
    }
    let (mut counted, mut tail_start) = (0, MAGIC.len() as u64);
    if metadata.num_row_groups() != digests.len() {
        return Err(Bad::because("it has not a digest for each group"));
    }
    for (group, digests) in metadata.row_groups().iter().zip(digests) {
        let in_group = u64::try_from(group.num_rows()).ok();
        let in_group = in_group.filter(|it| (1..=GROUP_ROWS_READ_MAX).contains(it));
        let in_group = in_group.ok_or_else(|| Bad::because("it has an impossible group"))?;
        counted += in_group;
        if group.num_columns() != expected.num_columns() || digests.len() != group.num_columns() {
            return Err(Bad::because("a group has not all columns"));
        }
        for column in group.columns() {
            let is_whole = column.num_values() == group.num_rows()
                && u64::try_from(column.uncompressed_size()).is_ok_and(|it| it <= OBJECT_BYTES_MAX);
            let range = range_of(column, end).filter(|_| is_whole);
            let range = range.ok_or_else(|| Bad::because("it has an impossible column"))?;
            tail_start = tail_start.max(range.end);
        }
    }
    match counted == rows {
        true => Ok(tail_start),
        false => Err(Bad::because("it has not as many rows as it states")),
    }
}

fn text_of<'a>(metadata: &'a ParquetMetaData, key: &str) -> Result<&'a str, Bad> {
    let all = metadata.file_metadata().key_value_metadata();
    let one = all.and_then(|all| all.iter().find(|it| it.key == key));
    let text = one.and_then(|it| it.value.as_deref());
    text.ok_or_else(|| Bad::because("flk archive did not make it"))
}

fn read_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Bad> {
    serde_json::from_str(text).map_err(|_| Bad::because("what it states of itself cannot be read"))
}

fn read_digests(text: &str) -> Result<Vec<Vec<[u8; 16]>>, Bad> {
    let digests: Vec<Vec<String>> = read_json(text)?;
    let of = |group: &Vec<String>| group.iter().map(|it| bytes_of_hex(it)).collect();
    let digests: Option<Vec<Vec<[u8; 16]>>> = digests.iter().map(of).collect();
    digests.ok_or_else(|| Bad::because("its digests cannot be read"))
}
