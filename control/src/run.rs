//! From options to a running control process: the order of its start and of its end. It decides nothing while it runs.

use crate::api::bounds::Bounds;
use crate::api::connections;
use crate::api::{Access, Api, router};
use crate::audit::{self, Audit, AuditError};
use crate::console::chronicle::Chronicle;
use crate::console::clock::Clock;
use crate::console::journal::Journal;
use crate::console::record::{self, record};
use crate::console::sessions::Sessions;
use crate::console::shown::Shown;
use crate::console::source::Source;
use crate::console::threads::Threads;
use crate::console::{Console, files, threads};
use crate::controller::{Controller, Orders, Parts};
use crate::desired::Mistakes;
use crate::events::{
    AdminListening, AdminWaiting, AuditTorn, ConsoleServed, CoreDumpsOn, Failed, SettingRefused,
    SpansExported, StdinFailed,
};
use crate::export::export;
use crate::link::{Link, of_system};
use crate::observe::observe;
use crate::options::{Lifeline, Options};
use crate::say::{say, say_panics, tell_the_rest};
use crate::scrape::Scraper;
use crate::systemd;
use crate::tokens::{Actor, TokensFile};
use crate::view::{Board, board};
use crate::watch::Changes;
use flk_dataplane::config::sealed::AgeKeys;
use flk_dataplane::config::{Config, ConsoleAccess, ControlSettings, SecretPath};
use flk_dataplane::driver::signal::unblock;
use flk_dataplane::exit::Exit;
use flk_dataplane::logs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Between two attempts to listen where the port is taken.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// Threads that may wait: those of the console, and one each for the configuration, tokens and spans.
const THREADS_MAX: usize = threads::THREADS_MAX + 3;
/// Orders that wait.
const ORDERS_MAX: usize = 16;

/// Why control does not run.
#[derive(Debug)]
enum StartError {
    /// Settings are wrong.
    Settings(Mistakes),
    /// Something else, with the exit code and what to do.
    Other(Exit, String),
}

fn refused(exit: Exit, reason: impl ToString) -> StartError {
    StartError::Other(exit, reason.to_string())
}

/// Runs control until it is stopped; the exit code of the process. The reason of another end than a requested one was said. To be
/// called before any other thread is started.
pub fn run(mut options: Options) -> u8 {
    let taken = options.take_environment();
    say_panics();
    // A core image or another user's look into memory and environment would show keys.
    let hidden =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Err(error) = hidden {
        let message = format!("core dumps cannot be turned off: {error}");
        let error = error.to_string();
        say(CoreDumpsOn { error }, message);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .build();
    let ended = match (taken, runtime) {
        (Err(mistake), _) => Err(StartError::Settings(Mistakes(vec![mistake.to_string()]))),
        (Ok(()), Err(error)) => Err(refused(Exit::Refused, of_system(&error))),
        (Ok(()), Ok(runtime)) => {
            let ended = runtime.block_on(serve(&options));
            // A file that hangs must not hold the end up.
            runtime.shutdown_background();
            ended
        }
    };
    let exit = match ended {
        Ok(()) => Exit::Stopped,
        Err(StartError::Settings(mistakes)) => {
            mistakes
                .0
                .into_iter()
                .for_each(|it| say(SettingRefused {}, it));
            Exit::Configuration
        }
        Err(StartError::Other(exit, reason)) => {
            let exit_code = exit.code();
            say(Failed { exit_code }, reason);
            exit
        }
    };
    tell_the_rest();
    exit.code()
}

async fn serve(options: &Options) -> Result<(), StartError> {
    let mut ends = Ends::watch(options.lifeline)?;
    // A gateway that started this process has them blocked.
    unblock().map_err(|error| refused(Exit::Refused, error))?;
    let config = options.config().map_err(StartError::Settings)?;
    logs::set_format(config.log_format);
    let board = board();
    let access = access(&config.control, &config.age_keys, &board)?;
    let audit = open_audit(&config.control)?;
    let credentials = config.metrics_auth.as_ref();
    let credentials = credentials.map(|it| String::from_utf8_lossy(&it.expected).into_owned());
    let listens_on = options.dataplane.unwrap_or(config.listen);
    let scraper = Scraper::of(listens_on, credentials.as_deref());
    if let Some(otlp) = config.control.otlp.clone() {
        let url = format!("http://{}{}", otlp.endpoint.authority, otlp.endpoint.path);
        let message = format!("spans go to {url}");
        say(SpansExported { url }, message);
        let exported = Arc::clone(&board.borrow().exported);
        tokio::spawn(export(config.wal_dir.clone(), otlp, exported));
    }
    let (published, news) = watch::channel(None);
    let (sender, orders) = mpsc::channel(ORDERS_MAX);
    let orders_to = Orders(sender);
    let console = console(&config, &scraper, &board);
    let controller = Controller::new(Parts {
        read: options.reader(),
        changes: Changes::beside(options.file().as_deref()),
        link: Link::to(&config.wal_dir),
        audit,
        board: board.clone(),
        published,
    });
    let api = Api {
        orders: orders_to.clone(),
        board: board.clone(),
        scraper: scraper.clone(),
        access,
        console,
    };
    let controller = tokio::spawn(controller.run(orders));
    tokio::spawn(observe(scraper, news, board));
    if let Access::Tokens(file) = &api.access {
        tokio::spawn(file.clone().watch());
    }
    tokio::spawn(listen(config.control.admin_listen, api));
    tokio::spawn(keep_alive());
    systemd::ready();
    while let End::Reload = ends.next().await {
        systemd::reloading();
        // What came of it was said. An end does not wait for it; another reload meanwhile is part of it or of the next.
        tokio::select! {
            _ = orders_to.reload(Actor::cause("signal")) => {}
            () = ends.stop() => break,
        }
        systemd::ready();
    }
    systemd::stopping();
    // A publishing that is under way may be cut off: the data plane has it wholly or not at all, and the next start compares.
    controller.abort();
    Ok(())
}

/// What the console is shown, where it is on: from here on a reading is taken each second.
fn console(config: &Config, scraper: &Scraper, board: &Board) -> Option<Console> {
    let settings = &config.control;
    if !settings.console.is_served_at(settings.admin_listen) {
        return None;
    }
    let clock = Clock::begin(record::now_ms());
    let costs = Arc::clone(&board.borrow().console);
    let shown = Arc::new(Shown::begin(&clock, costs));
    let threads = Threads::default();
    let source = Source::of(config.wal_dir.clone(), scraper.clone(), threads.clone());
    let journal = Arc::<Journal>::default();
    let audit = settings.directory.join(audit::FILE);
    let chronicle = Chronicle::of(Arc::clone(&journal), source.clone(), threads.clone(), audit);
    tokio::spawn(chronicle.run(Arc::clone(&shown)));
    tokio::spawn(record(
        Arc::clone(&shown),
        clock,
        source.clone(),
        threads.clone(),
        board.clone(),
    ));
    let is_tls = settings.console == ConsoleAccess::Tls;
    Some(Console {
        shown,
        source,
        journal,
        sessions: Arc::new(Sessions::of_process(fastrand::u32(..), is_tls)),
        kept: Arc::default(),
        threads,
        is_tls,
    })
}

/// Who may use the API.
fn access(settings: &ControlSettings, keys: &AgeKeys, board: &Board) -> Result<Access, StartError> {
    check_access(settings, keys).map_err(|it| StartError::Settings(Mistakes(it)))?;
    Ok(match tokens_path(settings) {
        Some(path) => Access::Tokens(TokensFile::at(path, keys.clone(), board.clone())),
        None => Access::Local,
    })
}

fn tokens_path(settings: &ControlSettings) -> Option<SecretPath> {
    let path = settings.admin_tokens_file.as_ref()?;
    Some(SecretPath::typed(&path.to_string_lossy()))
}

/// Whether the API may be served with these settings: another address than loopback needs tokens before anything listens.
///
/// # Errors
/// What is wrong with the address or with the file of tokens.
pub fn check_access(settings: &ControlSettings, keys: &AgeKeys) -> Result<(), Vec<String>> {
    let address = settings.admin_listen;
    match tokens_path(settings) {
        Some(path) => TokensFile::check(&path, keys).map_err(|problems| {
            let named = |problem| format!("ADMIN_TOKENS_FILE: {problem}");
            problems.into_iter().map(named).collect()
        }),
        None if address.ip().is_loopback() => Ok(()),
        None => Err(vec![format!(
            "ADMIN_LISTEN={address}: others than this machine could change what is in force; name a file of tokens in ADMIN_TOKENS_FILE (flk control token makes one), or listen on 127.0.0.1"
        )]),
    }
}

fn open_audit(settings: &ControlSettings) -> Result<Audit, StartError> {
    let audit = Audit::open(&settings.directory).map_err(|error| {
        let exit = match error {
            AuditError::Locked(_) => Exit::Locked,
            AuditError::Broken(..) | AuditError::Moved(_) => Exit::Damage,
            AuditError::File(..) => Exit::File,
        };
        refused(exit, error)
    })?;
    if let Some(torn) = audit.torn() {
        let file = torn.display().to_string();
        let message = format!(
            "the last line of the audit log was torn by a crash, before what it says was done; it is kept in {file}"
        );
        say(AuditTorn { file }, message);
    }
    Ok(audit)
}

/// Serves the admin API. A port that is taken delays it and nothing else: snapshots are published all the same.
async fn listen(address: SocketAddr, api: Api) {
    let mut is_first = true;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if is_first => {
                let (address, error) = (address.to_string(), of_system(&error));
                let seconds = LISTEN_AGAIN.as_secs();
                let message = format!(
                    "admin API: cannot listen on {address}: {error}; trying again every {seconds} s: stop what has it, or set ADMIN_LISTEN"
                );
                say(AdminWaiting { address, error }, message);
            }
            Err(_) => {}
        }
        is_first = false;
        tokio::time::sleep(LISTEN_AGAIN).await;
    };
    let (who, needs_token) = match &api.access {
        Access::Local => ("every process of this machine may use it", false),
        Access::Tokens(_) => ("with tokens", true),
    };
    let has_console = api.console.is_some();
    let is_tls = api.console.as_ref().is_some_and(|it| it.is_tls);
    let listens_on = listener.local_addr().unwrap_or(address);
    let event = AdminListening {
        address: listens_on.to_string(),
        needs_token,
    };
    say(event, format!("admin API on http://{listens_on}, {who}"));
    if has_console {
        let url = format!("http://{listens_on}{}", files::PAGE);
        let message = match is_tls {
            true => {
                format!("console on {url}, for a proxy that ends TLS: browsers ask that by https")
            }
            false => format!("console on {url}"),
        };
        say(ConsoleServed { url }, message);
    }
    connections::serve(listener, router(api), Bounds::default()).await;
}

/// Tells the service manager that this thread still does its work.
async fn keep_alive() {
    if let Some(every) = systemd::alive_every() {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            systemd::alive();
        }
    }
}

/// What ends control, and what makes it reload.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    lifeline: Lifeline,
}

enum End {
    Reload,
    Stop,
}

impl Ends {
    fn watch(lifeline: Lifeline) -> Result<Ends, StartError> {
        let of = |kind| signal(kind).map_err(|error| refused(Exit::Refused, of_system(&error)));
        Ok(Ends {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
            lifeline,
        })
    }

    /// The next end, whatever asks for reloads meanwhile.
    async fn stop(&mut self) {
        while let End::Reload = self.next().await {}
    }

    async fn next(&mut self) -> End {
        let lifeline = async {
            match self.lifeline {
                Lifeline::None => std::future::pending().await,
                Lifeline::Stdin => end_of_stdin().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => End::Stop,
            _ = self.interrupt.recv() => End::Stop,
            () = lifeline => End::Stop,
            _ = self.hang_up.recv() => End::Reload,
        }
    }
}

/// Returns when the other end of standard input is gone.
async fn end_of_stdin() {
    let stdin = rustix::io::dup(std::io::stdin());
    let pipe = stdin
        .map_err(Into::into)
        .and_then(tokio::net::unix::pipe::Receiver::from_owned_fd);
    let mut pipe = match pipe {
        Ok(pipe) => pipe,
        Err(error) => {
            let error = of_system(&error);
            let message = format!("standard input is no pipe: {error}");
            say(StdinFailed { error }, message);
            return std::future::pending().await;
        }
    };
    let mut bytes = [0; 64];
    while pipe.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}
