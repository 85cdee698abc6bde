//! The systemd units are ones that systemd takes.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::read;

#[test]
fn the_units_are_ones_that_systemd_takes() {
    let unit = read("deploy/systemd/forgetgate.service");
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let paths = ["forgetgate.service", "forgetgate.socket"].map(|name| folder.path().join(name));
    // systemd looks whether the program is there.
    let here = unit.replace("/usr/local/bin/forgetgate", env!("CARGO_BIN_EXE_forgetgate"));
    fs::write(&paths[0], here).expect("the unit can be written");
    fs::write(&paths[1], read("deploy/systemd/forgetgate.socket")).expect("the unit can be written");

    let output = Command::new("systemd-analyze").arg("verify").args(&paths).output();

    let output = output.expect("systemd-analyze, of Debian's package systemd, can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("forgetgate.s")).collect();
    assert!(output.status.success() && about_us.is_empty(), "{said}");
    for line in
        ["NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "RestartPreventExitStatus=3", "Type=notify"]
    {
        assert!(unit.lines().any(|written| written == line), "{line} is missing");
    }
}
