//! What a record is admitted under: its tenant, and the snapshot of the configuration that judges it. Admission makes a
//! context; every later stage, the claim and the log record take it from there. It resolves no name and decides nothing.

/// A tenant of this process, by the number that it got when its name was first known. Only its name is written to disk:
/// numbers may differ from start to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantId(u16);

impl TenantId {
    /// The tenant of requests that name none.
    pub const DEFAULT: TenantId = TenantId(0);

    /// The tenant at this position of tables of tenants.
    pub(crate) fn at(index: usize) -> TenantId {
        TenantId(index as u16)
    }

    /// Its position in tables of tenants.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The tenant of a record and the configuration that judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The tenant of the record.
    pub tenant: TenantId,
    /// Number of the configuration snapshot that is in force when the body is appended.
    pub snapshot: u32,
}
