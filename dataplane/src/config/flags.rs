//! Settings as arguments of the command line: `--http.port=9090` or `--http.port 9090`, with the keys of the configuration
//! file. They outweigh the environment.

use super::unknown::nearest;
use super::variables::{FILE_VARIABLE, VARIABLES, Variable};

/// What was given as arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The configuration file.
    pub file: Option<String>,
    /// Settings, in the order in which they were given; of two the later counts.
    pub settings: Vec<(Variable, String)>,
}

impl Flags {
    /// Reads arguments; the program's own name is not one of them.
    ///
    /// # Errors
    /// An argument that is no setting or has no value, in words.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").unwrap_or_default();
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let known = VARIABLES.iter().find(|variable| variable.key() == name);
            if name != "config" && known.is_none() {
                return Err(unknown(&argument));
            }
            let value = value.or_else(|| arguments.next());
            let value = value.ok_or_else(|| format!("--{name} has no value"))?;
            match known {
                Some(&variable) => flags.settings.push((variable, value)),
                None => flags.file = Some(value),
            }
        }
        Ok(flags)
    }

    /// What stands for the environment where the file was named by an argument.
    pub(super) fn above<'a>(
        &'a self,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| match (&self.file, name == FILE_VARIABLE) {
            (Some(file), true) => Some(file.clone()),
            _ => env(name),
        }
    }
}

/// The value of an unknown argument is not shown: it may be a secret.
fn unknown(argument: &str) -> String {
    let argument = argument.split_once('=').map_or(argument, |it| it.0);
    let name = argument.strip_prefix("--").unwrap_or_default();
    let keys = VARIABLES.iter().map(|variable| variable.key());
    let near = nearest(name, keys.chain(["config"]));
    match near.filter(|(distance, key)| *distance <= key.len() / 3) {
        Some((_, meant)) => format!("unknown argument {argument}; is --{meant} meant?"),
        None => format!("unknown argument {argument}; --help lists the settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, String> {
        Flags::parse(arguments.iter().map(|it| (*it).to_owned()))
    }

    #[test]
    fn a_setting_is_given_in_one_argument_or_two() {
        let flags = parse(&["--http.port=1", "--http.port", "2", "--config", "flk.toml"]).unwrap();
        let port = |text: &str| (Variable::Port, text.to_owned());
        assert_eq!(flags.settings, [port("1"), port("2")]);
        assert_eq!(flags.file.as_deref(), Some("flk.toml"));
        assert_eq!(parse(&["--wal.dir=a=b"]).unwrap().settings[0].1, "a=b");
    }

    #[test]
    fn an_argument_that_is_no_setting_is_named_with_the_nearest_one() {
        for (arguments, expected) in [
            (
                &["--http.prot=1"][..],
                "unknown argument --http.prot; is --http.port meant?",
            ),
            (
                &["serve"],
                "unknown argument serve; --help lists the settings",
            ),
            (
                &["--confg", "a"],
                "unknown argument --confg; is --config meant?",
            ),
            (&["--http.port"], "--http.port has no value"),
        ] {
            assert_eq!(parse(arguments).unwrap_err(), expected);
        }
    }
}
