//! WAL_DIR before anything in it is trusted: the lock that makes it ours, and the installation's secret.
//! It never looks into logs or slices.

use crate::dedup::key::KeyHash;
use crate::keeper::files::{File, Files, MAKE, READ, READ_WRITE_CREATE};
use crate::keeper::halt::Halt;
use crate::wal::files::{LOCK, SECRET};

/// Length of the secret in bytes.
const SECRET_BYTES: usize = 16;

/// Takes the directory for the life of this process. The open lock file is the lock: it is never closed.
pub(crate) async fn lock(files: &Files, pid: u32) -> Result<File, Halt> {
    let file = files.open(LOCK, READ_WRITE_CREATE).await?;
    if !files.lock(&file).await? {
        let said = files.read_whole(&file).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let holder = match said.trim() {
            "" => "another process".to_string(),
            pid => format!("process {pid}"),
        };
        files.close(&file).await;
        return Err(Halt::Locked { holder });
    }
    // Nobody's durability rests on this text, so it is not synced.
    files.truncate(&file, 0).await?;
    files
        .write(&file, 0, format!("{pid}\n").as_bytes())
        .await?;
    Ok(file)
}

/// Names a secret without telling it: the keyed hash of a constant under it.
pub(crate) fn secret_id(secret: [u8; SECRET_BYTES]) -> u64 {
    KeyHash::new(secret).key("flk", "secret id").high
}

/// Draws a new secret and makes it durable. One that lies there without a manifest was never used and is replaced.
pub(crate) async fn make_secret(files: &Files) -> Result<[u8; SECRET_BYTES], Halt> {
    let secret = files.random::<SECRET_BYTES>().await?;
    files.unlink(SECRET).await?;
    let file = files.open(SECRET, MAKE).await?;
    files.write(&file, 0, spell(secret).as_bytes()).await?;
    files.sync(&file).await?;
    files.close(&file).await;
    files.sync_dir().await?;
    Ok(secret)
}

/// Reads the secret and checks that it is the one that the manifest means.
pub(crate) async fn read_secret(files: &Files, id: u64) -> Result<[u8; SECRET_BYTES], Halt> {
    let Some(file) = files.open_if_there(SECRET, READ).await? else {
        return Err(Halt::Secret { what: "missing" });
    };
    let text = files.read_whole(&file).await?;
    files.close(&file).await;
    match parse(&text) {
        Some(secret) if secret_id(secret) == id => Ok(secret),
        Some(_) => Err(Halt::Secret {
            what: "that of another installation",
        }),
        None => Err(Halt::Secret {
            what: "not 32 hexadecimal digits",
        }),
    }
}

fn spell(secret: [u8; SECRET_BYTES]) -> String {
    format!("{:032x}\n", u128::from_be_bytes(secret))
}

fn parse(text: &[u8]) -> Option<[u8; SECRET_BYTES]> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let hex = text.len() == 2 * SECRET_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| hex)?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_and_anything_else_is_refused() {
        let secret = [7, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        assert_eq!(parse(spell(secret).as_bytes()), Some(secret));
        for wrong in ["", "07", "+7000000000000000000000000000000", "zz"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
