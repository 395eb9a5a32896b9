//! Texts of keys by where they are: variables as they were at the start, files as they are now. They are wiped when dropped
//! and never shown.

use super::raw::RawConfig;
use super::secret_file;
use super::variables::{VARIABLES, Variable};
use crate::snapshot::{Source, SourceFault};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// See the module.
#[derive(Clone, Default)]
pub struct Secrets {
    variables: Arc<BTreeMap<String, Zeroizing<String>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.variables.keys();
        out.debug_set().entries(names).finish()
    }
}

impl Secrets {
    /// What the settings hold, and these further variables.
    pub(super) fn of(
        raw: &RawConfig,
        further: impl IntoIterator<Item = (String, Zeroizing<String>)>,
    ) -> Secrets {
        let is_key =
            |variable: &Variable| variable.is_secret() || *variable == Variable::Ed25519Pub;
        let settings = VARIABLES.iter().copied().filter(is_key);
        let texts = settings.filter_map(|variable| {
            let text = raw.text(variable)?;
            Some((variable.name().to_owned(), Zeroizing::new(text.to_owned())))
        });
        Secrets {
            variables: Arc::new(texts.chain(further).collect()),
        }
    }

    /// The text behind a source; of a file without the line end at its end.
    ///
    /// # Errors
    /// The file cannot be read, or the variable is not set.
    pub fn load(&self, source: &Source) -> Result<Zeroizing<String>, SourceFault> {
        match source {
            Source::File { path, .. } => {
                secret_file::read(Path::new(path)).map_err(SourceFault::Unreadable)
            }
            Source::Environment { variable, .. } => match self.variables.get(variable) {
                Some(text) => Ok(text.clone()),
                None => Err(SourceFault::Unreadable(
                    "it is not set in the environment of this process".to_owned(),
                )),
            },
            Source::Public { base64 } => Ok(Zeroizing::new(base64.clone())),
        }
    }
}
