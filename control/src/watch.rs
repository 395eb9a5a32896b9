//! When to look at the configuration again: as soon as something happens in its directory, and otherwise after a pause. It
//! owns the thread that waits for events; it reads no file of the configuration. Where inotify is refused only the pause
//! remains.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A directory in which a lot happens does not keep control busy.
const CALM: Duration = Duration::from_millis(50);

/// Announces what happens in a directory.
#[derive(Debug)]
pub struct Changes(Arc<Notify>);

impl Changes {
    /// Of the directory that this file is in. Editors replace a file and Kubernetes swaps a link beside it: both are seen
    /// in the directory only.
    pub fn beside(file: Option<&Path>) -> Changes {
        let changes = Changes(Arc::default());
        if let Some(file) = file {
            let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
            if let Ok(descriptor) = watched(parent.unwrap_or(Path::new("."))) {
                let notify = Arc::clone(&changes.0);
                let thread = std::thread::Builder::new().name("flk-inotify".to_owned());
                // Without the thread only the pause remains, as without inotify.
                let _ = thread.spawn(move || announce(&descriptor, &notify));
            }
        }
        changes
    }

    /// Returns when something happened, or after the pause.
    pub async fn next(&self, pause: Duration) {
        let happens = self.0.notified();
        if tokio::time::timeout(pause, happens).await.is_ok() {
            tokio::time::sleep(CALM).await;
        }
    }
}

fn watched(directory: &Path) -> std::io::Result<OwnedFd> {
    let descriptor = inotify::init(CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MODIFY
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&descriptor, directory, changes)?;
    Ok(descriptor)
}

/// Waits for events and drops them: what they say is looked up anyway. Ends with the process.
fn announce(descriptor: &OwnedFd, notify: &Notify) {
    let mut events = [0; 4096];
    loop {
        match rustix::io::read(descriptor, &mut events) {
            Ok(_) => notify.notify_one(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
