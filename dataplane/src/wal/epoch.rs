//! Seal epochs: which seal of a run a decision waits for. It owns how two of them are compared; it never decides when
//! one begins or ends.

use crate::planted::{Bug, planted};

/// Where the simulated world of a thread lets epochs begin.
#[cfg(feature = "sim")]
pub mod origin {
    use std::cell::Cell;

    thread_local! {
        static ORIGIN: Cell<u16> = const { Cell::new(0) };
    }

    /// From now on [`super::Epoch::earlier_runs`] has this number on this thread.
    pub fn set(number: u16) {
        ORIGIN.set(number);
    }

    pub(super) fn get() -> u16 {
        ORIGIN.get()
    }
}

/// Number of a seal of this run, in 16 bits that may wrap. There is no order between epochs as there is between numbers:
/// a comparison means the shorter way around, and is right as long as the two lie less than 2^15 apart. The keeper begins
/// no epoch further than [`Epoch::LEAD_MAX`] ahead of what was published as sealed, so all that is waited for lies within
/// that distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Epoch(u16);

impl Epoch {
    /// That of everything found at a start: the one before the first.
    #[cfg(not(feature = "sim"))]
    pub const fn earlier_runs() -> Epoch {
        Epoch(0)
    }

    /// That of everything found at a start: what the simulated world has chosen, so that runs meet the wrap.
    #[cfg(feature = "sim")]
    pub fn earlier_runs() -> Epoch {
        Epoch(origin::get())
    }

    /// The first epoch of a run.
    #[cfg(not(feature = "sim"))]
    pub const fn first() -> Epoch {
        Epoch(1)
    }

    /// The first epoch of a run.
    #[cfg(feature = "sim")]
    pub fn first() -> Epoch {
        Epoch::earlier_runs().next()
    }

    /// The newest epoch that is sealed where nothing of this run or found at its start is.
    pub fn nothing_sealed() -> Epoch {
        Epoch::earlier_runs().previous()
    }

    /// Whether the numbers begin anew with this epoch.
    #[cfg(feature = "sim")]
    pub fn is_wrap(self) -> bool {
        self.0 == 0
    }

    /// So many epochs may have begun since the newest one that is sealed: a seal begins no other before something is
    /// published.
    pub const LEAD_MAX: u16 = 256;

    /// Epochs that are compared with each other are no further apart.
    const DISTANCE_MAX: u16 = 1 << 14;

    /// The epoch behind this one.
    pub fn next(self) -> Epoch {
        Epoch(self.0.wrapping_add(1))
    }

    /// The epoch before this one.
    pub fn previous(self) -> Epoch {
        Epoch(self.0.wrapping_sub(1))
    }

    /// How far this epoch lies behind an earlier one. Both are waited for, so it is our mistake if they are far apart.
    pub fn ahead_of(self, earlier: Epoch) -> u16 {
        let distance = self.0.wrapping_sub(earlier.0);
        assert!(
            distance <= Epoch::DISTANCE_MAX,
            "epoch {} does not lie behind {}",
            self.0,
            earlier.0
        );
        distance
    }

    /// Whether this epoch is the other one or lies before it. Both are waited for, so it is our mistake if they are far
    /// apart.
    pub fn is_at_or_before(self, other: Epoch) -> bool {
        if planted(Bug::EpochComparedAsNumber) {
            return self.0 <= other.0;
        }
        let distance = self.signed_distance_to(other);
        assert!(
            distance.unsigned_abs() <= Epoch::DISTANCE_MAX,
            "epochs {} and {} are too far apart to be compared",
            self.0,
            other.0
        );
        distance >= 0
    }

    /// Whether what was stamped with this epoch is sealed once all up to the other one is. An entry that waits to be sealed
    /// is stamped at most [`Epoch::LEAD_MAX`] ahead. One that is sealed may stay in a table for any time; that the shorter
    /// way around is the wrong one for it some day keeps it there, and it answers what its slice would.
    pub fn is_sealed_with(self, sealed: Epoch) -> bool {
        if planted(Bug::EpochComparedAsNumber) {
            return self.0 <= sealed.0;
        }
        self.signed_distance_to(sealed) >= 0
    }

    /// The later one of the two, by the shorter way around.
    pub fn later(self, other: Epoch) -> Epoch {
        match self.signed_distance_to(other) >= 0 {
            true => other,
            false => self,
        }
    }

    fn signed_distance_to(self, other: Epoch) -> i16 {
        other.0.wrapping_sub(self.0) as i16
    }

    /// As it is stored.
    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    /// From where it is stored.
    pub(crate) fn from_bits(bits: u16) -> Epoch {
        Epoch(bits)
    }

    /// The epoch of that number.
    #[cfg(test)]
    pub(crate) fn of(number: u16) -> Epoch {
        Epoch(number)
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

const _: () = assert!(Epoch::LEAD_MAX < Epoch::DISTANCE_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The naive twin counts epochs with numbers that never wrap.
        #[test]
        fn compares_like_numbers_that_never_wrap(from: u32, steps in 0..=u32::from(Epoch::DISTANCE_MAX)) {
            let (early, late) = (u64::from(from), u64::from(from) + u64::from(steps));
            let [a, b] = [early, late].map(|number| Epoch(number as u16));
            prop_assert!(a.is_at_or_before(b));
            prop_assert_eq!(b.is_at_or_before(a), late == early);
            prop_assert_eq!(a.is_sealed_with(b), early <= late);
            prop_assert_eq!(b.is_sealed_with(a), late <= early);
            prop_assert_eq!(u32::from(b.ahead_of(a)), steps);
            prop_assert_eq!((a.later(b), b.later(a)), (b, b));
        }
    }

    #[test]
    #[cfg(feature = "sim")]
    fn a_world_may_begin_just_below_the_wrap() {
        origin::set(u16::MAX);
        let (earlier, first) = (Epoch::earlier_runs(), Epoch::first());
        origin::set(0);
        assert!(first.is_wrap() && !earlier.is_wrap());
        assert_eq!(first.ahead_of(earlier), 1);
        assert_eq!(Epoch::first(), Epoch(1), "everything else begins with 1");
    }

    #[test]
    fn the_epoch_behind_the_last_number_is_the_first_number() {
        let last = Epoch(u16::MAX);
        assert_eq!(last.next(), Epoch::earlier_runs());
        assert_eq!(Epoch::earlier_runs().previous(), last);
        assert!(last.is_at_or_before(Epoch::first()));
        assert!(!Epoch::first().is_at_or_before(last));
        assert_eq!(Epoch::first().ahead_of(last), 2);
    }

    #[test]
    #[should_panic(expected = "too far apart")]
    fn epochs_that_cannot_be_compared_are_a_mistake() {
        let _ = Epoch(0).is_at_or_before(Epoch(Epoch::DISTANCE_MAX + 1));
    }

    #[test]
    #[should_panic(expected = "does not lie behind")]
    fn an_earlier_epoch_is_not_ahead() {
        let _ = Epoch(5).ahead_of(Epoch(6));
    }
}
