//! Which snapshot a start begins with: the newest that is stored, or what the process was configured with. It is read before
//! a shard exists.

use super::SecretReader;
use super::params::BoundParams;
use super::store::{SnapshotStore, StoreError};
use crate::driver::clock;
use crate::snapshot::{Document, Fault, MissingKeys, Resolver, Snapshot, Source};
use crate::wal::files::SNAPSHOTS;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which snapshot counts at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The newest one that is stored, if there is one.
    LastStored,
    /// What the process was configured with, number 0.
    Environment,
}

/// What the agent begins with.
pub struct Start {
    pub(super) store: SnapshotStore,
    pub(super) resolver: Resolver,
    pub(super) read_secret: SecretReader,
    pub(super) bound: BoundParams,
    /// The document in force.
    pub in_force: Document,
    /// The one of the process's own configuration.
    pub(super) environment: Document,
    /// Why tenants admit nothing, one line each.
    pub closed: Vec<String>,
    /// What is damaged of stored snapshots, and was not needed for [`Begin::Environment`]; one line each.
    pub left_out: Vec<String>,
    /// Since when it is in force, in seconds since the Unix epoch.
    pub since_s: u64,
    /// The snapshot in force.
    pub snapshot: Arc<Snapshot>,
}

/// Why there is no snapshot to begin with.
#[derive(Debug)]
pub enum BeginError {
    /// Stored snapshots cannot be used.
    Store(StoreError),
    /// A document is refused.
    Refused(Box<Fault>),
}

impl fmt::Display for BeginError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BeginError::Store(error) => error.fmt(out),
            BeginError::Refused(fault) => fault.fmt(out),
        }
    }
}

impl std::error::Error for BeginError {}

impl BeginError {
    /// Whether what is stored is not what was written.
    pub fn is_damage(&self) -> bool {
        match self {
            BeginError::Store(error) => error.is_damage(),
            BeginError::Refused(_) => false,
        }
    }
}

impl Start {
    /// Whether the process's own configuration says something else than what is in force.
    pub fn settings_differ(&self) -> bool {
        self.in_force.content_digest() != self.environment.content_digest()
    }

    /// Directories of the files that hold keys of these documents.
    pub fn directories_of_keys(&self) -> Vec<PathBuf> {
        let tenants = self
            .in_force
            .tenants
            .iter()
            .chain(&self.environment.tenants);
        let keys = tenants.flat_map(|tenant| &tenant.keys);
        let files = keys.filter_map(|key| match &key.source {
            Source::File { path, .. } => Path::new(path).parent().map(Path::to_owned),
            Source::Environment { .. } | Source::Public { .. } => None,
        });
        files.collect()
    }

    /// Reads what is stored and resolves what counts.
    ///
    /// # Errors
    /// What is stored is damaged or out of reach, or breaks a rule of this version.
    pub fn read(
        wal_dir: BorrowedFd<'_>,
        begin: Begin,
        environment: Document,
        read_secret: SecretReader,
    ) -> Result<Start, BeginError> {
        let store = SnapshotStore::open(wal_dir, SNAPSHOTS).map_err(BeginError::Store)?;
        let last = match begin {
            Begin::LastStored => store.kept().last().copied(),
            Begin::Environment => None,
        };
        let mut damaged = Vec::new();
        let bound = BoundParams::read(&store, &mut damaged);
        let mut bound = bound.map_err(BeginError::Store)?;
        let left_out = damaged.iter().map(StoreError::to_string).collect();
        if begin == Begin::LastStored
            && let Some(first) = damaged.into_iter().next()
        {
            return Err(BeginError::Store(first));
        }
        let stored = match last {
            Some(kept) => store.read(kept.number).map_err(BeginError::Store)?,
            None => None,
        };
        if stored.is_none()
            && let Some(problem) = bound.refusal(&environment)
        {
            let place = String::new();
            return Err(BeginError::Refused(Box::new(Fault::Invalid {
                place,
                problem,
            })));
        }
        let now_s = clock::now().wall_us / 1_000_000;
        if stored.is_none() {
            let judged = environment.judges_at(now_s);
            judged.map_err(|fault| BeginError::Refused(Box::new(fault)))?;
        }
        bound.bind_all(&environment);
        let since_s = last.map_or(now_s, |kept| kept.stored_s);
        let in_force = stored.unwrap_or_else(|| environment.clone());
        let mut resolver = Resolver::default();
        let resolved = resolver.resolve(&in_force, &read_secret(), MissingKeys::CloseTenant);
        let (snapshot, missing) = resolved.map_err(|fault| BeginError::Refused(Box::new(fault)))?;
        Ok(Start {
            store,
            resolver,
            read_secret,
            bound,
            in_force,
            environment,
            closed: missing.iter().map(Fault::to_string).collect(),
            left_out,
            since_s,
            snapshot: Arc::new(snapshot),
        })
    }
}
