//! Profiles of machines: what outweighs them, what they may say, and that each that is compiled in fits its machine.

use super::*;
use std::path::Path;

const KEY: (&str, &str) = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");

fn read(set: &[(&str, &str)]) -> Result<(RawConfig, Config), ConfigError> {
    let set: Vec<(&str, &str)> = set.iter().copied().chain([KEY]).collect();
    let env = |name: &str| {
        let found = set.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    let raw = RawConfig::read(&env, &Flags::default())?;
    let config = Config::resolve(&raw)?;
    Ok((raw, config))
}

fn mistakes(set: &[(&str, &str)]) -> Vec<String> {
    let env = |name: &str| {
        let found = set.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    let (_, mistakes) = RawConfig::read_all(&env, &Flags::default());
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn each_profile_has_known_settings_of_a_machine_and_the_machine() {
    for profile in PROFILES {
        let named = ("FLK_PROFILE", profile.name);
        let (raw, config) = read(&[named]).unwrap_or_else(|error| panic!("{error}"));
        let is_said = |it: &Variable| matches!(raw.origin(*it), Origin::Profile(_));
        let said: Vec<Variable> = VARIABLES.iter().copied().filter(is_said).collect();
        assert!(said.len() >= 2, "{}: {said:?}", profile.name);
        assert!(said.iter().all(|it| it.is_of_machine()));
        let shape = profile.shape().unwrap();
        assert!(!shape.about.is_empty() && shape.cpus > 0, "{shape:?}");
        assert!(
            shape.memory_bytes.min(shape.disk_bytes) > 1 << 30,
            "{shape:?}"
        );
        let cores: u64 = config.cores.unwrap().parse().unwrap();
        assert!(cores < shape.cpus, "{}: no CPU is left", profile.name);
        assert!(config.dedup_memory_bytes_max.unwrap() < shape.memory_bytes / 2);
        assert_eq!(config.dedup_ttl_s, 14 * 86_400, "promises are as ever");
    }
}

#[test]
fn each_value_of_a_profile_stands_behind_a_comment() {
    for profile in PROFILES {
        let mut before = "";
        let mut is_in_machine = false;
        for line in profile.text.lines() {
            is_in_machine = match line.strip_prefix('[') {
                Some(section) => section == "machine]",
                None => is_in_machine,
            };
            if line.contains(" = ") && !line.starts_with('#') && !is_in_machine {
                assert!(before.starts_with("# "), "{}: {line}", profile.name);
            }
            before = line;
        }
    }
}

#[test]
fn all_other_places_outweigh_a_profile() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[wal]\nsegment_bytes = \"8MiB\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let flags = Flags {
        file: None,
        settings: vec![(Variable::WalMaxBytes, "8GiB".to_owned())],
    };
    let env = |name: &str| match name {
        "FLK_PROFILE" => Some("laptop".to_owned()),
        "FLK_CONFIG" => Some(path.to_owned()),
        "FLK_CORES" => Some("1".to_owned()),
        _ => None,
    };
    let raw = RawConfig::read(&env, &flags).unwrap();
    for (variable, text, origin) in [
        (
            Variable::SegmentBytes,
            "8MiB",
            format!("{path}:2: wal.segment_bytes"),
        ),
        (Variable::Cores, "1", "environment: FLK_CORES".to_owned()),
        (
            Variable::WalMaxBytes,
            "8GiB",
            "argument: --wal.max_bytes".to_owned(),
        ),
        (
            Variable::Profile,
            "laptop",
            "environment: FLK_PROFILE".to_owned(),
        ),
    ] {
        assert_eq!(raw.text(variable), Some(text));
        assert_eq!(raw.origin(variable).to_string(), origin);
    }
    assert_eq!(raw.text(Variable::DedupMemoryMax), Some("64MiB"));
    let origin = raw.origin(Variable::DedupMemoryMax).to_string();
    assert!(origin.starts_with("profile laptop:"), "{origin}");
    assert!(origin.ends_with(": dedup.memory_max"), "{origin}");
    // An empty variable counts as not set, so it outweighs nothing.
    let (raw, _) = read(&[("FLK_PROFILE", "laptop"), ("FLK_CORES", "")]).unwrap();
    assert_eq!(raw.text(Variable::Cores), Some("2"));
}

#[test]
fn the_file_may_name_the_profile() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[process]\nprofile = \"cloud-2cpu\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (raw, config) = read(&[("FLK_CONFIG", path)]).unwrap();
    assert_eq!(config.cores.as_deref(), Some("1"));
    assert!(matches!(raw.origin(Variable::Profile), Origin::File(_)));
    std::fs::write(file.path(), "[process]\nprofile = \"clod-2cpu\"\n").unwrap();
    let error = read(&[("FLK_CONFIG", path)]).unwrap_err().to_string();
    let expect = format!(
        "{path}:2: process.profile = clod-2cpu: no such profile; is cloud-2cpu meant?; allowed: laptop, "
    );
    assert!(error.starts_with(&expect), "{error}");
}

#[test]
fn a_name_that_is_none_is_refused_with_the_list() {
    for (typed, problem) in [
        ("lpatop", "no such profile; is laptop meant?"),
        ("nvme", "no such profile"),
        ("mainframe", "no such profile"),
    ] {
        let error = read(&[("FLK_PROFILE", typed)]).unwrap_err().to_string();
        let expect = format!("FLK_PROFILE={typed}: {problem}");
        assert!(error.starts_with(&expect), "{error}");
    }
    let allowed = Variable::Profile.allowed();
    let mut rest = allowed;
    for profile in PROFILES {
        let at = rest.find(profile.name);
        let at = at.unwrap_or_else(|| panic!("{allowed}: {} is missing", profile.name));
        rest = &rest[at..];
    }
    let listed = allowed.split(", or a file").next().unwrap();
    assert_eq!(
        listed.replace(" or ", ", ").split(", ").count(),
        PROFILES.len()
    );
}

#[test]
fn a_profile_of_ones_own_is_a_file_of_settings_of_a_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.toml");
    let named = path.to_str().unwrap();
    std::fs::write(&path, PROFILES[0].text).unwrap();
    let (raw, _) = read(&[("FLK_PROFILE", named)]).unwrap();
    let origin = raw.origin(Variable::DedupMemoryMax).to_string();
    assert!(origin.starts_with(&format!("profile {named}:")), "{origin}");

    let text = "[machine]\ncpu = 1\n[http]\nport = 1\n[dedup]\nmemry_max = \"1GiB\"\n[process]\nprofile = \"laptop\"\n[[tenants]]\nid = \"a\"\n";
    std::fs::write(&path, text).unwrap();
    let told = mistakes(&[KEY, ("FLK_PROFILE", named)]);
    for (line, expect) in [
        (2, "machine.cpu: no such setting; is cpus meant?"),
        (
            4,
            "http.port: no setting of a machine: it belongs into the configuration file",
        ),
        (
            6,
            "dedup.memry_max: no such setting; is dedup.memory_max meant?",
        ),
        (
            8,
            "process.profile: no setting of a machine: it belongs into the configuration file",
        ),
        (9, "tenants: no such setting"),
    ] {
        let expect = format!("{named}:{line}: {expect}");
        assert!(
            told.iter().any(|it| it.starts_with(&expect)),
            "{expect}: {told:?}"
        );
    }
    assert_eq!(told.len(), 5, "{told:?}");
    // What is wrong with a value is found with all others, with its place.
    std::fs::write(&path, "[dedup]\nmemory_max = \"lots\"\n").unwrap();
    let error = read(&[("FLK_PROFILE", named)]).unwrap_err().to_string();
    let expect = format!("{named}:2: dedup.memory_max = lots: not a number with a unit");
    assert!(error.starts_with(&expect), "{error}");
    let nowhere = directory.path().join("none.toml").display().to_string();
    let error = read(&[("FLK_PROFILE", &nowhere)]).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("FLK_PROFILE={nowhere}: ")),
        "{error}"
    );
}

#[test]
fn every_file_among_the_profiles_is_compiled_in() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/machines");
    let names = std::fs::read_dir(directory).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.trim_end_matches(".toml").to_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let mut known: Vec<&str> = PROFILES.iter().map(|it| it.name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn a_refusal_names_the_profile_of_the_setting_that_it_begins_with_and_of_no_other() {
    let (raw, config) = read(&[("FLK_PROFILE", "laptop")]).unwrap();
    let place = raw.origin(Variable::DedupMemoryMax).to_string();
    assert!(place.starts_with("profile laptop:"), "{place}");
    for (reason, names_it) in [
        ("DEDUP_MEMORY_MAX=9GiB: too much", true),
        ("DEDUP_MEMORY_MAX: too much", true),
        ("DEDUP_MEMORY_MAX is too much", true),
        ("DEDUP_MEMORY_MAX_OF_OLD=1", false),
        ("DEDUP_MEMORY=1", false),
        ("too much: DEDUP_MEMORY_MAX=9GiB", false),
        ("", false),
    ] {
        let expected = match names_it {
            true => format!("{reason} ({place})"),
            false => reason.to_owned(),
        };
        assert_eq!(config.with_profile(&reason), expected);
    }
}
