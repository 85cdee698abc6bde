//! P11 and P8: a configuration that is read again changes all that it says, at once and for whoever comes then, or, with
//! a fault in it, nothing.

mod bounds;
mod erasures;
mod instances;
mod let_in;
mod load;
mod refused;
mod taken;
pub(crate) mod world;
