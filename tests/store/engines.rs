//! One suite for every engine. A new engine is one more line here.

macro_rules! on_every_engine {
    ($engine:ident => $kind:expr; $($name:ident)*) => {
        mod $engine { $(
            #[test]
            fn $name() {
                let world = crate::world::World::new($kind);
                crate::world::wait(super::$name(&world.open()));
            }
        )* }
    };
    ($($name:ident)*) => {
        on_every_engine! { sled => forgetgate::config::Engine::Sled; $($name)* }
        on_every_engine! { postgres => forgetgate::config::Engine::Postgres; $($name)* }
        on_every_engine! { memory => forgetgate::config::Engine::Memory; $($name)* }
    };
}
