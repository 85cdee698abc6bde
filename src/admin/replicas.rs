//! `GET /api/v1/replicas`: the gates that share the store.

use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use crate::replicas::MemberView;

/// All of them.
#[derive(Serialize, ToSchema)]
pub(super) struct Replicas {
    /// Whether this gate's store can be shared at all: not, if it is embedded.
    shared: bool,
    /// This gate first. Empty, if its store is not shared.
    replicas: Vec<MemberView>,
}

pub(super) async fn replicas(state: &State) -> Replicas {
    let members = state.eraser.replicas().await;
    Replicas { shared: members.is_some(), replicas: members.unwrap_or_default() }
}
