use super::*;
#[test]
fn x() { println!("{}", check(Path::new("config.toml"), false).0); println!("{}", check(Path::new("bad.toml"), false).0); println!("{}", check(Path::new("big.toml"), false).0);  println!("{}", check(Path::new("big.toml"), true).0); }
