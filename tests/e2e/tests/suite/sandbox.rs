//! The sandbox of a running gateway, as its start says it and the kernel shows it. That all other tests pass under it shows
//! that nothing is missing; what it refuses is tested beside the driver.

use flk_e2e::setting::Setting;
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::records::record;

on_every_host!(
    the_start_says_what_is_in_force_and_every_thread_is_in_it,
    the_sandbox_can_be_switched_off,
    a_log_with_a_long_path_is_served_in_it,
);

/// The line of the start.
fn line_of(gateway: &Gateway) -> String {
    let said = gateway.said();
    let line = said.lines().find(|line| line.starts_with("  sandbox "));
    line.unwrap_or_else(|| panic!("no line: {said}")).to_owned()
}

/// The names of threads that may gain privileges. The kernel shows no Landlock domain; each thread gives up both in one place.
fn threads_with_privileges(gateway: &Gateway) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.id())).unwrap();
    let status = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap()
    };
    let all: Vec<String> = threads.map(status).collect();
    assert!(all.len() >= 4, "{} threads", all.len());
    let are_free = all.iter().filter(|it| !it.contains("NoNewPrivs:\t1\n"));
    are_free
        .filter_map(|it| it.lines().next())
        .map(str::to_owned)
        .collect()
}

fn the_start_says_what_is_in_force_and_every_thread_is_in_it(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let line = line_of(&gateway);
    assert!(line.ends_with("; not dumpable"), "{line}");
    assert!(line.contains("; no new privileges; "), "{line}");
    let is_uring = gateway.said().contains("driver     uring");
    assert_eq!(line.contains("; ring operations restricted"), is_uring);
    if !line.contains("Landlock ABI ") {
        flk_testkit::skipped(&format!("files of a running gateway: {line}"));
    }
    assert_eq!(threads_with_privileges(&gateway), [""; 0]);
    assert_eq!(gateway.post(&record(1).body).status, 200);
    assert_eq!(gateway.stop().code(), 0);
}

fn the_sandbox_can_be_switched_off(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_SANDBOX", "off");
    let gateway = plan.with("FLK_CORE_DUMPS", "1").start();
    let line = line_of(&gateway);
    assert!(line.contains("off (FLK_SANDBOX=off)"), "{line}");
    assert!(line.ends_with("; core dumps allowed: they hold the keys"));
    // The filter that blocks io_uring takes the privileges away itself.
    let has_free = !threads_with_privileges(&gateway).is_empty();
    assert_eq!(has_free, setting != Setting::UringBlocked);
    assert_eq!(gateway.post(&record(1).body).status, 200);
}

/// Its socket is reached through a descriptor of the directory.
fn a_log_with_a_long_path_is_served_in_it(setting: Setting) {
    let directory = setting.directory();
    let long = directory.path().join("a-long-name-".repeat(12));
    let gateway = setting.plan(&long).start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    assert!(long.join("keeper.sock").exists());
    assert_eq!(gateway.stop().code(), 0);
    assert!(!long.join("keeper.sock").exists());
    let gateway = setting.plan(directory.path()).start();
    assert!(status_of(directory.path()).is_object());
    drop(gateway);
}
