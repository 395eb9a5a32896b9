//! The kinds of keys that can be made.

/// Which key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Alg {
    /// One secret, for agents and gateway
    Hmac,
    /// A private key for agents and a public one for the gateway
    Ed25519,
}
