//! What a shard can be run under: the gateway's own drivers, or an executor. It owns their names, and runs nothing itself.

use flk_dataplane::driver::probe::DriverKind;
use flk_dataplane::driver::{DriverError, Ended, Machine, ShardDriver, ShardSetup};

use crate::{under_compio, under_glommio};

/// What runs the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// One of the gateway's own drivers.
    Own(DriverKind),
    Glommio,
    Compio,
}

impl Under {
    const ALL: [Self; 4] = [
        Self::Own(DriverKind::Uring),
        Self::Own(DriverKind::Portable),
        Self::Glommio,
        Self::Compio,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Own(DriverKind::Uring) => "uring",
            Self::Own(DriverKind::Portable) => "portable",
            Self::Glommio => "glommio",
            Self::Compio => "compio",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl ShardDriver for Under {
    fn run<M: Machine + 'static>(
        self,
        setup: ShardSetup,
        machine: M,
    ) -> Result<Ended, DriverError> {
        let ended = match self {
            Self::Own(driver) => return driver.run(setup, machine),
            Self::Glommio => under_glommio::run(setup, machine),
            Self::Compio => under_compio::run(setup, machine),
        };
        ended.map_err(|error| DriverError {
            doing: "start an executor (does this host allow io_uring, and enough lockable memory?)",
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_no_other_one() {
        for under in Under::ALL {
            assert_eq!(Under::named(under.name()), Some(under));
        }
        assert_eq!(Under::named("tokio"), None);
    }
}
