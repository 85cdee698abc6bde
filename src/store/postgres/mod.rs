//! PostgreSQL: one database for several gates.

mod link;
mod members;
mod members_sql;
