//! What only the engine for several gates has to show: servers that go and come, two gates on one schema, rights and versions.

mod outages;
mod schema;
mod statements;
mod two_gates;

use forgetgate::config::Engine;

use crate::server::Postgres;
use crate::world::{World, schema_of};

/// A store in a schema of its own on a server of its own, which the test may stop.
pub(crate) fn world_on(server: &Postgres) -> World {
    let mut world = World::new(Engine::Postgres);
    world.config.postgres = Some(schema_of(server, world.config.key_file.parent().unwrap()));
    world
}

/// The schema that a store is in.
pub(crate) fn schema(world: &World) -> &str {
    &world.config.postgres.as_ref().unwrap().schema
}
