//! Texts of keys by where they are: variables as they were at the start, files as they are now. Texts of variables are kept
//! under a mask, for a later snapshot may name them again; they are wiped when dropped and never shown.

use super::masked::Masked;
use super::pass::Pass;
use super::raw::RawConfig;
use super::sealed::{self, AgeKeys};
use super::secret_file::SecretPath;
use super::variables::{VARIABLES, Variable};
use crate::snapshot::{Source, SourceFault};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// See the module.
#[derive(Clone, Default)]
pub struct Secrets {
    variables: Arc<BTreeMap<String, Masked>>,
    age_keys: AgeKeys,
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
        let is_key = |variable: &Variable| {
            let others = [
                Variable::MetricsPass,
                Variable::AgeIdentity,
                Variable::OtlpHeaders,
            ];
            let holds_keys = variable.is_secret() && !others.contains(variable);
            holds_keys || *variable == Variable::Ed25519Pub
        };
        let settings = VARIABLES.iter().copied().filter(is_key);
        // What a file holds is read from there again.
        let in_variable =
            |variable: &Variable| matches!(raw.source(*variable), Source::Environment { .. });
        let texts = settings.filter(in_variable).filter_map(|variable| {
            let text = raw.text(variable)?;
            Some((variable.name().to_owned(), Masked::new(text)))
        });
        let further = further
            .into_iter()
            .map(|(name, text)| (name, Masked::new(&text)));
        Secrets {
            variables: Arc::new(texts.chain(further).collect()),
            age_keys: raw.age_keys().clone(),
        }
    }

    /// The text behind a source; of a file without the line end at its end.
    ///
    /// # Errors
    /// The file cannot be read, the variable is not set, or what is there is encrypted.
    pub fn load(&self, source: &Source) -> Result<Zeroizing<String>, SourceFault> {
        self.load_in(&self.pass(), source)
    }

    /// A pass over files, to load several sources in.
    pub(crate) fn pass(&self) -> Pass {
        Pass::of(self.age_keys.clone())
    }

    /// The same as [`Secrets::load`] within a pass.
    pub(crate) fn load_in(
        &self,
        pass: &Pass,
        source: &Source,
    ) -> Result<Zeroizing<String>, SourceFault> {
        let unreadable = |problem: &str| SourceFault::Unreadable(problem.to_owned());
        let text = self.text(pass, source)?;
        sealed::refuse_sealed(&text).map_err(unreadable)?;
        Ok(text)
    }

    fn text(&self, pass: &Pass, source: &Source) -> Result<Zeroizing<String>, SourceFault> {
        match source {
            Source::File { path, entry, .. } => {
                let place = SecretPath::new(path, entry.clone());
                let read = pass.read(&place);
                read.map(|(text, _)| text).map_err(SourceFault::Unreadable)
            }
            Source::Environment { variable, .. } => match self.variables.get(variable) {
                Some(masked) => Ok(masked.text()),
                None => Err(SourceFault::Unreadable(
                    "it is not set in the environment of this process".to_owned(),
                )),
            },
            Source::Public { base64 } => Ok(Zeroizing::new(base64.clone())),
        }
    }
}
