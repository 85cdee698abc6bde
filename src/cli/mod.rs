//! The commands. Each makes the text of its answer; `main` prints it.

mod answer;
mod ca;
pub mod check;
mod client;
mod customer;
mod demo;
mod erase;
mod erasures;
mod export;
mod holds;
mod index;
mod key;
pub mod profiles;
mod recipients;
mod replicas;
pub mod run;
#[cfg(test)]
mod ways;

pub use self::answer::Answer;
pub use self::ca::{CaAction, CaArgs, ca};
pub use self::client::GateArgs;
pub use self::demo::demo;
pub use self::erase::{EraseArgs, erase};
pub use self::erasures::{ErasuresArgs, erasures};
pub use self::holds::{HoldArgs, HoldsArgs, UnholdArgs, hold, holds, unhold};
pub use self::index::{IndexAction, IndexArgs, index};
pub use self::key::{KeyAction, KeyArgs, key};
pub use self::recipients::{RecipientsArgs, recipients};
pub use self::replicas::{ReplicasArgs, replicas};
