//! The connection table: slots with generations, as the shard knows them. It owns the tasks of each connection, which are
//! cancelled when the shard closes it.

use std::rc::Rc;

use flk_dataplane::event::ConnId;

use crate::connection::Connection;

struct Slot<T> {
    generation: u32,
    open: Option<Open<T>>,
}

struct Open<T> {
    connection: Rc<Connection>,
    /// Dropped with the connection, which cancels them.
    _tasks: Vec<T>,
}

/// All connections of a shard.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Table<T> {
    pub(crate) fn new(connections_max: u32) -> Self {
        let slot = |_| Slot {
            generation: 0,
            open: None,
        };
        Self {
            slots: (0..connections_max).map(slot).collect(),
            free: (0..connections_max).rev().collect(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Gives out a slot, with the tasks that this makes; none if the table is full.
    pub(crate) fn open(
        &mut self,
        tasks: impl FnOnce(&Rc<Connection>) -> Vec<T>,
    ) -> Option<Rc<Connection>> {
        let slot = self.free.pop()?;
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        let generation = place.generation;
        let connection = Rc::new(Connection::new(ConnId { slot, generation }));
        place.open = Some(Open {
            _tasks: tasks(&connection),
            connection: Rc::clone(&connection),
        });
        Some(connection)
    }

    /// A connection by its name; none if it was closed.
    pub(crate) fn get(&self, id: ConnId) -> Option<&Rc<Connection>> {
        let slot = self.slots.get(id.slot as usize)?;
        let open = slot.open.as_ref()?;
        (slot.generation == id.generation).then_some(&open.connection)
    }

    /// Cancels its tasks and frees its slot.
    pub(crate) fn close(&mut self, id: ConnId) {
        if let Some(connection) = self.get(id) {
            connection.is_closed.set(true);
            self.slots[id.slot as usize].open = None;
            self.free.push(id.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_out_again_under_another_generation_and_its_tasks_are_gone() {
        let mut table = Table::new(1);
        let task = Rc::new(());
        let first = table.open(|_| vec![Rc::clone(&task)]).unwrap();
        assert!(table.is_full() && table.open(|_| Vec::new()).is_none());
        assert_eq!(Rc::strong_count(&task), 2);
        table.close(first.id);
        assert!(first.is_closed.get() && table.get(first.id).is_none());
        assert_eq!(Rc::strong_count(&task), 1);
        let second = table.open(|_| Vec::new()).unwrap();
        assert_eq!(second.id.slot, first.id.slot);
        assert_ne!(second.id.generation, first.id.generation);
        table.close(first.id); // the shard may name it once more
        assert!(table.get(second.id).is_some());
    }
}
