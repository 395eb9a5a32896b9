//! Parameter sets that come while shards serve: each gets a number that it keeps, and shards know it before whoever asked.

use crate::keeper::port::KeeperEvent;
use crate::keeper::tests::disk::TestDisk;
use crate::keeper::tests::world::{World, config};
use flk_contract::params::ParamsVersion;

fn versions(names: &[&str]) -> Vec<ParamsVersion> {
    let version = |name: &&str| ParamsVersion::new(name).unwrap();
    names.iter().map(version).collect()
}

fn ask(world: &mut World, asked: u64, names: &[&str]) {
    let versions = versions(names);
    world.happen(KeeperEvent::Params { asked, versions });
    world.pass_s(1);
}

#[test]
fn all_sets_of_the_first_snapshot_have_numbers_before_a_shard_begins() {
    let mut settings = config(2);
    settings.params = versions(&["b", "a"]);
    let world = World::started(TestDisk::new(), settings);
    for shard in &world.shards {
        assert_eq!(shard.begin.params[..], versions(&["b", "a"]));
    }
}

#[test]
fn a_new_set_gets_the_next_number_in_every_shard_and_then_the_answer() {
    let mut world = World::started(TestDisk::new(), config(2));
    let known = world.config.stats.keeper.params_known.get();
    assert_eq!(known, 0);
    ask(&mut world, 1, &["2", "1"]);
    ask(&mut world, 2, &["2"]);
    ask(&mut world, 3, &["3"]);
    for shard in &world.shards {
        assert_eq!(shard.begin.params[..], versions(&["1", "2", "3"]));
    }
    assert_eq!(world.config.stats.keeper.params_known.get(), 3);
}
