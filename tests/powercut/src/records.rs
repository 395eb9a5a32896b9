//! Distinct signed records, each made from its number alone, so that a record can be sent again without being kept.

use flk_contract::signals::{budget::budget, regime::regime};
use flk_contract::{
    OwnedRecord, Params, Parser, Scheme, SigningKey, hash, identity, record, sign, signals,
};

/// The HMAC key of the runs; published, hence worth nothing.
pub(crate) const KEY: &str = "a key for power cuts, known to everybody";

/// A body to begin with; everything that matters in it is replaced.
const TEMPLATE: &str = concat!(
    r#"{"pcs_id":"","schema":"fractal-lba-kakeya","version":"0.1","shard_id":"powercut","epoch":1,"attempt":1,"#,
    r#""sent_at":"2026-01-01T00:00:00Z","seed":42,"scales":[2,4,8,16],"N_j":{"2":3,"4":7,"8":19,"16":50},"#,
    r#""coh_star":0.731234567,"v_star":[0.267261242,0.534522484,0.801783726],"D_hat":1.4,"r":0.412345678,"#,
    r#""regime":"mixed","budget":0.4,"merkle_root":"00","sig":"","#,
    r#""ft":{"outbox_seq":1,"degraded":false,"fallbacks":[],"clock_skew_ms":0}}"#
);

/// Makes records; one per thread.
pub(crate) struct Maker {
    template: OwnedRecord,
    key: SigningKey,
}

impl Maker {
    /// A maker whose records the gateway accepts.
    pub(crate) fn new() -> Result<Maker, Box<dyn std::error::Error + Send + Sync>> {
        let mut parser = Parser::new();
        let mut template = OwnedRecord::from(&parser.parse(TEMPLATE.as_bytes())?);
        let params = Params::default();
        template.d_hat = signals::theil_sen::d_hat_naive(&template.scales, &template.n_j);
        template.budget = budget(template.d_hat, template.r, template.coh_star, &params);
        template.regime = regime(template.d_hat, template.coh_star, &params);
        let key = SigningKey::from_text(Scheme::default(), KEY)?;
        Ok(Maker { template, key })
    }

    /// The body of a record.
    pub(crate) fn body(&mut self, number: u64) -> Vec<u8> {
        let made = &mut self.template;
        made.epoch = number;
        let root = hash::sha256(&[&number.to_le_bytes()]);
        made.merkle_root = hex(&root);
        made.pcs_id = hex(&identity::pcs_id(
            &made.merkle_root,
            made.epoch,
            &made.shard_id,
        ));
        made.sig = sign(&self.key, &made.view());
        let mut out = Vec::with_capacity(1024);
        record::write_json(&made.view(), &mut out);
        out
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    String::from_utf8_lossy(&hash::hex32(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::{KeySet, Scratch, SlopeCache, authenticate, check_identity, judge};

    #[test]
    fn the_records_are_accepted_and_differ() {
        let mut maker = Maker::new().unwrap();
        assert_ne!(maker.body(1), maker.body(2));
        assert_eq!(maker.body(1), Maker::new().unwrap().body(1));
        let keys = KeySet::builder()
            .add(Scheme::default(), KEY)
            .unwrap()
            .build()
            .unwrap();
        let mut parser = Parser::new();
        let record = parser
            .parse(&maker.body(7))
            .map(|record| OwnedRecord::from(&record))
            .unwrap();
        let record = record.view();
        assert!(authenticate(&record, &keys, &mut Scratch::new()).is_ok());
        assert!(check_identity(&record).is_ok());
        assert_eq!(
            judge(&record, &Params::default(), &mut SlopeCache::new()).escalated,
            None
        );
    }
}
