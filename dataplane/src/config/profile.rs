//! Profiles: settings for a shape of machine, weaker than all others. Five are compiled in; a file may be another one. A profile
//! says nothing but what depends on CPUs, memory, disk and network, so it never decides what a gateway promises.

use super::error::ConfigError;
use super::file::{Found, of_text, text_of_file};
use super::shape::Shape;
use super::toml_file::Kind;
use super::unknown::nearest;
use std::path::Path;

/// A profile that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name, as `FLK_PROFILE` takes it.
    pub name: &'static str,
    /// Its file, with the reason of each value.
    pub text: &'static str,
}

macro_rules! profiles {
    ($($name:literal)*) => {
        /// All profiles that are compiled in, the smallest machine first.
        pub const PROFILES: &[Profile] = &[$(Profile {
            name: $name,
            text: include_str!(concat!("../../../profiles/machines/", $name, ".toml")),
        },)*];
    };
}

profiles! { "laptop" "cloud-2cpu" "nvme-16core" "numa-64core" "network-disk" }

impl Profile {
    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|it| it.name == name)
    }

    /// The machine that it is for.
    ///
    /// # Errors
    /// It is no profile; a test holds that each that is compiled in is one.
    pub fn shape(&self) -> Result<Shape, ConfigError> {
        let found = of_text(Path::new(self.name), self.text, Kind::Profile)?;
        match found.mistakes.into_iter().next() {
            Some(mistake) => Err(mistake),
            None => Ok(found.shape.unwrap_or_default()),
        }
    }
}

/// Whether a text names a file, and not one of the profiles that are compiled in.
fn is_path(named: &str) -> bool {
    named.contains('/') || named.ends_with(".toml")
}

/// What a profile says, by its name or the path of its file. `wrong` makes an error about the setting that names it.
pub(super) fn read(
    named: &str,
    wrong: impl Fn(String) -> ConfigError,
) -> Result<Found, ConfigError> {
    if is_path(named) {
        let path = Path::new(named);
        let text = text_of_file(path).map_err(|error| wrong(error.to_string()))?;
        return of_text(path, &text, Kind::Profile);
    }
    match Profile::named(named) {
        Some(profile) => of_text(Path::new(profile.name), profile.text, Kind::Profile),
        None => Err(wrong(unknown(named))),
    }
}

fn unknown(named: &str) -> String {
    let near = nearest(named, PROFILES.iter().map(|it| it.name));
    match near.filter(|(distance, name)| *distance <= name.len() / 2) {
        Some((_, meant)) => format!("no such profile; is {meant} meant?"),
        None => "no such profile".to_owned(),
    }
}
