//! The contract crate judges what the load generator signs by its own few lines: two programs, one answer.
//! It is what makes a status of 200 in a bench mean something.

use flk_bench_load::stock::Request;
use flk_bench_load::{Identity, Stock};
use flk_contract::{
    KeySet, Params, Parser, Scheme, Scratch, SlopeCache, authenticate, check_identity, judge,
};

#[test]
fn every_record_of_a_stock_is_authentic_and_accepted() {
    const KEY: &str = "a key of no use elsewhere";
    let keys = KeySet::builder()
        .add(Scheme::default(), KEY)
        .unwrap()
        .build()
        .unwrap();
    let (mut parser, mut scratch, mut cache) =
        (Parser::new(), Scratch::new(), SlopeCache::default());
    let mut stock = Stock::sign(KEY.as_bytes(), 0, 100);
    let mut request = Request::new("127.0.0.1:8080");
    for number in 0..100 {
        assert!(stock.fill(&mut request));
        let record = parser.parse(request.body()).unwrap();
        let verified = authenticate(&record, &keys, &mut scratch).unwrap();
        let identity = Identity::of(number);
        assert_eq!(identity.digest, verified.signing_digest);
        assert_eq!(identity.pcs_id, record.pcs_id.as_bytes());
        check_identity(&record).unwrap();
        let outcome = judge(&record, &Params::default(), &mut cache);
        assert_eq!(outcome.escalated, None, "{outcome:?}");
    }
}
