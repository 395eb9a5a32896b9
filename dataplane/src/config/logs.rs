//! The format of log lines before the settings are checked: a start that is refused says so in the format that was asked for.
//! It refuses nothing, and reads only the one setting.

use super::file;
use super::variables::{FILE_VARIABLE, Variable};
use crate::logs::Format;
use std::path::Path;

/// The format that arguments, these variables or the configuration file ask for, in this order; text where none says it, or not
/// in words that are known.
pub fn log_format_of_start(env: &dyn Fn(&str) -> Option<String>, arguments: &[String]) -> Format {
    let typed = |name: &str| env(name).filter(|text| !text.is_empty());
    let text = argument(arguments, Variable::LogFormat.key())
        .or_else(|| typed(Variable::LogFormat.name()))
        .or_else(|| {
            let file = argument(arguments, "config").or_else(|| typed(FILE_VARIABLE));
            in_file(Path::new(&file?))
        });
    text.and_then(|text| Format::named(&text))
        .unwrap_or_default()
}

/// The value of the last such argument, `--name=value` or `--name value`.
fn argument(arguments: &[String], name: &str) -> Option<String> {
    let value = |at: usize| {
        let rest = arguments[at].strip_prefix("--")?.strip_prefix(name)?;
        match rest {
            "" => arguments.get(at + 1).cloned(),
            _ => rest.strip_prefix('=').map(str::to_owned),
        }
    };
    (0..arguments.len()).rev().find_map(value)
}

/// What the configuration file says.
fn in_file(path: &Path) -> Option<String> {
    let found = file::read(path).ok()?;
    let settings = found.settings.into_iter();
    let mut formats = settings.filter(|(variable, _)| *variable == Variable::LogFormat);
    formats.next().map(|(_, typed)| typed.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(env: &[(&str, &str)], arguments: &[&str]) -> Format {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let value = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        log_format_of_start(&value, &arguments)
    }

    #[test]
    fn arguments_outweigh_the_environment_and_that_the_file_whatever_else_is_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "[http]\nprot = 1\n[log]\nformat = \"json\"\n").unwrap();
        let path = file.path().to_str().unwrap();
        let (json, named) = (("LOG_FORMAT", "json"), ("FLK_CONFIG", path));
        let text = ("LOG_FORMAT", "text");
        for (env, arguments, expected) in [
            (&[][..], &[][..], Format::Text),
            (&[json], &[], Format::Json),
            (&[("LOG_FORMAT", "")], &[], Format::Text),
            (&[("LOG_FORMAT", "JSON")], &[], Format::Text),
            (&[named], &[], Format::Json),
            (&[text, named], &[], Format::Text),
            (&[json, named], &["--log.format=text"], Format::Text),
            (&[], &["--log.format", "json", "serve"], Format::Json),
            (&[], &["--log.formats=json"], Format::Text),
            (
                &[],
                &["--log.format=json", "--log.format=text"],
                Format::Text,
            ),
            (&[], &["--config", path], Format::Json),
            (&[], &["--log.format"], Format::Text),
        ] {
            assert_eq!(format(env, arguments), expected, "{env:?} {arguments:?}");
        }
    }
}
