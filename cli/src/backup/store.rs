//! Where backups and archives are kept: a directory, or an S3-compatible store. Objects are made whole or not at all, only where there is none of
//! that name, and are never changed.

use super::names;
use crate::exit::{Exit, Failure};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientConfigKey, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long one request to a store is repeated.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// How long one request to a store takes at most: an object of 64 MiB at a megabit per second. `AWS_TIMEOUT` says otherwise.
const REQUEST_WITHIN: &str = "600s";

/// What became of an object that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was made.
    Made,
    /// There is one of that name already; it was left as it is.
    Exists,
}

/// Why an object cannot be read or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// There is none of that name.
    Missing(String),
    /// The store did not do it.
    Failed {
        /// Name of the object.
        name: String,
        /// What the store said.
        why: String,
        /// How a command ends for it.
        exit: Exit,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(out, "the object {name} is not there"),
            Self::Failed { name, why, .. } => write!(out, "the object {name}: {why}"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Missing(_) => Exit::Damage,
            StoreError::Failed { exit, .. } => *exit,
        };
        Self::with(exit, error.to_string())
    }
}

/// Objects by their names.
pub(crate) trait Objects {
    /// Makes an object if there is none of that name; durable when it returns.
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<Put, StoreError>;

    /// All bytes of an object.
    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError>;

    /// Removes an object; one that is not there is removed.
    fn remove(&self, name: &str) -> Result<(), StoreError>;

    /// The names of all objects, each with its length.
    fn list(&self) -> Result<BTreeMap<String, u64>, StoreError>;
}

/// Bytes of an object that are wanted.
pub(crate) type Wanted = (String, Range<u64>);

/// So many requests for parts of objects are under way at a time.
pub(crate) const REQUESTS_MAX: usize = 16;

/// What lies directly in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    /// The names of its objects, as a whole, each with its length.
    pub(crate) objects: BTreeMap<String, u64>,
    /// The names of the folders in it, as a whole.
    pub(crate) folders: BTreeSet<String>,
}

/// Objects that lie in folders, and of which parts are read.
pub(crate) trait Searched: Objects {
    /// What lies in a folder; nothing if there is none.
    fn folder(&self, name: &str) -> Result<Folder, StoreError>;

    /// The length of an object; none if there is no such object.
    fn length(&self, name: &str) -> Result<Option<u64>, StoreError>;

    /// Parts of objects, several at a time, in the order in which they were asked for.
    fn parts(&self, wanted: &[Wanted]) -> Vec<Result<Vec<u8>, StoreError>>;

    /// A part of an object.
    fn part(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let parts = self.parts(&[(name.to_owned(), range)]);
        let one = parts.into_iter().next();
        one.unwrap_or_else(|| Err(StoreError::Missing(name.to_owned())))
    }
}

/// The place that a command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store, and what names in it begin with.
    Bucket { bucket: String, prefix: String },
}

impl Place {
    /// Reads a path or `s3://BUCKET/PREFIX`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.contains("://") {
                true => Err(
                    "it must be a path, or s3://BUCKET/PREFIX for an S3-compatible store".into(),
                ),
                false => Ok(Self::Directory(text.into())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        match bucket.is_empty() {
            true => Err("s3:// must name a bucket, such as s3://backups/gateway-1".into()),
            false => Ok(Self::Bucket {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(out),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(out, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(out, "s3://{bucket}/{prefix}"),
        }
    }
}

/// A directory or bucket behind the interface of `object_store`.
pub(crate) struct Store {
    inner: Arc<dyn ObjectStore>,
    runtime: Runtime,
    /// How a command ends where the store does not do what is asked.
    exit: Exit,
}

impl Store {
    /// Opens a place that is there.
    pub(crate) fn open(place: &Place, endpoint: Option<&str>) -> Result<Self, Failure> {
        let opened = match place {
            Place::Directory(path) if !path.is_dir() => {
                return Err(Failure::usage(format!(
                    "{place} is no directory that is there"
                )));
            }
            Place::Directory(path) => local(path).map(|it| Arc::new(it) as Arc<dyn ObjectStore>),
            Place::Bucket { bucket, prefix } => s3(bucket, prefix, endpoint),
        };
        let inner = opened
            .map_err(|error| Failure::usage(format!("cannot open {place}: {}", shown(&error))))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            let why = crate::fault::why(&error);
            Failure::with(Exit::File, format!("cannot begin to read {place}: {why}"))
        })?;
        let exit = match place {
            Place::Directory(_) => Exit::File,
            Place::Bucket { .. } => Exit::Unavailable,
        };
        Ok(Self {
            inner,
            runtime,
            exit,
        })
    }

    fn failed(&self, name: &str, error: &Error) -> StoreError {
        match error {
            Error::NotFound { .. } => StoreError::Missing(name.to_owned()),
            error => StoreError::Failed {
                name: name.to_owned(),
                why: shown(error),
                exit: self.exit,
            },
        }
    }
}

impl Objects for Store {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<Put, StoreError> {
        let path = ObjectPath::from(name);
        let put = self
            .inner
            .put_opts(&path, PutPayload::from(bytes), PutMode::Create.into());
        match self.runtime.block_on(put) {
            Ok(_) => Ok(Put::Made),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Put::Exists),
            Err(Error::NotFound { .. }) => Err(StoreError::Failed {
                name: name.to_owned(),
                why: "there is no such bucket or directory".to_owned(),
                exit: self.exit,
            }),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = ObjectPath::from(name);
        let got = self
            .runtime
            .block_on(async { self.inner.get(&path).await?.bytes().await });
        got.map(Into::into)
            .map_err(|error| self.failed(name, &error))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = ObjectPath::from(name);
        match self.runtime.block_on(self.inner.delete(&path)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    fn list(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let listed = self.runtime.block_on(async {
            let mut all = BTreeMap::new();
            let mut folders = vec![None];
            while let Some(folder) = folders.pop() {
                let found = self.inner.list_with_delimiter(folder.as_ref()).await?;
                let objects = found.objects.into_iter();
                all.extend(objects.map(|it| (it.location.to_string(), it.size)));
                // What else is beside the backups is not looked at, and perhaps must not be.
                let own = |it: &ObjectPath| names::is_incarnation(it.as_ref());
                folders.extend(found.common_prefixes.into_iter().filter(own).map(Some));
            }
            Ok::<_, Error>(all)
        });
        listed.map_err(|error| self.failed("list of all", &error))
    }
}

impl Searched for Store {
    fn folder(&self, name: &str) -> Result<Folder, StoreError> {
        let path = ObjectPath::from(name);
        let found = self.inner.list_with_delimiter(Some(&path));
        let found = match self.runtime.block_on(found) {
            Err(Error::NotFound { .. }) => return Ok(Folder::default()),
            found => found.map_err(|error| self.failed(name, &error))?,
        };
        let objects = found.objects.into_iter();
        let folders = found.common_prefixes.into_iter();
        Ok(Folder {
            objects: objects
                .map(|it| (it.location.to_string(), it.size))
                .collect(),
            folders: folders.map(|it| it.to_string()).collect(),
        })
    }

    fn length(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = ObjectPath::from(name);
        match self.runtime.block_on(self.inner.head(&path)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    fn parts(&self, wanted: &[Wanted]) -> Vec<Result<Vec<u8>, StoreError>> {
        let mut parts = Vec::new();
        for some in wanted.chunks(REQUESTS_MAX) {
            let got = self.runtime.block_on(async {
                let ask = |(name, range): &Wanted| {
                    let (inner, range) = (Arc::clone(&self.inner), range.clone());
                    let path = ObjectPath::from(name.as_str());
                    tokio::spawn(async move { inner.get_range(&path, range).await })
                };
                let asked: Vec<_> = some.iter().map(ask).collect();
                let mut got = Vec::new();
                for one in asked {
                    got.push(one.await);
                }
                got
            });
            parts.extend(some.iter().zip(got).map(|((name, _), got)| match got {
                Ok(Ok(bytes)) => Ok(bytes.into()),
                Ok(Err(error)) => Err(self.failed(name, &error)),
                Err(_) => Err(StoreError::Failed {
                    name: name.clone(),
                    why: "the request was given up".to_owned(),
                    exit: self.exit,
                }),
            }));
        }
        parts
    }
}

/// A directory, in which everything is synced before it counts as made.
fn local(path: &Path) -> Result<LocalFileSystem, Error> {
    Ok(LocalFileSystem::new_with_prefix(path)?.with_fsync(true))
}

/// A bucket, with keys, region and endpoint of the usual variables.
fn s3(bucket: &str, prefix: &str, endpoint: Option<&str>) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder = patient(
        AmazonS3Builder::from_env(),
        std::env::var("AWS_TIMEOUT").ok(),
    )
    .with_bucket_name(bucket)
    .with_retry(RetryConfig {
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    });
    let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let named = || variables.iter().find_map(|name| std::env::var(name).ok());
    if let Some(endpoint) = endpoint.map(str::to_owned).or_else(named) {
        // What is not encrypted never leaves this host.
        if is_loopback(&endpoint) {
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build()?;
    Ok(match prefix {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

/// With time for requests of the size of ours, unless a time was asked for.
fn patient(builder: AmazonS3Builder, asked: Option<String>) -> AmazonS3Builder {
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    builder.with_config(timeout, asked.unwrap_or_else(|| REQUEST_WITHIN.to_owned()))
}

/// Whether an address over plain HTTP is of this host.
fn is_loopback(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    // A name and a password may stand before the host: "localhost:password@example.com".
    let is_port = |port: &str| match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|it| it.is_ascii_digit()),
        None => port.is_empty(),
    };
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(is_port))
}

/// Where a machine in a cloud is asked for keys of its role, if there are no others.
const ROLE_OF_THE_MACHINE: &str = "169.254.169.254";
const NO_KEYS: &str = "there are no keys for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the machine was asked for those of a role, and gave none";

/// An error of the store in one line.
fn shown(error: &Error) -> String {
    const CHARS_MAX: usize = 400;
    let line = error.to_string();
    if line.contains(ROLE_OF_THE_MACHINE) {
        return NO_KEYS.to_owned();
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_bucket_with_what_names_in_it_begin_with() {
        let bucket = |text: &str| Place::parse(text).map(|it| it.to_string());
        assert_eq!(bucket("s3://b/one/two/"), Ok("s3://b/one/two".to_owned()));
        assert_eq!(bucket("s3://b"), Ok("s3://b".to_owned()));
        assert_eq!(bucket("/srv/backups"), Ok("/srv/backups".to_owned()));
        for wrong in ["s3://", "s3:///x", "gs://b", "http://b"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_there_are_no_keys_it_says_which_variables_to_set() {
        let source = "Error performing PUT http://169.254.169.254/latest/api/token".into();
        let shown = shown(&Error::Generic {
            store: "S3",
            source,
        });
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
    }

    #[test]
    fn only_this_host_is_spoken_to_without_encryption() {
        for own in [
            "http://127.0.0.1:9000",
            "http://localhost",
            "http://[::1]:9000/",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "https://127.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com:9000",
            "http://10.0.0.1:9000",
            "http://localhost:secret@example.com",
            "http://localhost:9000@example.com:80/",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_request_has_time_for_an_object_on_a_slow_line_unless_told_otherwise() {
        let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
        let of = |asked: Option<&str>| {
            let builder = patient(AmazonS3Builder::new(), asked.map(str::to_owned));
            builder.get_config_value(&timeout)
        };
        assert_eq!(of(None).as_deref(), Some("600s"));
        assert_eq!(of(Some("20s")).as_deref(), Some("20s"));
    }

    #[test]
    fn a_directory_makes_an_object_once_and_lists_it_with_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Place::Directory(dir.path().to_owned()), None).unwrap();
        let one = format!("{}/one", "a0".repeat(16));
        assert_eq!(store.put_new(&one, b"first".to_vec()), Ok(Put::Made));
        assert_eq!(store.put_new(&one, b"other".to_vec()), Ok(Put::Exists));
        assert_eq!(store.get(&one), Ok(b"first".to_vec()));
        assert_eq!(store.get("two"), Err(StoreError::Missing("two".to_owned())));
        let folder = store.folder(&"a0".repeat(16)).unwrap();
        assert_eq!(folder.objects, BTreeMap::from([(one.clone(), 5)]));
        assert!(store.folder("").unwrap().folders.contains(&"a0".repeat(16)));
        assert_eq!(store.folder("none/there"), Ok(Folder::default()));
        assert_eq!(store.part(&one, 1..3), Ok(b"ir".to_vec()));
        assert_eq!(
            (store.length(&one), store.length("x")),
            (Ok(Some(5)), Ok(None))
        );
        // Objects of other programs are none of a backup.
        std::fs::create_dir(dir.path().join("lost+found")).unwrap();
        std::fs::write(dir.path().join("lost+found/file"), b"x").unwrap();
        let listed = BTreeMap::from([(one, 5)]);
        assert_eq!(store.list(), Ok(listed));
    }
}
