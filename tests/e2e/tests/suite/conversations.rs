//! All golden HTTP conversations, played by the independent player against one gateway, and those that need their own.

use flk_e2e::golden::{conversations, play};
use flk_e2e::setting::Setting;

on_every_host!(
    all_conversations_go_as_written,
    rate_limit_goes_as_written,
    look_ups_go_as_written,
);

/// Players at a time: some conversations are about time and mostly wait.
const PLAYERS: usize = 6;

fn all_conversations_go_as_written(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let common = |needs: &serde_json::Value| *needs == serde_json::json!({ "env": {} });
    let names: Vec<String> = conversations()
        .into_iter()
        .filter(|(_, needs)| common(needs))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() >= 27, "conversations are missing: {names:?}");
    let address = gateway.address();
    std::thread::scope(|scope| {
        for player in 0..PLAYERS {
            let share: Vec<String> = names
                .iter()
                .skip(player)
                .step_by(PLAYERS)
                .cloned()
                .collect();
            scope.spawn(move || play(address, &share));
        }
    });
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
}

fn rate_limit_goes_as_written(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("TOKEN_RATE", "1")
        .start();
    play(gateway.address(), &["rate_limit".to_owned()]);
}

fn look_ups_go_as_written(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_LOOK_UPS", "on")
        .start();
    play(gateway.address(), &["look_ups".to_owned()]);
}
