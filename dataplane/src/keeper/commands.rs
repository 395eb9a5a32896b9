//! Commands from `keeper.sock`: one line in, one line out.

use crate::keeper::halt::Halt;
use crate::keeper::serve::Service;

/// What operators pinned.
#[derive(Default)]
pub(crate) struct Pins {}

impl Service {
    pub(crate) async fn command(&mut self, _line: &str) -> Result<String, Halt> {
        Ok(String::new())
    }
}
