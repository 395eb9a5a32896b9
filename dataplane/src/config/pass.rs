//! One pass over files of secrets. A document with many keys is read, decrypted and verified once in it, so all keys that are
//! taken from it are of one state of the document. What was opened is wiped when the pass ends; it never outlives it.

use super::opened::open_bytes;
use super::sealed::age::Identity;
use super::sealed::{AgeKeys, Form, SealedError, sops};
use super::secret_file::{self, SecretPath};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use zeroize::Zeroizing;

/// See the module.
pub(crate) struct Pass {
    keys: AgeKeys,
    documents: RefCell<HashMap<PathBuf, (Form, Rc<sops::Document>)>>,
}

impl Pass {
    /// One that has read nothing yet.
    pub(super) fn of(keys: AgeKeys) -> Pass {
        Pass {
            keys,
            documents: RefCell::default(),
        }
    }

    /// What opens encrypted files.
    pub(super) fn keys(&self) -> &AgeKeys {
        &self.keys
    }

    /// The text of a secret, as [`super::read_secret`] has it.
    pub(super) fn read(
        &self,
        secret: &SecretPath,
    ) -> Result<(Zeroizing<String>, Option<Form>), String> {
        let known = self.documents.borrow().get(&secret.path).cloned();
        if let Some((form, document)) = known {
            let identities = || self.keys.identities(form);
            return Ok((value(&document, secret, identities)?, Some(form)));
        }
        let bytes = secret_file::read_bytes(&secret.path)?;
        match Form::of(&bytes) {
            Some(form @ Form::Sops(format)) => {
                let identities = self.keys.identities(form).map_err(|it| it.to_string())?;
                let document = sops::Document::read(&bytes, format);
                let document = Rc::new(document.map_err(|it| it.to_string())?);
                let known = (form, Rc::clone(&document));
                self.documents
                    .borrow_mut()
                    .insert(secret.path.clone(), known);
                Ok((value(&document, secret, || Ok(identities))?, Some(form)))
            }
            _ => open_bytes(bytes, secret, &self.keys),
        }
    }
}

/// One value of a document as text.
fn value(
    document: &sops::Document,
    secret: &SecretPath,
    identities: impl FnOnce() -> Result<Vec<Identity>, SealedError>,
) -> Result<Zeroizing<String>, String> {
    let value = document.value(secret.entry.as_deref(), identities);
    secret_file::text_of(&value.map_err(|it| it.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn all_values_of_a_document_are_of_the_state_in_which_the_pass_first_read_it() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sealed");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.env");
        let identity = directory.path().join("identity");
        std::fs::copy(fixtures.join("sops/keys.env"), &path).unwrap();
        std::fs::copy(fixtures.join("first.identity"), &identity).unwrap();
        let keys = AgeKeys::of_file(&identity);
        let read = |pass: &Pass, entry: &str| {
            let secret = SecretPath::new(&path, Some(entry.to_owned()));
            pass.read(&secret).map(|(text, _)| text.to_string())
        };
        let pass = Pass::of(keys.clone());
        assert!(read(&pass, "GAMMA_KEY").is_err());
        let first = read(&pass, "ACME_KEY").unwrap();
        assert!(first.starts_with("fixture-key-of-acme"));
        // Neither the document nor what opens it is looked at again.
        std::fs::write(&path, "rubbish").unwrap();
        std::fs::remove_file(&identity).unwrap();
        assert_eq!(read(&pass, "BETA_KEY").unwrap(), "one\ntwo");
        assert_eq!(read(&pass, "ACME_KEY").unwrap(), first);
        assert!(read(&Pass::of(keys), "ACME_KEY").is_err());
    }
}
