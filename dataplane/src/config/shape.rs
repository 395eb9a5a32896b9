//! The machine that a profile is for, as its table `[machine]` describes it. No gateway acts on it.

use super::error::ConfigError;
use super::toml_table::Table;
use super::units;

/// The machine that a profile is for: what its table `[machine]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The machine in words.
    pub about: String,
    /// CPUs that the gateway may use.
    pub cpus: u64,
    /// Memory that it may use, in bytes.
    pub memory_bytes: u64,
    /// The file system of `WAL_DIR`, in bytes.
    pub disk_bytes: u64,
}

/// Reads the table `[machine]`.
pub(super) fn read(table: &Table<'_, '_>, mistakes: &mut Vec<ConfigError>) -> Shape {
    table.only(&["about", "cpus", "memory", "disk"], mistakes);
    let mut shape = Shape::default();
    let bytes = |name: &str| match table.text(name)?.map(|text| units::bytes(&text)) {
        None => Ok(0),
        Some(Some(bytes)) => Ok(bytes),
        Some(None) => Err(table.wrong(name, "no size, such as 16GiB")),
    };
    let mut fill = || {
        shape.about = table.text("about")?.unwrap_or_default();
        shape.cpus = table.whole("cpus")?.unwrap_or_default();
        shape.memory_bytes = bytes("memory")?;
        shape.disk_bytes = bytes("disk")?;
        Ok(())
    };
    mistakes.extend(fill().err());
    shape
}
