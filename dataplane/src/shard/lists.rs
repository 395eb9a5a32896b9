//! Doubly linked lists over slots: joining at the end and leaving from anywhere take constant time and no memory. The links
//! of one `Links` belong to any number of lists, and each slot is in one of them at most.

/// No slot.
const NONE: u32 = u32::MAX;

/// First and last slot of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    first: u32,
    last: u32,
}

/// A slot's neighbours.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// Memory for one slot.
pub(super) const LINK_BYTES: usize = size_of::<Link>();

/// The neighbours of all slots.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends::EMPTY
    }
}

impl Ends {
    /// An empty list.
    pub(super) const EMPTY: Ends = Ends {
        first: NONE,
        last: NONE,
    };

    /// The slot that joined first.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }
}

impl Links {
    /// There are at least so many slots. New ones are in no list.
    pub(super) fn reach(&mut self, slots: u32) {
        let alone = Link {
            before: NONE,
            after: NONE,
        };
        if self.links.len() < slots as usize {
            self.links.resize(slots as usize, alone);
        }
    }

    /// A slot that is in no list joins this one, behind all others.
    pub(super) fn join(&mut self, list: &mut Ends, slot: u32) {
        let before = std::mem::replace(&mut list.last, slot);
        match self.links.get_mut(before as usize) {
            Some(last) => last.after = slot,
            None => list.first = slot,
        }
        self.links[slot as usize] = Link {
            before,
            after: NONE,
        };
    }

    /// A slot leaves the list that it is in.
    pub(super) fn leave(&mut self, list: &mut Ends, slot: u32) {
        let Link { before, after } = self.links[slot as usize];
        match self.links.get_mut(before as usize) {
            Some(link) => link.after = after,
            None => list.first = after,
        }
        match self.links.get_mut(after as usize) {
            Some(link) => link.before = before,
            None => list.last = before,
        }
    }

    /// The slots of a list, from the first to the last.
    #[cfg(debug_assertions)]
    pub(super) fn iter<'a>(&'a self, list: &Ends) -> impl Iterator<Item = u32> + 'a {
        std::iter::successors(list.first(), |slot| {
            let after = self.links[*slot as usize].after;
            (after != NONE).then_some(after)
        })
    }
}
