//! Signed records by number: the same number is the same record in every run, and two numbers never share an id.
//! The signer is that of the load generator, which knows nothing of the gateway's code.

use crate::gateway::KEY;
use flk_bench_load::Stock;
use flk_bench_load::stock::Request;

/// A record that is accepted, and the answer that it must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The body.
    pub body: Vec<u8>,
    /// Its id.
    pub pcs_id: String,
}

/// The record with this number.
pub fn record(number: u64) -> Record {
    let mut request = Request::new("gateway");
    let filled = Stock::sign(KEY.as_bytes(), number, 1).fill(&mut request);
    assert!(filled, "a stock of one holds one");
    let text = std::str::from_utf8(request.bytes()).expect("ASCII");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let (_, id) = body.split_once(r#""pcs_id":""#).expect("an id");
    Record {
        body: body.as_bytes().to_vec(),
        pcs_id: id[..64].to_owned(),
    }
}

impl Record {
    /// The same record with a signature that cannot be right.
    pub fn forged(&self) -> Vec<u8> {
        let text = String::from_utf8(self.body.clone()).expect("ASCII");
        let (head, rest) = text.split_once(r#""sig":""#).expect("a signature");
        format!(r#"{head}"sig":"{}{}"#, "A".repeat(43), &rest[43..]).into_bytes()
    }

    /// Whether this is the outcome that the record must get.
    pub fn is_outcome(&self, body: &[u8]) -> bool {
        let starts = format!(
            r#"{{"pcs_id":"{}","accepted":true,"escalated":false,"#,
            self.pcs_id
        );
        body.starts_with(starts.as_bytes())
    }
}
