//! Two fleets of the demo.

use super::{demo, quit};

#[test]
fn keys_go_from_fleet_to_fleet() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--fleets", "3", "--speed", "0.1"], &[]);
    terminal.wait_for("dev · eu-west-1 · 123456789012");
    terminal.wait_for("PRODUCTION");
    terminal.send_keys("f");
    terminal.wait_for("qa · us-east-1 · 210987654321");
    terminal.send_keys("f");
    terminal.wait_for("live · eu-west-1 · 345678901234");
    terminal.send_keys("x");
    terminal.wait_for("In the production fleet live, account 345678901234, eu-west-1.");
    terminal.send_keys("\x1b");
    std::thread::park_timeout(std::time::Duration::from_millis(400));
    quit(terminal);
}
