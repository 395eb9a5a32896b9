//! What requests are charged to before their bodies are logged: rates and quotas of their tenants, then the rate of all. It
//! asks the driver's buckets, a tenant's once per turn where only a count matters, and decides nothing else.

use super::answer::Refusal;
use super::looks::Looking;
use super::{Core, Framed, Ingress};
use crate::dedup::context::TenantId;
use crate::event::{Ask, ConnId, Driver, Granted, Peer};
use crate::http::Problem;
use crate::io::Now;

/// A request whose client waits to be asked for the body.
#[derive(Debug)]
pub(super) struct Asking {
    pub conn: ConnId,
    pub tenant: TenantId,
    /// Where its client is.
    pub client: Peer,
    /// Of its body, as far as its head says; none: it is a batch, whose records pay one by one.
    pub bytes: Option<u64>,
    pub refused: Option<Refusal>,
}

/// The requests of a turn that may have to pay.
pub(super) struct Charged<'a> {
    pub framed: &'a mut [Framed],
    pub asking: &'a mut [Asking],
    pub looking: &'a mut [Looking],
}

/// What a request of this turn may have to pay.
struct Due<'a> {
    tenant: TenantId,
    /// What it brings; none: it is a look-up, which pays as a request alone.
    body: Option<Body>,
    refused: &'a mut Option<Refusal>,
}

/// A body, or what its head says of it.
#[derive(Clone, Copy)]
struct Body {
    client: Peer,
    bytes: u64,
}

/// Requests of a tenant in this turn, while they are counted and granted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    wanted: u64,
    granted: Granted,
}

impl Charged<'_> {
    /// Requests that have not paid and are not refused yet, in the order of their turn.
    fn due(&mut self) -> impl Iterator<Item = Due<'_>> {
        let unpaid = self.framed.iter_mut().filter(|it| it.paid_bytes.is_none());
        let framed = unpaid.map(|it| Due {
            tenant: it.context.tenant,
            body: Some(Body {
                client: it.client,
                bytes: it.body.len_bytes() as u64,
            }),
            refused: &mut it.refused,
        });
        let asking = self.asking.iter_mut().filter_map(|it| {
            let (client, bytes) = (it.client, it.bytes?);
            Some(Due {
                tenant: it.tenant,
                body: Some(Body { client, bytes }),
                refused: &mut it.refused,
            })
        });
        let looking = self.looking.iter_mut().map(|it| Due {
            tenant: it.tenant,
            body: None,
            refused: &mut it.refused,
        });
        let all = framed.chain(asking).chain(looking);
        all.filter(|it| it.refused.is_none())
    }

    /// The same, but look-ups.
    fn due_with_body(&mut self) -> impl Iterator<Item = (Due<'_>, Body)> {
        self.due().filter_map(|it| it.body.map(|body| (it, body)))
    }
}

impl Ingress {
    /// Charges all requests of this turn, and notes which are refused and for how long.
    pub(super) fn charge(
        &mut self,
        core: &Core,
        mut charged: Charged<'_>,
        now: Now,
        driver: &mut impl Driver,
    ) {
        if !self.in_force.has_limits() {
            return;
        }
        for (it, body) in charged.due_with_body() {
            *it.refused = self.overdrawn(core, body.client, it.tenant, now, driver);
        }
        for it in charged.due() {
            self.in_force.tally(it.tenant).wanted += 1;
        }
        for it in charged.due() {
            *it.refused = self.over_rate(it.tenant, now, driver);
        }
        for (it, body) in charged.due_with_body() {
            *it.refused = self.over_quota(it.tenant, body.bytes, now, driver);
        }
        let wanted = charged.due().count() as u64;
        let mut all = driver.charge(self.in_force.snapshot().rate, Ask::UpTo(wanted), now);
        for it in charged.due() {
            *it.refused = take_one(&mut all);
        }
        // What was asked for has its place; only chunks may come to more bytes than were charged then.
        for it in charged.framed.iter() {
            let bytes = it.body.len_bytes() as u64;
            if let Some(more) = it.paid_bytes.and_then(|paid| bytes.checked_sub(paid)) {
                let quota = self.in_force.tenant(it.context.tenant).bytes;
                driver.charge(quota, Ask::Owed(more), now);
            }
        }
        self.count_refused(&charged);
    }

    /// Too many bytes of its tenant or its address had no valid signature.
    fn overdrawn(
        &mut self,
        core: &Core,
        client: Peer,
        tenant: TenantId,
        now: Now,
        driver: &mut impl Driver,
    ) -> Option<Refusal> {
        let limit = self.in_force.tenant(tenant).unauthenticated;
        if limit.per_s == 0 {
            return None;
        }
        let address = core.hash.address(client.0);
        let looks = [limit, limit.of_address(address)];
        let waits = looks.map(|limit| driver.charge(limit, Ask::Whole(0), now).retry_after_us);
        let wait_us = waits[0].max(waits[1]);
        (wait_us > 0).then(|| Refusal::later(Problem::QuotaExceeded, wait_us))
    }

    fn over_rate(
        &mut self,
        tenant: TenantId,
        now: Now,
        driver: &mut impl Driver,
    ) -> Option<Refusal> {
        let limit = self.in_force.tenant(tenant).rate;
        let tally = self.in_force.tally(tenant);
        if tally.wanted > 0 {
            tally.granted = driver.charge(limit, Ask::UpTo(tally.wanted), now);
            tally.wanted = 0;
        }
        take_one(&mut tally.granted)
    }

    fn over_quota(
        &mut self,
        tenant: TenantId,
        bytes: u64,
        now: Now,
        driver: &mut impl Driver,
    ) -> Option<Refusal> {
        let quota = self.in_force.tenant(tenant).bytes;
        let wait_us = driver.charge(quota, Ask::Whole(bytes), now).retry_after_us;
        (wait_us > 0).then(|| Refusal::later(Problem::QuotaExceeded, wait_us))
    }

    fn count_refused(&self, charged: &Charged<'_>) {
        let framed = charged.framed.iter();
        let framed = framed.map(|it| (it.context.tenant, it.refused));
        let asking = charged.asking.iter().map(|it| (it.tenant, it.refused));
        let looking = charged.looking.iter().map(|it| (it.tenant, it.refused));
        for (tenant, refused) in framed.chain(asking).chain(looking) {
            let row = self.counted(tenant);
            match refused.map(|refusal| refusal.problem) {
                Some(Problem::RateLimited) => row.rate_limited.add(1),
                Some(Problem::QuotaExceeded) => row.quota_exceeded.add(1),
                // Refused for another reason than a limit, before it was charged.
                Some(_) | None => {}
            }
        }
    }

    /// A body had no valid signature: its bytes are charged afterwards, to its tenant and to where it came from.
    pub(super) fn charge_unauthenticated(
        &mut self,
        core: &Core,
        (tenant, client): (TenantId, Peer),
        bytes: u64,
        now: Now,
        driver: &mut impl Driver,
    ) {
        let limit = self.in_force.tenant(tenant).unauthenticated;
        if limit.per_s == 0 {
            return; // no limit
        }
        driver.charge(limit, Ask::Owed(bytes), now);
        let address = core.hash.address(client.0);
        driver.charge(limit.of_address(address), Ask::Owed(bytes), now);
    }
}

/// Takes one of what was granted, or is refused.
fn take_one(granted: &mut Granted) -> Option<Refusal> {
    match granted.count {
        0 => Some(Refusal::later(Problem::RateLimited, granted.retry_after_us)),
        _ => {
            granted.count -= 1;
            None
        }
    }
}
