//! When to look at the configuration again: as soon as something happens in its directory, and otherwise after a pause. It
//! owns the thread that waits for events; it reads no file of the configuration. Where inotify is refused only the pause
//! remains.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A directory in which a lot happens does not keep control busy.
const CALM: Duration = Duration::from_millis(50);

/// Between two looks for a directory that is not there.
const AGAIN: Duration = Duration::from_millis(200);

/// Announces what happens in a directory.
#[derive(Debug)]
pub struct Changes(Arc<Notify>);

impl Changes {
    /// Of the directory that this file is in. Editors replace a file and Kubernetes swaps a link beside it: both are seen
    /// in the directory only. A directory that goes and comes back, or that another one takes the place of, is watched anew.
    pub fn beside(file: Option<&Path>) -> Changes {
        let changes = Changes(Arc::default());
        if let Some(file) = file {
            let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
            let directory = parent.unwrap_or(Path::new(".")).to_owned();
            let notify = Arc::clone(&changes.0);
            let thread = std::thread::Builder::new().name("flk-inotify".to_owned());
            // Without the thread only the pause remains, as without inotify.
            let _ = thread.spawn(move || watch(&directory, &notify));
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

/// Watches a directory for ever. Ends with the process, or where inotify is refused.
fn watch(directory: &Path, notify: &Notify) {
    let Ok(descriptor) = inotify::init(CreateFlags::CLOEXEC) else {
        return;
    };
    loop {
        match inotify::add_watch(&descriptor, directory, changes()) {
            Ok(_) => {
                // What happened before it was watched is looked up, too.
                notify.notify_one();
                if !announce(&descriptor, notify) {
                    return;
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => std::thread::sleep(AGAIN),
            Err(_) => return,
        }
    }
}

fn changes() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MODIFY
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

/// Waits for events: what they say is looked up anyway. Whether it ended because the directory went.
fn announce(descriptor: &OwnedFd, notify: &Notify) -> bool {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(descriptor, &mut buffer);
    loop {
        match events.next() {
            Ok(event) => {
                notify.notify_one();
                let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
                if event.events().intersects(gone) {
                    // One that was moved is still watched, and no longer of interest.
                    let _ = inotify::remove_watch(descriptor, event.wd());
                    return true;
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_goes_ends_its_watch_and_the_one_that_takes_its_place_has_its_own() {
        let world = tempfile::tempdir().unwrap();
        let directory = world.path().join("config");
        let aside = world.path().join("aside");
        let descriptor = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let goes: [&dyn Fn(); 2] = [&|| std::fs::rename(&directory, &aside).unwrap(), &|| {
            std::fs::remove_dir_all(&directory).unwrap();
        }];
        for go in goes {
            let notify = Notify::new();
            let add = || inotify::add_watch(&descriptor, &directory, changes());
            assert_eq!(add(), Err(Errno::NOENT));
            std::fs::create_dir(&directory).unwrap();
            add().unwrap();
            std::fs::write(directory.join("flk.toml"), "").unwrap();
            go();
            assert!(announce(&descriptor, &notify), "it would wait for ever");
            let told = notify.notified();
            let mut told = std::pin::pin!(told);
            assert!(told.as_mut().enable(), "a change was told");
        }
    }
}
