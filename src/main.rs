//! In a browser: mounts the page. Elsewhere: the command line.

#[cfg(target_arch = "wasm32")]
fn main() {
    brokerscope::ui::mount();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    use clap::Parser;
    brokerscope::cli::Cli::parse().run()
}
