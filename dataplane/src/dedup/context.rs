//! What a record is admitted under: its tenant, and the snapshot of the configuration that judges it. Admission makes a
//! context; every later stage, the claim and the log record take it from there. It resolves names and decides nothing.

/// Names of all tenants, by [`TenantId`]. One exists until tenants are configured.
const TENANTS: [&str; 1] = ["default"];

/// How many tenants there are.
pub(super) const TENANTS_COUNT: usize = TENANTS.len();

/// A tenant of this process, `0..TENANTS_COUNT`. Only its name is written to disk: ids may differ from start to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantId(u16);

impl TenantId {
    /// The tenant of requests that name none.
    pub const DEFAULT: TenantId = TenantId(0);

    /// All tenants.
    pub(super) fn all() -> [TenantId; TENANTS_COUNT] {
        std::array::from_fn(|at| TenantId(at as u16))
    }

    /// The tenant of this name, if it exists.
    pub fn named(name: &[u8]) -> Option<TenantId> {
        let named = |tenant: &TenantId| tenant.name().as_bytes() == name;
        TenantId::all().into_iter().find(named)
    }

    /// Its name, as log records hold it.
    pub fn name(self) -> &'static str {
        TENANTS[self.index()]
    }

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
    /// Number of the configuration snapshot in force at admission; 0 until configurations are numbered.
    pub snapshot: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_found_by_its_name_and_by_nothing_else() {
        for tenant in TenantId::all() {
            assert_eq!(TenantId::named(tenant.name().as_bytes()), Some(tenant));
        }
        assert_eq!(TenantId::named(b"default"), Some(TenantId::DEFAULT));
        for name in [&b""[..], b"Default", b"default ", b"acme"] {
            assert_eq!(TenantId::named(name), None);
        }
    }
}
