//! The age identities of this process. Those of a file are read when something is to be opened, so that a new file counts at
//! once and none stays in memory; those of a variable are kept under a mask. They are never shown.

use super::age::{AgeError, Identity};
use super::{Form, SealedError};
use crate::config::masked::Masked;
use crate::config::secret_file;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where the identities are.
#[derive(Clone, Default)]
pub struct AgeKeys(Option<Place>);

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Variable(Arc<Masked>),
}

impl fmt::Debug for AgeKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("AgeKeys").field(&self.source()).finish()
    }
}

impl AgeKeys {
    /// The variable that holds identities, and the one that names their file.
    pub const VARIABLES: [&str; 2] = ["SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE"];

    /// Those of a file.
    pub fn of_file(path: impl Into<PathBuf>) -> AgeKeys {
        AgeKeys(Some(Place::File(path.into())))
    }

    /// Those of a text.
    pub fn of_text(text: &str) -> AgeKeys {
        AgeKeys(Some(Place::Variable(Arc::new(Masked::new(text)))))
    }

    /// Those that a function of variables says, the text before the file.
    pub fn of_environment(env: &dyn Fn(&str) -> Option<String>) -> AgeKeys {
        let [text, file] = AgeKeys::VARIABLES;
        let set = |name| env(name).filter(|it| !it.is_empty()).map(Zeroizing::new);
        match (set(text), set(file)) {
            (Some(text), _) => AgeKeys::of_text(&text),
            (None, Some(path)) => AgeKeys::of_file(path.as_str()),
            (None, None) => AgeKeys::default(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Where they are, in words.
    pub fn source(&self) -> String {
        match &self.0 {
            None => "none".to_owned(),
            Some(Place::File(path)) => secret_file::shown_path(path),
            Some(Place::Variable(_)) => AgeKeys::VARIABLES[0].to_owned(),
        }
    }

    /// Their file, if every user of this machine can read it.
    pub fn open_to_all(&self) -> Option<String> {
        let Some(Place::File(path)) = &self.0 else {
            return None;
        };
        let mode = std::fs::metadata(path).ok()?.mode();
        (mode & 0o007 != 0).then(|| self.source())
    }

    /// All of them.
    pub(in crate::config) fn identities(&self, form: Form) -> Result<Vec<Identity>, SealedError> {
        let wrong = |problem: String| SealedError::Identities(self.source(), problem);
        let text = match &self.0 {
            None => return Err(SealedError::NoIdentity(form)),
            Some(Place::File(path)) => secret_file::read_plain(path).map_err(wrong)?,
            Some(Place::Variable(masked)) => masked.text(),
        };
        parse(&text).map_err(wrong)
    }
}

/// Reads what `age-keygen` writes: an identity a line, comments between them.
pub(super) fn parse(text: &str) -> Result<Vec<Identity>, String> {
    if Form::of(text.as_bytes()).is_some() {
        return Err("it is itself encrypted: give the identity as age-keygen writes it".to_owned());
    }
    let mut identities = Vec::new();
    let mut others_count = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Of kinds that other programs open files with; a file may hold some of each.
        if ["AGE-PLUGIN-", "AGE-SECRET-KEY-PQ-"]
            .iter()
            .any(|it| line.starts_with(it))
        {
            others_count += 1;
            continue;
        }
        let identity = Identity::parse(line);
        identities.push(identity.map_err(|error| format!("line {number}: {error}"))?);
    }
    match (identities.is_empty(), others_count) {
        (false, _) => Ok(identities),
        (true, 0) => Err(AgeError::NotAnIdentity.to_string()),
        (true, _) => Err("it holds plugin or post-quantum identities only, and X25519 is what is read (AGE-SECRET-KEY-1…)".to_owned()),
    }
}
