//! What goes into a bundle, in its order. Whatever cannot be had is noted, and the rest is collected.

use super::parts::Parts;
use super::{BundleArgs, logs, system};
use crate::config::redacted;
use crate::fault;
use crate::own;
use crate::page::Page;
use crate::wal::directory::Directory;
use flk_dataplane::config::Config;
use flk_dataplane::driver::listen::reachable;
use std::path::PathBuf;
use std::time::Duration;

/// A command looks at files and asks processes; what takes longer hangs.
const COMMAND_WITHIN: Duration = Duration::from_secs(90);

/// Where things are on this machine.
pub(super) struct Places<'a> {
    pub(super) args: &'a BundleArgs,
    pub(super) wal_dir: PathBuf,
    /// What settings come to; none: something is wrong with them.
    pub(super) config: Option<Config>,
}

/// Collects everything.
pub(super) fn all(places: &Places<'_>, parts: &mut Parts) {
    versions(parts);
    configuration(places, parts);
    places.command(parts, "doctor.txt", &["doctor"]);
    gateway(places, parts);
    control(places, parts);
    directory(places, parts);
    lines(places.args, parts);
    parts.add(
        "system/host.txt",
        "kernel, memory, CPUs, pressure",
        Ok(system::host()),
    );
    let own = "limits and control group of the process that made this";
    parts.add("system/process.txt", own, system::process("self"));
}

fn versions(parts: &mut Parts) {
    let version = env!("CARGO_PKG_VERSION");
    let format = flk_dataplane::wal::manifest::DIRECTORY_VERSION;
    let program = std::env::current_exe();
    let program = program.map_or_else(|_| "unknown".to_owned(), |it| it.display().to_string());
    let arch = std::env::consts::ARCH;
    let text = format!("flk {version}\narch {arch}\nlog format {format}\nprogram {program}\n");
    parts.add("versions.txt", "this program", Ok(text));
}

fn configuration(places: &Places<'_>, parts: &mut Parts) {
    places.command(parts, "config/check.txt", &["config", "check"]);
    places.command(
        parts,
        "config/settings.txt",
        &["config", "show", "--origin"],
    );
    let name = "config/file.txt";
    match places.args.file.path() {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| fault::why(&error));
            let text = text.and_then(|text| redacted(&text));
            let shown = path.display();
            let text = text.map_err(|why| format!("{shown}: {why}"));
            let what = format!("keys of {shown}, with the values that are no secrets");
            parts.add(name, &what, text);
        }
        None => parts.add(
            name,
            "",
            Err("no file is named: --config, FLK_CONFIG".to_owned()),
        ),
    }
}

fn gateway(places: &Places<'_>, parts: &mut Parts) {
    let config = places.config.as_ref();
    let of_settings = || format!("http://{}", reachable(config?.listen)).into();
    let url: Option<String> = places.args.url.clone().or_else(of_settings);
    match &url {
        Some(url) => {
            let asked = ["smoke", url, "--no-records"];
            places.command(parts, "gateway/smoke.txt", &asked);
            let what = format!("/metrics of {url}");
            parts.add("gateway/metrics.txt", &what, metrics(places, url));
        }
        None => {
            let why = || Err("the settings are wrong, and --url names none".to_owned());
            parts.add("gateway/smoke.txt", "", why());
            parts.add("gateway/metrics.txt", "", why());
        }
    }
    places.log_command(parts, "gateway/status.json", &["wal", "status"]);
    let directory = Directory::open(&places.wal_dir).ok();
    let facts = match directory.and_then(|it| it.holder) {
        Some(id) => system::process(&id),
        None => Err("no gateway serves from the directory, as far as this user can see".to_owned()),
    };
    let what = "limits and control group of the gateway";
    parts.add("gateway/process.txt", what, facts);
}

/// The user of `/metrics` is that of the settings if their gateway is asked, and that of the environment at an address that was typed.
fn metrics(places: &Places<'_>, url: &str) -> Result<String, String> {
    let page = Page::of_url(url).map_err(|it| it.text().to_owned())?;
    let of_settings = places
        .config
        .as_ref()
        .and_then(|it| it.metrics_auth.as_ref());
    let page = match (&places.args.url, of_settings) {
        (None, Some(credentials)) => {
            page.with_credentials(&String::from_utf8_lossy(&credentials.expected))
        }
        _ => page.with_credentials_of_environment(),
    };
    page.fetch().map_err(|it| it.text().to_owned())
}

fn control(places: &Places<'_>, parts: &mut Parts) {
    let admin = places
        .config
        .as_ref()
        .map(|it| it.control.admin_listen.to_string());
    let admin = admin.iter().flat_map(|it| ["--admin", it.as_str()]);
    for (name, words) in [
        ("control/status.json", ["control", "status"]),
        ("control/snapshots.txt", ["config", "history"]),
    ] {
        let arguments: Vec<&str> = words.into_iter().chain(admin.clone()).collect();
        places.command(parts, name, &arguments);
    }
}

fn directory(places: &Places<'_>, parts: &mut Parts) {
    let directory = &places.wal_dir;
    let shown = directory.display();
    parts.add(
        "wal/files.txt",
        &format!("files of {shown}, slices among them"),
        system::listing(directory),
    );
    let segments = ["wal", "inspect", "--limit", "0"];
    places.log_command(parts, "wal/segments.txt", &segments);
    places.log_command(parts, "wal/holds.txt", &["wal", "hold", "list"]);
    let file_system = system::file_system(directory);
    parts.add(
        "wal/file-system.txt",
        &format!("the file system of {shown}"),
        file_system,
    );
}

fn lines(args: &BundleArgs, parts: &mut Parts) {
    let count = args.log_lines;
    let name = |at: usize| format!("logs/{at}.txt");
    let what = |from: &dyn std::fmt::Display| {
        format!("the last {count} lines of {from}, and its last start")
    };
    let mut at = 0;
    for path in &args.log {
        at += 1;
        parts.add(
            &name(at),
            &what(&path.display()),
            logs::of_file(path, count),
        );
    }
    for unit in &args.journal {
        at += 1;
        let from = format!("the unit {unit}");
        parts.add(&name(at), &what(&from), logs::of_journal(unit, count));
    }
    if at == 0 {
        let why = "no log is named: --log FILE, --journal UNIT";
        parts.add("logs", "", Err(why.to_owned()));
    }
}

impl Places<'_> {
    /// What a command for the log directory prints.
    fn log_command(&self, parts: &mut Parts, name: &str, arguments: &[&str]) {
        let directory = self.wal_dir.display().to_string();
        let arguments = [arguments, &["--dir", &directory]].concat();
        self.command(parts, name, &arguments);
    }

    /// What a command of this program prints.
    fn command(&self, parts: &mut Parts, name: &str, arguments: &[&str]) {
        let mut command = own::command(arguments, &self.args.file, self.args.dir.as_deref());
        let shown = arguments.join(" ");
        let nothing = |why: &str| Err(format!("flk {shown}: {why}"));
        match own::run(&mut command, COMMAND_WITHIN) {
            Err(why) => parts.add(name, "", nothing(&why)),
            Ok(ran) if ran.stdout.is_empty() => parts.add(name, "", nothing(ran.stderr.trim())),
            Ok(ran) => {
                let code = ran.code.map_or("a signal".to_owned(), |it| it.to_string());
                let cut = if ran.is_cut { ", cut" } else { "" };
                let said = match ran.stderr.trim() {
                    "" => String::new(),
                    said => format!("\nand on standard error:\n{said}\n"),
                };
                let what = format!("flk {shown}, which ended with {code}{cut}");
                parts.add(name, &what, Ok(format!("{}{said}", ran.stdout)));
            }
        }
    }
}
