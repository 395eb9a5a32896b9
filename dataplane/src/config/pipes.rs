//! Secrets in pipes, such as a shell's `<(command)`: what is in one can be read once, and settings are read again and again. So a
//! pipe is read before anything else, and its text counts as that of a variable from then on. Of other files it reads the one that
//! names what opens an encrypted pipe.

use super::environment::Environment;
use super::error::ConfigError;
use super::file;
use super::flags::Flags;
use super::opened;
use super::raw::age_keys;
use super::sealed::AgeKeys;
use super::secret_file::{SecretPath, shown_path};
use super::set::SECRET_FILE_ALLOWED;
use super::variables::{FILE_VARIABLE, VARIABLES, Variable};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Reads every pipe that these settings name for a secret, and puts its text in the place of its name. The file of the
/// identities is none: it is read whenever something is opened.
///
/// # Errors
/// The first pipe that cannot be read, or holds no secret.
pub fn read_pipes(
    environment: &mut Environment,
    flags: &mut Flags,
) -> Result<Vec<Variable>, ConfigError> {
    let mut read = Vec::new();
    for &variable in VARIABLES {
        let Some(file_name) = variable.file_name() else {
            continue;
        };
        let typed = flags.settings.iter().rfind(|it| it.0 == variable);
        let (argument, path) = match typed {
            Some((_, path)) => (Some(variable.key()), path.clone()),
            // Both are refused together.
            None if environment.is_set(variable.name()) => continue,
            None => (None, environment.get(file_name).unwrap_or_default()),
        };
        if variable == Variable::AgeIdentity || !is_pipe(&path) {
            continue;
        }
        let keys = keys(environment, flags);
        let (text, _) =
            opened::read_pipe(&SecretPath::typed(&path), &keys).map_err(|problem| ConfigError {
                variable: file_name,
                place: None,
                argument,
                value: Some(shown_path(Path::new(&path))),
                problem,
                allowed: SECRET_FILE_ALLOWED,
            })?;
        environment.put(variable.name(), text.as_bytes());
        environment.put(file_name, b"");
        flags.settings.retain(|it| it.0 != variable);
        read.push(variable);
    }
    Ok(read)
}

/// What opens an encrypted pipe: the identity that counts for all other secrets. What is wrong with the configuration file is
/// said when it is read for its settings.
fn keys(environment: &Environment, flags: &Flags) -> AgeKeys {
    let env = |name: &str| environment.get(name);
    let env = flags.above(&env);
    let typed = |name: &str| env(name).filter(|text| !text.is_empty());
    let found = typed(FILE_VARIABLE).and_then(|path| file::read(Path::new(&path)).ok());
    age_keys(&found.unwrap_or_default().settings, &typed, flags)
}

fn is_pipe(path: &str) -> bool {
    let found = std::fs::metadata(SecretPath::typed(path).path);
    found.is_ok_and(|it| it.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_pipe_is_read_once_and_its_text_counts_whenever_settings_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "sesame").unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer
            .write_all(b"a key that a command wrote, 32 bytes\n")
            .unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let password = (Variable::MetricsPass, file.display().to_string());
        let mut flags = Flags {
            file: None,
            settings: vec![
                (Variable::MetricsUser, "prom".to_owned()),
                password.clone(),
                (Variable::HmacKey, path),
            ],
        };
        let mut environment = Environment::default();
        let read = read_pipes(&mut environment, &mut flags).unwrap();
        assert_eq!(read, [Variable::HmacKey]);
        assert_eq!(flags.settings[1..], [password]);
        for _ in 0..2 {
            let (_, config) = Config::with_texts(&environment, &flags).unwrap();
            let key = &config.document.tenants[0].keys[0];
            let text = config.secrets.load(&key.source).unwrap();
            assert_eq!(text.as_str(), "a key that a command wrote, 32 bytes");
        }
        assert_eq!(read_pipes(&mut environment, &mut flags), Ok(Vec::new()));
    }

    #[test]
    fn a_pipe_without_a_secret_is_named_by_its_argument() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut flags = Flags {
            file: None,
            settings: vec![(Variable::HmacKey, path.clone())],
        };
        let refused = read_pipes(&mut Environment::default(), &mut flags).unwrap_err();
        let expected = format!("--signing.hmac_key_file={path}: it is empty");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }

    #[test]
    fn an_encrypted_pipe_is_opened_with_the_identity_that_the_file_names() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sealed");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("flk.toml");
        let identity = fixtures.join("first.identity");
        let text = format!("[process]\nage_identity_file = '{}'\n", identity.display());
        std::fs::write(&file, text).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let sealed = std::fs::read(fixtures.join("age/key.age")).unwrap();
        writer.write_all(&sealed).unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut flags = Flags {
            file: Some(file.display().to_string()),
            settings: vec![(Variable::HmacKey, path)],
        };
        let mut environment = Environment::default();
        let read = read_pipes(&mut environment, &mut flags);
        assert_eq!(read, Ok(vec![Variable::HmacKey]));
    }
}
