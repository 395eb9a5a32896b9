//! Retention: which closed segments may go, and when they must.

use crate::keeper::halt::Halt;
use crate::keeper::serve::Service;

impl Service {
    pub(crate) async fn delete_aged(&mut self) -> Result<bool, Halt> {
        Ok(false)
    }
    pub(crate) async fn look_at_space(&mut self) -> Result<(), Halt> {
        Ok(())
    }
    pub(crate) async fn make_room(&mut self) -> Result<(), Halt> {
        Ok(())
    }
}
