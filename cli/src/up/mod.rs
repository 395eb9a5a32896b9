//! `flk up`: a gateway in this process, with defaults for a first try. It supplies what is not configured and leaves
//! everything else to the gateway's own configuration.

mod control;
mod dev_key;

use crate::exit::{Exit, Failure};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use dev_key::DevKey;
use flk_contract::{Algorithm, Scheme};
use flk_control::events::{UpArgumentRefused, UpDevKey, UpHint, UpRefused};
use flk_dataplane::config::{
    Config, ConfigError, Environment, Flags, RawConfig, Variable, log_format_of_start, read_pipes,
};
use flk_dataplane::driver::console::last_words;
use flk_dataplane::driver::listen::reachable;
use flk_dataplane::logs::{Format, Line, set_format};
use flk_dataplane::run::{Around, Surroundings, TimeLimits, run_within};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  $ flk up
  $ flk up --port 9090 --cores 1
  $ flk up --data /var/lib/flk --listen 0.0.0.0
  $ flk up --profile cloud-2cpu

All other settings come from a configuration file (flk config init writes one) and from the environment variables of \
flk-dataplane, which take precedence (see flk-dataplane --help); a profile is weaker than both. Ctrl-C answers the requests in flight and stops. The exit \
codes are those of the gateway, and 2 for a wrong argument of this command.";

/// Options of `flk up`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", codes()))]
pub(crate) struct UpArgs {
    /// Address to listen on [default: LISTEN, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    listen: Option<String>,
    /// Port to listen on; 0 takes any free port [default: PORT, else 8080]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    port: Option<String>,
    /// Directory of all durable data: the log in DIR/wal, the development key in DIR/dev.key
    /// [default: ./data, with the log in WAL_DIR if that is set]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file [default: FLK_CONFIG, else none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Profile of the machine: a name of flk profile list, or a file. All other settings outweigh it
    /// [default: FLK_PROFILE, else none]
    #[arg(long, value_name = "NAME|FILE", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
    /// Number or list of CPUs to use: 2 or 0,2-3 [default: FLK_CORES, else all allowed]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    cores: Option<String>,
    /// How log lines are written: text or json [default: LOG_FORMAT, else text]
    #[arg(long, value_name = "FORMAT", value_parser = NonEmptyStringValueParser::new())]
    log_format: Option<String>,
    /// Run the gateway alone, without the control process that reloads the configuration and serves the admin API
    #[arg(long)]
    no_control: bool,
}

impl UpArgs {
    /// What an option sets in the place of a variable.
    fn stands_for(&self, name: &str) -> Option<String> {
        match name {
            "LISTEN" => self.listen.clone(),
            "PORT" => self.port.clone(),
            "FLK_PROFILE" => self.profile.clone(),
            "FLK_CORES" => self.cores.clone(),
            "LOG_FORMAT" => self.log_format.clone(),
            "FLK_CONFIG" => self.config.as_ref().map(|path| path.display().to_string()),
            "WAL_DIR" => {
                let wal = |data: &PathBuf| data.join("wal").to_string_lossy().into_owned();
                self.data.as_ref().map(wal)
            }
            _ => None,
        }
    }

    /// Options that were given, each with the variable that it stands for.
    fn typed(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            ("LISTEN", "--listen"),
            ("PORT", "--port"),
            ("FLK_PROFILE", "--profile"),
            ("FLK_CORES", "--cores"),
            ("LOG_FORMAT", "--log-format"),
            ("FLK_CONFIG", "--config"),
        ];
        let is_given = |(variable, _): &(&str, &str)| self.stands_for(variable).is_some();
        all.into_iter().filter(is_given).collect()
    }

    /// A setting that is wrong: an argument, if an option was given for it, and otherwise the configuration.
    fn refused(&self, error: ConfigError) -> Failure {
        let typed = self.typed();
        let option = typed.iter().find(|(it, _)| *it == error.variable);
        match option.filter(|_| error.place.is_none()) {
            Some((_, option)) => {
                let variable = option;
                Failure::usage(ConfigError { variable, ..error }.to_string())
            }
            None => Failure::with(Exit::Configuration, error.to_string()),
        }
    }

    fn flags(&self) -> Flags {
        Flags {
            file: self.stands_for("FLK_CONFIG"),
            settings: Vec::new(),
        }
    }
}

/// The exit codes of the gateway, without the one of its command line: a wrong argument of this command ends with 2.
fn codes() -> String {
    let usage = format!("{:>4}  ", flk_dataplane::exit::Exit::Usage.code());
    let help = flk_dataplane::exit::help();
    let lines: Vec<&str> = help.lines().filter(|it| !it.starts_with(&usage)).collect();
    lines.join("\n")
}

/// Runs a gateway until it is stopped.
pub(crate) fn run(args: &UpArgs) -> ExitCode {
    set_format(log_format_of_start(
        &|name| args.stands_for(name).or_else(|| std::env::var(name).ok()),
        &[],
    ));
    let control = control::Beside::new(args);
    let mut environment = Environment::take_for(&args.flags());
    let pipes = read_pipes(&mut environment, &mut args.flags());
    let surroundings = match Surroundings::take() {
        Ok(surroundings) => surroundings,
        Err(code) => return code,
    };
    let prepared = pipes
        .map_err(|mistake| args.refused(mistake))
        .and_then(|pipes| {
            let control = control.with_pipes(&pipes, &environment);
            Ok((prepare(args, environment, &surroundings)?, control))
        });
    let ((config, greeting, key), control) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            return refused(&surroundings, failure.exit() as u8, failure.text());
        }
    };
    let control = match control.start(key.as_deref()) {
        Ok(control) => control,
        Err(error) => {
            let reason = format!("cannot start a thread: {error}");
            return refused(
                &surroundings,
                flk_dataplane::exit::Exit::Refused.code(),
                &reason,
            );
        }
    };
    let around = Around {
        listening: &|address| {
            greeting.say(address, &surroundings);
            control.listens(address);
        },
        typed: &args.typed(),
        wrongly_typed: Exit::Usage as u8,
        time_limits: TimeLimits::default(),
    };
    if let Some(reload) = control.reload() {
        surroundings.on_hang_up(reload);
    }
    let code = run_within(config, &surroundings, &around);
    control.stop();
    code
}

/// Says that an argument of this command is wrong, as one object: the other lines of its log are such objects.
pub(crate) fn refuse_argument(error: &clap::Error) -> ExitCode {
    set_format(Format::Json);
    last_words(UpArgumentRefused {}, error.to_string().trim_end());
    ExitCode::from(Exit::Usage as u8)
}

fn refused(surroundings: &Surroundings, exit_code: u8, reason: &str) -> ExitCode {
    surroundings.end(exit_code, &Line::new(UpRefused { exit_code }, reason))
}

/// The configuration of the gateway, the lines to print when it listens, and the path of the development key if it is used.
fn prepare(
    args: &UpArgs,
    environment: Environment,
    surroundings: &Surroundings,
) -> Result<(Config, Greeting, Option<PathBuf>), Failure> {
    let wrong = |error: ConfigError| args.refused(error);
    RawConfig::refuse_other_than_text(&environment).map_err(wrong)?;
    let environment = |name: &str| environment.get(name).filter(|text| !text.is_empty());
    let data = args.data.clone().unwrap_or_else(|| PathBuf::from("data"));
    let mut settings = Settings {
        args,
        environment: &environment,
        key_file: None,
    };
    let read = RawConfig::read(&|name| settings.get(name), &Flags::default());
    let mut raw = read.map_err(wrong)?;
    let key = match needs_dev_key(&raw) {
        true => {
            make_directory(&data)?;
            Some(DevKey::load_or_make(&data.join("dev.key"), surroundings)?)
        }
        false => None,
    };
    if let Some(key) = &key {
        // Named as a file, so that control comes to the same configuration.
        settings.key_file = Some(key.path.clone());
        let read = RawConfig::read(&|name| settings.get(name), &Flags::default());
        raw = read.map_err(wrong)?;
    }
    let config = Config::resolve(&raw);
    let config = config.map_err(wrong)?;
    make_directory(&data)?;
    if let Some(DevKey { path, is_new, .. }) = &key {
        let (file, is_new) = (path.display().to_string(), *is_new);
        let what = if is_new { "made" } else { "found" };
        let message = format!("development key {file} ({what}; set PCS_HMAC_KEY for real use)");
        surroundings.say(UpDevKey { file, is_new }, message);
    }
    let greeting = Greeting::new(&config, &data, key.as_ref());
    Ok((config, greeting, key.map(|key| key.path)))
}

/// Stands in for the environment of the gateway: options first, then the environment.
struct Settings<'a> {
    args: &'a UpArgs,
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// The development key, if it is used.
    key_file: Option<PathBuf>,
}

impl Settings<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let text = |path: &PathBuf| path.display().to_string();
        let option = match name {
            "PCS_HMAC_KEY_FILE" => self.key_file.as_ref().map(text),
            _ => self.args.stands_for(name),
        };
        option.or_else(|| (self.environment)(name))
    }
}

/// Whether records are signed with HMAC keys and none is configured.
pub(crate) fn needs_dev_key(raw: &RawConfig) -> bool {
    let scheme = raw.text(Variable::SignAlg).unwrap_or("hmac");
    let is_hmac = scheme
        .parse::<Scheme>()
        .is_ok_and(|scheme| scheme.algorithm != Algorithm::Ed25519);
    let has_key = [Variable::HmacKey, Variable::HmacKeys].map(|it| raw.text(it).is_some());
    is_hmac && has_key == [false, false]
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| {
        let (path, why) = (path.display(), crate::fault::why(&error));
        Failure::usage(format!(
            "cannot make the directory {path}: {why}; use another one with --data"
        ))
    })
}

/// Commands to try next. The gateway itself prints where it listens and what it found.
struct Greeting {
    sign: String,
    inspect: String,
    /// Records are signed, and other terminals may not have the key.
    needs_key: bool,
}

impl Greeting {
    fn new(config: &Config, data: &Path, key: Option<&DevKey>) -> Greeting {
        let flk = program();
        let signs = config.document.tenants.iter().any(|it| !it.unsigned);
        let key_file = key.filter(|key| key.path != Path::new(crate::keyring::DEV_KEY));
        let key_file = key_file.map(|key| format!(" --key-file {}", key.path.display()));
        let sign = match signs {
            true => format!("{flk} pcs sign{} | ", key_file.unwrap_or_default()),
            false => String::new(),
        };
        let is_usual = data == Path::new("data") && config.wal_dir == Path::new("data/wal");
        let inspect = match is_usual {
            true => String::new(),
            false => format!(" --dir {}", config.wal_dir.display()),
        };
        Greeting {
            sign,
            inspect,
            needs_key: signs && key.is_none(),
        }
    }

    fn say(&self, listens_on: SocketAddr, surroundings: &Surroundings) {
        let flk = program();
        let submit = match listens_on.to_string().as_str() {
            "127.0.0.1:8080" => String::new(),
            _ => format!(" --url http://{}", reachable(listens_on)),
        };
        const SAMPLE: &str = "golden/events/sample.csv";
        let build = match Path::new(SAMPLE).exists() {
            true => format!("{flk} pcs build {SAMPLE}"),
            false => format!("echo 0,0.1,0.2,0.3 | {flk} pcs build"),
        };
        let hint = |message: String| surroundings.say(UpHint {}, message);
        hint(match self.needs_key {
            false => "try in another terminal:".to_owned(),
            true => "try in another terminal, with the signing key in its environment:".to_owned(),
        });
        let (sign, inspect) = (&self.sign, &self.inspect);
        hint(format!("  {build} | {sign}{flk} pcs submit{submit} -"));
        hint(format!("  {flk} wal inspect{inspect}"));
    }
}

/// How this program was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "flk".to_owned())
}
