//! The connections that wait for a budget, and which of them is next: of those whose client address would hold no more than
//! its share, the one that waits longest; where there is none, the one that waits longest of all. Of an address it is always
//! the one that waits longest. It never grants anything.
//!
//! Waiting and leaving take constant time for connections; an address finds its place among those that wait in logarithmic
//! time. Addresses are compared, never hashed.

use super::super::lists::{Ends, LINK_BYTES, Links};
use crate::event::{ConnId, Peer};
use std::collections::BTreeSet;

/// What a connection waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// How much, beyond what it holds.
    pub more_bytes: usize,
    /// What it holds while it waits.
    pub own_bytes: usize,
}

/// A connection that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    conn: ConnId,
    account: u32,
    wanted: Wanted,
    /// Grows from one that waits to the next.
    ticket: u64,
}

/// What a client address holds, and which of its connections wait.
#[derive(Clone, Copy, Debug)]
struct Account {
    peer: Peer,
    held_bytes: usize,
    waiting: Ends,
    filed: Option<Filed>,
}

/// Where an address that waits is found.
#[derive(Clone, Copy, Debug)]
enum Filed {
    /// Among those within their share, by the ticket of its longest waiting connection. The share may have become smaller
    /// since.
    Within(u64),
    /// Among those above it, by what it would hold.
    Above(usize),
}

/// Client addresses that hold something or wait, and their connections that wait.
#[derive(Debug)]
pub(super) struct Queue {
    max_bytes: usize,
    /// By the connection's slot.
    waiters: Vec<Option<Waiter>>,
    /// How many of them hold nothing.
    newcomers_count: usize,
    next_ticket: u64,
    /// All that wait, the longest first.
    order: Ends,
    order_links: Links,
    account_links: Links,
    /// Accounts stay where they are; free places are used again.
    accounts: Vec<Account>,
    free: Vec<u32>,
    /// The account of each address, sorted.
    by_peer: Vec<(Peer, u32)>,
    within: BTreeSet<(u64, u32)>,
    above: BTreeSet<(usize, u32)>,
    /// Accounts looked at, for tests of how much work there is.
    #[cfg(test)]
    pub(super) steps: u64,
}

/// Memory for one connection that may wait.
pub(in crate::shard) const WAITER_BYTES: usize = size_of::<Option<Waiter>>() + 2 * LINK_BYTES;

impl Queue {
    /// Nothing is held, and no connection waits.
    pub(super) fn new(max_bytes: usize) -> Queue {
        Queue {
            max_bytes,
            waiters: Vec::new(),
            newcomers_count: 0,
            next_ticket: 0,
            order: Ends::EMPTY,
            order_links: Links::default(),
            account_links: Links::default(),
            accounts: Vec::new(),
            free: Vec::new(),
            by_peer: Vec::new(),
            within: BTreeSet::new(),
            above: BTreeSet::new(),
            #[cfg(test)]
            steps: 0,
        }
    }

    /// How many connections wait and hold nothing.
    pub(super) fn newcomers_count(&self) -> usize {
        self.newcomers_count
    }

    /// How many addresses hold something or wait.
    pub(super) fn addresses_count(&self) -> usize {
        self.by_peer.len()
    }

    /// What each address may hold while others want some.
    pub(super) fn share_bytes(&self) -> usize {
        self.max_bytes / self.by_peer.len().max(1)
    }

    /// What an address holds.
    pub(super) fn held_bytes(&self, peer: Peer) -> usize {
        self.find(peer)
            .map_or(0, |account| self.accounts[account as usize].held_bytes)
    }

    /// An address holds so much more.
    pub(super) fn hold(&mut self, bytes: usize, peer: Peer) {
        let account = self.open(peer);
        self.accounts[account as usize].held_bytes += bytes;
        self.file(account);
    }

    /// An address holds so much less.
    pub(super) fn release(&mut self, bytes: usize, peer: Peer) {
        let account = self.open(peer);
        let held_bytes = &mut self.accounts[account as usize].held_bytes;
        debug_assert!(*held_bytes >= bytes);
        *held_bytes -= bytes;
        self.file(account);
        self.close(account);
    }

    /// A connection waits, behind those that wait already; one that waits keeps its place.
    pub(super) fn join(&mut self, wanted: Wanted, conn: ConnId, peer: Peer) {
        let slots = conn.slot + 1;
        if self.waiters.len() < slots as usize {
            self.waiters.resize(slots as usize, None);
            self.order_links.reach(slots);
            self.account_links.reach(slots);
        }
        if let Some(waiter) = self.waiter(conn) {
            let before = std::mem::replace(&mut waiter.wanted, wanted);
            let account = waiter.account;
            self.newcomers_count -= usize::from(before.own_bytes == 0);
            self.newcomers_count += usize::from(wanted.own_bytes == 0);
            self.file(account);
            return;
        }
        debug_assert!(
            self.waiters[conn.slot as usize].is_none(),
            "its slot's last connection has left"
        );
        let account = self.open(peer);
        self.waiters[conn.slot as usize] = Some(Waiter {
            conn,
            account,
            wanted,
            ticket: self.next_ticket,
        });
        self.next_ticket += 1;
        self.newcomers_count += usize::from(wanted.own_bytes == 0);
        self.order_links.join(&mut self.order, conn.slot);
        let waiting = &mut self.accounts[account as usize].waiting;
        self.account_links.join(waiting, conn.slot);
        self.file(account);
    }

    /// Whether a connection waits.
    pub(super) fn waits(&mut self, conn: ConnId) -> bool {
        self.waiter(conn).is_some()
    }

    /// A connection waits no longer, if it did.
    pub(super) fn leave(&mut self, conn: ConnId) {
        let Some(&mut Waiter {
            account, wanted, ..
        }) = self.waiter(conn)
        else {
            return;
        };
        self.waiters[conn.slot as usize] = None;
        self.newcomers_count -= usize::from(wanted.own_bytes == 0);
        self.order_links.leave(&mut self.order, conn.slot);
        let waiting = &mut self.accounts[account as usize].waiting;
        self.account_links.leave(waiting, conn.slot);
        self.file(account);
        self.close(account);
    }

    /// The connection whose turn it is.
    pub(super) fn next(&mut self) -> Option<ConnId> {
        let first = self.order.first()?;
        let share_bytes = self.share_bytes();
        while let Some(&(_, account)) = self.within.first() {
            self.count_step();
            let (longest, wanted_bytes) = self.wants(account)?;
            if wanted_bytes <= share_bytes {
                return Some(longest.conn);
            }
            // The share has become smaller since it was filed.
            self.file(account);
        }
        self.waiters[first as usize].map(|waiter| waiter.conn)
    }

    /// The address whose turn it is.
    pub(super) fn next_peer(&mut self) -> Option<Peer> {
        let conn = self.next()?;
        let account = self.waiter(conn)?.account;
        Some(self.accounts[account as usize].peer)
    }

    fn waiter(&mut self, conn: ConnId) -> Option<&mut Waiter> {
        let waiter = self.waiters.get_mut(conn.slot as usize)?.as_mut()?;
        (waiter.conn == conn).then_some(waiter)
    }

    /// The connection of an address that waits longest, and what the address would hold with what that one wants. What is
    /// larger than a share by itself may still be the only one of its address: it counts as nothing.
    fn wants(&self, account: u32) -> Option<(Waiter, usize)> {
        let Account {
            held_bytes,
            waiting,
            ..
        } = self.accounts[account as usize];
        let longest = self.waiters[waiting.first()? as usize]?;
        let Wanted {
            more_bytes,
            own_bytes,
        } = longest.wanted;
        let is_only_one = held_bytes == own_bytes;
        let wanted_bytes = held_bytes + more_bytes;
        Some((longest, if is_only_one { 0 } else { wanted_bytes }))
    }

    /// Files an address anew: what it holds or wants has changed, or the share.
    fn file(&mut self, account: u32) {
        self.count_step();
        match self.accounts[account as usize].filed {
            Some(Filed::Within(ticket)) => _ = self.within.remove(&(ticket, account)),
            Some(Filed::Above(bytes)) => _ = self.above.remove(&(bytes, account)),
            None => {}
        }
        let share_bytes = self.share_bytes();
        let filed = self.wants(account).map(|(longest, wanted_bytes)| {
            if wanted_bytes <= share_bytes {
                self.within.insert((longest.ticket, account));
                Filed::Within(longest.ticket)
            } else {
                self.above.insert((wanted_bytes, account));
                Filed::Above(wanted_bytes)
            }
        });
        self.accounts[account as usize].filed = filed;
    }

    fn find(&self, peer: Peer) -> Option<u32> {
        let at = self.by_peer.binary_search_by_key(&peer, |entry| entry.0);
        at.ok().map(|at| self.by_peer[at].1)
    }

    /// The account of an address, which may be new.
    fn open(&mut self, peer: Peer) -> u32 {
        let at = match self.by_peer.binary_search_by_key(&peer, |entry| entry.0) {
            Ok(at) => return self.by_peer[at].1,
            Err(at) => at,
        };
        let new = Account {
            peer,
            held_bytes: 0,
            waiting: Ends::EMPTY,
            filed: None,
        };
        let account = match self.free.pop() {
            Some(account) => {
                self.accounts[account as usize] = new;
                account
            }
            None => {
                self.accounts.push(new);
                self.accounts.len() as u32 - 1
            }
        };
        self.by_peer.insert(at, (peer, account));
        account
    }

    /// Forgets an address that neither holds anything nor waits. The others' share becomes larger by that.
    fn close(&mut self, account: u32) {
        let Account {
            peer,
            held_bytes,
            waiting,
            ..
        } = self.accounts[account as usize];
        if held_bytes > 0 || waiting.first().is_some() {
            return;
        }
        if let Ok(at) = self.by_peer.binary_search_by_key(&peer, |entry| entry.0) {
            self.by_peer.remove(at);
            self.free.push(account);
        }
        let share_bytes = self.share_bytes();
        while let Some(&(bytes, account)) = self.above.first()
            && bytes <= share_bytes
        {
            self.file(account);
        }
    }

    /// Places for addresses that were ever made.
    #[cfg(test)]
    pub(super) fn places_count(&self) -> usize {
        self.accounts.len()
    }

    #[cfg(test)]
    fn count_step(&mut self) {
        self.steps += 1;
    }

    #[cfg(not(test))]
    fn count_step(&mut self) {}
}
