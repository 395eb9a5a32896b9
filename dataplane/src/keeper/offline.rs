//! The keeper's flows without a server: a tool takes the lock itself, runs one job, and carries out file operations as
//! they come. Nothing here makes an installation or begins a log.

use crate::dedup::PARTITIONS;
use crate::dedup::key::KeyHash;
use crate::io::Now;
use crate::keeper::Service;
use crate::keeper::config::KeeperConfig;
use crate::keeper::extract::Dictionary;
use crate::keeper::files::READ;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::open::{Missing, Opened, open};
use crate::keeper::port::{FileOp, FileResult, KeeperEvent, KeeperOp, Port};
use crate::keeper::quarantine::{Loss, quarantine};
use crate::keeper::start::Started;
use crate::keeper::{Keeper, exit, slices, views};
use crate::wal::files::MANIFEST;

/// A job of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Seal what is closed, then delete closed segments older than this many seconds (the configured age if none).
    Compact {
        /// Age in seconds.
        older_than_s: Option<u32>,
        /// Only report what it would free.
        dry_run: bool,
    },
    /// Change a hold, or list them.
    Hold {
        /// The command as it would be sent to a gateway, such as `hold drop backup`.
        line: String,
    },
    /// Give up what is damaged in a segment and keep every whole batch of it.
    Quarantine {
        /// Name of the file.
        segment: String,
        /// Without it the job only reports what would be lost.
        accept_loss: bool,
    },
}

impl Keeper {
    /// A keeper that carries out one job in a directory that no server uses, and ends with [`KeeperOp::Exit`]; the
    /// reason is the report. The number of shards in the configuration does not matter.
    pub fn tool(config: KeeperConfig, job: Job) -> Keeper {
        let port = Port::default();
        let flow = {
            let port = port.clone();
            async move {
                let config = KeeperConfig {
                    shards: 0,
                    ..config
                };
                let end = run(&port, config, job).await;
                port.put(exit(end));
            }
        };
        Keeper::of(port, flow)
    }
}

/// Steps a keeper to its end, carrying out each file operation where it stands. Returns exit code and reason.
pub fn run_blocking(
    mut keeper: Keeper,
    mut now: impl FnMut() -> Now,
    mut file: impl FnMut(FileOp) -> FileResult,
    mut notify: impl FnMut(Notice),
) -> (i32, String) {
    let mut events = Vec::new();
    loop {
        let ops = keeper.step(std::mem::take(&mut events).into_iter(), now());
        let idle = ops.is_empty();
        for op in ops {
            match op {
                KeeperOp::File(op) => events.push(KeeperEvent::FileDone(file(op))),
                KeeperOp::Notify(notice) => notify(notice),
                KeeperOp::Wake(_) => events.push(KeeperEvent::Tick),
                KeeperOp::Exit { code, reason } => return (code, reason),
                KeeperOp::ToShard(..) | KeeperOp::Reply { .. } => {}
            }
        }
        assert!(!idle, "a job waits for its own operations only");
    }
}

async fn run(port: &Port, config: KeeperConfig, job: Job) -> Result<String, Halt> {
    let files = crate::keeper::files::Files::new(port.clone());
    if files.open_if_there(MANIFEST, READ).await?.is_none() {
        return Err(Halt::Refused(
            "WAL_DIR holds no manifest: nothing was ever started here".to_string(),
        ));
    }
    let missing = match job {
        Job::Compact { .. } | Job::Hold { .. } => Missing::Refused,
        Job::Quarantine { .. } => Missing::Segments,
    };
    let Opened {
        mut store,
        secret,
        orphans,
    } = open(port, config, missing).await?;
    match job {
        Job::Compact {
            older_than_s,
            dry_run,
        } => {
            // They are for a start to judge: nothing is made in their place.
            orphans.iter().for_each(|name| store.leave_out(name));
            let mut dictionary = Dictionary::default();
            let slices = slices::open_all(&store, &mut dictionary).await?;
            for slice in &slices {
                // Nothing is deleted for a slice that no start could use.
                slice.read_view(&slice.readable, 0..PARTITIONS).await?;
            }
            let slices = views::read_all(&store, slices).await?;
            let mut service = Service::new(Started {
                store,
                dictionary,
                hash: KeyHash::new(secret.key),
                slices,
                over_memory: None,
                recovered: None,
            });
            let age = older_than_s.map_or(String::new(), |age_s| format!(" --older-than {age_s}"));
            let dry = if dry_run { " --dry-run" } else { "" };
            service.command(&format!("flk1 compact{age}{dry}")).await
        }
        Job::Hold { line } => {
            let mut service = Service::new(Started {
                store,
                dictionary: Dictionary::default(),
                hash: KeyHash::new(secret.key),
                slices: Vec::new(),
                over_memory: None,
                recovered: None,
            });
            match service.command(&format!("flk1 {line}")).await? {
                reply if reply.starts_with("ok") => Ok(reply),
                reply => Err(Halt::Refused(
                    reply.strip_prefix("error ").unwrap_or(&reply).to_string(),
                )),
            }
        }
        Job::Quarantine {
            segment,
            accept_loss,
        } => {
            let loss = match accept_loss {
                true => Loss::Accepted,
                false => Loss::Shown,
            };
            quarantine(store, &segment, loss).await
        }
    }
}
