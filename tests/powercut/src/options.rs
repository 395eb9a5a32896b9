//! What was typed on the command line. It opens nothing and starts nothing.

use std::path::PathBuf;

/// Shown behind a mistake.
pub(crate) const HELP: &str = "usage: flk-powercut --gateway PROGRAM [--driver uring|portable] [--log direct|buffered] [--cuts N] [--clients MAX] [--seed N] [--bug NAME]
  --bug     the gateway, built with planted bugs, is told to have this one; success is to find it";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The gateway program.
    pub(crate) gateway: PathBuf,
    /// Its driver.
    pub(crate) driver: String,
    /// Whether the gateway has to do without direct writes.
    pub(crate) buffered: bool,
    /// How often the power is cut.
    pub(crate) cuts: u64,
    /// Clients at a time.
    pub(crate) clients: usize,
    /// Decides the moments and what survives.
    pub(crate) seed: u64,
    /// A planted bug that is to be found.
    pub(crate) bug: Option<String>,
}

impl Options {
    /// Reads arguments.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            gateway: PathBuf::new(),
            driver: "uring".to_owned(),
            buffered: false,
            cuts: 20,
            clients: 8,
            seed: 1,
            bug: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} wants a value"))?;
            let wrong = |_| format!("{name} {value}: not a number");
            match name.as_str() {
                "--gateway" => options.gateway = value.into(),
                "--driver" if ["uring", "portable"].contains(&value.as_str()) => {
                    options.driver = value
                }
                "--driver" => return Err(format!("--driver {value}: uring or portable")),
                "--log" => match value.as_str() {
                    "direct" => options.buffered = false,
                    "buffered" => options.buffered = true,
                    _ => return Err(format!("--log {value}: direct or buffered")),
                },
                "--cuts" => options.cuts = value.parse().map_err(wrong)?,
                "--clients" => options.clients = value.parse().map_err(wrong)?,
                "--seed" => options.seed = value.parse().map_err(wrong)?,
                "--bug" => options.bug = Some(value),
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        if options.gateway.as_os_str().is_empty() {
            return Err("--gateway is missing".to_owned());
        }
        Ok(options)
    }

    /// One line about the run.
    pub(crate) fn describe(&self) -> String {
        let bug = self
            .bug
            .as_ref()
            .map(|bug| format!(", planted {bug}"))
            .unwrap_or_default();
        format!(
            "power cuts: {} under {}, up to {} clients, seed {}{bug}",
            self.cuts,
            self.host(),
            self.clients,
            self.seed
        )
    }

    /// How it writes its log.
    fn log(&self) -> &'static str {
        if self.buffered { "buffered" } else { "direct" }
    }

    /// Driver and way of writing.
    pub(crate) fn host(&self) -> String {
        format!("{} {}", self.driver, self.log())
    }

    /// The command that does the same again.
    pub(crate) fn command(&self) -> String {
        let bug = self
            .bug
            .as_ref()
            .map(|bug| format!(" --bug {bug}"))
            .unwrap_or_default();
        format!(
            "flk-powercut --gateway {} --driver {} --log {} --cuts {} --clients {} --seed {}{bug}",
            self.gateway.display(),
            self.driver,
            self.log(),
            self.cuts,
            self.clients,
            self.seed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_command_it_names_is_the_run_itself() {
        let options = parse(
            "--gateway g --driver portable --log buffered --cuts 3 --clients 2 --seed 9 --bug B",
        )
        .unwrap();
        let command = options.command();
        assert_eq!(
            parse(command.strip_prefix("flk-powercut ").unwrap()),
            Ok(options)
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "--gateway"),
            ("--gateway g --driver x", "uring or portable"),
            ("--gateway g --log x", "direct or buffered"),
            ("--gateway g --cuts x", "not a number"),
            ("--gateway g --cuts", "wants a value"),
            ("--gateway g --x 1", "unknown argument"),
        ] {
            assert!(parse(line).unwrap_err().contains(part), "{line}");
        }
    }
}
