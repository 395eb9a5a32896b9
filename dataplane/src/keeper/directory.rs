//! WAL_DIR before anything in it is trusted: the lock that makes it ours, and the installation's secret.
//! It never looks into logs or slices.

use crate::keeper::files::{File, Files, MAKE, READ, READ_WRITE_CREATE};
use crate::keeper::halt::Halt;
use crate::wal::files::{LOCK, SECRET};
use crate::wal::secret::Secret;

/// Takes the directory for the life of this process. The open lock file is the lock: it is never closed.
pub(crate) async fn lock(files: &Files, pid: u32) -> Result<File, Halt> {
    let file = files.open(LOCK, READ_WRITE_CREATE).await?;
    if !files.lock(&file).await? {
        let text = files.read_whole(&file).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let holder = match text.trim() {
            "" => "another process".to_string(),
            pid => format!("process {pid}"),
        };
        files.close(&file).await;
        return Err(Halt::Locked { holder });
    }
    // Nothing durable depends on this text, so it is not synced.
    files.truncate(&file, 0).await?;
    files.write(&file, 0, format!("{pid}\n").as_bytes()).await?;
    Ok(file)
}

/// Makes the secret durable that was given, or a new one. One that lies there without a manifest was never used and is replaced.
pub(crate) async fn make_secret(files: &Files, given: Option<Secret>) -> Result<Secret, Halt> {
    let secret = match given {
        Some(given) => given,
        None => Secret {
            id: files.random().await?,
            key: files.random().await?,
        },
    };
    files.unlink(SECRET).await?;
    let file = files.open(SECRET, MAKE).await?;
    files.write(&file, 0, &secret.encode()).await?;
    files.sync(&file).await?;
    files.close(&file).await;
    files.sync_dir().await?;
    Ok(secret)
}

/// Reads the secret and checks that it is the one that the manifest means, and the one that was given.
pub(crate) async fn read_secret(
    files: &Files,
    id: [u8; 16],
    given: Option<Secret>,
) -> Result<Secret, Halt> {
    let Some(file) = files.open_if_there(SECRET, READ).await? else {
        let what = "missing".to_string();
        return Err(Halt::Secret { what });
    };
    let bytes = files.read_whole(&file).await?;
    files.close(&file).await;
    let secret = Secret::decode(&bytes).map_err(|fault| Halt::Secret {
        what: fault.to_string(),
    })?;
    if secret.id != id {
        let what = "that of another installation".to_string();
        return Err(Halt::Secret { what });
    }
    match given.is_none_or(|given| given == secret) {
        true => Ok(secret),
        false => Err(Halt::OtherSecret),
    }
}
